import { Controller, Get, Header } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { Needs } from '../auth/roles.ts';
import { ApiProblems } from '../http/api-problems.ts';
import { Metrics } from './metrics.ts';

// Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats).
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

@ApiTags('health')
@Controller('metrics')
@Needs('reader')
@ApiProblems(401, 403)
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  @Get()
  @Header('content-type', CONTENT_TYPE)
  @ApiOperation({ summary: 'Read what is measured', description: 'For Prometheus: of this process alone.' })
  @ApiProduces('text/plain')
  @ApiOkResponse({
    content: {
      'text/plain': {
        schema: { type: 'string' },
        example: 'belfry_deliveries_total{channel="smtp",outcome="sent"} 198\n',
      },
    },
  })
  async read(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}

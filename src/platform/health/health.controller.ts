import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import {
  HealthCheckService,
  type HealthIndicatorFunction,
  type HealthIndicatorResult,
  HealthIndicatorService,
} from '@nestjs/terminus';
import { Public } from '../auth/roles.ts';
import { SECOND_MS } from '../clock/clock.ts';
import { DomainError, type Fault } from '../errors/domain-error.ts';
import { ApiProblems } from '../http/api-problems.ts';
import { Shutdown } from '../lifecycle/shutdown.ts';
import { Log } from '../logging/log.ts';
import { Readiness, type ReadinessProbe } from './readiness.ts';

// Shorter than the time after which a load balancer gives up by itself (5 s on an ALB).
const PROBE_TIMEOUT_MS = 3 * SECOND_MS;

/** Requests should go to another server, or wait. */
export class NotReadyError extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'not-ready';
  override readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[], options?: ErrorOptions) {
    super('This server cannot do its work just now.', options);
    this.faults = faults;
  }
}

@ApiTags('health')
@Public()
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
    private readonly readiness: Readiness,
    private readonly shutdown: Shutdown,
    private readonly log: Log,
  ) {}

  @Get('live')
  @ApiOperation({ summary: 'Is the process running?' })
  @ApiOkResponse({ schema: { example: { status: 'ok' } } })
  live(): { readonly status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @ApiOperation({ summary: 'Can it do its work? 503 while it cannot, and once it is stopping.' })
  @ApiOkResponse({ schema: { example: { status: 'ok', checks: ['database'] } } })
  @ApiProblems(503)
  async ready(): Promise<{ readonly status: 'ok'; readonly checks: readonly string[] }> {
    if (this.shutdown.isStopping) {
      throw new NotReadyError([{ pointer: 'server', detail: 'It is stopping.' }]);
    }
    const down: Fault[] = [];
    try {
      const { details } = await this.health.check(
        this.readiness.probes.map(
          (probe): HealthIndicatorFunction =>
            () =>
              this.#attempt(probe, down),
        ),
      );
      return { status: 'ok', checks: Object.keys(details) };
    } catch (error) {
      if (error instanceof ServiceUnavailableException) {
        throw new NotReadyError(down);
      }
      throw error;
    }
  }

  async #attempt(probe: ReadinessProbe, down: Fault[]): Promise<HealthIndicatorResult> {
    const result = await this.indicators
      .check(probe.name)
      .attempt(() => this.#check(probe))
      .withTimeout(PROBE_TIMEOUT_MS);
    if (result[probe.name]?.status === 'down') {
      down.push({ pointer: probe.name, detail: 'It is down.' });
    }
    return result;
  }

  async #check(probe: ReadinessProbe): Promise<void> {
    try {
      await probe.check();
    } catch (error) {
      this.log.warn('readiness.lost', { probe: probe.name, err: error });
      throw error;
    }
  }
}

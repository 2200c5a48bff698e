import { Controller, Delete } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiProperty, ApiTags } from '@nestjs/swagger';
import { Needs } from '../platform/auth/roles.ts';
import { formatInstant } from '../platform/clock/clock.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { Erasure } from './erasure.ts';
import { ERASED_PARAM_DOCS, SubscriberParam } from './params.ts';
import type { SubscriberKey } from './subscriber.ts';

/** What an erasure took away, without the address. */
export class ErasedView {
  @ApiProperty({
    format: 'date-time',
    description: 'When the person was first erased.',
    example: '2026-11-23T14:00:00.123Z',
  })
  readonly date_erased!: string;

  @ApiProperty({ type: [String], description: 'The groups that they were in.', example: ['serverless'] })
  readonly groups!: readonly string[];

  @ApiProperty({
    type: [String],
    description: 'The groups whose consent record of them is gone.',
    example: ['serverless'],
  })
  readonly consent_records!: readonly string[];
}

@ApiTags('subscribers')
@Controller('v1/subscribers')
@Needs('admin')
@ApiProblems(400, 401, 403, 503)
export class ErasureController {
  constructor(private readonly erasure: Erasure) {}

  @Delete(':email')
  @ApiOperation({
    summary: 'Erase a person',
    description:
      'Takes them out of every group, with their consent record and their suppression. What is left is a keyed hash of the address, which keeps them suppressed (erased): they are not added again without "resubscribe": true and a reason. Also somebody in no group can be erased. A second call takes away what has come since, if anything. Deliveries of messages that were sent, files of the outbox and imports of the last week still name the address.',
  })
  @ApiParam(ERASED_PARAM_DOCS)
  @ApiOkResponse({ type: ErasedView })
  async erase(@SubscriberParam() key: SubscriberKey): Promise<ErasedView> {
    const { at, groups, records } = await this.erasure.erase(key);
    return { date_erased: formatInstant(at), groups, consent_records: records };
  }
}

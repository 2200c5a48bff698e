import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import { ListQuery } from '../platform/http/list-query.ts';
import { BATCH_STATES, type BatchRecord, type BatchState } from './batch.ts';

export class BatchListQuery extends ListQuery {
  @ApiPropertyOptional({ enum: BATCH_STATES, description: 'Only those in this state.' })
  @IsOptional()
  @IsIn(BATCH_STATES, { message: `One of ${BATCH_STATES.join(', ')} is needed.` })
  readonly state?: BatchState;
}

/** A batch as the API shows it. */
export class BatchView {
  @ApiProperty({ description: 'The subscriber with whom it begins.', example: 'ada@example.com' })
  readonly first!: string;

  @ApiProperty({ description: 'The subscriber with whom it ends.', example: 'grace@example.com' })
  readonly last!: string;

  @ApiProperty({ type: 'integer', description: 'Subscribers in it when it was cut.', example: 50 })
  readonly count!: number;

  @ApiProperty({ enum: BATCH_STATES, example: 'settled' })
  readonly state!: BatchState;

  @ApiProperty({ type: 'integer', description: 'How often it was begun since it last got on.', example: 0 })
  readonly tries!: number;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What went wrong last, unless it has got on since.',
    example: null,
  })
  readonly error!: string | null;
}

export function viewBatch(batch: BatchRecord): BatchView {
  return {
    first: batch.first,
    last: batch.last,
    count: batch.count,
    state: batch.state,
    tries: batch.tries,
    error: batch.error ?? null,
  };
}

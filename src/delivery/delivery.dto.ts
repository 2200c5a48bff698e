import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import { ListQuery } from '../platform/http/list-query.ts';
import { type Delivery, type Outcome, OUTCOMES } from './delivery.ts';

export class DeliveryListQuery extends ListQuery {
  @ApiPropertyOptional({ enum: OUTCOMES, description: 'Only those of this outcome.' })
  @IsOptional()
  @IsIn(OUTCOMES, { message: `One of ${OUTCOMES.join(', ')} is needed.` })
  readonly outcome?: Outcome;
}

/** A delivery as the API shows it. */
export class DeliveryView {
  @ApiProperty({ example: 'ada@example.com' })
  readonly subscriber!: string;

  @ApiProperty({ enum: OUTCOMES, nullable: true, description: 'null while it is pending.', example: 'sent' })
  readonly outcome!: Outcome | null;

  @ApiProperty({
    format: 'date-time',
    type: String,
    nullable: true,
    description: 'When it got its outcome, or its last attempt ended; null before the first.',
    example: '2026-11-23T14:10:00.087Z',
  })
  readonly at!: string | null;

  @ApiProperty({ type: 'integer', description: 'How often it was handed to the channel.', example: 1 })
  readonly attempt!: number;

  @ApiProperty({
    type: 'integer',
    description:
      'How many of the attempts ended unknown: more than 0 means that it may have arrived more than once.',
    example: 0,
  })
  readonly unknown_attempts!: number;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What the provider calls it.',
    example: '250 2.0.0 Ok: queued as 4WxT2j0Zk1z9',
  })
  readonly provider_id!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What the provider said, or why it was skipped.',
    example: null,
  })
  readonly reason!: string | null;
}

export function viewDelivery(delivery: Delivery): DeliveryView {
  return {
    subscriber: delivery.email,
    outcome: delivery.outcome ?? null,
    at: formatInstant(delivery.at),
    attempt: delivery.attempt,
    unknown_attempts: delivery.unknownAttempts,
    provider_id: delivery.providerId ?? null,
    reason: delivery.reason ?? null,
  };
}

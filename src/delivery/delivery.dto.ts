import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import { ListQuery } from '../platform/http/list-query.ts';
import { type Delivery, type Outcome, OUTCOMES } from './delivery.ts';
import { HEARD_KINDS, type HeardKind } from './feedback.ts';

export class DeliveryListQuery extends ListQuery {
  @ApiPropertyOptional({ enum: OUTCOMES, description: 'Only those of this outcome.' })
  @IsOptional()
  @IsIn(OUTCOMES, { message: `One of ${OUTCOMES.join(', ')} is needed.` })
  readonly outcome?: Outcome;
}

class HeardView {
  @ApiProperty({
    enum: HEARD_KINDS,
    description:
      "delivered: the subscriber's mail server took it. delayed: not yet. bounced: refused for good. complained: marked as unwanted. rejected: the provider did not send it after all.",
    example: 'delivered',
  })
  readonly kind!: HeardKind;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:10:01.412Z' })
  readonly at!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What the mail server said.',
    example: '250 2.6.0 Message received',
  })
  readonly detail!: string | null;
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

  @ApiProperty({
    format: 'date-time',
    type: String,
    nullable: true,
    description: "When the subscriber's mail server took it, where that was heard.",
    example: '2026-11-23T14:10:01.412Z',
  })
  readonly delivered_at!: string | null;

  @ApiProperty({
    type: [HeardView],
    description: 'What was heard of it, most of it after it had left: the first of each kind.',
  })
  readonly feedback!: readonly HeardView[];
}

export function viewDelivery(delivery: Delivery): DeliveryView {
  const { heard } = delivery;
  return {
    subscriber: delivery.email,
    outcome: delivery.outcome ?? null,
    at: formatInstant(delivery.at),
    attempt: delivery.attempt,
    unknown_attempts: delivery.unknownAttempts,
    provider_id: delivery.providerId ?? null,
    reason: delivery.reason ?? null,
    delivered_at: heard.delivered ? formatInstant(heard.delivered.at) : null,
    feedback: HEARD_KINDS.flatMap((kind) => {
      const notice = heard[kind];
      return notice ? [{ kind, at: formatInstant(notice.at), detail: notice.detail ?? null }] : [];
    }),
  };
}

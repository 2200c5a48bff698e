import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsOptional, ValidateIf } from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import { EMAIL_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import { EMAIL_TEXT_MAX_LENGTH } from './subscriber.dto.ts';
import { parseEmail, subscriberKey } from './subscriber.ts';
import {
  GIVEN_REASONS,
  type Suppression,
  SUPPRESSION_REASONS,
  type SuppressionReason,
} from './suppression.ts';

const DETAIL_MAX_LENGTH = 500;

/** An address to be suppressed. */
export class NewSuppression {
  @ApiProperty({ minLength: 1, maxLength: EMAIL_MAX_LENGTH, example: 'grace@example.com' })
  @IsText({ min: 1, max: EMAIL_TEXT_MAX_LENGTH })
  readonly email!: string;

  @ApiPropertyOptional({
    enum: GIVEN_REASONS,
    default: 'manual',
    description: 'Something else than manual where another system found it out.',
    example: 'manual',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(GIVEN_REASONS, { message: `One of ${GIVEN_REASONS.join(', ')} is needed.` })
  readonly reason?: (typeof GIVEN_REASONS)[number];

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: DETAIL_MAX_LENGTH,
    description: 'Why, in words.',
    example: 'Asked for it by telephone.',
  })
  @IsOptional()
  @IsText({ min: 1, max: DETAIL_MAX_LENGTH })
  readonly detail?: string | null;
}

/** A suppression as the API shows it. */
export class SuppressionView {
  @ApiProperty({
    description: 'The address; of a person who was erased, a keyed hash at erased.invalid.',
    example: 'grace@example.com',
  })
  readonly subscriber!: string;

  @ApiProperty({ enum: SUPPRESSION_REASONS, example: 'manual' })
  readonly reason!: SuppressionReason;

  @ApiProperty({ type: String, nullable: true, example: 'Asked for it by telephone.' })
  readonly detail!: string | null;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly date_added!: string;
}

/**
 * The suppression that a checked DTO describes, by hand unless it says otherwise.
 * @throws {InvalidInputError} where the address cannot be used.
 */
export function readSuppression(body: NewSuppression, addedAt: Temporal.Instant): Suppression {
  const parsed = parseEmail(body.email);
  if (parsed.kind === 'invalid') {
    throw new InvalidInputError([{ pointer: '/email', detail: parsed.detail }]);
  }
  return {
    subscriber: subscriberKey(parsed.email),
    reason: body.reason ?? 'manual',
    detail: body.detail ?? undefined,
    addedAt,
  };
}

export function viewSuppression({ subscriber, reason, detail, addedAt }: Suppression): SuppressionView {
  return { subscriber, reason, detail: detail ?? null, date_added: formatInstant(addedAt) };
}

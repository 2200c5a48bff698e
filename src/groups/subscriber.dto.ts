import { ApiExtraModels, ApiProperty, ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsIP,
  IsOptional,
  IsTimeZone,
  ValidateIf,
} from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import { ListQuery } from '../platform/http/list-query.ts';
import { type Fault, InvalidInputError } from '../platform/errors/domain-error.ts';
import { EMAIL_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import { IsAttributes } from './attributes.ts';
import { originOf } from './consent.ts';
import {
  type Attributes,
  parseEmail,
  type Subscriber,
  SUBSCRIBER_STATUSES,
  type SubscriberStatus,
} from './subscriber.ts';
import type { Added, Newcomer } from './subscriber-store.ts';

/** Subscribers that one call may add. */
export const ADD_MAX = 1_000;
export const NAME_MAX_LENGTH = 256;
const WORDING_MAX_LENGTH = 500;
const REASON_MAX_LENGTH = 500;
// What is longer is refused by the address rule, which says so in its own words.
export const EMAIL_TEXT_MAX_LENGTH = 4_096;
export const TIME_ZONE_FAULT = 'An IANA time zone is needed, such as Europe/Paris.';

export const NO_REASON = 'Why they are written to again is needed: it is kept in the consent record.';

/** On whose word somebody gets mail who had stopped it. */
abstract class OnTheirWord {
  @ApiPropertyOptional({
    description:
      'Needed to make active again who is unsubscribed, bounced or complained, and to add who was erased: only if they asked for it.',
    example: false,
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsBoolean({ message: 'true or false is needed.' })
  readonly resubscribe?: boolean;

  @ApiPropertyOptional({
    type: String,
    minLength: 1,
    maxLength: REASON_MAX_LENGTH,
    description:
      'Why they are added, or their status changes, for the consent record; needed with resubscribe.',
    example: 'She asked for it by telephone.',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsText({ min: 1, max: REASON_MAX_LENGTH })
  readonly reason?: string;
}

/** One subscriber to add. */
export class NewSubscriber extends OnTheirWord {
  @ApiProperty({ minLength: 1, maxLength: EMAIL_MAX_LENGTH, example: 'ada@example.com' })
  @IsText({ min: 1, max: EMAIL_TEXT_MAX_LENGTH })
  readonly email!: string;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: NAME_MAX_LENGTH,
    example: 'Ada Lovelace',
  })
  @IsOptional()
  @IsText({ min: 1, max: NAME_MAX_LENGTH })
  readonly name?: string | null;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: true,
    description: 'Free data for templates.',
    example: { city: 'London' },
  })
  @IsOptional()
  @IsAttributes()
  readonly attributes?: Attributes | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    description: 'An IANA name.',
    example: 'Europe/London',
  })
  @IsOptional()
  @IsTimeZone({ message: TIME_ZONE_FAULT })
  readonly time_zone?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    description: 'For the consent record: the address of the person who subscribed, as your server saw it.',
    example: '192.0.2.1',
  })
  @IsOptional()
  @IsIP(undefined, { message: 'An IP address is needed.' })
  readonly consent_ip?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: WORDING_MAX_LENGTH,
    description: 'For the consent record: what the person was shown when they agreed.',
    example: 'Yes, send me news of the workshop.',
  })
  @IsOptional()
  @IsText({ min: 1, max: WORDING_MAX_LENGTH, multiline: true })
  readonly consent_wording?: string | null;
}

/** Many subscribers to add; each is checked and answered for itself. */
export class NewSubscribers {
  @ApiProperty({
    type: [NewSubscriber],
    minItems: 1,
    maxItems: ADD_MAX,
    description: 'Each is checked and answered for itself.',
  })
  @IsArray({ message: 'A list of subscribers is needed.' })
  @ArrayMinSize(1, { message: 'It is empty; at least one subscriber is needed.' })
  @ArrayMaxSize(ADD_MAX, { message: `At most ${ADD_MAX} subscribers are allowed in one call.` })
  readonly subscribers!: readonly unknown[];
}

/** What became of one of many. */
export type AddedOrRefused = Added | { readonly kind: 'invalid'; readonly faults: readonly Fault[] };

/** For Swagger UI: each runs as it stands. */
export const SUBSCRIBER_PATCH_EXAMPLES = {
  unsubscribe: { summary: 'Unsubscribe', value: { status: 'unsubscribed' } },
  resubscribe: {
    summary: 'Subscribe again, because they asked for it',
    value: { status: 'active', resubscribe: true, reason: 'She asked for it by telephone.' },
  },
  details: {
    summary: 'Another name and other data, no time zone',
    value: { name: 'Ada King', attributes: { city: 'Ockham' }, time_zone: null },
  },
};

/** What changes about a subscriber; what is left out stays, null empties. */
export class SubscriberPatch extends OnTheirWord {
  @ApiPropertyOptional({ enum: SUBSCRIBER_STATUSES, example: 'unsubscribed' })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsIn(SUBSCRIBER_STATUSES, { message: `One of ${SUBSCRIBER_STATUSES.join(', ')} is needed.` })
  readonly status?: SubscriberStatus;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: NAME_MAX_LENGTH,
    example: 'Ada King',
  })
  @IsOptional()
  @IsText({ min: 1, max: NAME_MAX_LENGTH })
  readonly name?: string | null;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: true,
    description: 'Replaces all of them.',
    example: { city: 'Ockham' },
  })
  @IsOptional()
  @IsAttributes()
  readonly attributes?: Attributes | null;

  @ApiPropertyOptional({ type: String, nullable: true, example: 'Europe/London' })
  @IsOptional()
  @IsTimeZone({ message: TIME_ZONE_FAULT })
  readonly time_zone?: string | null;
}

export class SubscriberListQuery extends ListQuery {
  @ApiPropertyOptional({ enum: SUBSCRIBER_STATUSES, description: 'Only those of this status.' })
  @IsOptional()
  @IsIn(SUBSCRIBER_STATUSES, { message: `One of ${SUBSCRIBER_STATUSES.join(', ')} is needed.` })
  readonly status?: SubscriberStatus;
}

/** A subscriber as the API shows it. */
export class SubscriberView {
  @ApiProperty({ example: 'serverless' })
  readonly group_name!: string;

  @ApiProperty({ example: 'ada@example.com' })
  readonly subscriber!: string;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly date_joined!: string;

  @ApiProperty({ enum: SUBSCRIBER_STATUSES, example: 'active' })
  readonly status!: SubscriberStatus;

  @ApiProperty({ type: String, nullable: true, example: 'Ada Lovelace' })
  readonly name!: string | null;

  @ApiProperty({ type: 'object', additionalProperties: true, example: { city: 'London' } })
  readonly attributes!: Attributes;

  @ApiProperty({ type: String, nullable: true, example: 'Europe/London' })
  readonly time_zone!: string | null;

  @ApiProperty({ type: 'integer', example: 1 })
  readonly version!: number;
}

/** What became of one address that was to be added. */
export class AddedView extends SubscriberView {
  @ApiProperty({
    enum: ['added', 'exists'],
    example: 'added',
    description: 'exists: the address was in the group, and nothing about it was changed.',
  })
  readonly result!: 'added' | 'exists';
}

class FaultView {
  @ApiProperty({ example: '/subscribers/1/email' })
  readonly pointer!: string;

  @ApiProperty({ example: 'An address has a name, an @ and a domain: ada@example.com.' })
  readonly detail!: string;
}

class RefusedView {
  @ApiProperty({ enum: ['invalid'], example: 'invalid' })
  readonly result!: 'invalid';

  @ApiProperty({ type: [FaultView], description: 'What is wrong with it, each with its place.' })
  readonly errors!: readonly Fault[];
}

/** What became of many, in the order in which they were given. */
@ApiExtraModels(AddedView, RefusedView)
export class AddedManyView {
  @ApiProperty({ type: 'integer', example: 1 })
  readonly added!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly exists!: number;

  @ApiProperty({ type: 'integer', example: 0 })
  readonly invalid!: number;

  @ApiProperty({
    type: 'array',
    items: { oneOf: [{ $ref: getSchemaPath(AddedView) }, { $ref: getSchemaPath(RefusedView) }] },
    description: 'In the order given; an item that was refused has result invalid, and errors.',
  })
  readonly results!: readonly (AddedView | RefusedView)[];
}

/**
 * The newcomer that a checked DTO describes.
 * @throws {InvalidInputError} where the address cannot be used, or a reason is needed.
 */
export function readNewcomer(body: NewSubscriber): Newcomer {
  const parsed = parseEmail(body.email);
  if (parsed.kind === 'invalid') {
    throw new InvalidInputError([{ pointer: '/email', detail: parsed.detail }]);
  }
  const isResubscribed = body.resubscribe === true;
  if (isResubscribed && body.reason === undefined) {
    throw new InvalidInputError([{ pointer: '/reason', detail: NO_REASON }]);
  }
  return {
    email: parsed.email,
    isResubscribed,
    name: body.name ?? undefined,
    attributes: body.attributes ?? {},
    timeZone: body.time_zone ?? undefined,
    origin: originOf('api', {
      ip: body.consent_ip ?? undefined,
      wording: body.consent_wording ?? undefined,
      reason: body.reason,
    }),
  };
}

export function viewSubscriber(subscriber: Subscriber): SubscriberView {
  return {
    group_name: subscriber.group,
    subscriber: subscriber.email,
    date_joined: formatInstant(subscriber.joinedAt),
    status: subscriber.status,
    name: subscriber.name ?? null,
    attributes: subscriber.attributes,
    time_zone: subscriber.timeZone ?? null,
    version: subscriber.version,
  };
}

export function viewAdded(added: Added): AddedView {
  return { ...viewSubscriber(added.subscriber), result: added.kind };
}

export function viewAddedMany(answers: readonly AddedOrRefused[]): AddedManyView {
  const count = (kind: AddedOrRefused['kind']): number =>
    answers.filter((answer) => answer.kind === kind).length;
  return {
    added: count('added'),
    exists: count('exists'),
    invalid: count('invalid'),
    results: answers.map((answer) =>
      answer.kind === 'invalid' ? { result: answer.kind, errors: answer.faults } : viewAdded(answer),
    ),
  };
}

import { ApiExtraModels, ApiProperty, ApiPropertyOptional, getSchemaPath } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsOptional,
  ValidateBy,
  ValidateIf,
} from 'class-validator';
import { detailOf, type Feedback, type FeedbackKind } from '../delivery/feedback.ts';
import { isGroupName } from '../groups/group.ts';
import { EMAIL_TEXT_MAX_LENGTH } from '../groups/subscriber.dto.ts';
import { parseEmail, subscriberKey } from '../groups/subscriber.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { type Fault, InvalidInputError } from '../platform/errors/domain-error.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import { EMAIL_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import { isMessageKey } from '../schedule/message.ts';
import { FEEDBACK_RESULTS, type FeedbackEvent, type FeedbackResult } from './feedback-event.ts';

const POSTED_TYPES = ['bounce', 'complaint', 'delivery'] as const;
type PostedType = (typeof POSTED_TYPES)[number];

/** Events that one call may bring. */
const EVENTS_MAX = 100;
const KEY_MAX_LENGTH = 64;
const DETAIL_MAX_LENGTH = 10_000;

/** One thing that became of a mail. */
export class PostedEvent {
  @ApiProperty({ enum: POSTED_TYPES, example: 'bounce' })
  @IsIn(POSTED_TYPES, { message: `One of ${POSTED_TYPES.join(', ')} is needed.` })
  readonly type!: PostedType;

  @ApiPropertyOptional({
    description:
      'Of a bounce: it is for good. Whoever bounced for good gets nothing more. Needed where type is bounce.',
    example: true,
  })
  @ValidateIf((event: PostedEvent, value) => value !== undefined || event.type === 'bounce')
  @IsBoolean({ message: 'Of a bounce it must be said: true or false.' })
  readonly permanent?: boolean;

  @ApiPropertyOptional({
    description: 'With group and subscriber; instead of return_path.',
    example: '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d47',
  })
  @ValidateIf((event: PostedEvent, value) => value !== undefined || event.return_path === undefined)
  @IsText({ min: 1, max: KEY_MAX_LENGTH })
  readonly message_key?: string;

  @ApiPropertyOptional({ example: 'serverless' })
  @ValidateIf((event: PostedEvent, value) => value !== undefined || event.return_path === undefined)
  @IsText({ min: 1, max: KEY_MAX_LENGTH })
  readonly group?: string;

  @ApiPropertyOptional({ minLength: 1, maxLength: EMAIL_MAX_LENGTH, example: 'ada@example.com' })
  @ValidateIf((event: PostedEvent, value) => value !== undefined || event.return_path === undefined)
  @IsText({ min: 1, max: EMAIL_TEXT_MAX_LENGTH })
  readonly subscriber?: string;

  @ApiPropertyOptional({
    description:
      'The address that the bounce came to, as Belfry made it (VERP_DOMAIN); says everything that the three others say.',
    minLength: 1,
    maxLength: EMAIL_MAX_LENGTH,
    example: 'bounce+agnlbitqpyptjh3fhiclmc4ngq3vc4tfmrqwe2lnmvzxi33sn5xa2tsq@bounces.example.com',
  })
  @ValidateIf((_event, value) => value !== undefined)
  @IsText({ min: 1, max: EMAIL_TEXT_MAX_LENGTH })
  readonly return_path?: string;

  @ApiProperty({
    format: 'date-time',
    description: 'When it happened; RFC 3339.',
    example: '2026-11-23T14:10:05.000Z',
  })
  @IsMoment()
  readonly at!: string;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    maxLength: DETAIL_MAX_LENGTH,
    description: 'What the mail server said; the first 200 characters are kept.',
    example: '550 5.1.1 No such user here',
  })
  @IsOptional()
  @IsText({ min: 0, max: DETAIL_MAX_LENGTH, multiline: true })
  readonly detail?: string | null;
}

/** What became of mails, each checked and answered for itself. */
export class PostedEvents {
  @ApiProperty({
    type: [PostedEvent],
    minItems: 1,
    maxItems: EVENTS_MAX,
    description: 'Each is checked and answered for itself.',
  })
  @IsArray({ message: 'A list of events is needed.' })
  @ArrayMinSize(1, { message: 'It is empty; at least one event is needed.' })
  @ArrayMaxSize(EVENTS_MAX, { message: `At most ${EVENTS_MAX} events are allowed in one call.` })
  readonly events!: readonly unknown[];
}

class TakenView {
  @ApiProperty({
    enum: FEEDBACK_RESULTS,
    description:
      'recorded: it is in the ledger. repeated: it was there before. pending: the delivery has no outcome yet, so send it again in some minutes. unmatched: there is no such delivery.',
    example: 'recorded',
  })
  readonly result!: FeedbackResult;
}

class PostedFaultView {
  @ApiProperty({ example: '/events/1/permanent' })
  readonly pointer!: string;

  @ApiProperty({ example: 'Of a bounce it must be said: true or false.' })
  readonly detail!: string;
}

class InvalidEventView {
  @ApiProperty({ enum: ['invalid'], example: 'invalid' })
  readonly result!: 'invalid';

  @ApiProperty({ type: [PostedFaultView], description: 'What is wrong with it, each with its place.' })
  readonly errors!: readonly Fault[];
}

/** What became of the events, in the order in which they were given. */
@ApiExtraModels(TakenView, InvalidEventView)
export class PostedEventsView {
  @ApiProperty({
    type: 'array',
    items: { oneOf: [{ $ref: getSchemaPath(TakenView) }, { $ref: getSchemaPath(InvalidEventView) }] },
    description: 'In the order given.',
    example: [{ result: 'recorded' }],
  })
  readonly results!: readonly (TakenView | InvalidEventView)[];
}

/** An event that is checked: of a delivery, or of a return path that is still to be read. */
export interface ReadEvent {
  readonly feedback: Feedback;
  readonly of: Pick<FeedbackEvent, 'group' | 'messageKey' | 'subscriber'> | { readonly returnPath: string };
}

/** @throws {InvalidInputError} */
export function readEvent(posted: PostedEvent): ReadEvent {
  const { return_path: returnPath } = posted;
  return {
    feedback: {
      kind: kindOf(posted),
      at: Temporal.Instant.fromEpochMilliseconds(Temporal.Instant.from(posted.at).epochMilliseconds),
      detail: detailOf(posted.detail ?? ''),
      providerId: undefined,
    },
    of: returnPath === undefined ? readDelivery(posted) : { returnPath },
  };
}

function kindOf({ type, permanent }: PostedEvent): FeedbackKind {
  switch (type) {
    case 'bounce':
      return permanent === true ? 'bounced' : 'delayed';
    case 'complaint':
      return 'complained';
    case 'delivery':
      return 'delivered';
    default:
      return assertNever(type);
  }
}

function readDelivery(posted: PostedEvent): Pick<FeedbackEvent, 'group' | 'messageKey' | 'subscriber'> {
  const { message_key: messageKey = '', subscriber = '' } = posted;
  const group = (posted.group ?? '').toLowerCase();
  const parsed = parseEmail(subscriber);
  const isKey = isMessageKey(messageKey);
  const isGroup = isGroupName(group);
  if (!isKey || !isGroup || parsed.kind === 'invalid') {
    throw new InvalidInputError([
      ...(isKey
        ? []
        : [{ pointer: '/message_key', detail: 'The key of a message is needed, as Belfry gave it.' }]),
      ...(isGroup ? [] : [{ pointer: '/group', detail: 'This is not the name of a group.' }]),
      ...(parsed.kind === 'invalid' ? [{ pointer: '/subscriber', detail: parsed.detail }] : []),
    ]);
  }
  return { messageKey, group, subscriber: subscriberKey(parsed.email) };
}

// RFC 3339: Temporal reads more than that.
const MOMENT_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

function IsMoment(): PropertyDecorator {
  return ValidateBy({
    name: 'isMoment',
    validator: {
      validate: (value: unknown) => typeof value === 'string' && isMoment(value),
      defaultMessage: () => 'A time is needed, such as 2026-11-23T14:10:05.000Z.',
    },
  });
}

function isMoment(text: string): boolean {
  return MOMENT_PATTERN.test(text) && !Number.isNaN(Date.parse(text));
}

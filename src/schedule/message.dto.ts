import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import { Allow, ArrayMaxSize, IsIn, IsOptional, ValidateIf, ValidateNested } from 'class-validator';
import { IsMailbox, MAILBOX_MAX_LENGTH } from '../platform/mail/mailbox.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import { ListQuery } from '../platform/http/list-query.ts';
import { PlainDto } from '../platform/http/plain-dto.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { type Template, TEMPLATES } from './content.ts';
import { IsScheduleTime } from './is-schedule-time.ts';
import { parseLocalTime } from './local-delivery.ts';
import { LocalDeliveryView } from './message-view.ts';
import {
  MESSAGE_STATUSES,
  type MessageStatus,
  ON_MISSED,
  ON_UNKNOWN,
  type OnMissed,
  type OnUnknown,
  RETRYABLE_OUTCOMES,
  type RetryableOutcome,
} from './message.ts';
import { DST_CHOICES, type DstChoice } from './meant-time.ts';
import type { Recurrence } from './recurrence.ts';
import { RepeatBody } from './repeat.dto.ts';
import { IsJsonObject } from './is-json-object.ts';
import { parseScheduleTime, type ScheduledTime } from './schedule-time.ts';
import type { Draft, Redraft } from './schedule.service.ts';

// RFC 5322, 2.1.1: a line has at most 998 characters; a longer subject would be folded, but nobody reads it.
export const SUBJECT_MAX_LENGTH = 998;
// BODY_LIMIT decides, in bytes; the request itself is limited before that.
export const BODY_MAX_LENGTH = 40 * 1024 * 1024;

export const EXAMPLE_BODY = 'The workshop is not recorded.<h1>Welcome dear friends</h1>';
const EXAMPLE_TIME = '2030-01-01T09:00[Europe/Paris]';
export const TIME_DESCRIPTION =
  'A local time with its zone, RFC 9557 (2027-03-28T09:00[Europe/Paris]) or {local, time_zone}; without a zone, in that of the group; or RFC 3339 (2027-03-28T07:00:00Z); or epoch milliseconds (1806217200000). A local time that the clocks skip or repeat is refused with the candidates, unless dst chooses.';
export const TIME_SCHEMA = {
  oneOf: [
    { type: 'integer' },
    { type: 'string' },
    {
      type: 'object',
      required: ['local'],
      properties: {
        local: { type: 'string', example: '2030-01-01T09:00' },
        time_zone: { type: 'string', nullable: true, example: 'Europe/Paris' },
        dst: { type: 'string', nullable: true, enum: [...DST_CHOICES, null] },
      },
    },
  ],
};

/** For Swagger UI: each runs as it stands. */
export const MESSAGE_BODY_EXAMPLES = {
  zone: {
    summary: 'A local time with its zone',
    value: { subject: 'Hello SLS workshop!', body: EXAMPLE_BODY, schedule_on: EXAMPLE_TIME },
  },
  object: {
    summary: 'The same as an object',
    value: {
      subject: 'Hello SLS workshop!',
      body: EXAMPLE_BODY,
      schedule_on: { local: '2030-01-01T09:00', time_zone: 'Europe/Paris' },
    },
  },
  series: {
    summary: 'Every Monday at nine, but for one',
    value: {
      subject: 'The week at the workshop',
      body: EXAMPLE_BODY,
      schedule_on: '2030-01-07T09:00[Europe/Paris]',
      repeat: { rrule: 'FREQ=WEEKLY;BYDAY=MO', except: ['2030-12-23'] },
    },
  },
  sample: {
    summary: "The sample's request: its time has passed, so it is held",
    value: { subject: 'Hello SLS workshop!', body: EXAMPLE_BODY, schedule_on: 1649753447000 },
  },
  local: {
    summary: 'The same local time for everyone, in the zone of each subscriber',
    value: {
      subject: 'Good morning!',
      body: EXAMPLE_BODY,
      local_delivery: { time: '08:30', date: '2030-01-01', passed: 'send' },
    },
  },
  liquid: {
    summary: 'A template, with a sender and an expiry',
    value: {
      subject: 'Hello {{ subscriber.name | default: "friend" }}!',
      body: '<h1>Welcome</h1><p>See you in {{ subscriber.attributes.city | default: "town" }}.</p>',
      template: 'liquid',
      from: 'Serverless workshop <workshop@example.com>',
      reply_to: 'help@example.com',
      schedule_on: '2030-01-01T08:00:00Z',
      expires_at: '2030-01-02T08:00:00Z',
      on_missed: 'skip',
    },
  },
};

export const MESSAGE_PATCH_EXAMPLES = {
  local: {
    summary: 'A local time, for each subscriber in their own zone',
    value: { local_delivery: { time: '09:30', date: '2030-01-01' } },
  },
  time: { summary: 'Another time', value: { schedule_on: '2030-01-01T10:00[Europe/Paris]' } },
  content: {
    summary: 'Another subject, and no expiry',
    value: { subject: 'Hello again, SLS workshop!', expires_at: null },
  },
};

export const LOCAL_DELIVERY_DOCS = {
  description:
    "Instead of schedule_on: at this local time, for each subscriber in their own zone, else the group's, else UTC. Where clocks skip it, at the first instant after the gap; where they show it twice, at the first. passed says what becomes of those for whom it has passed already: send (at once) or skip.",
  example: { time: '09:00', date: '2030-01-01', passed: 'send' },
};

/** What a message is made of, as far as a caller says it; the base of the bodies. */
export class MessageFields {
  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    description: 'The plain-text part; made from the HTML where it is left out.',
    example: 'The workshop is not recorded. Welcome dear friends',
  })
  @IsOptional()
  @IsText({ min: 1, max: BODY_MAX_LENGTH, multiline: true })
  readonly text?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: MAILBOX_MAX_LENGTH,
    description: "A mailbox; the group's where left out, else MAIL_FROM.",
    example: 'Serverless workshop <workshop@example.com>',
  })
  @IsOptional()
  @IsMailbox()
  readonly from?: string | null;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    minLength: 1,
    maxLength: MAILBOX_MAX_LENGTH,
    example: 'help@example.com',
  })
  @IsOptional()
  @IsMailbox()
  readonly reply_to?: string | null;

  @ApiPropertyOptional({
    enum: TEMPLATES,
    default: 'none',
    description:
      'none: what is given is sent as it is. liquid: subject, body and text are Liquid templates with subscriber.name, subscriber.email and subscriber.attributes.',
    example: 'none',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(TEMPLATES, { message: `One of ${TEMPLATES.join(', ')} is needed.` })
  readonly template?: Template;

  @ApiPropertyOptional({
    ...TIME_SCHEMA,
    nullable: true,
    description: 'Nothing of it is sent from this time on; later than schedule_on.',
    example: null,
  })
  @IsOptional()
  @IsScheduleTime()
  readonly expires_at?: unknown;

  @ApiPropertyOptional({
    enum: DST_CHOICES,
    description: 'Which moment schedule_on means where it is a local time that the clocks skip or repeat.',
    example: 'earlier',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(DST_CHOICES, { message: `One of ${DST_CHOICES.join(', ')} is needed.` })
  readonly dst?: DstChoice;

  @ApiPropertyOptional({
    enum: ON_MISSED,
    default: 'hold',
    description: 'What becomes of it when it is found due later than the grace (MISSED_GRACE, 24 h) allows.',
    example: 'hold',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(ON_MISSED, { message: `One of ${ON_MISSED.join(', ')} is needed.` })
  readonly on_missed?: OnMissed;

  @ApiPropertyOptional({
    enum: ON_UNKNOWN,
    default: 'resend',
    description: 'What becomes of a delivery that may or may not have gone out.',
    example: 'resend',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(ON_UNKNOWN, { message: `One of ${ON_UNKNOWN.join(', ')} is needed.` })
  readonly on_unknown?: OnUnknown;
}

/** What POST …/schedule takes. */
@PlainDto()
export class MessageBody extends MessageFields {
  @ApiProperty({ minLength: 1, maxLength: SUBJECT_MAX_LENGTH, example: 'Hello SLS workshop!' })
  @IsText({ min: 1, max: SUBJECT_MAX_LENGTH })
  readonly subject!: string;

  @ApiProperty({
    minLength: 1,
    description: 'HTML; up to BODY_LIMIT (10 MB) together with the text.',
    example: EXAMPLE_BODY,
  })
  @IsText({ min: 1, max: BODY_MAX_LENGTH, multiline: true })
  readonly body!: string;

  @ApiPropertyOptional({
    ...TIME_SCHEMA,
    description: `${TIME_DESCRIPTION} Needed unless local_delivery is given.`,
    example: EXAMPLE_TIME,
  })
  @ValidateIf((body: MessageBody, value) => value !== undefined || body.local_delivery === undefined)
  @IsScheduleTime()
  readonly schedule_on?: unknown;

  @ApiPropertyOptional({ type: LocalDeliveryView, ...LOCAL_DELIVERY_DOCS })
  @Allow()
  readonly local_delivery?: unknown;

  @ApiPropertyOptional({
    type: RepeatBody,
    description:
      'Makes a series of it, from schedule_on on and at local times of its zone: the answer is the message of the first occurrence to come, with `series` in it.',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsJsonObject()
  @ValidateNested()
  @Type(() => RepeatBody)
  readonly repeat?: RepeatBody;
}

/** What PATCH …/schedule/{key} takes; what is left out stays, null empties. */
export class MessagePatch extends MessageFields {
  @ApiPropertyOptional({ minLength: 1, maxLength: SUBJECT_MAX_LENGTH, example: 'Hello again, SLS workshop!' })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsText({ min: 1, max: SUBJECT_MAX_LENGTH })
  readonly subject?: string;

  @ApiPropertyOptional({ minLength: 1, description: 'HTML.', example: EXAMPLE_BODY })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsText({ min: 1, max: BODY_MAX_LENGTH, multiline: true })
  readonly body?: string;

  @ApiPropertyOptional({ ...TIME_SCHEMA, description: TIME_DESCRIPTION, example: EXAMPLE_TIME })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsScheduleTime()
  readonly schedule_on?: unknown;

  @ApiPropertyOptional({ type: LocalDeliveryView, ...LOCAL_DELIVERY_DOCS })
  @Allow()
  readonly local_delivery?: unknown;
}

export class MessageListQuery extends ListQuery {
  @ApiPropertyOptional({
    type: String,
    description: `One status, or several parted by commas: ${MESSAGE_STATUSES.join(', ')}.`,
    example: 'scheduled,held',
  })
  @IsOptional()
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? value.split(',') : value))
  @ArrayMaxSize(MESSAGE_STATUSES.length)
  @IsIn(MESSAGE_STATUSES, {
    each: true,
    message: `One or several of ${MESSAGE_STATUSES.join(', ')} are needed.`,
  })
  readonly status?: readonly MessageStatus[];

  @ApiPropertyOptional({
    type: String,
    description: 'Messages of this time and later.',
    example: '2026-01-01T00:00:00Z',
  })
  @IsOptional()
  @Transform(readNumericTime)
  @IsScheduleTime()
  readonly from?: unknown;

  @ApiPropertyOptional({
    type: String,
    description: 'Messages before this time.',
    example: '2031-01-01T00:00:00Z',
  })
  @IsOptional()
  @Transform(readNumericTime)
  @IsScheduleTime()
  readonly to?: unknown;
}

export class RetryQuery {
  @ApiPropertyOptional({ enum: RETRYABLE_OUTCOMES, default: 'failed', description: 'Which deliveries.' })
  @IsOptional()
  @IsIn(RETRYABLE_OUTCOMES, { message: `One of ${RETRYABLE_OUTCOMES.join(', ')} is needed.` })
  readonly outcome: RetryableOutcome = 'failed';
}

/** Reads a time of the request, in its group. */
export type ReadTime = (input: unknown, pointer: string, dst?: DstChoice) => Promise<ScheduledTime>;

/** Reads when a series is, in its group. */
export type ReadRecurrence = (scheduleOn: unknown, repeat: RepeatBody) => Promise<Recurrence>;

export async function readDraft(
  body: MessageBody,
  read: ReadTime,
  readRecurrence: ReadRecurrence,
): Promise<Draft> {
  const repeat = body.repeat && (await readRecurrence(body.schedule_on, body.repeat));
  if (repeat) {
    refuseWithRepeat(body);
  }
  const { scheduleOn, localDelivery, time } = repeat
    ? {
        scheduleOn: repeat.start.toZonedDateTime(repeat.timeZone).toInstant(),
        localDelivery: undefined,
        time: undefined,
      }
    : await readTimes(body, read);
  return {
    repeat,
    subject: body.subject,
    body: body.body,
    text: body.text ?? undefined,
    template: body.template ?? 'none',
    from: body.from ?? undefined,
    replyTo: body.reply_to ?? undefined,
    scheduleOn,
    localDelivery,
    time,
    expiresAt: await readExpiry(body.expires_at, read),
    onMissed: body.on_missed ?? 'hold',
    onUnknown: body.on_unknown ?? 'resend',
  };
}

export async function readRedraft(patch: MessagePatch, read: ReadTime): Promise<Redraft> {
  const times = await readTimes(patch, read);
  return {
    ...(patch.subject !== undefined && { subject: patch.subject }),
    ...(patch.body !== undefined && { body: patch.body }),
    ...(patch.text !== undefined && { text: patch.text ?? undefined }),
    ...(patch.template !== undefined && { template: patch.template }),
    ...(patch.from !== undefined && { from: patch.from ?? undefined }),
    ...(patch.reply_to !== undefined && { replyTo: patch.reply_to ?? undefined }),
    ...times,
    ...(patch.expires_at !== undefined && { expiresAt: await readExpiry(patch.expires_at, read) }),
    ...(patch.on_missed !== undefined && { onMissed: patch.on_missed }),
    ...(patch.on_unknown !== undefined && { onUnknown: patch.on_unknown }),
  };
}

/** What a message may have and a series may not. */
export function refuseWithRepeat({
  dst,
  expires_at: expiresAt,
  local_delivery: localDelivery,
}: Pick<MessageBody, 'dst' | 'expires_at' | 'local_delivery'>): void {
  if (localDelivery !== undefined) {
    throw new InvalidInputError([
      { pointer: '/local_delivery', detail: 'A series has schedule_on: one instant for each occurrence.' },
    ]);
  }
  if (dst !== undefined) {
    throw new InvalidInputError([
      { pointer: '/dst', detail: 'It is for a message that goes out once; repeat.dst_gap is for a series.' },
    ]);
  }
  if (expiresAt !== undefined && expiresAt !== null) {
    throw new InvalidInputError([
      {
        pointer: '/expires_at',
        detail: 'A series has none: on_missed says what becomes of an occurrence that is late.',
      },
    ]);
  }
}

/** One of the two ways to say when; neither where the body says nothing of it. */
export async function readTimes(
  body: Pick<MessageBody, 'schedule_on' | 'local_delivery' | 'dst'>,
  read: ReadTime,
): Promise<Pick<Draft, 'scheduleOn' | 'localDelivery' | 'time'>> {
  const { schedule_on: scheduleOn, local_delivery: localDelivery, dst } = body;
  if (scheduleOn !== undefined && localDelivery !== undefined) {
    throw new InvalidInputError([
      {
        pointer: '/local_delivery',
        detail: 'A message has schedule_on or local_delivery, not both: one instant, or one local time.',
      },
    ]);
  }
  if (scheduleOn === undefined) {
    if (dst !== undefined) {
      throw new InvalidInputError([{ pointer: '/dst', detail: 'It goes with a schedule_on.' }]);
    }
    return {
      scheduleOn: undefined,
      localDelivery:
        localDelivery === undefined ? undefined : parseLocalTime(localDelivery, '/local_delivery'),
      time: undefined,
    };
  }
  const { at, time } = await read(scheduleOn, '/schedule_on', dst);
  return { scheduleOn: at, localDelivery: undefined, time };
}

/** The bounds that a list is asked for, each absent where it is not given. */
export function readTimeRange(query: MessageListQuery): {
  readonly from: Temporal.Instant | undefined;
  readonly to: Temporal.Instant | undefined;
} {
  return {
    from: query.from === undefined ? undefined : parseScheduleTime(query.from, 'from'),
    to: query.to === undefined ? undefined : parseScheduleTime(query.to, 'to'),
  };
}

async function readExpiry(value: unknown, read: ReadTime): Promise<Temporal.Instant | undefined> {
  return value === undefined || value === null ? undefined : (await read(value, '/expires_at')).at;
}

/** A query string has no numbers, so digits stand for one there. */
export function readNumericTime({ value }: { value: unknown }): unknown {
  return typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
}

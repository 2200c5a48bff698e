import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { Group } from '../groups/group.ts';
import { formatInstant, isReached, later, msBetween } from '../platform/clock/clock.ts';
import { type Template, TEMPLATES } from './content.ts';
import { DST_CHOICES, type MeantTime } from './meant-time.ts';
import type { Occurrence } from './occurrence.ts';
import { localTimeFields, PASSED, type Passed } from './local-delivery.ts';
import {
  type Message,
  MESSAGE_STATUSES,
  type MessageStatus,
  ON_MISSED,
  ON_UNKNOWN,
  type OnMissed,
  type OnUnknown,
  pendingCount,
} from './message.ts';
import { PlanView, viewPlan } from './plan-view.ts';
import type { Plan } from './planner.ts';

const EXAMPLE_KEY = '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d47';

export class ContentView {
  @ApiProperty({ type: 'integer', description: 'Size of the stored content in bytes.', example: 159 })
  readonly bytes!: number;

  @ApiProperty({
    description: 'SHA-256 of exactly what GET …/content answers; what is sent is checked against it.',
    example: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  })
  readonly sha256!: string;

  @ApiProperty({ enum: TEMPLATES, example: 'none' })
  readonly template!: Template;
}

class TagsView {
  @ApiProperty({ example: 'serverless' })
  readonly group!: string;

  @ApiProperty({
    description: 'What S3 does not allow in a tag is replaced by _.',
    example: 'Hello SLS workshop_',
  })
  readonly subject!: string;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:10:00.000Z' })
  readonly scheduled!: string;

  @ApiProperty({ example: EXAMPLE_KEY })
  readonly key!: string;
}

class CountsView {
  @ApiProperty({
    type: 'integer',
    description: 'Subscribers in the batches cut so far; 0 until dispatch.',
    example: 200,
  })
  readonly subscribers!: number;

  @ApiProperty({ type: 'integer', description: 'Deliveries without an outcome yet.', example: 0 })
  readonly pending!: number;

  @ApiProperty({ type: 'integer', example: 198 })
  readonly sent!: number;

  @ApiProperty({ type: 'integer', example: 1 })
  readonly failed!: number;

  @ApiProperty({
    type: 'integer',
    description: 'Not handed over, on purpose: unsubscribed, cancelled, expired, left.',
    example: 1,
  })
  readonly skipped!: number;

  @ApiProperty({
    type: 'integer',
    description: 'May or may not have gone out, and will not be tried again.',
    example: 0,
  })
  readonly unknown!: number;
}

class FeedbackView {
  @ApiProperty({ type: 'integer', description: "Taken by the subscriber's mail server.", example: 196 })
  readonly delivered!: number;

  @ApiProperty({ type: 'integer', description: 'Refused by it for good, at once or later.', example: 2 })
  readonly bounced!: number;

  @ApiProperty({ type: 'integer', description: 'Marked as unwanted by the subscriber.', example: 0 })
  readonly complained!: number;
}

class BatchesView {
  @ApiProperty({ type: 'integer', description: 'Cut so far.', example: 4 })
  readonly cut!: number;

  @ApiProperty({ type: 'integer', description: 'Every delivery of them has its outcome.', example: 4 })
  readonly settled!: number;

  @ApiProperty({
    type: 'integer',
    description:
      'Failed again and again for a reason nobody foresaw; GET …/batches?state=set_aside says why.',
    example: 0,
  })
  readonly set_aside!: number;
}

class LatencyView {
  @ApiProperty({ type: 'integer', nullable: true, description: 'Due → first attempt, in ms.', example: 12 })
  readonly first_attempt_ms!: number | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'Due → last attempt, in ms; of the last wave or window, where there are such.',
    example: 840,
  })
  readonly last_attempt_ms!: number | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'Due → the last delivery accepted, in ms; of the last wave or window, where there are such.',
    example: 861,
  })
  readonly last_accepted_ms!: number | null;
}

/** A local time, for each subscriber in their own zone. */
export class LocalDeliveryView {
  @ApiProperty({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d)?$', example: '09:00' })
  readonly time!: string;

  @ApiProperty({ format: 'date', example: '2030-03-28' })
  readonly date!: string;

  @ApiPropertyOptional({ enum: PASSED, default: 'send', example: 'send' })
  readonly passed?: Passed;
}

class WarningView {
  @ApiProperty({ description: 'Stable.', example: 'held' })
  readonly code!: string;

  @ApiProperty({ example: 'It is stored and does not go out by itself. POST …/resume sends it.' })
  readonly detail!: string;

  @ApiPropertyOptional({
    description: 'Of a finding of the preflight, whose rule the code is: where the rule is written.',
    example: 'RFC 7208, 4.5',
  })
  readonly source?: string;
}

class MoveView {
  @ApiProperty({ format: 'date-time', example: '2027-03-28T07:00:00.000Z' })
  readonly from!: string;

  @ApiProperty({ format: 'date-time', example: '2027-03-28T08:00:00.000Z' })
  readonly to!: string;

  @ApiProperty({ description: 'The rules that moved it.', example: '2027a' })
  readonly tzdata!: string;

  @ApiProperty({ format: 'date-time', example: '2027-02-01T10:00:00.000Z' })
  readonly at!: string;
}

class TimeView {
  @ApiProperty({ example: '2027-03-28T09:00:00' })
  readonly local!: string;

  @ApiProperty({ example: 'Europe/Paris' })
  readonly time_zone!: string;

  @ApiProperty({
    type: String,
    enum: [...DST_CHOICES, 'series', null],
    nullable: true,
    description: 'What was chosen of a time that the clocks skip or repeat; series: as occurrences go.',
    example: null,
  })
  readonly dst!: MeantTime['dst'] | null;

  @ApiProperty({
    description: 'The version of the IANA time zone data by which schedule_on was resolved.',
    example: '2026c',
  })
  readonly tzdata!: string;

  @ApiProperty({
    type: [MoveView],
    description: 'How newer time zone data has moved schedule_on, oldest first.',
    example: [],
  })
  readonly moved!: readonly MoveView[];
}

class OccurrenceView {
  @ApiProperty({ example: '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d48' })
  readonly key!: string;

  @ApiProperty({ description: 'The local time at which the series has it.', example: '2027-03-29T09:00:00' })
  readonly occurrence!: string;
}

/** A message as the API shows it. */
export class MessageView {
  @ApiProperty({ description: 'A UUIDv7.', example: EXAMPLE_KEY })
  readonly key!: string;

  @ApiProperty({ example: 'serverless' })
  readonly group!: string;

  @ApiProperty({ example: 'Hello SLS workshop!' })
  readonly subject!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    description: "Where null, the group's, else MAIL_FROM.",
    example: null,
  })
  readonly from!: string | null;

  @ApiProperty({ type: String, nullable: true, example: null })
  readonly reply_to!: string | null;

  @ApiProperty({ enum: MESSAGE_STATUSES, example: 'scheduled' })
  readonly status!: MessageStatus;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Why, where the status is not plain.',
    example: null,
  })
  readonly reason!: string | null;

  @ApiProperty({ type: 'integer', description: 'Epoch milliseconds.', example: 1795443000000 })
  readonly schedule_on!: number;

  @ApiProperty({
    format: 'date-time',
    description: 'The same instant, RFC 3339 in UTC.',
    example: '2026-11-23T14:10:00.000Z',
  })
  readonly scheduled_at!: string;

  @ApiProperty({
    type: TimeView,
    nullable: true,
    description: 'What was meant, where schedule_on was said as a local time; null where it is an instant.',
  })
  readonly time!: TimeView | null;

  @ApiProperty({
    type: OccurrenceView,
    nullable: true,
    description: 'The series that this is an occurrence of; null where it is of none.',
  })
  readonly series!: OccurrenceView | null;

  @ApiProperty({
    type: LocalDeliveryView,
    nullable: true,
    description:
      'Where it goes at a local time: schedule_on is then its first wave, as far as the group is known.',
    example: null,
  })
  readonly local_delivery!: LocalDeliveryView | null;

  @ApiProperty({
    format: 'date-time',
    type: String,
    nullable: true,
    description:
      'While it is being sent: the next moment at which the time of more subscribers comes, by their zone or the send window of the group; null where nobody waits for one.',
    example: null,
  })
  readonly waiting_until!: string | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'By how many ms the time of a held message has passed by now; null for any other.',
    example: null,
  })
  readonly late_ms!: number | null;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly added_at!: string;

  @ApiProperty({ description: 'The seal of what is sent.' })
  readonly content!: ContentView;

  @ApiProperty({ description: 'What its content is labelled with where it is stored.' })
  readonly tags!: TagsView;

  @ApiProperty({ description: 'Deliveries by what became of them.' })
  readonly counts!: CountsView;

  @ApiProperty({
    description:
      'What was heard of its deliveries, where somebody tells it (FEEDBACK_QUEUE_URL, POST /v1/feedback).',
  })
  readonly feedback!: FeedbackView;

  @ApiProperty({ description: 'How far the work has come; a batch is up to 50 subscribers.' })
  readonly batches!: BatchesView;

  @ApiProperty({ description: 'How punctual it was; null before the first attempt.' })
  readonly latency!: LatencyView;

  @ApiProperty({ format: 'date-time', type: String, nullable: true, example: null })
  readonly expires_at!: string | null;

  @ApiProperty({ enum: ON_MISSED, example: 'hold' })
  readonly on_missed!: OnMissed;

  @ApiProperty({ enum: ON_UNKNOWN, example: 'resend' })
  readonly on_unknown!: OnUnknown;

  @ApiProperty({
    type: 'integer',
    description: 'The ETag; rises with every change, not with the counts.',
    example: 1,
  })
  readonly version!: number;

  @ApiProperty({
    type: [WarningView],
    description:
      'What somebody should look at, and what to do: of its status, of its content from the start, and, from a quarter of an hour before it begins, what the preflight found.',
  })
  readonly warnings!: readonly WarningView[];
}

class ScheduledDetails {
  @ApiProperty({ example: 'serverless' })
  readonly group!: string;

  @ApiProperty({ example: 'Hello SLS workshop!' })
  readonly subject!: string;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:10:00.000Z' })
  readonly scheduled!: string;

  @ApiProperty({ example: EXAMPLE_KEY })
  readonly key!: string;
}

/** What POST …/schedule answers: what the sample answered, and beside it the message. */
export class ScheduledView extends MessageView {
  @ApiProperty({ description: 'For people.', example: 'The message is scheduled.' })
  readonly message!: string;

  @ApiProperty({ description: 'What the sample answered.' })
  readonly details!: ScheduledDetails;

  @ApiPropertyOptional({
    type: PlanView,
    description: 'With local_delivery: when it goes to whom, as the group is now.',
  })
  readonly plan?: PlanView;
}

/** @param waitingUntil of a message that is being sent, where subscribers wait for their time. */
export function viewMessage(
  message: Message,
  now: Temporal.Instant,
  waitingUntil?: Temporal.Instant,
): MessageView {
  const { counts, attempts } = message;
  return {
    key: message.key,
    group: message.group,
    subject: message.subject,
    from: message.from ?? null,
    reply_to: message.replyTo ?? null,
    status: message.status,
    reason: message.reason ?? null,
    schedule_on: message.scheduleOn.epochMilliseconds,
    scheduled_at: formatInstant(message.scheduleOn),
    time: viewTime(message.time),
    series: viewOccurrence(message.occurrence),
    local_delivery: message.localDelivery ? localTimeFields(message.localDelivery) : null,
    waiting_until: waitingUntil ? formatInstant(waitingUntil) : null,
    late_ms: message.status === 'held' ? msBetween(message.dueAt, now) : null,
    added_at: formatInstant(message.addedAt),
    content: message.content,
    tags: message.tags,
    counts: { ...counts, pending: pendingCount(counts) },
    feedback: message.feedback,
    batches: {
      cut: message.dispatch.batchesCut,
      settled: message.dispatch.batchesSettled,
      set_aside: message.dispatch.batchesSetAside,
    },
    latency: {
      first_attempt_ms: sinceDue(message, attempts.firstAt),
      last_attempt_ms: sinceLastDue(message, attempts.lastAt),
      last_accepted_ms: sinceLastDue(message, attempts.lastAcceptedAt),
    },
    expires_at: message.expiresAt ? formatInstant(message.expiresAt) : null,
    on_missed: message.onMissed,
    on_unknown: message.onUnknown,
    version: message.version,
    warnings: [...statusWarnings(message), ...setAsideWarnings(message), ...findingWarnings(message)],
  };
}

function viewTime(time: MeantTime | undefined): TimeView | null {
  return time === undefined
    ? null
    : {
        local: time.local.toString(),
        time_zone: time.timeZone,
        dst: time.dst ?? null,
        tzdata: time.tzdata,
        moved: time.moved.map(({ from, to, tzdata, at }) => ({
          from: formatInstant(from),
          to: formatInstant(to),
          tzdata,
          at: formatInstant(at),
        })),
      };
}

function viewOccurrence(occurrence: Occurrence | undefined): OccurrenceView | null {
  return occurrence ? { key: occurrence.series, occurrence: occurrence.local.toString() } : null;
}

/**
 * @param audience the group before the message was stored; absent where the message is the first that it sees.
 * @param publicUrl PUBLIC_URL, where it is set.
 * @param plan of a message with a local time.
 */
export function answerScheduled(
  message: Message,
  audience: Group | undefined,
  publicUrl: string | undefined,
  plan: Plan | undefined,
): ScheduledView {
  const view = viewMessage(message, message.addedAt);
  return {
    message: ANSWERS[message.status] ?? 'The message is stored.',
    details: {
      group: message.group,
      subject: message.subject,
      scheduled: view.scheduled_at,
      key: message.key,
    },
    ...view,
    ...(plan && { plan: viewPlan(plan) }),
    warnings: [
      ...view.warnings,
      ...audienceWarnings(message, audience),
      ...linkWarnings(audience, publicUrl),
      ...(plan ? planWarnings(message, plan) : []),
    ],
  };
}

const ANSWERS: Readonly<Partial<Record<MessageStatus, string>>> = {
  scheduled: 'The message is scheduled.',
  held: 'The message is stored and held: its time has passed.',
  skipped: 'The message is stored and will not be sent: its time has passed.',
};

function sinceDue(message: Message, at: Temporal.Instant | undefined): number | null {
  return at ? msBetween(message.dueAt, at) : null;
}

/** Of two waves, the later one counts: the wait between them is no lateness. */
function sinceLastDue(message: Message, at: Temporal.Instant | undefined): number | null {
  return at ? msBetween(later(message.dueAt, message.attempts.lastDueAt ?? message.dueAt), at) : null;
}

function statusWarnings(message: Message): readonly WarningView[] {
  const path = `/v1/groups/${message.group}/schedule/${message.key}`;
  switch (message.status) {
    case 'held':
      if (message.dispatch.begunAt) {
        return [
          {
            code: 'held',
            detail: `It does not go on by itself. POST ${path}/resume sends at once to those whose time has come, and to the others at theirs; DELETE ${path} cancels it.`,
          },
        ];
      }
      return [
        {
          code: 'held',
          detail: `It does not go out by itself. POST ${path}/resume sends it at once; PATCH ${path} with another schedule_on gives it a new time; DELETE ${path} cancels it.`,
        },
      ];
    case 'failed':
      return [
        {
          code: 'stopped',
          detail: `Mend what the reason says, then POST ${path}/resume: it goes on from where it was.`,
        },
      ];
    default:
      return [];
  }
}

function setAsideWarnings({ group, key, dispatch }: Message): readonly WarningView[] {
  const path = `/v1/groups/${group}/schedule/${key}`;
  return dispatch.batchesSetAside === 0
    ? []
    : [
        {
          code: 'set-aside',
          detail: `GET ${path}/batches?state=set_aside says which batches failed and why; POST ${path}/retry tries them again.`,
        },
      ];
}

function findingWarnings({ contentFindings, sendingFindings }: Message): readonly WarningView[] {
  return [...contentFindings, ...sendingFindings].map(({ rule, detail, source }) => ({
    code: rule,
    detail,
    source,
  }));
}

/** What mail providers want of bulk mail, and this one will not have. */
function linkWarnings(audience: Group | undefined, publicUrl: string | undefined): readonly WarningView[] {
  if (audience?.kind === 'transactional') {
    return [
      {
        code: 'transactional',
        detail: `The group '${audience.name}' is transactional: its mails do not say how to unsubscribe. That is only for mail that answers what its reader did; for anything else, PUT the group with "kind": "bulk".`,
      },
    ];
  }
  const unreachable =
    publicUrl?.startsWith('https:') === true
      ? []
      : [
          {
            code: 'no-https-link',
            detail:
              'The links to unsubscribe do not begin with https, so mail providers offer no button for them, and nobody elsewhere can open them. Set PUBLIC_URL to where people reach this server.',
          },
        ];
  return audience && audience.postalAddress === undefined
    ? [...unreachable, noPostalAddress(audience)]
    : unreachable;
}

function noPostalAddress({ name }: Group): WarningView {
  return {
    code: 'no-postal-address',
    detail: `The group '${name}' has no postal address, which the law of many countries wants in bulk mail: PUT it with a postal_address.`,
  };
}

function audienceWarnings(message: Message, audience: Group | undefined): readonly WarningView[] {
  if (audience && audience.counts.active > 0) {
    return [];
  }
  return [
    {
      code: 'no-subscribers',
      detail: `Nobody in the group '${message.group}' would receive it now. Whoever is added before its time will.`,
    },
  ];
}

function planWarnings({ expiresAt }: Message, { zoneless, waves }: Plan): readonly WarningView[] {
  const warnings: WarningView[] = [];
  if (zoneless > 0) {
    warnings.push({
      code: 'no-time-zone',
      detail: `${zoneless === 1 ? 'One subscriber has' : `${zoneless} subscribers have`} no time zone, nor has the group: they count as being in UTC. PUT the group with a time_zone to say otherwise.`,
    });
  }
  const last = waves.at(-1);
  if (expiresAt && last && isReached(expiresAt, last.at)) {
    warnings.push({
      code: 'expires-between-waves',
      detail: `It expires before its last wave, ${formatInstant(last.at)}: whoever's time comes later is skipped.`,
    });
  }
  return warnings;
}

import { ApiProperty, ApiPropertyOptional, OmitType } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  Allow,
  IsIn,
  IsInt,
  IsOptional,
  Matches,
  Max,
  Min,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { formatInstant } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import { IsJsonObject } from './is-json-object.ts';
import { IsScheduleTime } from './is-schedule-time.ts';
import { DST_CHOICES, type DstChoice, type MeantTime } from './meant-time.ts';
import type { Placement } from './zone-rules.ts';
import {
  BODY_MAX_LENGTH,
  EXAMPLE_BODY,
  LOCAL_DELIVERY_DOCS,
  MessageFields,
  SUBJECT_MAX_LENGTH,
  TIME_DESCRIPTION,
  TIME_SCHEMA,
} from './message.dto.ts';
import { ContentView, LocalDeliveryView } from './message-view.ts';
import { PlanView } from './plan-view.ts';
import type { Plan, Wave } from './planner.ts';
import type { LocalDelivery } from './local-delivery.ts';
import { ON_MISSED, ON_UNKNOWN, type OnMissed, type OnUnknown } from './message.ts';
import type { Placed } from './recurrence.ts';
import { RepeatBody, RepeatView, viewRepeat } from './repeat.dto.ts';
import { type Series, SERIES_STATUSES, type SeriesStatus } from './series.ts';
import { nameOf, type SeriesRedraft } from './series.service.ts';

const EXAMPLE_KEY = '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d48';
const EXAMPLE_START = '2030-01-07T09:00[Europe/Paris]';

export const SERIES_PATCH_EXAMPLES = {
  rule: {
    summary: 'Another hour, and fortnightly',
    value: {
      schedule_on: '2030-01-07T10:00[Europe/Paris]',
      repeat: { rrule: 'FREQ=WEEKLY;INTERVAL=2;BYDAY=MO' },
    },
  },
  content: { summary: 'Another subject', value: { subject: 'The next week at the workshop' } },
};

export const SKIP_EXAMPLES = {
  next: { summary: 'The next', value: {} },
};

export const PREVIEW_EXAMPLES = {
  series: {
    summary: 'A series across a change of the clocks, one of whose times is skipped',
    value: {
      schedule_on: '2030-03-30T02:30[Europe/Paris]',
      repeat: { rrule: 'FREQ=DAILY' },
      limit: 3,
    },
  },
  once: { summary: 'A time', value: { schedule_on: EXAMPLE_START } },
  waves: {
    summary: 'A local time, for each subscriber in their own zone',
    value: { local_delivery: { time: '09:00', date: '2030-01-07' } },
  },
};

/** What PATCH …/series/{series} takes; what is left out stays, null empties. */
export class SeriesPatch extends OmitType(MessageFields, ['expires_at', 'dst'] as const) {
  @ApiPropertyOptional({
    minLength: 1,
    maxLength: SUBJECT_MAX_LENGTH,
    example: 'The next week at the workshop',
  })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsText({ min: 1, max: SUBJECT_MAX_LENGTH })
  readonly subject?: string;

  @ApiPropertyOptional({ minLength: 1, description: 'HTML.', example: EXAMPLE_BODY })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsText({ min: 1, max: BODY_MAX_LENGTH, multiline: true })
  readonly body?: string;

  @ApiPropertyOptional({ ...TIME_SCHEMA, description: 'Another start, and zone.', example: EXAMPLE_START })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsScheduleTime()
  readonly schedule_on?: unknown;

  @ApiPropertyOptional({ type: RepeatBody, description: 'Another recurrence, whole.' })
  @ValidateIf((_patch, value) => value !== undefined)
  @IsJsonObject()
  @ValidateNested()
  @Type(() => RepeatBody)
  readonly repeat?: RepeatBody;
}

export class SkipBody {
  @ApiPropertyOptional({
    type: String,
    nullable: true,
    description:
      'The local time of an occurrence, as preview-times and the series show it; the next where left out.',
    example: null,
  })
  @IsOptional()
  @Matches(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?$/, {
    message: 'A local time is needed, such as 2027-03-29T09:00.',
  })
  readonly occurrence?: string | null;
}

const PREVIEW_MAX = 100;
const PREVIEW_DEFAULT = 10;

/** What POST …/schedule/preview-times takes: the times of a POST …/schedule. */
export class PreviewBody {
  @ApiPropertyOptional({
    ...TIME_SCHEMA,
    description: `${TIME_DESCRIPTION} Needed unless local_delivery is given.`,
    example: EXAMPLE_START,
  })
  @ValidateIf((body: PreviewBody, value) => value !== undefined || body.local_delivery === undefined)
  @IsScheduleTime()
  readonly schedule_on?: unknown;

  @ApiPropertyOptional({ type: LocalDeliveryView, ...LOCAL_DELIVERY_DOCS })
  @Allow()
  readonly local_delivery?: unknown;

  @ApiPropertyOptional({ enum: DST_CHOICES, description: 'As of POST …/schedule.' })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(DST_CHOICES, { message: `One of ${DST_CHOICES.join(', ')} is needed.` })
  readonly dst?: DstChoice;

  @ApiPropertyOptional({ type: RepeatBody, description: 'As of POST …/schedule.' })
  @ValidateIf((_body, value) => value !== undefined)
  @IsJsonObject()
  @ValidateNested()
  @Type(() => RepeatBody)
  readonly repeat?: RepeatBody;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: PREVIEW_MAX,
    default: PREVIEW_DEFAULT,
    description: 'How many to show.',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsInt({ message: 'A whole number is needed.' })
  @Min(1, { message: 'At least 1 is needed.' })
  @Max(PREVIEW_MAX, { message: `At most ${PREVIEW_MAX} are shown.` })
  readonly limit: number = PREVIEW_DEFAULT;
}

class PreviewedTime {
  @ApiProperty({ type: 'integer', description: 'Epoch milliseconds.', example: 1901064600000 })
  readonly schedule_on!: number;

  @ApiProperty({ format: 'date-time', example: '2030-03-31T01:00:00.000Z' })
  readonly scheduled_at!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The local time as it was said, or as the rule has it; null of an instant without a zone.',
    example: '2030-03-31T02:30:00',
  })
  readonly occurrence!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What clocks show then, with offset and zone.',
    example: '2030-03-31T03:00:00+02:00[Europe/Paris]',
  })
  readonly shown!: string | null;

  @ApiProperty({ enum: ['gap', 'overlap', null], type: String, nullable: true, example: 'gap' })
  readonly bent!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'Why, where a rule bent it.',
    example: 'The clocks skip 2030-03-31T02:30:00: it goes to the first moment after that.',
  })
  readonly reason!: string | null;
}

export class PreviewView {
  @ApiProperty({ description: 'The version of the time zone data.', example: '2026c' })
  readonly tzdata!: string;

  @ApiProperty({ type: [PreviewedTime], description: 'Those still to come, or the one time.' })
  readonly items!: readonly PreviewedTime[];

  @ApiProperty({ description: 'There are no others.', example: false })
  readonly complete!: boolean;

  @ApiProperty({
    type: PlanView,
    nullable: true,
    description: 'Of a local_delivery: all its waves, as GET …/plan would show them; else null.',
  })
  readonly plan!: PlanView | null;
}

class NextView {
  @ApiProperty({ description: 'The local time as the rule has it.', example: '2030-01-07T09:00:00' })
  readonly occurrence!: string;

  @ApiProperty({ type: 'integer', example: 1893998400000 })
  readonly schedule_on!: number;

  @ApiProperty({ format: 'date-time', example: '2030-01-07T08:00:00.000Z' })
  readonly scheduled_at!: string;

  @ApiProperty({ description: 'The key of its message.', example: '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d47' })
  readonly key!: string;

  @ApiProperty({
    enum: ['gap', 'overlap', null],
    type: String,
    nullable: true,
    description: 'Where the clocks skip or repeat its local time.',
    example: null,
  })
  readonly bent!: string | null;
}

/** A series as the API shows it. */
export class SeriesView {
  @ApiProperty({ description: 'A UUIDv7.', example: EXAMPLE_KEY })
  readonly key!: string;

  @ApiProperty({ example: 'serverless' })
  readonly group!: string;

  @ApiProperty({ enum: SERIES_STATUSES, example: 'active' })
  readonly status!: SeriesStatus;

  @ApiProperty({ type: String, nullable: true, description: 'Why, where that is not plain.', example: null })
  readonly reason!: string | null;

  @ApiProperty({ example: 'The week at the workshop' })
  readonly subject!: string;

  @ApiProperty({ type: String, nullable: true, example: null })
  readonly from!: string | null;

  @ApiProperty({ type: String, nullable: true, example: null })
  readonly reply_to!: string | null;

  @ApiProperty({ description: 'The seal of what its occurrences are made with.' })
  readonly content!: ContentView;

  @ApiProperty({ description: 'The local time from which on it is.', example: '2030-01-07T09:00:00' })
  readonly start!: string;

  @ApiProperty({ example: 'Europe/Paris' })
  readonly time_zone!: string;

  @ApiProperty({ description: 'When it has its occurrences.' })
  readonly repeat!: RepeatView;

  @ApiProperty({
    type: NextView,
    nullable: true,
    description: 'The occurrence that is made ahead, as a message of its own; null where there is none.',
  })
  readonly next!: NextView | null;

  @ApiProperty({ enum: ON_MISSED, example: 'hold' })
  readonly on_missed!: OnMissed;

  @ApiProperty({ enum: ON_UNKNOWN, example: 'resend' })
  readonly on_unknown!: OnUnknown;

  @ApiProperty({ format: 'date-time', example: '2026-11-23T14:00:00.123Z' })
  readonly added_at!: string;

  @ApiProperty({
    type: 'integer',
    description: 'The ETag; rises with every change and every occurrence.',
    example: 1,
  })
  readonly version!: number;
}

export function viewSeries(series: Series): SeriesView {
  const { recurrence, next } = series;
  return {
    key: series.key,
    group: series.group,
    status: series.status,
    reason: series.reason ?? null,
    subject: series.subject,
    from: series.from ?? null,
    reply_to: series.replyTo ?? null,
    content: series.content,
    start: nameOf(recurrence.start),
    time_zone: recurrence.timeZone,
    repeat: viewRepeat(recurrence),
    next: next
      ? {
          occurrence: nameOf(next.local),
          schedule_on: next.at.epochMilliseconds,
          scheduled_at: formatInstant(next.at),
          key: next.message,
          bent: next.bent ?? null,
        }
      : null,
    on_missed: series.onMissed,
    on_unknown: series.onUnknown,
    added_at: formatInstant(series.addedAt),
    version: series.version,
  };
}

export function viewOccurrenceTime({ at, local, bent }: Placed, timeZone: string): PreviewedTime {
  return {
    schedule_on: at.epochMilliseconds,
    scheduled_at: formatInstant(at),
    occurrence: nameOf(local),
    shown: at.toZonedDateTimeISO(timeZone).toString(),
    bent: bent ?? null,
    reason: reasonOf(local, bent),
  };
}

function reasonOf(local: Temporal.PlainDateTime, bent: Placed['bent']): string | null {
  switch (bent) {
    case 'gap':
      return `The clocks skip ${nameOf(local)}: it goes to the first moment after that.`;
    case 'overlap':
      return `The clocks repeat ${nameOf(local)}: it goes at the first of the two.`;
    default:
      return null;
  }
}

const BENT: Readonly<Record<Placement['kind'], Placed['bent']>> = {
  once: undefined,
  twice: 'overlap',
  never: 'gap',
};

/** Of a local time that is not repeated: where the clocks skip or repeat it, it was chosen which moment is meant. */
export function viewOnce(
  at: Temporal.Instant,
  { local, timeZone, dst }: MeantTime,
  kind: Placement['kind'],
): PreviewedTime {
  const bent = BENT[kind] ?? null;
  const what = bent === 'gap' ? 'skip' : 'repeat';
  return {
    ...viewInstant(at),
    occurrence: nameOf(local),
    shown: at.toZonedDateTimeISO(timeZone).toString(),
    bent,
    reason: bent === null ? null : `The clocks ${what} ${nameOf(local)}: the ${dst ?? ''} moment was chosen.`,
  };
}

/** Of an instant. */
export function viewInstant(at: Temporal.Instant): PreviewedTime {
  return {
    schedule_on: at.epochMilliseconds,
    scheduled_at: formatInstant(at),
    occurrence: null,
    shown: null,
    bent: null,
    reason: null,
  };
}

/** When a message with this plan goes out that begins at `scheduleOn`: its waves, in order of time. */
export function viewWaveTimes(
  { waves }: Plan,
  local: LocalDelivery,
  scheduleOn: Temporal.Instant,
): readonly PreviewedTime[] {
  const name = nameOf(local.date.toPlainDateTime(local.time));
  if (waves.length === 0) {
    return [{ ...viewInstant(scheduleOn), occurrence: name }];
  }
  const passed = waves.filter(({ isPassed }) => isPassed);
  return [
    ...(passed.length > 0 && local.passed === 'send'
      ? [{ ...viewInstant(scheduleOn), occurrence: name, reason: reasonOfPassed(name, passed, waves) }]
      : []),
    ...waves.filter(({ isPassed }) => !isPassed).map((wave) => viewWaveTime(name, wave)),
  ];
}

function viewWaveTime(name: string, { at, zones }: Wave): PreviewedTime {
  const bent = zones.filter(({ bend }) => bend !== undefined);
  const places = bent.map(({ zone }) => zone).join(', ');
  const how =
    bent[0]?.bend === 'gap'
      ? `skip ${name} in ${places}: it goes to the first moment after that.`
      : `repeat ${name} in ${places}: it goes at the first of the two.`;
  return {
    ...viewInstant(at),
    occurrence: name,
    bent: bent[0]?.bend ?? null,
    reason: bent.length > 0 ? `The clocks ${how}` : null,
  };
}

function reasonOfPassed(name: string, passed: readonly Wave[], waves: readonly Wave[]): string {
  const places = passed.flatMap(({ zones }) => zones.map(({ zone }) => zone)).join(', ');
  const what =
    passed.length < waves.length
      ? 'it is sent there at once'
      : 'nobody is left for whom it comes, and on_missed decides where that is long ago';
  return `${name} has passed in ${places}: ${what}.`;
}

/** What of a patch is no matter of time. */
export function readSeriesRedraft(patch: SeriesPatch): SeriesRedraft {
  return {
    ...(patch.subject !== undefined && { subject: patch.subject }),
    ...(patch.body !== undefined && { body: patch.body }),
    ...(patch.text !== undefined && { text: patch.text ?? undefined }),
    ...(patch.template !== undefined && { template: patch.template }),
    ...(patch.from !== undefined && { from: patch.from ?? undefined }),
    ...(patch.reply_to !== undefined && { replyTo: patch.reply_to ?? undefined }),
    ...(patch.on_missed !== undefined && { onMissed: patch.on_missed }),
    ...(patch.on_unknown !== undefined && { onUnknown: patch.on_unknown }),
  };
}

/** @throws {InvalidInputError} */
export function readOccurrence({ occurrence }: SkipBody): Temporal.PlainDateTime | undefined {
  if (occurrence === undefined || occurrence === null) {
    return undefined;
  }
  try {
    return Temporal.PlainDateTime.from(occurrence, { overflow: 'reject' });
  } catch (error) {
    throw new InvalidInputError(
      [{ pointer: '/occurrence', detail: `There is no ${occurrence} in the calendar.` }],
      { cause: error },
    );
  }
}

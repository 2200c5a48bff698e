import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import {
  ArrayMaxSize,
  IsArray,
  IsIn,
  IsInt,
  IsOptional,
  Matches,
  Max,
  Min,
  ValidateIf,
} from 'class-validator';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { IsText } from '../platform/http/is-plain-text.ts';
import { IsScheduleTime } from './is-schedule-time.ts';
import {
  COUNT_MAX,
  CRON_MAX_LENGTH,
  readCron,
  readRRule,
  RRULE_MAX_LENGTH,
  type RuleEnds,
} from './read-recurrence.ts';
import { DST_GAPS, type DstGap, type Recurrence, type RecurrenceRule } from './recurrence.ts';
import { placeTime, readTime, type SaidTime } from './schedule-time.ts';
import { EXCEPT_MAX } from './series.ts';
import type { ZoneRules } from './zone-rules.ts';

const EXCEPTION_PATTERN = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2})?)?$/;
const EXCEPTION_FAULT = 'Local dates (2027-12-25) and local times (2027-12-27T09:00) are needed.';

/** How a message repeats. */
export class RepeatBody {
  @ApiPropertyOptional({
    type: String,
    minLength: 1,
    maxLength: RRULE_MAX_LENGTH,
    description: 'RFC 5545; FREQ=HOURLY at most. schedule_on is its DTSTART.',
    example: 'FREQ=WEEKLY;BYDAY=MO',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsText({ min: 1, max: RRULE_MAX_LENGTH })
  readonly rrule?: string;

  @ApiPropertyOptional({
    type: String,
    minLength: 1,
    maxLength: CRON_MAX_LENGTH,
    description:
      'In the place of rrule: five fields as crontab(5) has them. Nothing goes before schedule_on.',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsText({ min: 1, max: CRON_MAX_LENGTH })
  readonly cron?: string;

  @ApiPropertyOptional({
    oneOf: [{ type: 'integer' }, { type: 'string' }, { type: 'object' }],
    nullable: true,
    description: 'Nothing goes after it; a time as schedule_on is, in the zone of that.',
  })
  @IsOptional()
  @IsScheduleTime()
  readonly until?: unknown;

  @ApiPropertyOptional({
    type: 'integer',
    nullable: true,
    minimum: 1,
    maximum: COUNT_MAX,
    description: 'In the place of until: so many occurrences, counted from schedule_on, the exceptions too.',
  })
  @IsOptional()
  @IsInt({ message: 'A whole number is needed.' })
  @Min(1, { message: 'At least 1 is needed.' })
  @Max(COUNT_MAX, { message: `At most ${COUNT_MAX} are taken.` })
  readonly count?: number | null;

  @ApiPropertyOptional({
    type: [String],
    maxItems: EXCEPT_MAX,
    description: 'Local dates, which leave out all of a day, and local times.',
    example: ['2030-12-23'],
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsArray({ message: 'An array is needed.' })
  @ArrayMaxSize(EXCEPT_MAX, { message: `At most ${EXCEPT_MAX} exceptions are taken.` })
  @Matches(EXCEPTION_PATTERN, { each: true, message: EXCEPTION_FAULT })
  readonly except?: readonly string[];

  @ApiPropertyOptional({
    enum: DST_GAPS,
    default: 'shift',
    description:
      'Of an occurrence that the clocks skip. shift: it goes to the first moment after that. skip: there is none, as RFC 5545 has it.',
    example: 'shift',
  })
  @ValidateIf((_body, value) => value !== undefined)
  @IsIn(DST_GAPS, { message: `One of ${DST_GAPS.join(', ')} is needed.` })
  readonly dst_gap?: DstGap;
}

/** Where a series begins, and in which zone. */
export type RecurrenceStart = Pick<Recurrence, 'start' | 'timeZone'>;

/**
 * The start of a series, of which a local time that the clocks skip or repeat is one like any other.
 * @param groupZone where the time has none.
 * @throws {InvalidInputError}
 */
export function readStart(input: unknown, groupZone: string | undefined, rules: ZoneRules): RecurrenceStart {
  const pointer = '/schedule_on';
  const said = readTime(input, pointer);
  const timeZone = said.timeZone ?? groupZone;
  if (timeZone === undefined) {
    throw refusal(
      pointer,
      'A series has local times, and nothing says of which place. Send schedule_on with a zone, such as 2027-03-29T09:00[Europe/Paris], or give the group a time_zone.',
    );
  }
  const start =
    said.kind === 'instant'
      ? said.at.toZonedDateTimeISO(timeZone).toPlainDateTime()
      : localOf(said, timeZone, rules);
  if (start.millisecond > 0) {
    throw refusal(pointer, 'A series begins at a whole second.');
  }
  return { start, timeZone };
}

function localOf(
  said: Extract<SaidTime, { kind: 'local' }>,
  timeZone: string,
  rules: ZoneRules,
): Temporal.PlainDateTime {
  if (said.dst !== undefined) {
    throw refusal(
      '/schedule_on/dst',
      'It is for a message that goes out once; repeat.dst_gap is for a series.',
    );
  }
  if (said.offset !== undefined) {
    placeTime(said, rules, '/schedule_on'); // refuses an offset that its zone has not
  } else {
    placeTime({ ...said, timeZone, dst: 'earlier' }, rules, '/schedule_on'); // refuses what lies too early or too late
  }
  return said.local;
}

/** @throws {InvalidInputError} */
export function readRepeat(
  repeat: RepeatBody,
  { start, timeZone }: RecurrenceStart,
  rules: ZoneRules,
): Recurrence {
  const { rule, ends } = readRule(repeat);
  if (ends.until !== undefined || ends.count !== undefined) {
    if (isGiven(repeat.until) || isGiven(repeat.count)) {
      throw refusal('/repeat/rrule', 'It has an end of its own (UNTIL or COUNT) beside until or count.');
    }
  } else if (isGiven(repeat.until) && isGiven(repeat.count)) {
    throw refusal('/repeat/count', 'until and count do not go together.');
  }
  const place = (input: unknown, pointer: string): Temporal.Instant => {
    const said = readTime(input, pointer);
    const inZone =
      said.kind === 'local'
        ? { ...said, timeZone: said.timeZone ?? timeZone, dst: said.dst ?? 'later' }
        : said;
    return placeTime(inZone, rules, pointer).at;
  };
  const until =
    ends.until === undefined
      ? isGiven(repeat.until)
        ? place(repeat.until, '/repeat/until')
        : undefined
      : place(untilText(ends.until), '/repeat/rrule');
  if (until && Temporal.Instant.compare(until, start.toZonedDateTime(timeZone).toInstant()) < 0) {
    throw refusal(
      ends.until === undefined ? '/repeat/until' : '/repeat/rrule',
      'until lies before schedule_on.',
    );
  }
  return {
    rule,
    start,
    timeZone,
    until,
    count: ends.count ?? repeat.count ?? undefined,
    except: (repeat.except ?? []).map(readException),
    dstGap: repeat.dst_gap ?? 'shift',
  };
}

function readRule({ rrule, cron }: RepeatBody): { readonly rule: RecurrenceRule; readonly ends: RuleEnds } {
  if (rrule !== undefined && cron !== undefined) {
    throw refusal('/repeat/cron', 'Either rrule or cron is needed, not both.');
  }
  if (rrule !== undefined) {
    return readRRule(rrule);
  }
  if (cron !== undefined) {
    return { rule: readCron(cron), ends: { until: undefined, count: undefined } };
  }
  throw refusal('/repeat', 'rrule or cron is needed.');
}

/** As RFC 3339 writes it: `20271231` is the end of that day. */
function untilText(until: string): string {
  const date = `${until.slice(0, 4)}-${until.slice(4, 6)}-${until.slice(6, 8)}`;
  const time = until.slice(9, 15);
  return time === ''
    ? `${date}T23:59:59`
    : `${date}T${time.slice(0, 2)}:${time.slice(2, 4)}:${time.slice(4, 6)}${until.slice(15)}`;
}

/** As `occurrences` compares it. */
function readException(text: string, index: number): string {
  try {
    return text.includes('T')
      ? Temporal.PlainDateTime.from(text, { overflow: 'reject' }).toString({ smallestUnit: 'second' })
      : Temporal.PlainDate.from(text, { overflow: 'reject' }).toString();
  } catch (error) {
    throw refusal(`/repeat/except/${index}`, `There is no ${text} in the calendar.`, { cause: error });
  }
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function refusal(pointer: string, detail: string, options?: ErrorOptions): InvalidInputError {
  return new InvalidInputError([{ pointer, detail }], options);
}

/** A recurrence as the API shows it. */
export class RepeatView {
  @ApiProperty({ type: String, nullable: true, example: 'FREQ=WEEKLY;BYDAY=MO' })
  readonly rrule!: string | null;

  @ApiProperty({ type: String, nullable: true, example: null })
  readonly cron!: string | null;

  @ApiProperty({ format: 'date-time', type: String, nullable: true, example: null })
  readonly until!: string | null;

  @ApiProperty({ type: 'integer', nullable: true, example: null })
  readonly count!: number | null;

  @ApiProperty({ type: [String], example: ['2030-12-23'] })
  readonly except!: readonly string[];

  @ApiProperty({ enum: DST_GAPS, example: 'shift' })
  readonly dst_gap!: DstGap;
}

export function viewRepeat({ rule, until, count, except, dstGap }: Recurrence): RepeatView {
  return {
    rrule: rule.kind === 'rrule' ? rule.text : null,
    cron: rule.kind === 'cron' ? rule.text : null,
    until: until ? until.toString({ fractionalSecondDigits: 3 }) : null,
    count: count ?? null,
    except,
    dst_gap: dstGap,
  };
}

import { Cron } from 'croner';
import { RRuleTemporal } from 'rrule-temporal';
import { isReached } from '../platform/clock/clock.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import type { ZoneRules } from './zone-rules.ts';

export const DST_GAPS = ['shift', 'skip'] as const;
/** Of an occurrence that the clocks skip: it goes to the first moment after that, or there is none, as RFC 5545 (3.3.10) has it. */
export type DstGap = (typeof DST_GAPS)[number];

export const RECURRENCE_RULES = ['rrule', 'cron'] as const;

/** A rule of which the library knows that it is one: see `read-recurrence.ts`. */
export interface RecurrenceRule {
  readonly kind: (typeof RECURRENCE_RULES)[number];
  /** Without UNTIL and COUNT, which are the recurrence's own. */
  readonly text: string;
}

/** When a series has its occurrences: local times, each placed in the zone by itself. */
export interface Recurrence {
  readonly rule: RecurrenceRule;
  /** No occurrence lies before it, and where the rule leaves parts of a time open, they are its. */
  readonly start: Temporal.PlainDateTime;
  readonly timeZone: string;
  /** No occurrence goes after it. */
  readonly until: Temporal.Instant | undefined;
  /** So many, counted from the start; those of `except` count. */
  readonly count: number | undefined;
  /** Local dates (all of their occurrences) and local times that are left out. */
  readonly except: readonly string[];
  readonly dstGap: DstGap;
}

/** An occurrence, placed. */
export interface Placed {
  /** From the start, 1 the first. */
  readonly index: number;
  /** As the rule has it. */
  readonly local: Temporal.PlainDateTime;
  readonly at: Temporal.Instant;
  /** Where the clocks skip `local`, or repeat it. */
  readonly bent: 'gap' | 'overlap' | undefined;
}

/** Where to go on. */
export type Position = Pick<Placed, 'index' | 'local' | 'at'>;

// RFC 3339 has four digits for the year.
const LAST = Temporal.Instant.from('9999-12-31T00:00Z');
// The longest that a rule by the day leaves out: 40 years, from one 29 February on a Monday to the next across 2100.
const MAX_PERIODS = 20_000;
// No zone is further from UTC, and no change of its clocks larger.
const ZONE_SPAN = Temporal.Duration.from({ days: 3 });

/**
 * The occurrences behind `after` (from the first where absent), in order; at strictly rising instants, so that of several that a gap
 * moves to one moment there is one. Those that `except` names are left out.
 */
export function* occurrences(
  recurrence: Recurrence,
  rules: ZoneRules,
  after?: Position,
): Generator<Placed, void> {
  const { timeZone, until, count, dstGap } = recurrence;
  const isExcepted = exceptionsOf(recurrence);
  let index = after?.index ?? 0;
  let last = after?.at;
  for (const local of localTimes(recurrence, after?.local)) {
    if (count !== undefined && index >= count) {
      return;
    }
    const placed = place(local, timeZone, rules);
    if (until && !isReached(placed.at, until)) {
      return;
    }
    if (!isReached(placed.at, LAST)) {
      return;
    }
    if ((placed.bent === 'gap' && dstGap === 'skip') || (last && isReached(placed.at, last))) {
      continue;
    }
    index += 1;
    last = placed.at;
    if (!isExcepted(local)) {
      yield { index, local, ...placed };
    }
  }
}

/**
 * Near `at` and before it, to go on from with the first occurrence that may lie behind `at`; absent where that is the start. Only of
 * what is not counted: its occurrences have no index to tell.
 */
export function positionBefore(
  { start, timeZone, count }: Recurrence,
  at: Temporal.Instant,
): Position | undefined {
  const local = at.toZonedDateTimeISO(timeZone).toPlainDateTime().subtract(ZONE_SPAN).round('second');
  return count !== undefined || Temporal.PlainDateTime.compare(local, start) <= 0
    ? undefined
    : { index: 0, local, at: local.toZonedDateTime(timeZone).toInstant() };
}

/** The first occurrence behind `at`. */
export function firstAfter(
  recurrence: Recurrence,
  rules: ZoneRules,
  at: Temporal.Instant,
  after = positionBefore(recurrence, at),
): Placed | undefined {
  return occurrences(recurrence, rules, after).find((occurrence) => !isReached(occurrence.at, at));
}

function place(
  local: Temporal.PlainDateTime,
  timeZone: string,
  rules: ZoneRules,
): Pick<Placed, 'at' | 'bent'> {
  const placement = rules.place(local, timeZone);
  switch (placement.kind) {
    case 'once':
      return { at: placement.at, bent: undefined };
    case 'twice':
      return { at: placement.earlier, bent: 'overlap' };
    case 'never':
      return { at: placement.resumes, bent: 'gap' };
    default:
      return assertNever(placement);
  }
}

function exceptionsOf({ except }: Recurrence): (local: Temporal.PlainDateTime) => boolean {
  const excepted = new Set(except);
  return (local) =>
    excepted.has(local.toPlainDate().toString()) || excepted.has(local.toString({ smallestUnit: 'second' }));
}

/** The libraries count in UTC, where no local time is skipped or repeated: what becomes of those is decided here. */
function* localTimes(
  { rule, start }: Pick<Recurrence, 'rule' | 'start'>,
  after: Temporal.PlainDateTime | undefined,
): Generator<Temporal.PlainDateTime, void> {
  const next = rule.kind === 'cron' ? nextOfCron(rule.text) : nextOfRRule(rule.text, start);
  let local = next(after ?? start, after === undefined);
  while (local) {
    yield local;
    local = next(local, false);
  }
}

type Next = (from: Temporal.PlainDateTime, isIncluded: boolean) => Temporal.PlainDateTime | undefined;

function nextOfRRule(text: string, start: Temporal.PlainDateTime): Next {
  const rule = new RRuleTemporal({
    rruleString: text,
    dtstart: start.toZonedDateTime('UTC'),
    maxIterations: MAX_PERIODS,
  });
  return (from, isIncluded) => {
    try {
      return rule.next(from.toZonedDateTime('UTC'), isIncluded)?.toPlainDateTime();
    } catch (error) {
      // The rule was read before: all that is left to throw for is that so many periods have none, and then no later one has.
      if (error instanceof Error) {
        return undefined;
      }
      throw error;
    }
  };
}

function nextOfCron(text: string): Next {
  const [, , day = '', , weekday = ''] = text.split(' ');
  // crontab(5): either day does where both fields are restricted, which is to say that neither begins with *.
  const domAndDow = day.startsWith('*') || weekday.startsWith('*');
  const cron = new Cron(text, { timezone: 'UTC', paused: true, mode: '5-part', domAndDow });
  return (from, isIncluded) => {
    const ms = from.toZonedDateTime('UTC').epochMilliseconds;
    return cron
      .nextRun(new Date(isIncluded ? ms - 1 : ms))
      ?.toTemporalInstant()
      .toZonedDateTimeISO('UTC')
      .toPlainDateTime();
  };
}

import { DAY_MS, formatInstant, HOUR_MS, MINUTE_MS, SECOND_MS } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { DST_CHOICES, type DstChoice, type MeantTime } from './meant-time.ts';
import { systemZoneRules, type ZoneRules } from './zone-rules.ts';

const LATEST_MS = 253_402_300_799_999; // the last millisecond of 9999: RFC 3339 has four digits for the year
// As seconds this is the year 5138, as milliseconds March 1973: whatever is smaller was not meant as milliseconds.
const EARLIEST_MS = 100_000_000_000;
const MAX_LENGTH = 100; // the longest zone name of tzdata makes a time of about 60 characters

const RANGE =
  'Times lie between 1973-03-03T09:46:40Z (100000000000) and 9999-12-31T23:59:59.999Z (253402300799999).';
const FORMS =
  'Send epoch milliseconds as a number (1795443000000), RFC 3339 with Z or an offset (2026-11-23T14:10:00Z, 2026-11-23T15:10:00+01:00), or a local time with its zone (2026-11-23T15:10[Europe/Paris], or {"local": "2026-11-23T15:10", "time_zone": "Europe/Paris"}).';

// Date, time of day, Z or offset, zone. Stricter than Temporal, which also reads basic format, expanded years, a comma, offsets with seconds.
const TIME_PATTERN =
  /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?(?:\[!?([\w.+/:-]+)\])?$/i;
// RFC 3339, 4.3: -00:00 says, as Z does, that the instant is known and the local offset is not.
const UTC_PATTERN = /^(?:Z|-00:00)$/i;
const TIME_OF_DAY_PATTERN = /^(?:[01]\d|2[0-3])(?::[0-5]\d){1,2}(?:\.\d+)?$/;
// What Temporal takes for a zone beyond this (EST, Japan, a whole date-time) is more likely a mistake than meant.
const ZONE_PATTERN = /^(?:UTC|[a-z][\w.+-]*(?:\/[\w.+-]+)+|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;

/** A time as a client has said it, checked as far as that goes without the rules of a zone. */
export type SaidTime =
  | { readonly kind: 'instant'; readonly at: Temporal.Instant; readonly timeZone: string | undefined }
  | {
      readonly kind: 'local';
      readonly local: Temporal.PlainDateTime;
      /** Absent where the group's is meant. */
      readonly timeZone: string | undefined;
      /** That the zone must have then. */
      readonly offset: string | undefined;
      readonly dst: DstChoice | undefined;
    };

/** An instant, and what was meant by it where somebody named a local time. */
export interface ScheduledTime {
  readonly at: Temporal.Instant;
  readonly time: MeantTime | undefined;
}

/**
 * The instant that a client means by `input`: epoch milliseconds, RFC 3339, RFC 9557 with a zone in brackets, or an object with a local
 * time and its zone. An answer is never a guess: seconds, a local time without a zone, one that a change of the clocks skips or repeats, and
 * whatever Temporal would silently bend (`:60`, finer than a millisecond) are refused, with words that say what to send instead.
 * `Z` before a zone names the instant, as RFC 9557 (2.2, 3.4) has it; any other offset must be one that the zone has at that local time.
 * @param pointer where in the request `input` stands.
 * @throws {InvalidInputError}
 */
export function parseScheduleTime(input: unknown, pointer: string): Temporal.Instant {
  return placeTime(readTime(input, pointer), systemZoneRules, pointer).at;
}

/**
 * As `parseScheduleTime`, but for what takes the rules of a zone, or a zone that is given elsewhere.
 * @throws {InvalidInputError}
 */
export function readTime(input: unknown, pointer: string): SaidTime {
  if (typeof input === 'number') {
    return { kind: 'instant', at: readNumber(input, pointer), timeZone: undefined };
  }
  if (typeof input === 'string') {
    return readText(input, pointer);
  }
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) {
    return readObject(input, pointer);
  }
  throw refusal(
    pointer,
    `A time is a number or a string, or an object with a local time, not ${nameType(input)}. ${FORMS}`,
  );
}

/**
 * The instant of what was said, by these rules.
 * @throws {InvalidInputError} with the candidates where the clocks skip or repeat a local time and nothing says which is meant.
 */
export function placeTime(said: SaidTime, rules: ZoneRules, pointer: string): ScheduledTime {
  if (said.kind === 'instant') {
    return { at: said.at, time: undefined };
  }
  const { local, timeZone } = said;
  if (timeZone === undefined) {
    const text = local.toString({ smallestUnit: 'minute' });
    throw refusal(
      pointer,
      `${text} is a local time, and nothing says of which place. Add a zone, an offset, or Z for UTC: ${text}[Europe/Paris], ${text}+01:00, ${text}Z; or give the group a time_zone.`,
    );
  }
  const { at, dst } = chooseMoment({ ...said, timeZone }, rules, pointer);
  return {
    at: inRange(at.epochMilliseconds, pointer),
    time: { local, timeZone, dst: said.dst ?? dst, tzdata: rules.tzdata, moved: [] },
  };
}

const YEAR_MS = 365.2425 * DAY_MS; // the mean year of the Gregorian calendar: a duration has no date to count from

/** From the largest; days begin at two, because "26 hours" says more beside a grace in hours than "1 day 2 hours". */
const UNITS = [
  { name: 'year', unitMs: YEAR_MS, fromMs: YEAR_MS },
  { name: 'day', unitMs: DAY_MS, fromMs: 2 * DAY_MS },
  { name: 'hour', unitMs: HOUR_MS, fromMs: HOUR_MS },
  { name: 'minute', unitMs: MINUTE_MS, fromMs: MINUTE_MS },
  { name: 'second', unitMs: SECOND_MS, fromMs: SECOND_MS },
] as const;

/** A duration for people, in at most two neighbouring units, rounded down: `4 years 225 days`, `3 days 2 hours`, `26 hours`. */
export function formatDuration(ms: number): string {
  const first = UNITS.findIndex(({ fromMs }) => ms >= fromMs);
  if (first === -1) {
    return 'less than a second';
  }
  const words: string[] = [];
  let leftMs = ms;
  for (const { name, unitMs } of UNITS.slice(first, first + 2)) {
    const count = Math.floor(leftMs / unitMs);
    leftMs -= count * unitMs;
    if (count > 0) {
      words.push(`${count} ${name}${count === 1 ? '' : 's'}`);
    }
  }
  return words.join(' ');
}

function readNumber(ms: number, pointer: string): Temporal.Instant {
  if (!Number.isFinite(ms)) {
    throw refusal(pointer, `${ms} is not a time. ${FORMS}`);
  }
  if (ms < 0) {
    throw refusal(pointer, `${ms} is negative: a time before 1970. ${RANGE}`);
  }
  const asSecondsMs = Math.round(ms * SECOND_MS);
  if (ms < EARLIEST_MS && asSecondsMs >= EARLIEST_MS) {
    throw refusal(pointer, `${ms} looks like seconds; send milliseconds: ${asSecondsMs}`);
  }
  if (!Number.isInteger(ms)) {
    throw refusal(pointer, `${ms} has a fraction; send whole milliseconds: ${Math.floor(ms)}`);
  }
  return inRange(ms, pointer);
}

function readText(text: string, pointer: string): SaidTime {
  if (text.length > MAX_LENGTH) {
    throw refusal(pointer, `A time has at most ${MAX_LENGTH} characters. ${FORMS}`);
  }
  const [, date, timeOfDay, offset, zone] = TIME_PATTERN.exec(text) ?? [];
  if (date === undefined || timeOfDay === undefined) {
    throw refusal(pointer, explainMalformed(text));
  }
  const local = readLocal(date, timeOfDay, pointer);
  if (zone !== undefined) {
    checkZone(zone, pointer);
  }
  if (offset === undefined || (zone !== undefined && !UTC_PATTERN.test(offset))) {
    return { kind: 'local', local, timeZone: zone, offset, dst: undefined };
  }
  const at = local.toZonedDateTime(UTC_PATTERN.test(offset) ? 'UTC' : offset);
  return { kind: 'instant', at: inRange(at.epochMilliseconds, pointer), timeZone: zone };
}

/** `{"local": "2027-03-28T09:00", "time_zone": "Europe/Paris", "dst": "earlier"}`; the last two may be left out. */
function readObject(input: object, pointer: string): SaidTime {
  const { local, time_zone: timeZone, dst, ...unknown }: Readonly<Record<string, unknown>> = { ...input };
  const [first] = Object.keys(unknown);
  if (first !== undefined) {
    throw refusal(`${pointer}/${escapePointer(first)}`, 'This is an unknown property.');
  }
  if (typeof local !== 'string' || local.length > MAX_LENGTH) {
    throw refusal(`${pointer}/local`, 'A local time is needed, such as "2027-03-28T09:00".');
  }
  const [, date, timeOfDay, offset, zone] = TIME_PATTERN.exec(local) ?? [];
  if (date === undefined || timeOfDay === undefined) {
    throw refusal(`${pointer}/local`, explainMalformed(local));
  }
  if (offset !== undefined || zone !== undefined) {
    throw refusal(
      `${pointer}/local`,
      'A local time has neither offset nor zone here; time_zone says its zone.',
    );
  }
  return {
    kind: 'local',
    local: readLocal(date, timeOfDay, `${pointer}/local`),
    timeZone:
      timeZone === undefined || timeZone === null ? undefined : readZone(timeZone, `${pointer}/time_zone`),
    offset: undefined,
    dst: readDst(dst, `${pointer}/dst`),
  };
}

/** The name of a zone as Belfry takes it. @throws {InvalidInputError} */
export function readZone(zone: unknown, pointer: string): string {
  if (typeof zone !== 'string' || zone.length > MAX_LENGTH) {
    throw refusal(pointer, 'The name of a zone is needed, such as Europe/Paris.');
  }
  checkZone(zone, pointer);
  return zone;
}

/** @throws {InvalidInputError} */
export function readDst(dst: unknown, pointer: string): DstChoice | undefined {
  const choice = DST_CHOICES.find((one) => one === dst);
  if (choice === undefined && dst !== undefined && dst !== null) {
    throw refusal(pointer, `One of ${DST_CHOICES.join(', ')} is needed.`);
  }
  return choice;
}

/** What is wrong with a text that has none of the forms; the likeliest mistakes have words of their own. */
function explainMalformed(text: string): string {
  if (/^\d+$/.test(text)) {
    return `Epoch milliseconds are sent as a number, without quotation marks: ${text}`;
  }
  if (/^(?:[+-]|\d{5,}-)/.test(text)) {
    return `A year has four digits and no sign, from 1973 to 9999. ${FORMS}`;
  }
  if (/^\d{4}-\d{2}-\d{2}(?:\[|$)/.test(text)) {
    return `A date alone is not a moment; add the time of day and a zone: ${text.slice(0, 10)}T09:00[Europe/Paris]`;
  }
  if (/\[[^\]]*=/.test(text)) {
    return `Only a zone may stand in brackets; dates are always of the ISO calendar, without [u-ca=…] or other annotations. ${FORMS}`;
  }
  return `This is not a time in a form that Belfry reads. ${FORMS}`;
}

function readLocal(date: string, timeOfDay: string, pointer: string): Temporal.PlainDateTime {
  if (timeOfDay.slice(6, 8) === '60') {
    throw refusal(
      pointer,
      `${timeOfDay} is a leap second, which clocks of computers do not have. Seconds go from 00 to 59; send the :59 before it or the :00 after it.`,
    );
  }
  if (!TIME_OF_DAY_PATTERN.test(timeOfDay)) {
    throw refusal(pointer, `${timeOfDay} is not a time of day: they go from 00:00 to 23:59:59.999.`);
  }
  if (/\.\d{3}\d*[1-9]/.test(timeOfDay)) {
    throw refusal(
      pointer,
      `${timeOfDay} is finer than a millisecond. A second has at most three decimals: ${timeOfDay.slice(0, 12)}`,
    );
  }
  try {
    return Temporal.PlainDate.from(date).toPlainDateTime(timeOfDay.slice(0, 12)); // what follows are zeros
  } catch (error) {
    throw refusal(pointer, `There is no ${date} in the calendar. Dates are YYYY-MM-DD.`, { cause: error });
  }
}

function checkZone(zone: string, pointer: string): void {
  const allowed =
    'Use a region and city such as Europe/Paris or America/New_York, an offset such as +01:00, or UTC.';
  if (!ZONE_PATTERN.test(zone)) {
    throw refusal(
      pointer,
      `${zone} is not the name of a region and city; abbreviations mean different zones to different people. ${allowed}`,
    );
  }
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
  } catch (error) {
    throw refusal(pointer, `There is no zone ${zone} in the IANA time zone data. ${allowed}`, {
      cause: error,
    });
  }
}

interface Candidate {
  readonly at: Temporal.Instant;
  readonly dst: DstChoice | undefined;
}

/** The one moment at which clocks in the zone show the local time, and differ from UTC by its offset where it has one, or that was chosen. */
function chooseMoment(
  { local, timeZone, offset, dst }: Extract<SaidTime, { kind: 'local' }> & { readonly timeZone: string },
  rules: ZoneRules,
  pointer: string,
): Candidate {
  const placement = rules.place(local, timeZone);
  const candidates: readonly Candidate[] =
    placement.kind === 'once'
      ? [{ at: placement.at, dst: undefined }]
      : [
          { at: placement.earlier, dst: 'earlier' },
          { at: placement.later, dst: 'later' },
        ];
  const show = ({ at }: Candidate): Temporal.ZonedDateTime => at.toZonedDateTimeISO(timeZone);
  const isChosen = (candidate: Candidate): boolean =>
    dst === undefined ? placement.kind !== 'never' : placement.kind === 'once' || candidate.dst === dst;
  const [fit, otherFit] = candidates.filter(
    (candidate) => isChosen(candidate) && (offset === undefined || show(candidate).offset === offset),
  );
  if (fit !== undefined && otherFit === undefined) {
    return fit;
  }
  const zone = show({ at: Temporal.Instant.fromEpochMilliseconds(0), dst: undefined }).timeZoneId;
  const why = faultOf(placement.kind, offset, local.toString(), zone);
  const choices = candidates.map((candidate) => show(candidate).toString()).join(' or ');
  throw new InvalidInputError([
    {
      pointer,
      detail: `${why} Send ${choices}`,
      candidates: candidates.map((candidate) => ({
        time: show(candidate).toString(),
        at: formatInstant(candidate.at),
        dst: candidate.dst ?? null,
      })),
    },
  ]);
}

function faultOf(
  kind: ReturnType<ZoneRules['place']>['kind'],
  offset: string | undefined,
  local: string,
  zone: string,
): string {
  if (kind === 'never') {
    return `${local} does not exist in ${zone}: the clocks skip it.`;
  }
  return offset === undefined
    ? `${local} exists twice in ${zone}: the clocks are set back.`
    : `The offset ${offset} does not fit ${zone} at ${local}.`;
}

function inRange(ms: number, pointer: string): Temporal.Instant {
  if (ms < EARLIEST_MS) {
    throw refusal(pointer, `This is too early. ${RANGE}`);
  }
  if (ms > LATEST_MS) {
    throw refusal(pointer, `This is too late. ${RANGE}`);
  }
  return Temporal.Instant.fromEpochMilliseconds(ms);
}

function nameType(input: unknown): string {
  if (input === null) {
    return 'null'; // which is also what JSON makes of NaN
  }
  return Array.isArray(input) ? 'array' : typeof input;
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

function refusal(pointer: string, detail: string, options?: ErrorOptions): InvalidInputError {
  return new InvalidInputError([{ pointer, detail }], options);
}

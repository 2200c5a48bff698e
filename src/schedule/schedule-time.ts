import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';

const LATEST_MS = 253_402_300_799_999; // the last millisecond of 9999: RFC 3339 has four digits for the year
// As seconds this is the year 5138, as milliseconds March 1973: whatever is smaller was not meant as milliseconds.
const EARLIEST_MS = 100_000_000_000;
const MAX_LENGTH = 100; // the longest zone name of tzdata makes a time of about 60 characters

const RANGE =
  'Times lie between 1973-03-03T09:46:40Z (100000000000) and 9999-12-31T23:59:59.999Z (253402300799999).';
const FORMS =
  'Send epoch milliseconds as a number (1795443000000), RFC 3339 with Z or an offset (2026-11-23T14:10:00Z, 2026-11-23T15:10:00+01:00), or a local time with its zone (2026-11-23T15:10[Europe/Paris]).';

// Date, time of day, Z or offset, zone. Stricter than Temporal, which also reads basic format, expanded years, a comma, offsets with seconds.
const TIME_PATTERN =
  /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?(?:\[!?([\w.+/:-]+)\])?$/i;
// RFC 3339, 4.3: -00:00 says, as Z does, that the instant is known and the local offset is not.
const UTC_PATTERN = /^(?:Z|-00:00)$/i;
const TIME_OF_DAY_PATTERN = /^(?:[01]\d|2[0-3])(?::[0-5]\d){1,2}(?:\.\d+)?$/;
// What Temporal takes for a zone beyond this (EST, Japan, a whole date-time) is more likely a mistake than meant.
const ZONE_PATTERN = /^(?:UTC|[a-z][\w.+-]*(?:\/[\w.+-]+)+|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;

/**
 * The instant that a client means by `input`: epoch milliseconds, RFC 3339, or RFC 9557 with a zone in brackets.
 * An answer is never a guess: seconds, a local time without a zone, one that a change of the clocks skips or repeats, and
 * whatever Temporal would silently bend (`:60`, finer than a millisecond) are refused, with words that say what to send instead.
 * `Z` before a zone names the instant, as RFC 9557 (2.2, 3.4) has it; any other offset must be one that the zone has at that local time.
 * @param pointer where in the request `input` stands.
 * @throws {InvalidInputError}
 */
export function parseScheduleTime(input: unknown, pointer: string): Temporal.Instant {
  if (typeof input === 'number') {
    return readNumber(input, pointer);
  }
  if (typeof input === 'string') {
    return readText(input, pointer);
  }
  throw refusal(pointer, `A time is a number or a string, not ${nameType(input)}. ${FORMS}`);
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

function readText(text: string, pointer: string): Temporal.Instant {
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
  if (offset !== undefined && UTC_PATTERN.test(offset)) {
    return inRange(local.toZonedDateTime('UTC').epochMilliseconds, pointer);
  }
  if (zone !== undefined) {
    return inRange(resolveInZone(local, zone, offset, pointer).epochMilliseconds, pointer);
  }
  if (offset !== undefined) {
    return inRange(local.toZonedDateTime(offset).epochMilliseconds, pointer);
  }
  throw refusal(
    pointer,
    `${text} is a local time, and nothing says of which place. Add a zone, an offset, or Z for UTC: ${text}[Europe/Paris], ${text}+01:00, ${text}Z`,
  );
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

/** The one moment at which clocks in `zone` show `local`, and differ from UTC by `offset` where that is given. */
function resolveInZone(
  local: Temporal.PlainDateTime,
  zone: string,
  offset: string | undefined,
  pointer: string,
): Temporal.ZonedDateTime {
  const earlier = local.toZonedDateTime(zone, { disambiguation: 'earlier' });
  const later = local.toZonedDateTime(zone, { disambiguation: 'later' });
  const candidates = earlier.equals(later) ? [earlier] : [earlier, later];
  const exists = earlier.toPlainDateTime().equals(local); // in a gap Temporal moves it to either side
  const [fit, otherFit] = candidates.filter(
    (candidate) => exists && (offset === undefined || candidate.offset === offset),
  );
  if (fit !== undefined && otherFit === undefined) {
    return fit;
  }
  const choices = `Send ${candidates.map((candidate) => candidate.toString()).join(' or ')}`;
  if (!exists) {
    throw refusal(
      pointer,
      `${local.toString()} does not exist in ${earlier.timeZoneId}: the clocks skip it. ${choices}`,
    );
  }
  if (offset === undefined) {
    throw refusal(
      pointer,
      `${local.toString()} exists twice in ${earlier.timeZoneId}: the clocks are set back. ${choices}`,
    );
  }
  throw refusal(
    pointer,
    `The offset ${offset} does not fit ${earlier.timeZoneId} at ${local.toString()}. ${choices}`,
  );
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

function refusal(pointer: string, detail: string, options?: ErrorOptions): InvalidInputError {
  return new InvalidInputError([{ pointer, detail }], options);
}

import { firstKnownZone, type LocalInstant, resolveLocal } from '../groups/zone-time.ts';
import { isReached, later } from '../platform/clock/clock.ts';
import { type Fault, InvalidInputError } from '../platform/errors/domain-error.ts';
import { unknownProperties } from '../platform/errors/unknown-properties.ts';

export const PASSED = ['send', 'skip'] as const;
/** What becomes of those for whom the time had passed when it was set. */
export type Passed = (typeof PASSED)[number];

/** A local time, for every subscriber in a zone of their own. */
export interface LocalTime {
  readonly date: Temporal.PlainDate;
  readonly time: Temporal.PlainTime;
  readonly passed: Passed;
}

/** A message that goes to each subscriber when clocks in their zone show that time: in waves, one for each distinct instant. */
export interface LocalDelivery extends LocalTime {
  /** When that was asked for: waves before it have passed. */
  readonly since: Temporal.Instant;
  /** Waves before this were missed, and the message says to skip them then; absent where none are. */
  readonly missedBefore: Temporal.Instant | undefined;
}

// No zone of the time zone data is ahead of this one (Pacific/Kiritimati).
const EARLIEST_ZONE = '+14:00';

/** When the wave goes that somebody in `zone` belongs to. */
export function waveIn({ date, time }: LocalTime, zone: string): LocalInstant {
  return resolveLocal(date.toPlainDateTime(time), zone);
}

/** The zone that counts for a subscriber: their own, else the group's, else UTC. */
export function deliveryZone(subscriberZone: string | undefined, groupZone: string | undefined): string {
  return firstKnownZone(subscriberZone, groupZone);
}

/** When it is that time somewhere for the first time: from then on, somebody's wave may come. */
export function earliestWave(local: LocalTime): Temporal.Instant {
  return waveIn(local, EARLIEST_ZONE).at;
}

/**
 * When a message begins whose waves are these: with the first that has not passed, or at once, where others have that are sent all the same.
 * Where all have passed it began with the last of them, so that it is judged like any message whose time has passed.
 * @param waves at least one.
 */
export function firstSending(
  { passed }: LocalTime,
  waves: readonly Temporal.Instant[],
  since: Temporal.Instant,
): Temporal.Instant {
  const sorted = waves.toSorted((a, b) => Temporal.Instant.compare(a, b));
  const last = sorted.at(-1);
  if (!last) {
    throw new Error('A message without a wave has no beginning.');
  }
  const toCome = sorted.filter((wave) => !hasPassed(wave, since));
  const [next] = toCome;
  if (!next) {
    return last;
  }
  return passed === 'send' && toCome.length < sorted.length ? since : next;
}

/** True of a wave whose instant lay before that time was asked for, or whose zone was found only after the message had begun. */
export function isPassed(
  wave: Temporal.Instant,
  local: LocalDelivery,
  message: { readonly scheduleOn: Temporal.Instant },
): boolean {
  return hasPassed(wave, later(local.since, message.scheduleOn));
}

function hasPassed(wave: Temporal.Instant, since: Temporal.Instant): boolean {
  return isReached(wave, since) && !wave.equals(since);
}

const DATE_PATTERN = /^\d{4}-\d{2}-\d{2}$/;
const TIME_PATTERN = /^(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?$/;
// Within what times may be (schedule-time.ts), whatever the zone.
const FIRST_DATE = Temporal.PlainDate.from('1974-01-01');
const LAST_DATE = Temporal.PlainDate.from('9999-12-30');
const SHAPE = 'A local time such as {"time": "09:00", "date": "2027-03-28", "passed": "send"} is needed.';
const KNOWN_FIELDS: readonly string[] = ['date', 'time', 'passed'];

/**
 * Reads a local time from JSON.
 * @param pointer where it stands.
 * @throws {InvalidInputError} with every fault.
 */
export function parseLocalTime(input: unknown, pointer: string): LocalTime {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidInputError([{ pointer, detail: SHAPE }]);
  }
  const fields: Readonly<Record<string, unknown>> = { ...input };
  const date = readDate(fields['date'], `${pointer}/date`);
  const time = readTime(fields['time'], `${pointer}/time`);
  const passed = PASSED.find((one) => one === (fields['passed'] ?? 'send'));
  const unknown = unknownProperties(fields, KNOWN_FIELDS, pointer);
  if ('fault' in date || 'fault' in time || !passed || unknown.length > 0) {
    throw new InvalidInputError([
      ...('fault' in date ? [date.fault] : []),
      ...('fault' in time ? [time.fault] : []),
      ...(passed ? [] : [{ pointer: `${pointer}/passed`, detail: `One of ${PASSED.join(', ')} is needed.` }]),
      ...unknown,
    ]);
  }
  return { date: date.value, time: time.value, passed };
}

type Reading<Value> = { readonly value: Value } | { readonly fault: Fault };

function readDate(input: unknown, pointer: string): Reading<Temporal.PlainDate> {
  if (typeof input !== 'string' || !DATE_PATTERN.test(input)) {
    const what = input === undefined ? 'It is missing' : 'This is not one';
    return { fault: { pointer, detail: `${what}; a date is needed, such as 2027-03-28.` } };
  }
  try {
    const value = Temporal.PlainDate.from(input);
    return isWithin(value)
      ? { value }
      : {
          fault: {
            pointer,
            detail: `Dates lie between ${FIRST_DATE.toString()} and ${LAST_DATE.toString()}.`,
          },
        };
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
    return { fault: { pointer, detail: `There is no ${input} in the calendar.` } };
  }
}

function readTime(input: unknown, pointer: string): Reading<Temporal.PlainTime> {
  if (typeof input === 'string' && TIME_PATTERN.test(input)) {
    return { value: Temporal.PlainTime.from(input) };
  }
  const what = input === undefined ? 'It is missing' : 'This is not one';
  const detail = `${what}; a time of day from 00:00 to 23:59:59 is needed, without a zone, such as 09:00.`;
  return { fault: { pointer, detail } };
}

function isWithin(date: Temporal.PlainDate): boolean {
  return (
    Temporal.PlainDate.compare(FIRST_DATE, date) <= 0 && Temporal.PlainDate.compare(date, LAST_DATE) <= 0
  );
}

/** A local time as it stands in a body and in an answer. */
export interface LocalTimeFields {
  readonly time: string;
  readonly date: string;
  readonly passed: Passed;
}

export function localTimeFields({ date, time, passed }: LocalTime): LocalTimeFields {
  return { time: formatTime(time), date: date.toString(), passed };
}

/** As both engines store it; `decodeLocalDelivery` reads it. */
export function encodeLocalDelivery(local: LocalDelivery): string {
  return JSON.stringify({
    ...localTimeFields(local),
    since: local.since.epochMilliseconds,
    ...(local.missedBefore && { missed_before: local.missedBefore.epochMilliseconds }),
  });
}

/** @throws where it is not what `encodeLocalDelivery` made: a damaged record. */
export function decodeLocalDelivery(json: string): LocalDelivery {
  const parsed: unknown = JSON.parse(json);
  const fields: Readonly<Record<string, unknown>> =
    typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
  const { since, missed_before: missedBefore, ...local } = fields;
  if (typeof since !== 'number') {
    throw new Error('A stored local delivery does not say since when.');
  }
  return {
    ...parseLocalTime(local, ''),
    since: Temporal.Instant.fromEpochMilliseconds(since),
    missedBefore:
      typeof missedBefore === 'number' ? Temporal.Instant.fromEpochMilliseconds(missedBefore) : undefined,
  };
}

/** Seconds only where there are some. */
function formatTime(time: Temporal.PlainTime): string {
  return time.toString({ smallestUnit: time.second === 0 ? 'minute' : 'second' });
}

import { type Fault, InvalidInputError } from '../platform/errors/domain-error.ts';
import { unknownProperties } from '../platform/errors/unknown-properties.ts';
import { isReached, later } from '../platform/clock/clock.ts';
import { firstKnownZone, resolveLocal } from './zone-time.ts';

/** In the order of ISO 8601, as RFC 5545 calls them, in lower case. */
export const WEEKDAYS = ['mo', 'tu', 'we', 'th', 'fr', 'sa', 'su'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export const WINDOW_ZONES = ['group', 'subscriber'] as const;
/** Whose clock a window goes by. */
export type WindowZone = (typeof WINDOW_ZONES)[number];

/** When deliveries to a group may go; outside it they wait for its next start. */
export interface SendWindow {
  readonly from: Temporal.PlainTime;
  /** Not included; a time before `from` is one of the next day. */
  readonly to: Temporal.PlainTime;
  /** Those on which it begins; at least one. */
  readonly days: readonly Weekday[];
  readonly zone: WindowZone;
}

/** From its start to its end, the end not included. */
export interface Opening {
  readonly start: Temporal.Instant;
  readonly end: Temporal.Instant;
}

// A window on one day of the week can fail to open on one date, which a zone skipped (Pacific/Apia had no 2011-12-30) or in whose
// gap it lies: not on many in a row.
const LOOK_AHEAD_DAYS = 60;

/** The zone by which the window goes for somebody whose own zone is `subscriberZone`. */
export function zoneOfWindow(
  { zone }: Pick<SendWindow, 'zone'>,
  groupZone: string | undefined,
  subscriberZone: string | undefined,
): string {
  return zone === 'group' ? firstKnownZone(groupZone) : firstKnownZone(subscriberZone, groupZone);
}

/** The opening in which `at` lies, or else the next one after it. */
export function openingAt(window: SendWindow, zone: string, at: Temporal.Instant): Opening {
  const today = at.toZonedDateTimeISO(zone).toPlainDate();
  for (let day = -1; day <= LOOK_AHEAD_DAYS; day += 1) {
    const opening = openingOn(window, zone, today.add({ days: day }));
    if (opening && !isReached(opening.end, at)) {
      return opening;
    }
  }
  throw new Error(`A send window of ${zone} does not open within ${LOOK_AHEAD_DAYS} days.`);
}

/** From when on something that is not to go before `at` may go: `at` itself within the window. */
export function openFrom(window: SendWindow, zone: string, at: Temporal.Instant): Temporal.Instant {
  return later(at, openingAt(window, zone, at).start);
}

/** The opening that begins on that date; absent where there is none, because of the day or of a gap that swallows it. */
function openingOn(window: SendWindow, zone: string, date: Temporal.PlainDate): Opening | undefined {
  if (!window.days.some((day) => WEEKDAYS.indexOf(day) === date.dayOfWeek - 1)) {
    return undefined;
  }
  const isOverMidnight = Temporal.PlainTime.compare(window.to, window.from) <= 0;
  const lastDate = isOverMidnight ? date.add({ days: 1 }) : date;
  const { at: start } = resolveLocal(date.toPlainDateTime(window.from), zone);
  const { at: end } = resolveLocal(lastDate.toPlainDateTime(window.to), zone);
  return isReached(end, start) ? undefined : { start, end };
}

/** A window as it stands in a body, in an answer and in the stores. */
export interface WindowFields {
  readonly from: string;
  readonly to: string;
  readonly days: readonly Weekday[];
  readonly zone: WindowZone;
}

export function windowFields({ from, to, days, zone }: SendWindow): WindowFields {
  return { from: minutesOf(from), to: minutesOf(to), days, zone };
}

const TIME_OF_DAY_PATTERN = /^(?:[01]\d|2[0-3]):[0-5]\d$/;
const TIME_OF_DAY = 'a time of day from 00:00 to 23:59 is needed, such as 08:00';
const SHAPE =
  'A window such as {"from": "08:00", "to": "20:00", "days": ["mo", "tu", "we", "th", "fr"], "zone": "group"} is needed';
const KNOWN_FIELDS: readonly string[] = ['from', 'to', 'days', 'zone'];

/**
 * Reads a window from JSON, with `days` all and `zone` the group's where they are left out.
 * @param pointer where it stands.
 * @throws {InvalidInputError} with every fault.
 */
export function parseSendWindow(input: unknown, pointer: string): SendWindow {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new InvalidInputError([{ pointer, detail: `${SHAPE}; null takes it away.` }]);
  }
  const fields: Readonly<Record<string, unknown>> = { ...input };
  const days = fields['days'] ?? WEEKDAYS;
  const zone = WINDOW_ZONES.find((one) => one === (fields['zone'] ?? 'group'));
  const faults: readonly Fault[] = [
    ...timeFaults(fields['from'], `${pointer}/from`),
    ...timeFaults(fields['to'], `${pointer}/to`),
    ...daysFaults(days, `${pointer}/days`),
    ...(zone ? [] : [{ pointer: `${pointer}/zone`, detail: `One of ${WINDOW_ZONES.join(', ')} is needed.` }]),
    ...unknownProperties(fields, KNOWN_FIELDS, pointer),
  ];
  if (faults.length > 0 || !zone) {
    throw new InvalidInputError(faults);
  }
  if (fields['from'] === fields['to']) {
    const detail = `It ends when it begins, ${String(fields['from'])}: always and never look the same. To send at any time, leave send_window out or send null.`;
    throw new InvalidInputError([{ pointer: `${pointer}/to`, detail }]);
  }
  return {
    from: Temporal.PlainTime.from(String(fields['from'])),
    to: Temporal.PlainTime.from(String(fields['to'])),
    days: WEEKDAYS.filter((day) => Array.isArray(days) && days.includes(day)),
    zone,
  };
}

function timeFaults(value: unknown, pointer: string): readonly Fault[] {
  if (typeof value === 'string' && TIME_OF_DAY_PATTERN.test(value)) {
    return [];
  }
  const what = value === undefined ? 'It is missing' : 'This is not one';
  const midnight = value === '24:00' ? ' The end of a day is 00:00.' : '';
  return [{ pointer, detail: `${what}; ${TIME_OF_DAY}.${midnight}` }];
}

function daysFaults(value: unknown, pointer: string): readonly Fault[] {
  const allowed = `Some of ${WEEKDAYS.join(', ')} are needed, each at most once.`;
  if (!Array.isArray(value) || value.length === 0 || value.length > WEEKDAYS.length) {
    return [{ pointer, detail: allowed }];
  }
  const days: readonly unknown[] = value;
  const wrong = days.findIndex(
    (day, index) => !WEEKDAYS.some((known) => known === day) || days.indexOf(day) !== index,
  );
  return wrong === -1 ? [] : [{ pointer: `${pointer}/${wrong}`, detail: allowed }];
}

function minutesOf(time: Temporal.PlainTime): string {
  return time.toString({ smallestUnit: 'minute' });
}

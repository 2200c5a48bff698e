import { Cron } from 'croner';
import { RRuleTemporal } from 'rrule-temporal';
import { type Fault, InvalidInputError } from '../platform/errors/domain-error.ts';
import type { RecurrenceRule } from './recurrence.ts';

/** What of an RRULE is the recurrence's own. */
export interface RuleEnds {
  /** As it stands there: `20271231`, `20271231T235959` or `20271231T235959Z`. */
  readonly until: string | undefined;
  readonly count: number | undefined;
}

const RRULE_POINTER = '/repeat/rrule';
const CRON_POINTER = '/repeat/cron';

export const RRULE_MAX_LENGTH = 500;
export const CRON_MAX_LENGTH = 100;
export const COUNT_MAX = 10_000;
const INTERVAL_MAX = 1_000;
// Mail that comes every hour is already more than anybody wants.
const TIMES_OF_DAY_MAX = 24;

const FREQUENCIES = ['HOURLY', 'DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] as const;
type Frequency = (typeof FREQUENCIES)[number];

const WEEKDAY = /^(?:MO|TU|WE|TH|FR|SA|SU)$/;
const ORDINAL_WEEKDAY = /^[+-]?(?:[1-9]|[1-4]\d|5[0-3])(?:MO|TU|WE|TH|FR|SA|SU)$/;
const UNTIL_PATTERN = /^\d{8}(?:T\d{6}Z?)?$/;

interface Part {
  readonly isValid: (value: string) => boolean;
  readonly says: string;
  /** Frequencies with which RFC 5545 (3.3.10) has it; all where absent. */
  readonly with?: readonly Frequency[];
}

const PARTS: Readonly<Record<string, Part>> = {
  FREQ: { isValid: () => true, says: '' },
  INTERVAL: numbers(1, INTERVAL_MAX, { isSingle: true }),
  UNTIL: {
    isValid: (value) => UNTIL_PATTERN.test(value),
    says: 'a date such as 20271231, or a time such as 20271231T235959Z',
  },
  COUNT: numbers(1, COUNT_MAX, { isSingle: true }),
  WKST: { isValid: (value) => WEEKDAY.test(value), says: 'a weekday: MO, TU, WE, TH, FR, SA or SU' },
  BYDAY: {
    isValid: (value) => value.split(',').every((day) => WEEKDAY.test(day) || ORDINAL_WEEKDAY.test(day)),
    says: 'weekdays (MO,TU), of months and years with their ordinal (1MO,-1FR)',
  },
  BYHOUR: numbers(0, 23),
  BYMINUTE: numbers(0, 59),
  BYMONTH: numbers(1, 12, { with: ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] }),
  BYMONTHDAY: numbers(1, 31, { isSigned: true, with: ['DAILY', 'MONTHLY', 'YEARLY'] }),
  BYYEARDAY: numbers(1, 366, { isSigned: true, with: ['YEARLY'] }),
  BYWEEKNO: numbers(1, 53, { isSigned: true, with: ['YEARLY'] }),
  BYSETPOS: numbers(1, 366, { isSigned: true, with: ['DAILY', 'WEEKLY', 'MONTHLY', 'YEARLY'] }),
};

/**
 * Reads a rule as RFC 5545 writes it, stricter than the library, which overlooks what it does not know.
 * @throws {InvalidInputError}
 */
export function readRRule(input: string): { readonly rule: RecurrenceRule; readonly ends: RuleEnds } {
  const parts = splitParts(
    input
      .trim()
      .toUpperCase()
      .replace(/^RRULE:/, ''),
  );
  const frequency = readFrequency(parts.get('FREQ'));
  for (const [name, value] of parts) {
    checkPart(name, value, frequency);
  }
  checkTogether(parts, frequency);
  const rule = [...parts].filter(([name]) => name !== 'UNTIL' && name !== 'COUNT');
  const text = rule.map((pair) => pair.join('=')).join(';');
  const dtstart = Temporal.ZonedDateTime.from('2027-01-01T09:00[UTC]');
  requireThatItParses(RRULE_POINTER, () => new RRuleTemporal({ rruleString: text, dtstart, strict: true }));
  const count = parts.get('COUNT');
  return {
    rule: { kind: 'rrule', text },
    ends: { until: parts.get('UNTIL'), count: count === undefined ? undefined : Number(count) },
  };
}

// What crontab(5) has, of croner's wider syntax: digits, names, lists, ranges and steps.
const CRON_FIELD = /^[\d*,/-]+$/;
const MONTHS = /\b(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\b/g;
const WEEKDAYS = /\b(?:SUN|MON|TUE|WED|THU|FRI|SAT)\b/g;

/**
 * Reads five fields as crontab(5) has them: minute, hour, day of month, month, day of week (0 or 7 is Sunday). Where both days are
 * given, either does.
 * @throws {InvalidInputError}
 */
export function readCron(input: string): RecurrenceRule {
  const fields = input.trim().toUpperCase().split(/\s+/);
  if (fields.length !== 5) {
    throw refusal(
      CRON_POINTER,
      `Five fields are needed (minute, hour, day of month, month, day of week: 0 9 * * 1), not ${fields.length}.`,
    );
  }
  for (const [index, field] of fields.entries()) {
    const digits =
      index === 3 ? field.replaceAll(MONTHS, '1') : index === 4 ? field.replaceAll(WEEKDAYS, '1') : field;
    if (!CRON_FIELD.test(digits)) {
      throw refusal(
        CRON_POINTER,
        `'${field}' is no field of a cron pattern: digits, names, and * , - / are.`,
      );
    }
  }
  const text = fields.join(' ');
  requireThatItParses(CRON_POINTER, () => new Cron(text, { timezone: 'UTC', paused: true, mode: '5-part' }));
  return { kind: 'cron', text };
}

/** What the library has to say against a rule that looked like one. */
function requireThatItParses(pointer: string, parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw refusal(pointer, `This is no rule: ${words}`, error);
  }
}

function splitParts(text: string): ReadonlyMap<string, string> {
  const parts = new Map<string, string>();
  for (const part of text.replace(/;$/, '').split(';')) {
    const [name = '', value, ...rest] = part.split('=');
    if (value === undefined || value === '' || rest.length > 0) {
      throw refusal(RRULE_POINTER, `'${part}' is no part of an RRULE such as FREQ=WEEKLY;BYDAY=MO.`);
    }
    if (parts.has(name)) {
      throw refusal(RRULE_POINTER, `${name} stands there twice.`);
    }
    parts.set(name, value);
  }
  return parts;
}

function readFrequency(value: string | undefined): Frequency {
  const frequency = FREQUENCIES.find((one) => one === value);
  if (frequency) {
    return frequency;
  }
  throw refusal(
    RRULE_POINTER,
    value === 'SECONDLY' || value === 'MINUTELY'
      ? `FREQ=${value} is more often than a message to a group can go out; ${FREQUENCIES.join(', ')} are taken.`
      : `FREQ is needed: one of ${FREQUENCIES.join(', ')}.`,
  );
}

function checkPart(name: string, value: string, frequency: Frequency): void {
  const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
  if (!part) {
    throw refusal(RRULE_POINTER, `${name} is not taken here: ${Object.keys(PARTS).join(', ')} are.`);
  }
  if (!part.isValid(value)) {
    throw refusal(RRULE_POINTER, `${name}=${value} is not what it must be: ${part.says}.`);
  }
  if (part.with && !part.with.includes(frequency)) {
    throw refusal(
      RRULE_POINTER,
      `${name} does not go with FREQ=${frequency}, but with ${part.with.join(', ')}.`,
    );
  }
}

function checkTogether(parts: ReadonlyMap<string, string>, frequency: Frequency): void {
  const isOrdinal = /\d/.test(parts.get('BYDAY') ?? '');
  if (isOrdinal && (!['MONTHLY', 'YEARLY'].includes(frequency) || parts.has('BYWEEKNO'))) {
    throw refusal(
      RRULE_POINTER,
      'A weekday has an ordinal only with FREQ=MONTHLY, or YEARLY without BYWEEKNO.',
    );
  }
  if (parts.has('BYSETPOS') && ![...parts.keys()].some((name) => /^BY(?!SETPOS)/.test(name))) {
    throw refusal(RRULE_POINTER, 'BYSETPOS chooses among what another BY… part gives, and there is none.');
  }
  if (parts.has('COUNT') && parts.has('UNTIL')) {
    throw refusal(RRULE_POINTER, 'UNTIL and COUNT do not go together.');
  }
  const timesOfDay = lengthOf(parts.get('BYHOUR')) * lengthOf(parts.get('BYMINUTE'));
  if (timesOfDay > TIMES_OF_DAY_MAX) {
    throw refusal(
      RRULE_POINTER,
      `BYHOUR and BYMINUTE make ${timesOfDay} times a day; ${TIMES_OF_DAY_MAX} are the most.`,
    );
  }
}

function lengthOf(list: string | undefined): number {
  return list?.split(',').length ?? 1;
}

function numbers(
  min: number,
  max: number,
  {
    isSigned = false,
    isSingle = false,
    ...rest
  }: { isSigned?: boolean; isSingle?: boolean; with?: readonly Frequency[] } = {},
): Part {
  const pattern = isSigned ? /^[+-]?\d{1,3}$/ : /^\d{1,5}$/;
  const isNumber = (text: string): boolean => {
    const size = Math.abs(Number(text));
    return pattern.test(text) && size >= min && size <= max;
  };
  return {
    isValid: (value) => (isSingle ? [value] : value.split(',')).every(isNumber),
    says: `${isSingle ? 'a number' : 'numbers with commas,'} from ${min} to ${max}${isSigned ? ', negative from the end' : ''}`,
    ...rest,
  };
}

function refusal(pointer: string, detail: string, cause?: unknown): InvalidInputError {
  const fault: Fault = { pointer, detail };
  return new InvalidInputError([fault], cause === undefined ? undefined : { cause });
}

import * as fc from 'fast-check';
import { RRule, rrulestr } from 'rrule';
import { RRuleTemporal } from 'rrule-temporal';
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../../src/platform/errors/domain-error.ts';
import { newestDue } from '../../src/schedule/new-series.ts';
import { readCron, readRRule } from '../../src/schedule/read-recurrence.ts';
import {
  firstAfter,
  occurrences,
  type Placed,
  positionBefore,
  type Recurrence,
} from '../../src/schedule/recurrence.ts';
import { systemZoneRules } from '../../src/schedule/zone-rules.ts';

const TWENTY_YEARS = 20;

function aRecurrence(rule: string, start: string, overrides: Partial<Recurrence> = {}): Recurrence {
  const [local = '', timeZone = 'UTC'] = start.split(/[[\]]/);
  return {
    rule: rule.startsWith('FREQ') ? readRRule(rule).rule : readCron(rule),
    start: Temporal.PlainDateTime.from(local),
    timeZone,
    until: undefined,
    count: undefined,
    except: [],
    dstGap: 'shift',
    ...overrides,
  };
}

function shown(recurrence: Recurrence, limit: number): readonly string[] {
  return occurrences(recurrence, systemZoneRules)
    .take(limit)
    .map(({ at }) =>
      at.toZonedDateTimeISO(recurrence.timeZone).toString({ smallestUnit: 'minute', timeZoneName: 'never' }),
    )
    .toArray();
}

function refusalOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof InvalidInputError) {
      return error.message;
    }
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('a series across a change of the clocks', () => {
  it.each([
    [
      'FREQ=DAILY',
      '2027-03-27T02:30[Europe/Paris]',
      ['2027-03-27T02:30+01:00', '2027-03-28T03:00+02:00', '2027-03-29T02:30+02:00'],
    ],
    [
      'FREQ=DAILY',
      '2027-10-30T02:30[Europe/Paris]',
      ['2027-10-30T02:30+02:00', '2027-10-31T02:30+02:00', '2027-11-01T02:30+01:00'],
    ],
    [
      '30 2 * * *',
      '2027-03-27T00:00[Europe/Paris]',
      ['2027-03-27T02:30+01:00', '2027-03-28T03:00+02:00', '2027-03-29T02:30+02:00'],
    ],
    [
      '0 9 * * 1',
      '2027-03-22T00:00[America/New_York]',
      ['2027-03-22T09:00-04:00', '2027-03-29T09:00-04:00', '2027-04-05T09:00-04:00'],
    ],
    [
      'FREQ=WEEKLY',
      '2027-03-07T09:00[America/New_York]',
      ['2027-03-07T09:00-05:00', '2027-03-14T09:00-04:00', '2027-03-21T09:00-04:00'],
    ],
    [
      'FREQ=DAILY',
      '2027-04-29T00:00[Africa/Cairo]',
      ['2027-04-29T00:00+02:00', '2027-04-30T01:00+03:00', '2027-05-01T00:00+03:00'],
    ],
    [
      'FREQ=DAILY',
      '2027-10-02T02:15[Australia/Lord_Howe]',
      ['2027-10-02T02:15+10:30', '2027-10-03T02:30+11:00', '2027-10-04T02:15+11:00'],
    ],
    [
      'FREQ=DAILY',
      '2027-04-03T01:45[Australia/Lord_Howe]',
      ['2027-04-03T01:45+11:00', '2027-04-04T01:45+11:00', '2027-04-05T01:45+10:30'],
    ],
    [
      'FREQ=DAILY',
      '2027-01-01T09:00[Asia/Kathmandu]',
      ['2027-01-01T09:00+05:45', '2027-01-02T09:00+05:45', '2027-01-03T09:00+05:45'],
    ],
    [
      'FREQ=DAILY',
      '2011-12-29T09:00[Pacific/Apia]',
      ['2011-12-29T09:00-10:00', '2011-12-31T00:00+14:00', '2011-12-31T09:00+14:00'],
    ],
    [
      'FREQ=DAILY',
      '2018-11-03T00:00[America/Sao_Paulo]',
      ['2018-11-03T00:00-03:00', '2018-11-04T01:00-02:00', '2018-11-05T00:00-02:00'],
    ],
    [
      'FREQ=DAILY',
      '2019-11-02T00:00[America/Sao_Paulo]',
      ['2019-11-02T00:00-03:00', '2019-11-03T00:00-03:00', '2019-11-04T00:00-03:00'],
    ],
    [
      'FREQ=DAILY',
      '2027-03-27T01:30[Antarctica/Troll]',
      ['2027-03-27T01:30+00:00', '2027-03-28T03:00+02:00', '2027-03-29T01:30+02:00'],
    ],
    [
      'FREQ=DAILY',
      '2027-03-28T02:30[+01:00]',
      ['2027-03-28T02:30+01:00', '2027-03-29T02:30+01:00', '2027-03-30T02:30+01:00'],
    ],
    [
      'FREQ=YEARLY',
      '2024-02-29T09:00[Europe/Paris]',
      ['2024-02-29T09:00+01:00', '2028-02-29T09:00+01:00', '2032-02-29T09:00+01:00'],
    ],
    [
      'FREQ=MONTHLY;BYMONTHDAY=-1',
      '2027-12-31T23:59[Europe/Paris]',
      ['2027-12-31T23:59+01:00', '2028-01-31T23:59+01:00', '2028-02-29T23:59+01:00'],
    ],
  ])('%s from %s has none twice and leaves none out', (rule, start, expected) => {
    expect(shown(aRecurrence(rule, start), 3)).toEqual(expected);
  });

  it('leaves out what the clocks skip where it is told to', () => {
    const skipping = aRecurrence('FREQ=DAILY', '2027-03-27T02:30[Europe/Paris]', { dstGap: 'skip' });

    expect(shown(skipping, 2)).toEqual(['2027-03-27T02:30+01:00', '2027-03-29T02:30+02:00']);
  });

  it('goes once where a gap moves several occurrences to one moment', () => {
    const hourly = aRecurrence('0,30 * * * *', '2027-03-28T01:30[Europe/Paris]');

    expect(shown(hourly, 4)).toEqual([
      '2027-03-28T01:30+01:00',
      '2027-03-28T03:00+02:00',
      '2027-03-28T03:30+02:00',
      '2027-03-28T04:00+02:00',
    ]);
  });
});

describe('the end of a series', () => {
  it('comes after the count, of which the exceptions are part', () => {
    const recurrence = aRecurrence('FREQ=DAILY', '2027-01-01T09:00[Europe/Paris]', {
      count: 4,
      except: ['2027-01-02', '2027-01-03T09:00:00', '2027-01-04T08:00:00'],
    });

    expect(shown(recurrence, 10)).toEqual(['2027-01-01T09:00+01:00', '2027-01-04T09:00+01:00']);
  });

  it('comes behind until, which is part of it', () => {
    const until = Temporal.Instant.from('2027-01-03T08:00Z');

    expect(shown(aRecurrence('FREQ=DAILY', '2027-01-01T09:00[Europe/Paris]', { until }), 10)).toHaveLength(3);
  });

  it.each(['FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31', 'FREQ=MONTHLY;BYDAY=MO;BYSETPOS=7', '0 0 31 2 *'])(
    'is there from the start where %s never occurs',
    (rule) => {
      expect(shown(aRecurrence(rule, '2027-01-01T09:00[Europe/Paris]'), 1)).toEqual([]);
    },
  );

  it('does not come where the next occurrence is forty years away', () => {
    const rule = 'FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO';

    expect(shown(aRecurrence(rule, '2072-03-01T09:00[Europe/Paris]'), 1)).toEqual(['2112-02-29T09:00+01:00']);
  });
});

describe('after an outage', () => {
  const weekly = aRecurrence('FREQ=WEEKLY', '2027-01-04T09:00[Europe/Paris]');
  const [first] = occurrences(weekly, systemZoneRules);

  it.each([
    ['2027-01-04T10:00Z', '2027-01-11T08:00:00Z'],
    ['2027-01-11T07:59:59Z', '2027-01-11T08:00:00Z'],
    ['2027-01-11T08:00Z', '2027-01-11T08:00:00Z'],
    ['2027-02-03T00:00Z', '2027-02-01T08:00:00Z'],
  ])('at %s the newest missed occurrence is made, else the next: %s', (now, expected) => {
    const due = first && newestDue(weekly, first, systemZoneRules, Temporal.Instant.from(now));

    expect(due?.at.toString()).toBe(expected);
  });
});

const ZONES = [
  'Europe/Paris',
  'America/New_York',
  'Africa/Cairo',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Apia',
  'America/Sao_Paulo',
  'Antarctica/Troll',
  'Africa/Casablanca',
  'UTC',
] as const;

const days = fc.subarray(['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'], { minLength: 1 });
const monthDays = fc.uniqueArray(
  fc.integer({ min: -31, max: 31 }).filter((day) => day !== 0),
  { minLength: 1, maxLength: 3 },
);
const months = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 3 });
const interval = fc.integer({ min: 1, max: 6 });

/** Rules that both libraries and RFC 5545 have in common. */
const someRule = fc.oneof(
  fc.tuple(interval, days).map(([n, byDay]) => `FREQ=WEEKLY;INTERVAL=${n};BYDAY=${byDay.join(',')}`),
  fc.tuple(interval, monthDays).map(([n, by]) => `FREQ=MONTHLY;INTERVAL=${n};BYMONTHDAY=${by.join(',')}`),
  fc
    .tuple(interval, fc.constantFrom('1MO', '2TU', '-1FR', '-2SU', '4WE'))
    .map(([n, day]) => `FREQ=MONTHLY;INTERVAL=${n};BYDAY=${day}`),
  fc.tuple(interval, months).map(([n, by]) => `FREQ=DAILY;INTERVAL=${n};BYMONTH=${by.join(',')}`),
  fc
    .tuple(months, monthDays)
    .map(([by, day]) => `FREQ=YEARLY;BYMONTH=${by.join(',')};BYMONTHDAY=${day.join(',')}`),
  fc
    .tuple(interval, days)
    .map(([n, byDay]) => `FREQ=MONTHLY;INTERVAL=${n};BYDAY=${byDay.join(',')};BYSETPOS=-1`),
);

const someStart = fc
  .record({
    year: fc.integer({ min: 2006, max: 2026 }),
    month: fc.integer({ min: 1, max: 12 }),
    day: fc.integer({ min: 1, max: 28 }),
    hour: fc.integer({ min: 0, max: 23 }),
    minute: fc.constantFrom(0, 15, 30, 45),
  })
  .map((fields) => Temporal.PlainDateTime.from(fields));

describe('any rule, over twenty years', () => {
  it('has the local times that an independent library has', () => {
    fc.assert(
      fc.property(someRule, someStart, (text, start) => {
        const end = start.add({ years: TWENTY_YEARS });
        const recurrence = { ...aRecurrence(text, '2027-01-01T00:00'), start };

        const ours = occurrences(recurrence, systemZoneRules)
          .take(300)
          .map(({ local }) => local.toString())
          .toArray();

        const parsed = rrulestr(text);
        const theirs = new RRule({
          ...parsed.origOptions,
          dtstart: new Date(start.toZonedDateTime('UTC').epochMilliseconds),
          until: new Date(end.toZonedDateTime('UTC').epochMilliseconds),
        })
          .all((_date, index) => index < 300)
          .map((date) => date.toTemporalInstant().toZonedDateTimeISO('UTC').toPlainDateTime().toString());
        expect(ours.slice(0, theirs.length)).toEqual(theirs);
      }),
      { numRuns: 200 },
    );
  });

  it('has the instants of a library that counts in the zone, where what is skipped is left out', () => {
    fc.assert(
      fc.property(
        someRule.filter((rule) => !rule.includes('BYSETPOS')), // that library chooses among what is left, this one before
        someStart,
        fc.constantFrom(...ZONES),
        (text, start, timeZone) => {
          const recurrence = {
            ...aRecurrence(text, '2027-01-01T00:00'),
            start,
            timeZone,
            dstGap: 'skip' as const,
          };

          fc.pre(systemZoneRules.place(start, timeZone).kind !== 'never');
          const dtstart = start.toZonedDateTime(timeZone, { disambiguation: 'earlier' });
          const end = dtstart.add({ years: TWENTY_YEARS }).toInstant();

          const ours = occurrences(recurrence, systemZoneRules)
            .take(100)
            .map(({ at }) => at)
            .filter((at) => Temporal.Instant.compare(at, end) <= 0)
            .map(String)
            .toArray();

          const until = end.toString({ smallestUnit: 'second' }).replaceAll(/[-:]/g, '');
          const rruleString = `${text};UNTIL=${until}`; // else it looks for a rule that never comes true until it throws
          const theirs = new RRuleTemporal({ rruleString, dtstart, maxIterations: 20_000 }).all(
            (_date, index) => index < ours.length,
          );
          expect(ours).toEqual(theirs.map((date) => date.toInstant().toString()));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('has each local time once, at the moment that clocks first show it or the first after', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 23 }),
        fc.constantFrom(0, 15, 30),
        someStart,
        fc.constantFrom(...ZONES),
        (hour, minute, start, timeZone) => {
          const recurrence = {
            ...aRecurrence(`${minute} ${hour} * * *`, '2027-01-01T00:00'),
            start,
            timeZone,
          };

          const found = occurrences(recurrence, systemZoneRules).take(400).toArray();

          const first = found.at(0)?.local.toPlainDate();
          expect(found.map(({ local }) => local.toPlainDate().toString())).toEqual(
            found.map((_, index) => first?.add({ days: index }).toString()),
          );
          expect(found.filter((one) => !isPlacedRight(one, timeZone))).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('goes on from any moment with what comes next when it is counted from the start', () => {
    fc.assert(
      fc.property(
        someRule,
        someStart,
        fc.constantFrom(...ZONES),
        fc.integer({ min: 0, max: 3_000 }),
        (text, start, timeZone, dayCount) => {
          const recurrence = { ...aRecurrence(text, '2027-01-01T00:00'), start, timeZone };
          const at = start.toZonedDateTime(timeZone).add({ days: dayCount }).toInstant();

          const fromNear = firstAfter(recurrence, systemZoneRules, at, positionBefore(recurrence, at));

          const fromStart = occurrences(recurrence, systemZoneRules).find(
            (one) => Temporal.Instant.compare(one.at, at) > 0,
          );
          expect(fromNear?.at.toString()).toBe(fromStart?.at.toString());
        },
      ),
      { numRuns: 100 },
    );
  });

  it('of five fields agrees with a clock that looks at every minute', () => {
    const field = fc.constantFrom('*', '*/7', '1-5', '3', '2,4');
    const pattern = fc.tuple(
      fc.constantFrom('0', '*/20', '5,35'),
      fc.constantFrom('*', '9', '*/6', '22-23'),
      field,
      fc.constantFrom('*', '2', '1-2'),
      field,
    );
    fc.assert(
      fc.property(pattern, (fields) => {
        const start = Temporal.PlainDateTime.from('2027-02-25T00:00');
        const until = start.add({ days: 10 }).toZonedDateTime('UTC').toInstant();
        const recurrence = aRecurrence(fields.join(' '), '2027-02-25T00:00[UTC]', { until });

        const ours = occurrences(recurrence, systemZoneRules)
          .map(({ local }) => local.toString())
          .toArray();

        const everyMinute = Array.from({ length: 10 * 24 * 60 + 1 }, (_, minutes) => start.add({ minutes }));
        expect(ours).toEqual(everyMinute.filter((local) => isMatch(fields, local)).map(String));
      }),
      { numRuns: 30 },
    );
  });
});

describe('what is no rule', () => {
  it.each([
    ['FREQ=SECONDLY', 'more often'],
    ['FREQ=MINUTELY', 'more often'],
    ['FREQ=FORTNIGHTLY', 'FREQ is needed'],
    ['BYDAY=MO', 'FREQ is needed'],
    ['FREQ=WEEKLY;FREQ=DAILY', 'twice'],
    ['FREQ=WEEKLY;BYDAY=XX', 'weekdays'],
    ['FREQ=WEEKLY;BYDAY=1MO', 'ordinal'],
    ['FREQ=WEEKLY;BYHOUR=25', 'from 0 to 23'],
    ['FREQ=WEEKLY;BYSECOND=1', 'not taken'],
    ['FREQ=WEEKLY;RSCALE=HEBREW', 'not taken'],
    ['FREQ=WEEKLY;constructor=1', 'not taken'],
    ['FREQ=WEEKLY;INTERVAL=0', 'from 1 to 1000'],
    ['FREQ=WEEKLY;INTERVAL=1.5', 'from 1 to 1000'],
    ['FREQ=WEEKLY;BYMONTHDAY=1', 'does not go with FREQ=WEEKLY'],
    ['FREQ=HOURLY;BYMONTH=2', 'does not go with FREQ=HOURLY'],
    ['FREQ=DAILY;BYSETPOS=1', 'chooses among'],
    ['FREQ=DAILY;COUNT=1;UNTIL=20300101', 'do not go together'],
    ['FREQ=DAILY;UNTIL=tomorrow', 'a date such as'],
    ['FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=1,2,3,4,5', '25 times a day'],
    ['FREQ=DAILY\nRRULE:FREQ=DAILY', 'no part of an RRULE'],
    ['weekly', 'no part of an RRULE'],
  ])('%j is refused as an RRULE: %s', (text, words) => {
    expect(refusalOf(() => readRRule(text))).toContain(words);
  });

  it.each([
    ['0 0 9 * * 1', 'Five fields'],
    ['0 9 * *', 'Five fields'],
    ['@daily', 'Five fields'],
    ['', 'Five fields'],
    ['0 25 * * *', 'no rule'],
    ['60 9 * * *', 'no rule'],
    ['0 9 L * *', 'no field'],
    ['0 9 15W * *', 'no field'],
    ['0 9 * * 1#2', 'no field'],
    ['MON 9 * * *', 'no field'],
    ['? ? ? ? ?', 'no field'],
  ])('%j is refused as a cron pattern: %s', (text, words) => {
    expect(refusalOf(() => readCron(text))).toContain(words);
  });
});

/** Where clocks show it first; or, where they skip it, at the moment when they have just passed it. */
function isPlacedRight({ at, local, bent }: Placed, timeZone: string): boolean {
  const shownThen = at.toZonedDateTimeISO(timeZone);
  const before = at.subtract({ nanoseconds: 1 }).toZonedDateTimeISO(timeZone);
  return bent === 'gap'
    ? Temporal.PlainDateTime.compare(before.toPlainDateTime(), local) < 0 &&
        Temporal.PlainDateTime.compare(shownThen.toPlainDateTime(), local) > 0
    : shownThen.toPlainDateTime().equals(local) &&
        local.toZonedDateTime(timeZone, { disambiguation: 'earlier' }).toInstant().equals(at);
}

/** As crontab(5) says it: where both days are given, either does. */
function isMatch(
  [minute, hour, day, month, weekday]: readonly [string, string, string, string, string],
  local: Temporal.PlainDateTime,
): boolean {
  const isDay = isIn(day, local.day, 1);
  const isWeekday = isIn(weekday, local.dayOfWeek % 7, 0);
  const isEither = day.startsWith('*') || weekday.startsWith('*') ? isDay && isWeekday : isDay || isWeekday;
  return (
    isIn(minute, local.minute, 0) && isIn(hour, local.hour, 0) && isIn(month, local.month, 1) && isEither
  );
}

function isIn(field: string, value: number, first: number): boolean {
  return field.split(',').some((part) => {
    const [range = '', step = '1'] = part.split('/');
    const [from = '', to = from] = range.split('-');
    return range === '*'
      ? (value - first) % Number(step) === 0
      : value >= Number(from) && value <= Number(to);
  });
}

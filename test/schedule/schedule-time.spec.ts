import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidInputError, type TimeCandidate } from '../../src/platform/errors/domain-error.ts';
import { formatInstant } from '../../src/platform/clock/clock.ts';
import { formatDuration, parseScheduleTime } from '../../src/schedule/schedule-time.ts';
import { systemZoneRules } from '../../src/schedule/zone-rules.ts';

const EARLIEST_MS = 100_000_000_000;
const LATEST_MS = 253_402_300_799_999;
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The words of the one fault that `input` is refused with. */
function refusalOf(input: unknown): string {
  try {
    parseScheduleTime(input, '/schedule_on');
  } catch (error) {
    if (error instanceof InvalidInputError && error.faults.length === 1) {
      return error.faults[0]?.detail ?? '';
    }
    throw error;
  }
  throw new Error('It was accepted.');
}

function candidatesOf(input: unknown): readonly TimeCandidate[] {
  try {
    parseScheduleTime(input, '/schedule_on');
  } catch (error) {
    if (error instanceof InvalidInputError) {
      return error.faults.flatMap(({ candidates }) => candidates ?? []);
    }
    throw error;
  }
  throw new Error('It was accepted.');
}

/** What a refusal says to send instead. */
function choicesIn(detail: string): readonly string[] {
  return /Send (.+)$/.exec(detail)?.[1]?.split(' or ') ?? [];
}

function readIn(input: unknown): string {
  return formatInstant(parseScheduleTime(input, '/schedule_on'));
}

/** What is read, or where and why not. */
function outcomeOf(input: unknown): string {
  try {
    return readIn(input);
  } catch (error) {
    if (error instanceof InvalidInputError) {
      return error.message;
    }
    throw error;
  }
}

/** What is read, or what the choices of the refusal are read as. */
function readingsOf(text: string): readonly string[] {
  const outcome = outcomeOf(text);
  return outcome.startsWith('/') ? choicesIn(outcome).map(readIn) : [outcome];
}

/** Every moment at which clocks in the zone show `local`, found by trying each offset that the zone has about then. */
function momentsShowing(local: Temporal.PlainDateTime, timeZone: string): readonly string[] {
  const about = local.toZonedDateTime('UTC');
  const offsets = new Set(
    [-48, -36, -24, -12, 0, 12, 24, 36, 48].map(
      (hours) => about.add({ hours }).withTimeZone(timeZone).offsetNanoseconds,
    ),
  );
  return [...offsets]
    .map((nanoseconds) => about.subtract({ nanoseconds }).toInstant())
    .filter((at) => at.toZonedDateTimeISO(timeZone).toPlainDateTime().equals(local))
    .map(formatInstant);
}

describe('a time as a number', () => {
  it.each([
    [1_649_753_447_000, '2022-04-12T08:50:47.000Z'],
    [1_795_426_200_000, '2026-11-23T09:30:00.000Z'],
    [1_795_426_200_001, '2026-11-23T09:30:00.001Z'],
    [EARLIEST_MS, '1973-03-03T09:46:40.000Z'],
    [LATEST_MS, '9999-12-31T23:59:59.999Z'],
  ])('%d is read as epoch milliseconds', (ms, expected) => {
    expect(readIn(ms)).toBe(expected);
  });

  it.each([
    [1_649_753_447, '1649753447 looks like seconds; send milliseconds: 1649753447000'],
    [1_649_753_447.25, '1649753447.25 looks like seconds; send milliseconds: 1649753447250'],
    [100_000_000, '100000000 looks like seconds; send milliseconds: 100000000000'],
    [EARLIEST_MS - 1, '99999999999 looks like seconds; send milliseconds: 99999999999000'],
    [1_795_426_200_000.5, 'send whole milliseconds: 1795426200000'],
    [-1, 'negative'],
    [-1_649_753_447_000, 'negative'],
    [0, 'too early'],
    [-0, 'too early'],
    [99_999_999, 'too early'],
    [LATEST_MS + 1, 'too late'],
    [1e21, 'too late'],
    [Number.NaN, 'NaN is not a time'],
    [Number.POSITIVE_INFINITY, 'Infinity is not a time'],
  ])('%d is refused: %s', (ms, words) => {
    expect(refusalOf(ms)).toContain(words);
  });

  it('that was sent in seconds is accepted once it is sent as the refusal says', () => {
    const detail = refusalOf(1_649_753_447);

    const advised = Number(/milliseconds: (\d+)$/.exec(detail)?.[1]);

    expect(readIn(advised)).toBe('2022-04-12T08:50:47.000Z');
  });
});

describe('a time as text', () => {
  it.each([
    ['2027-03-28T09:00:00Z', '2027-03-28T09:00:00.000Z'],
    ['2027-03-28T09:00Z', '2027-03-28T09:00:00.000Z'],
    ['2027-03-28t09:00:00z', '2027-03-28T09:00:00.000Z'],
    ['2027-03-28T09:00:00.5Z', '2027-03-28T09:00:00.500Z'],
    ['2027-03-28T09:00:00.123Z', '2027-03-28T09:00:00.123Z'],
    ['2027-03-28T09:00:00.123000000000Z', '2027-03-28T09:00:00.123Z'],
    ['2027-03-28T09:00+02:00', '2027-03-28T07:00:00.000Z'],
    ['2027-03-28T09:00:00-09:30', '2027-03-28T18:30:00.000Z'],
    ['2027-03-28T09:00-00:00', '2027-03-28T09:00:00.000Z'],
    ['2028-02-29T23:59:59.999Z', '2028-02-29T23:59:59.999Z'],
    ['2000-02-29T00:00Z', '2000-02-29T00:00:00.000Z'],
    ['2026-12-31T23:59:59-05:00', '2027-01-01T04:59:59.000Z'],
    ['2027-01-01T00:00+14:00', '2026-12-31T10:00:00.000Z'],
    ['1973-03-03T09:46:40Z', '1973-03-03T09:46:40.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('%s is read as RFC 3339', (text, expected) => {
    expect(readIn(text)).toBe(expected);
  });

  it.each([
    ['2027-03-28T09:00[Europe/Paris]', '2027-03-28T07:00:00.000Z'],
    ['2027-03-27T09:00[Europe/Paris]', '2027-03-27T08:00:00.000Z'],
    ['2027-03-28T09:00+02:00[Europe/Paris]', '2027-03-28T07:00:00.000Z'],
    ['2027-03-28T09:00[!Europe/Paris]', '2027-03-28T07:00:00.000Z'],
    ['2027-03-28T09:00[europe/paris]', '2027-03-28T07:00:00.000Z'],
    ['2027-03-28T09:00Z[Europe/Paris]', '2027-03-28T09:00:00.000Z'],
    ['2027-03-28T09:00-00:00[Europe/Paris]', '2027-03-28T09:00:00.000Z'],
    ['2027-07-01T09:00[America/New_York]', '2027-07-01T13:00:00.000Z'],
    ['2027-07-01T09:00[America/Argentina/Rio_Gallegos]', '2027-07-01T12:00:00.000Z'],
    ['2027-01-01T09:00[Australia/Lord_Howe]', '2026-12-31T22:00:00.000Z'],
    ['2027-07-01T09:00[Australia/Lord_Howe]', '2027-06-30T22:30:00.000Z'],
    ['2027-07-01T09:00[Asia/Kathmandu]', '2027-07-01T03:15:00.000Z'],
    ['2028-02-29T00:00[Africa/Cairo]', '2028-02-28T22:00:00.000Z'],
    ['2026-12-31T23:59:59.999[America/Sao_Paulo]', '2027-01-01T02:59:59.999Z'],
    ['2027-03-28T09:00[UTC]', '2027-03-28T09:00:00.000Z'],
    ['2027-03-28T09:00[utc]', '2027-03-28T09:00:00.000Z'],
    ['2027-03-28T09:00[Etc/GMT+5]', '2027-03-28T14:00:00.000Z'],
    ['2027-03-28T09:00[+02:00]', '2027-03-28T07:00:00.000Z'],
    ['2027-03-28T02:30[-05:30]', '2027-03-28T08:00:00.000Z'],
  ])('%s is read in its zone', (text, expected) => {
    expect(readIn(text)).toBe(expected);
  });

  it.each([
    ['1649753447000', 'as a number, without quotation marks: 1649753447000'],
    ['20270328', 'as a number'],
    ['2027-03-28', 'add the time of day and a zone: 2027-03-28T09:00[Europe/Paris]'],
    ['2027-03-28[Europe/Paris]', 'add the time of day'],
    ['2027-03-28T09:00', '2027-03-28T09:00[Europe/Paris], 2027-03-28T09:00+01:00, 2027-03-28T09:00Z'],
    ['2027-03-28T09:00:60Z', 'leap second'],
    ['2016-12-31T23:59:60Z', 'leap second'],
    ['2027-03-28T23:59:60.5[Europe/Paris]', 'leap second'],
    ['2027-03-28T09:00:61Z', 'from 00:00 to 23:59:59.999'],
    ['2027-03-28T24:00Z', 'from 00:00 to 23:59:59.999'],
    ['2027-03-28T09:60Z', 'from 00:00 to 23:59:59.999'],
    ['2027-03-28T09:00:00.1234Z', 'at most three decimals: 09:00:00.123'],
    ['2027-03-28T09:00:00.000000001[Europe/Paris]', 'at most three decimals: 09:00:00.000'],
    ['2027-02-29T09:00Z', 'There is no 2027-02-29'],
    ['2100-02-29T09:00[Europe/Paris]', 'There is no 2100-02-29'],
    ['2027-04-31T09:00Z', 'There is no 2027-04-31'],
    ['2027-13-01T09:00Z', 'There is no 2027-13-01'],
    ['2027-00-01T09:00Z', 'There is no 2027-00-01'],
    ['+002027-03-28T09:00Z', 'four digits and no sign'],
    ['-000001-03-28T09:00Z', 'four digits and no sign'],
    ['10000-01-01T00:00Z', 'from 1973 to 9999'],
    ['0001-01-01T00:00[Europe/Paris]', 'too early'],
    ['1972-12-31T23:59:59Z', 'too early'],
    ['1973-03-03T09:46:39.999Z', 'too early'],
    ['9999-12-31T23:59-00:01', 'too late'],
    ['9999-12-31T23:59[America/New_York]', 'too late'],
    ['2027-03-28T09:00[u-ca=gregory]', 'ISO calendar'],
    ['2027-03-28T09:00[Europe/Paris][u-ca=hebrew]', 'ISO calendar'],
    ['2027-03-28T09:00Z[!u-ca=iso8601]', 'ISO calendar'],
    ['', 'RFC 3339'],
    ['tomorrow', 'RFC 3339'],
    ['2027-03-28 09:00Z', 'RFC 3339'],
    ['2027-03-28T09:00:00,5Z', 'RFC 3339'],
    ['2027-03-28T09:00+0200', 'RFC 3339'],
    ['2027-03-28T09:00+25:00', 'RFC 3339'],
    ['20270328T090000Z', 'RFC 3339'],
    [' 2027-03-28T09:00Z', 'RFC 3339'],
    ['2027-03-28T09:00Z\n', 'RFC 3339'],
    ['2027-03-28T09:00Z\u0000', 'RFC 3339'],
    ['２０２７-03-28T09:00Z', 'RFC 3339'],
    ['NaN', 'RFC 3339'],
    ['2027-03-28T09:00[Europe/Paris][Europe/Paris]', 'RFC 3339'],
    ['9'.repeat(101), 'at most 100 characters'],
  ])('%j is refused: %s', (text, words) => {
    expect(refusalOf(text)).toContain(words);
  });

  it.each(['EST', 'CET', 'GMT', 'PST', 'CEST', 'Japan', 'Z', '2027-03-28T09:00Z'])(
    'a zone is not named %s: the refusal asks for a region and city',
    (zone) => {
      expect(refusalOf(`2027-03-28T09:00[${zone}]`)).toContain(
        `${zone} is not the name of a region and city`,
      );
    },
  );

  it.each(['Mars/Phobos', 'Europe/Pariss', 'Etc/Unknown', 'Europe/..'])(
    'the zone %s is refused as unknown, beside Z too',
    (zone) => {
      expect(refusalOf(`2027-03-28T09:00[${zone}]`)).toContain(`There is no zone ${zone}`);
      expect(refusalOf(`2027-03-28T09:00Z[${zone}]`)).toContain(`There is no zone ${zone}`);
    },
  );
});

describe('a change of the clocks', () => {
  it.each([
    [
      '2027-03-28T02:30[Europe/Paris]',
      '2027-03-28T01:30:00+01:00[Europe/Paris]',
      '2027-03-28T03:30:00+02:00[Europe/Paris]',
    ],
    [
      '2027-03-28T02:30+01:00[Europe/Paris]',
      '2027-03-28T01:30:00+01:00[Europe/Paris]',
      '2027-03-28T03:30:00+02:00[Europe/Paris]',
    ],
    [
      '2027-03-14T02:00[America/New_York]',
      '2027-03-14T01:00:00-05:00[America/New_York]',
      '2027-03-14T03:00:00-04:00[America/New_York]',
    ],
    [
      '2027-04-30T00:00[Africa/Cairo]',
      '2027-04-29T23:00:00+02:00[Africa/Cairo]',
      '2027-04-30T01:00:00+03:00[Africa/Cairo]',
    ],
    [
      '2027-10-03T02:15[Australia/Lord_Howe]',
      '2027-10-03T01:45:00+10:30[Australia/Lord_Howe]',
      '2027-10-03T02:45:00+11:00[Australia/Lord_Howe]',
    ],
    [
      '2011-12-30T09:00[Pacific/Apia]',
      '2011-12-29T09:00:00-10:00[Pacific/Apia]',
      '2011-12-31T09:00:00+14:00[Pacific/Apia]',
    ],
    [
      '2018-11-04T00:30[America/Sao_Paulo]',
      '2018-11-03T23:30:00-03:00[America/Sao_Paulo]',
      '2018-11-04T01:30:00-02:00[America/Sao_Paulo]',
    ],
  ])('%s is skipped by it, and refused with the times on either side', (text, earlier, later) => {
    const detail = refusalOf(text);

    expect(detail).toContain('does not exist');
    expect(choicesIn(detail)).toEqual([earlier, later]);
  });

  it.each([
    [
      '2027-10-31T02:30[Europe/Paris]',
      '2027-10-31T02:30:00+02:00[Europe/Paris]',
      '2027-10-31T02:30:00+01:00[Europe/Paris]',
    ],
    [
      '2027-11-07T01:30[America/New_York]',
      '2027-11-07T01:30:00-04:00[America/New_York]',
      '2027-11-07T01:30:00-05:00[America/New_York]',
    ],
    [
      '2027-10-28T23:30[Africa/Cairo]',
      '2027-10-28T23:30:00+03:00[Africa/Cairo]',
      '2027-10-28T23:30:00+02:00[Africa/Cairo]',
    ],
    [
      '2027-04-04T01:45[Australia/Lord_Howe]',
      '2027-04-04T01:45:00+11:00[Australia/Lord_Howe]',
      '2027-04-04T01:45:00+10:30[Australia/Lord_Howe]',
    ],
    [
      '2018-02-17T23:30[America/Sao_Paulo]',
      '2018-02-17T23:30:00-02:00[America/Sao_Paulo]',
      '2018-02-17T23:30:00-03:00[America/Sao_Paulo]',
    ],
  ])('%s is repeated by it, and refused with both', (text, first, second) => {
    const detail = refusalOf(text);

    expect(detail).toContain('exists twice');
    expect(choicesIn(detail)).toEqual([first, second]);
  });

  it.each([
    ['2027-03-28T01:59:59.999[Europe/Paris]', '2027-03-28T00:59:59.999Z'],
    ['2027-03-28T03:00[Europe/Paris]', '2027-03-28T01:00:00.000Z'],
    ['2027-10-31T01:59:59.999[Europe/Paris]', '2027-10-30T23:59:59.999Z'],
    ['2027-10-31T03:00[Europe/Paris]', '2027-10-31T02:00:00.000Z'],
    ['2027-10-03T02:30[Australia/Lord_Howe]', '2027-10-02T15:30:00.000Z'],
    ['2011-12-29T23:59:59.999[Pacific/Apia]', '2011-12-30T09:59:59.999Z'],
    ['2011-12-31T00:00[Pacific/Apia]', '2011-12-30T10:00:00.000Z'],
    ['2027-11-04T00:30[America/Sao_Paulo]', '2027-11-04T03:30:00.000Z'],
  ])('%s lies just outside of one, and is read', (text, expected) => {
    expect(readIn(text)).toBe(expected);
  });

  it('is no obstacle when the offset says which of the two is meant', () => {
    expect(readIn('2027-10-31T02:30+02:00[Europe/Paris]')).toBe('2027-10-31T00:30:00.000Z');
    expect(readIn('2027-10-31T02:30+01:00[Europe/Paris]')).toBe('2027-10-31T01:30:00.000Z');
  });

  it.each([
    ['2027-03-28T09:00+01:00[Europe/Paris]', ['2027-03-28T09:00:00+02:00[Europe/Paris]']],
    ['2027-03-28T09:00+02:00[UTC]', ['2027-03-28T09:00:00+00:00[UTC]']],
    ['2027-03-28T09:00+02:00[+01:00]', ['2027-03-28T09:00:00+01:00[+01:00]']],
    [
      '2027-10-31T02:30+05:00[Europe/Paris]',
      ['2027-10-31T02:30:00+02:00[Europe/Paris]', '2027-10-31T02:30:00+01:00[Europe/Paris]'],
    ],
  ])('%s has an offset that its zone has not, and is refused with what would fit', (text, fitting) => {
    const detail = refusalOf(text);

    expect(detail).toContain('does not fit');
    expect(choicesIn(detail)).toEqual(fitting);
  });

  it('is never guessed: near one in any zone, what exists once is read, and anything else gets two choices that are', () => {
    const zone = fc.constantFrom(...Intl.supportedValuesOf('timeZone'));
    const since = fc.integer({ min: Date.UTC(1974), max: Date.UTC(2030) });
    const quarters = fc.integer({ min: -16, max: 16 });

    fc.assert(
      fc.property(zone, since, quarters, (timeZone, sinceMs, quarterCount) => {
        const start = Temporal.Instant.fromEpochMilliseconds(sinceMs).toZonedDateTimeISO(timeZone);
        const change = start.getTimeZoneTransition('next') ?? start;
        const local = change
          .toPlainDateTime()
          .round('minute')
          .add({ minutes: 15 * quarterCount });
        const meant = momentsShowing(local, timeZone);

        const read = readingsOf(`${local.toString({ smallestUnit: 'minute' })}[${timeZone}]`);

        expect(new Set(read).size).toBe(meant.length === 1 ? 1 : 2);
        expect(read).toEqual(expect.arrayContaining([...meant]));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('what is neither number nor text', () => {
  it.each([
    [null, 'not null'],
    [undefined, 'not undefined'],
    [true, 'not boolean'],
    [[1_649_753_447_000], 'not array'],
    [1_649_753_447_000n, 'not bigint'],
  ])('%s is refused, and told what a time may be', (input, words) => {
    const detail = refusalOf(input);

    expect(detail).toContain(words);
    expect(detail).toContain('RFC 3339');
  });
});

describe('a local time as an object', () => {
  it.each([
    [{ local: '2027-03-28T09:00', time_zone: 'Europe/Paris' }, '2027-03-28T07:00:00.000Z'],
    [{ local: '2027-03-28T02:30', time_zone: 'Europe/Paris', dst: 'earlier' }, '2027-03-28T00:30:00.000Z'],
    [{ local: '2027-03-28T02:30', time_zone: 'Europe/Paris', dst: 'later' }, '2027-03-28T01:30:00.000Z'],
    [{ local: '2027-10-31T02:30', time_zone: 'Europe/Paris', dst: 'earlier' }, '2027-10-31T00:30:00.000Z'],
    [{ local: '2027-10-31T02:30', time_zone: 'Europe/Paris', dst: 'later' }, '2027-10-31T01:30:00.000Z'],
    [{ local: '2027-07-01T09:00', time_zone: 'Europe/Paris', dst: 'later' }, '2027-07-01T07:00:00.000Z'],
    [{ local: '2027-07-01T09:00', time_zone: '+05:45', dst: null }, '2027-07-01T03:15:00.000Z'],
    [{ local: '2027-04-30T00:00', time_zone: 'Africa/Cairo', dst: 'later' }, '2027-04-29T22:00:00.000Z'],
    [{ local: '2027-03-28T01:30', time_zone: 'Antarctica/Troll', dst: 'later' }, '2027-03-28T01:30:00.000Z'],
  ])('%j is read in its zone', (input, expected) => {
    expect(readIn(input)).toBe(expected);
  });

  it('that the clocks skip or repeat is refused with candidates, each of which is read as it says', () => {
    for (const local of ['2027-03-28T02:30', '2027-10-31T02:30']) {
      const candidates = candidatesOf({ local, time_zone: 'Europe/Paris' });

      expect(candidates.map(({ dst }) => dst)).toEqual(['earlier', 'later']);
      for (const { time, at, dst } of candidates) {
        expect(readIn(time)).toBe(at);
        expect(readIn({ local, time_zone: 'Europe/Paris', dst })).toBe(at);
      }
    }
  });
});

describe('the moment after a gap', () => {
  it.each([
    ['2027-03-28T02:30', 'Europe/Paris', '2027-03-28T03:00:00+02:00[Europe/Paris]'],
    ['2027-03-28T02:00', 'Europe/Paris', '2027-03-28T03:00:00+02:00[Europe/Paris]'],
    ['2027-03-14T02:59:59', 'America/New_York', '2027-03-14T03:00:00-04:00[America/New_York]'],
    ['2027-04-30T00:00', 'Africa/Cairo', '2027-04-30T01:00:00+03:00[Africa/Cairo]'],
    ['2027-10-03T02:15', 'Australia/Lord_Howe', '2027-10-03T02:30:00+11:00[Australia/Lord_Howe]'],
    ['2011-12-30T09:00', 'Pacific/Apia', '2011-12-31T00:00:00+14:00[Pacific/Apia]'],
    ['2018-11-04T00:00', 'America/Sao_Paulo', '2018-11-04T01:00:00-02:00[America/Sao_Paulo]'],
    ['2027-03-28T01:30', 'Antarctica/Troll', '2027-03-28T03:00:00+02:00[Antarctica/Troll]'],
  ])('at %s in %s is %s', (local, timeZone, expected) => {
    const placement = systemZoneRules.place(Temporal.PlainDateTime.from(local), timeZone);

    expect(placement.kind).toBe('never');
    expect(placement.kind === 'never' && placement.resumes.toZonedDateTimeISO(timeZone).toString()).toBe(
      expected,
    );
  });
});

describe('any input at all', () => {
  it('is read as an instant that can be shown, or refused at the place where it stands', () => {
    const anything = fc.oneof(
      fc.anything({ withBigInt: true, withNullPrototype: true }),
      fc.double(),
      fc.string({ unit: 'binary' }),
      fc.stringMatching(
        /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?(\[[A-Z]\w*\/\w+\])?$/,
      ),
    );

    fc.assert(
      fc.property(anything, (input) => {
        const read = outcomeOf(input);

        expect(read).toMatch(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|\/schedule_on.*: .+)$/s);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe('formatInstant', () => {
  it.each([
    ['2026-11-23T14:10:00Z', '2026-11-23T14:10:00.000Z'],
    ['2026-11-23T15:10:00.1+01:00', '2026-11-23T14:10:00.100Z'],
    ['2026-12-31T23:59:59.999999999Z', '2026-12-31T23:59:59.999Z'],
  ])('shows %s as %s', (at, expected) => {
    expect(formatInstant(Temporal.Instant.from(at))).toBe(expected);
  });

  it('shows any instant so that it is read back as itself, as text and as a number', () => {
    fc.assert(
      fc.property(fc.integer({ min: EARLIEST_MS, max: LATEST_MS }), (ms) => {
        const at = Temporal.Instant.fromEpochMilliseconds(ms);

        const fromText = parseScheduleTime(formatInstant(at), '/schedule_on');
        const fromNumber = parseScheduleTime(at.epochMilliseconds, '/schedule_on');

        expect(fromText.equals(at)).toBe(true);
        expect(fromNumber.equals(at)).toBe(true);
      }),
    );
  });
});

describe('formatDuration', () => {
  it.each([
    [-1, 'less than a second'],
    [0, 'less than a second'],
    [SECOND_MS - 1, 'less than a second'],
    [SECOND_MS, '1 second'],
    [MINUTE_MS - 1, '59 seconds'],
    [MINUTE_MS + SECOND_MS, '1 minute 1 second'],
    [90 * MINUTE_MS, '1 hour 30 minutes'],
    [HOUR_MS + 59 * SECOND_MS, '1 hour'],
    [26 * HOUR_MS, '26 hours'],
    [26 * HOUR_MS + 5 * MINUTE_MS, '26 hours 5 minutes'],
    [2 * DAY_MS - 1, '47 hours 59 minutes'],
    [2 * DAY_MS, '2 days'],
    [3 * DAY_MS + 2 * HOUR_MS, '3 days 2 hours'],
    [365 * DAY_MS, '365 days'],
    [366 * DAY_MS, '1 year'],
    [367 * DAY_MS, '1 year 1 day'],
  ])('says of %d ms: %s', (ms, words) => {
    expect(formatDuration(ms)).toBe(words);
  });

  it('counts the years as a calendar does', () => {
    const due = Temporal.Instant.from('2022-04-12T08:50:47Z');
    const now = Temporal.Instant.from('2026-11-23T14:10:00Z');

    const words = formatDuration(now.epochMilliseconds - due.epochMilliseconds);

    expect(words).toBe('4 years 225 days');
  });

  it('never overstates, and has at most two units, whatever the duration', () => {
    const unitMs = new Map([
      ['second', SECOND_MS],
      ['minute', MINUTE_MS],
      ['hour', HOUR_MS],
      ['day', DAY_MS],
      ['year', 365.2425 * DAY_MS],
    ]);

    fc.assert(
      fc.property(fc.integer({ min: SECOND_MS, max: LATEST_MS }), (ms) => {
        const parts = [...formatDuration(ms).matchAll(/(\d+) ([a-z]+?)s?(?: |$)/g)];
        const sizes = parts.map(([, count, name]) => ({
          count: Number(count),
          ms: unitMs.get(name ?? '') ?? Number.NaN,
        }));
        const statedMs = sizes.reduce((sum, { count, ms: each }) => sum + count * each, 0);
        const smallestMs = Math.min(...sizes.map((size) => size.ms));

        expect(parts.length).toBeGreaterThanOrEqual(1);
        expect(parts.length).toBeLessThanOrEqual(2);
        expect(statedMs).toBeLessThanOrEqual(ms);
        expect(ms - statedMs).toBeLessThan(smallestMs);
      }),
    );
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  openFrom,
  openingAt,
  parseSendWindow,
  WEEKDAYS,
  windowFields,
  zoneOfWindow,
} from '../../src/groups/send-window.ts';

const WORKDAYS = ['mo', 'tu', 'we', 'th', 'fr'];

describe('openFrom', () => {
  it.each([
    // Within it, before it, at its start and at its end, which is not included.
    [{ from: '08:00', to: '20:00' }, 'Europe/Paris', '2026-11-23T12:00:00Z', '2026-11-23T12:00:00Z'],
    [{ from: '08:00', to: '20:00' }, 'Europe/Paris', '2026-11-23T06:59:59.999Z', '2026-11-23T07:00:00Z'],
    [{ from: '08:00', to: '20:00' }, 'Europe/Paris', '2026-11-23T07:00:00Z', '2026-11-23T07:00:00Z'],
    [{ from: '08:00', to: '20:00' }, 'Europe/Paris', '2026-11-23T18:59:59.999Z', '2026-11-23T18:59:59.999Z'],
    [{ from: '08:00', to: '20:00' }, 'Europe/Paris', '2026-11-23T19:00:00Z', '2026-11-24T07:00:00Z'],
    // 2026-11-27 is a Friday.
    [{ from: '08:00', to: '20:00', days: WORKDAYS }, 'UTC', '2026-11-27T20:00:00Z', '2026-11-30T08:00:00Z'],
    [{ from: '08:00', to: '20:00', days: ['su'] }, 'UTC', '2026-11-29T20:00:00Z', '2026-12-06T08:00:00Z'],
    // Over midnight: what begins on Friday goes on until Saturday morning.
    [{ from: '22:00', to: '06:00', days: ['fr'] }, 'UTC', '2026-11-28T05:59:00Z', '2026-11-28T05:59:00Z'],
    [{ from: '22:00', to: '06:00', days: ['fr'] }, 'UTC', '2026-11-28T06:00:00Z', '2026-12-04T22:00:00Z'],
    [{ from: '22:00', to: '06:00', days: ['fr'] }, 'UTC', '2026-11-27T05:00:00Z', '2026-11-27T22:00:00Z'],
    [{ from: '08:00', to: '00:00' }, 'UTC', '2026-12-31T23:59:59Z', '2026-12-31T23:59:59Z'],
    [{ from: '08:00', to: '00:00' }, 'UTC', '2027-01-01T00:00:00Z', '2027-01-01T08:00:00Z'],
    // A start in a gap is the first instant after it; one that comes twice the first of both.
    [{ from: '02:30', to: '20:00' }, 'Europe/Paris', '2027-03-28T00:00:00Z', '2027-03-28T01:00:00Z'],
    [{ from: '00:00', to: '09:00' }, 'Africa/Cairo', '2027-04-29T20:00:00Z', '2027-04-29T22:00:00Z'],
    [{ from: '02:30', to: '20:00' }, 'Europe/Paris', '2027-10-30T23:00:00Z', '2027-10-31T00:30:00Z'],
    // A window that a gap swallows, or whose day is not there, opens the next time.
    [{ from: '02:00', to: '02:45' }, 'Europe/Paris', '2027-03-28T00:00:00Z', '2027-03-29T00:00:00Z'],
    [{ from: '08:00', to: '20:00' }, 'Pacific/Apia', '2011-12-30T06:00:00Z', '2011-12-30T18:00:00Z'],
    [
      { from: '08:00', to: '20:00', days: ['fr'] },
      'Pacific/Apia',
      '2011-12-29T10:00:00Z',
      '2012-01-05T18:00:00Z',
    ],
    // Half an hour, and a day that is there every four years.
    [{ from: '02:15', to: '09:00' }, 'Australia/Lord_Howe', '2026-10-03T15:00:00Z', '2026-10-03T15:30:00Z'],
    [{ from: '08:00', to: '20:00' }, '+05:45', '2028-02-28T20:00:00Z', '2028-02-29T02:15:00Z'],
  ])('%j in %s: what is not to go before %s may go from %s on', (fields, zone, at, from) => {
    const window = parseSendWindow(fields, '');

    expect(openFrom(window, zone, Temporal.Instant.from(at))).toEqual(Temporal.Instant.from(from));
  });

  it('is within an opening, whatever window, zone and moment; none that was open before is passed over', () => {
    const aTime = fc
      .record({ hour: fc.integer({ min: 0, max: 23 }), minute: fc.constantFrom(0, 15, 30, 59) })
      .map(({ hour, minute }) => Temporal.PlainTime.from({ hour, minute }));
    fc.assert(
      fc.property(
        fc.record({
          from: aTime,
          to: aTime,
          days: fc.subarray([...WEEKDAYS], { minLength: 1 }),
          zone: fc.constant('group' as const),
        }),
        fc.constantFrom(
          'Europe/Paris',
          'Africa/Cairo',
          'Pacific/Apia',
          'Australia/Lord_Howe',
          'America/Sao_Paulo',
        ),
        fc.integer({ min: Date.UTC(2011, 0), max: Date.UTC(2030, 0) }),
        (window, zone, ms) => {
          fc.pre(!window.from.equals(window.to));
          const at = Temporal.Instant.fromEpochMilliseconds(ms);

          const from = openFrom(window, zone, at);

          const opening = openingAt(window, zone, at);
          expect(Temporal.Instant.compare(from, at)).toBeGreaterThanOrEqual(0);
          expect(Temporal.Instant.compare(opening.start, from)).toBeLessThanOrEqual(0);
          expect(Temporal.Instant.compare(from, opening.end)).toBe(-1);
          expect(openFrom(window, zone, from)).toEqual(from);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('zoneOfWindow', () => {
  it.each([
    ['group', 'Europe/Paris', 'Asia/Tokyo', 'Europe/Paris'],
    ['group', undefined, 'Asia/Tokyo', 'UTC'],
    ['subscriber', 'Europe/Paris', 'Asia/Tokyo', 'Asia/Tokyo'],
    ['subscriber', 'Europe/Paris', undefined, 'Europe/Paris'],
    ['subscriber', undefined, undefined, 'UTC'],
  ] as const)('of %s, group %s, subscriber %s, is %s', (zone, groupZone, subscriberZone, expected) => {
    expect(zoneOfWindow({ zone }, groupZone, subscriberZone)).toBe(expected);
  });
});

describe('parseSendWindow', () => {
  it('has every day, and the clock of the group, where nothing else is said', () => {
    const window = parseSendWindow({ from: '08:00', to: '20:00' }, '');

    expect(windowFields(window)).toEqual({ from: '08:00', to: '20:00', days: WEEKDAYS, zone: 'group' });
  });

  it('puts the days in the order of the week', () => {
    const window = parseSendWindow({ from: '08:00', to: '20:00', days: ['fr', 'mo'] }, '');

    expect(window.days).toEqual(['mo', 'fr']);
  });

  it('tells every fault at once', () => {
    expect(() => parseSendWindow({ from: '8', days: [], zone: 'Mars', extra: 1 }, '/send_window')).toThrow(
      expect.objectContaining({
        faults: [
          expect.objectContaining({ pointer: '/send_window/from' }),
          expect.objectContaining({ pointer: '/send_window/to' }),
          expect.objectContaining({ pointer: '/send_window/days' }),
          expect.objectContaining({ pointer: '/send_window/zone' }),
          expect.objectContaining({ pointer: '/send_window/extra' }),
        ],
      }),
    );
  });
});

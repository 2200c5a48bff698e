import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstKnownZone, resolveLocal } from '../../src/groups/zone-time.ts';

describe('resolveLocal', () => {
  it.each([
    // Clocks are set forward: 02:00 to 03:00 in Paris, midnight to 01:00 in Cairo, 02:00 to 02:30 on Lord Howe, 01:00 to 03:00 in Troll.
    ['2027-03-28T02:30', 'Europe/Paris', 'gap', '2027-03-28T01:00:00Z'],
    ['2027-03-28T02:00', 'Europe/Paris', 'gap', '2027-03-28T01:00:00Z'],
    ['2027-03-28T03:00', 'Europe/Paris', undefined, '2027-03-28T01:00:00Z'],
    ['2027-03-14T02:30', 'America/New_York', 'gap', '2027-03-14T07:00:00Z'],
    ['2027-04-30T00:00', 'Africa/Cairo', 'gap', '2027-04-29T22:00:00Z'],
    ['2027-04-30T00:59:59', 'Africa/Cairo', 'gap', '2027-04-29T22:00:00Z'],
    ['2026-10-04T02:10', 'Australia/Lord_Howe', 'gap', '2026-10-03T15:30:00Z'],
    ['2027-03-28T02:59', 'Antarctica/Troll', 'gap', '2027-03-28T01:00:00Z'],
    ['2018-11-04T00:00', 'America/Sao_Paulo', 'gap', '2018-11-04T03:00:00Z'],
    // A day that was not.
    ['2011-12-30T09:00', 'Pacific/Apia', 'gap', '2011-12-30T10:00:00Z'],
    // Clocks are set back: the first of both.
    ['2027-10-31T02:30', 'Europe/Paris', 'overlap', '2027-10-31T00:30:00Z'],
    ['2027-11-07T01:30', 'America/New_York', 'overlap', '2027-11-07T05:30:00Z'],
    ['2026-04-05T01:45', 'Australia/Lord_Howe', 'overlap', '2026-04-04T14:45:00Z'],
    ['2018-02-17T23:30', 'America/Sao_Paulo', 'overlap', '2018-02-18T01:30:00Z'],
    ['2027-10-31T01:30', 'Antarctica/Troll', 'overlap', '2027-10-30T23:30:00Z'],
    // Neither.
    ['2027-03-28T09:00', 'Asia/Kathmandu', undefined, '2027-03-28T03:15:00Z'],
    ['2028-02-29T09:00', '+05:30', undefined, '2028-02-29T03:30:00Z'],
    ['2027-01-01T00:00', 'Pacific/Kiritimati', undefined, '2026-12-31T10:00:00Z'],
    ['2026-12-31T23:59:59', 'Etc/GMT+12', undefined, '2027-01-01T11:59:59Z'],
    ['2019-11-03T00:00', 'America/Sao_Paulo', undefined, '2019-11-03T03:00:00Z'],
  ])('%s in %s (%s) is %s', (local, zone, bend, at) => {
    const resolved = resolveLocal(Temporal.PlainDateTime.from(local), zone);

    expect(resolved).toEqual({ at: Temporal.Instant.from(at), bend });
  });

  it('never names an instant at which clocks show an earlier time, and a later one in gaps only', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Intl.supportedValuesOf('timeZone')),
        fc.integer({ min: 0, max: 60 * 366 * 24 * 2 }),
        (zone, halfHours) => {
          const local = Temporal.PlainDateTime.from('1990-01-01T00:00').add({ minutes: 30 * halfHours });

          const { at, bend } = resolveLocal(local, zone);

          const shown = at.toZonedDateTimeISO(zone).toPlainDateTime();
          const shownBefore = at.subtract({ milliseconds: 1 }).toZonedDateTimeISO(zone).toPlainDateTime();
          expect(Temporal.PlainDateTime.compare(shown, local)).toBe(bend === 'gap' ? 1 : 0);
          // In a gap it is the first instant after it: a moment before, clocks showed a time before the gap.
          expect(bend === 'gap' && Temporal.PlainDateTime.compare(shownBefore, local) >= 0).toBe(false);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('firstKnownZone', () => {
  it.each([
    [['Asia/Tokyo', 'Europe/Paris'], 'Asia/Tokyo'],
    [[undefined, 'europe/PARIS'], 'Europe/Paris'],
    [['Mars/Olympus', 'Europe/Paris'], 'Europe/Paris'],
    [['Mars/Olympus'], 'UTC'],
    [[], 'UTC'],
  ])('of %j is %s', (zones, name) => {
    expect(firstKnownZone(...zones)).toBe(name);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type DuePartition,
  duePartition,
  firstHourNotEmpty,
  hourOf,
  isCoveredBy,
  isSettled,
  nameOf,
  oldestUnsettledHour,
  parseName,
  partitionsToAsk,
  SHARDS,
  shardsOf,
  soonest,
  startOf,
} from '../../../src/engines/aws/due-index.ts';
import { HOUR_MS, MINUTE_MS, plusMs, SECOND_MS } from '../../../src/platform/clock/clock.ts';
import type { Waking } from '../../../src/schedule/message-store.ts';
import { newMessageKey } from '../../../src/schedule/message.ts';
import { aGroupName, aMessage, anInstant } from '../../support/builders.ts';

const SKEW_MS = 5 * SECOND_MS;

const moments = fc
  .integer({
    min: anInstant('2020-01-01T00:00:00Z').epochMilliseconds,
    max: anInstant('2040-01-01T00:00:00Z').epochMilliseconds,
  })
  .map((milliseconds) => Temporal.Instant.fromEpochMilliseconds(milliseconds));
const moves = fc.integer({ min: -3 * HOUR_MS, max: 3 * HOUR_MS });
const skews = fc.integer({ min: -SKEW_MS, max: SKEW_MS });

function hourAt(text: string): number {
  return hourOf(anInstant(text));
}

function hoursAsked(oldest: string, until: string, now: string): readonly string[] {
  const day = '2026-11-23T';
  const asked = partitionsToAsk(
    hourAt(`${day}${oldest}Z`),
    anInstant(`${day}${until}Z`),
    anInstant(`${day}${now}Z`),
  );
  return [...new Set(asked.map(({ hour }) => startOf(hour).toString().slice(11, 13)))];
}

function aWaking(wakeAt: Temporal.Instant, key = newMessageKey()): Waking {
  return { kind: 'message', group: aGroupName(), key, wakeAt };
}

describe('the name of a partition', () => {
  it.each([
    ['2026-11-23T14:10:00Z', '2026_11_23_14#2'],
    ['2026-01-02T03:59:59.999Z', '2026_1_2_3#2'],
    ['2026-12-31T23:59:59.999Z', '2026_12_31_23#2'],
    ['2027-01-01T00:00:00Z', '2027_1_1_0#2'],
    ['2028-02-29T12:00:00Z', '2028_2_29_12#2'],
    ['1969-07-20T20:17:40Z', '1969_7_20_20#2'],
    ['9999-12-31T23:59:59Z', '9999_12_31_23#2'],
    ['2026-03-29T02:30:00+02:00', '2026_3_29_0#2'],
  ])('for %s is %s', (text, expected) => {
    const partition = { hour: hourAt(text), shard: 2 };

    expect(nameOf(partition)).toBe(expected);
    expect(parseName(expected)).toEqual(partition);
  });

  it('is read back as the partition that it was made of, and no two partitions share one', () => {
    fc.assert(
      fc.property(moments, moments, fc.nat(SHARDS - 1), fc.nat(SHARDS - 1), (a, b, shardA, shardB) => {
        const one = { hour: hourOf(a), shard: shardA };
        const other = { hour: hourOf(b), shard: shardB };

        expect(parseName(nameOf(one))).toEqual(one);
        expect(nameOf(one) === nameOf(other)).toBe(one.hour === other.hour && one.shard === other.shard);
      }),
    );
  });

  it.each([
    '',
    '2026_11_23_14',
    '2026_11_23#1',
    '2026_13_1_0#1',
    '2026_2_30_0#1',
    '2026_1_1_24#0',
    'a_b_c_d#e',
  ])('is not %j', (name) => {
    expect(() => parseName(name)).toThrow(Error);
  });
});

describe('duePartition', () => {
  const key = newMessageKey();

  it.each([
    ['in the hour of a wake that is to come', '16:00:00', '14:10:00', '16:00:00'],
    ['in the hour of a wake later in this hour', '14:59:59.999', '14:10:00', '14:00:00'],
    ['in this hour where the wake was before', '14:05:00', '14:10:00', '14:00:00'],
    ['in this hour where the wake was in another', '03:00:00', '14:10:00', '14:00:00'],
    ['in the next hour at the very moment at which it begins', '15:00:00', '14:59:59.999', '15:00:00'],
  ])('is %s', (_, wake, now, hour) => {
    const day = '2026-11-23T';

    const partition = duePartition(key, anInstant(`${day}${wake}Z`), anInstant(`${day}${now}Z`));

    expect(partition.hour).toBe(hourAt(`${day}${hour}Z`));
  });

  it('leaves a message in its shard, whenever it wakes', () => {
    fc.assert(
      fc.property(moments, moments, moments, (wakeAt, another, now) => {
        expect(duePartition(key, wakeAt, now).shard).toBe(duePartition(key, another, now).shard);
      }),
    );
  });

  it('spreads messages over the shards', () => {
    const counts = Array.from({ length: SHARDS }, () => 0);
    for (let made = 0; made < 4_000; made += 1) {
      const { shard } = duePartition(newMessageKey(), anInstant(), anInstant());
      counts[shard] = (counts[shard] ?? 0) + 1;
    }

    for (const count of counts) {
      expect(count).toBeGreaterThan(4_000 / SHARDS / 1.3);
      expect(count).toBeLessThan((4_000 / SHARDS) * 1.3);
    }
  });

  it('is never in an hour that is settled on any clock, so what was found empty then stays empty', () => {
    fc.assert(
      fc.property(moments, moves, skews, skews, (trueNow, untilWakeMs, writerSkewMs, scannerSkewMs) => {
        const wakeAt = plusMs(trueNow, untilWakeMs);

        const { hour } = duePartition(key, wakeAt, plusMs(trueNow, writerSkewMs));

        expect(isSettled(hour, plusMs(trueNow, scannerSkewMs))).toBe(false);
      }),
    );
  });

  it('is asked by every scanner for whom the wake has come, whatever the two clocks say', () => {
    fc.assert(
      fc.property(
        moments,
        moves,
        skews,
        fc.nat(3 * HOUR_MS),
        fc.nat(SECOND_MS * 10),
        (writtenAt, untilWakeMs, scannerSkewMs, laterMs, lookAheadMs) => {
          const wakeAt = plusMs(writtenAt, untilWakeMs);
          const partition = duePartition(key, wakeAt, writtenAt);
          const scannedAt = plusMs(writtenAt, laterMs + Math.min(scannerSkewMs, 0));
          const until = plusMs(scannedAt, lookAheadMs);
          fc.pre(Temporal.Instant.compare(wakeAt, until) <= 0);

          const asked = partitionsToAsk(oldestUnsettledHour(writtenAt), until, scannedAt);

          expect(asked).toContainEqual(partition);
        },
      ),
    );
  });

  it('holds nothing that wakes after its end', () => {
    fc.assert(
      fc.property(moments, moves, (now, untilWakeMs) => {
        const wakeAt = plusMs(now, untilWakeMs);

        const { hour } = duePartition(key, wakeAt, now);

        expect(Temporal.Instant.compare(wakeAt, startOf(hour + 1))).toBe(-1);
        expect(isCoveredBy(hour, startOf(hour + 1))).toBe(true);
        expect(isCoveredBy(hour, plusMs(startOf(hour + 1), -1))).toBe(false);
      }),
    );
  });
});

describe('partitionsToAsk', () => {
  it.each([
    ['this hour', '14:00:00', '14:10:05', '14:10:00', ['14']],
    [
      'the next hour too, where the look ahead reaches into it',
      '14:00:00',
      '15:00:00',
      '14:59:55',
      ['14', '15'],
    ],
    [
      'the next hour too, where it has begun on a clock that is ahead',
      '14:00:00',
      '14:59:55',
      '14:59:55',
      ['14', '15'],
    ],
    ['every hour since the mark', '11:00:00', '14:10:00', '14:10:00', ['11', '12', '13', '14']],
    [
      'this hour, where what woke before is written, even for a moment in the past',
      '13:00:00',
      '09:00:00',
      '14:10:00',
      ['13', '14'],
    ],
    ['nothing before the mark', '14:00:00', '10:00:00', '10:00:00', []],
  ])('asks %s', (_, oldest, until, now, expected) => {
    expect(hoursAsked(oldest, until, now)).toEqual(expected);
  });

  it('asks every shard of every hour once, the oldest first', () => {
    const asked = partitionsToAsk(hourAt('2026-11-23T13:00:00Z'), anInstant(), anInstant());

    expect(asked.map(nameOf)).toEqual([
      ...Array.from({ length: SHARDS }, (_, shard) => `2026_11_23_13#${shard}`),
      ...Array.from({ length: SHARDS }, (_, shard) => `2026_11_23_14#${shard}`),
    ]);
  });

  it('spans an outage of a year', () => {
    const now = anInstant();

    const asked = partitionsToAsk(hourOf(plusMs(now, -365 * 24 * HOUR_MS)), now, now);

    expect(asked).toHaveLength((365 * 24 + 1) * SHARDS);
  });
});

describe('isSettled', () => {
  it.each([
    ['while it lasts', '14:59:59.999', false],
    ['when it ends', '15:00:00', false],
    ['while the index may lag', '15:14:59.999', false],
    ['a quarter of an hour after its end', '15:15:00', true],
    ['long after', '23:00:00', true],
  ])('is, %s, %s: %s', (_, now, expected) => {
    expect(isSettled(hourAt('2026-11-23T14:00:00Z'), anInstant(`2026-11-23T${now}Z`))).toBe(expected);
  });

  it('is true of the hour before the oldest that is not', () => {
    fc.assert(
      fc.property(moments, (now) => {
        const oldest = oldestUnsettledHour(now);

        expect(isSettled(oldest, now)).toBe(false);
        expect(isSettled(oldest - 1, now)).toBe(true);
      }),
    );
  });
});

describe('firstHourNotEmpty', () => {
  const first = hourAt('2026-11-23T14:00:00Z');

  it.each([
    ['stays where nothing is known', [], 0],
    ['stays where a shard may hold something', shardsOf(first).slice(1), 0],
    ['goes behind an hour that is empty in all its shards', shardsOf(first), 1],
    ['stops at the first hour that is not', [...shardsOf(first), ...shardsOf(first + 2)], 1],
    ['goes behind all that are', [...shardsOf(first), ...shardsOf(first + 1)], 2],
  ])('%s', (_, empty: readonly DuePartition[], expected) => {
    const names = new Set(empty.map(nameOf));

    expect(firstHourNotEmpty(first, (partition) => names.has(nameOf(partition)))).toBe(first + expected);
  });
});

describe('soonest', () => {
  it('gives the first in order of wake, each message once', () => {
    const wakes = fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { maxLength: 30 });
    const keys = Array.from({ length: 6 }, () => newMessageKey());

    fc.assert(
      fc.property(wakes, fc.integer({ min: 1, max: 10 }), (pairs, limit) => {
        const found = pairs.map(([message, minute]) =>
          aWaking(plusMs(anInstant(), minute * MINUTE_MS), keys[message]),
        );

        const first = soonest(found, limit);

        const distinct = new Set(found.map(({ key }) => key));
        expect(first).toHaveLength(Math.min(limit, distinct.size));
        expect(new Set(first.map(({ key }) => key)).size).toBe(first.length);
        const times = first.map(({ wakeAt }) => wakeAt.epochMilliseconds);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        const last = times.at(-1) ?? 0;
        for (const { key, wakeAt } of found) {
          expect(first.some((one) => one.key === key) || wakeAt.epochMilliseconds >= last).toBe(true);
        }
      }),
    );
  });

  it('takes the earlier of two places where a message is seen while it moves', () => {
    const { key } = aMessage();

    const [seen, ...rest] = soonest([aWaking(plusMs(anInstant(), 1), key), aWaking(anInstant(), key)], 10);

    expect(seen?.wakeAt).toEqual(anInstant());
    expect(rest).toEqual([]);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BATCH_SIZE, cutRanges } from '../../src/delivery/batch.ts';
import type { Member } from '../../src/groups/subscriber-store.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { addresses, aKey, anInstant } from '../support/builders.ts';

function members(joinedAfterMs: readonly number[]): readonly Member[] {
  const emails = addresses(joinedAfterMs.length);
  return joinedAfterMs.map((ms, index) => ({
    key: aKey(emails[index]),
    joinedAtMs: anInstant().epochMilliseconds + ms,
  }));
}

describe('cutRanges', () => {
  it.each([
    ['nobody', 0, []],
    ['one subscriber', 1, [1]],
    ['a batch that is just full', 50, [50]],
    ['one more than fits', 51, [50, 1]],
    ['two full batches', 100, [50, 50]],
  ])('cuts %s (%d) into batches of %j', (_, count, expected) => {
    const ranges = cutRanges(members(Array.from({ length: count }, () => 0)), BATCH_SIZE);

    expect(ranges.map((range) => range.count)).toEqual(expected);
  });

  it('says of each range whom it reaches from and to, and when the last of them joined', () => {
    const ranges = cutRanges(members([5, 9, 7, 1]), 3);

    expect(ranges).toEqual([
      {
        first: aKey('s00000@example.com'),
        last: aKey('s00002@example.com'),
        count: 3,
        lastJoinedAt: plusMs(anInstant(), 9),
      },
      {
        first: aKey('s00003@example.com'),
        last: aKey('s00003@example.com'),
        count: 1,
        lastJoinedAt: plusMs(anInstant(), 1),
      },
    ]);
  });

  it('puts everybody into exactly one contiguous range of bounded size, whatever the group and the size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 1_000 }), { maxLength: 300 }),
        fc.integer({ min: 1, max: 60 }),
        (joined, size) => {
          const group = members(joined);

          const ranges = cutRanges(group, size);

          const inRanges = ranges.map((range) =>
            group.filter(({ key }) => key >= range.first && key <= range.last),
          );
          expect(inRanges.flat()).toEqual(group); // nobody lost, nobody twice, in order
          expect(ranges.map(({ count }) => count)).toEqual(inRanges.map((range) => range.length));
          expect(Math.max(0, ...ranges.map(({ count }) => count))).toBeLessThanOrEqual(size);
          expect(ranges).toHaveLength(Math.ceil(group.length / size)); // no more batches than needed
        },
      ),
    );
  });

  it('lets nobody be in a range who joined after the moment that it names', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 1_000 }), { maxLength: 100 }),
        fc.integer({ min: 1, max: 60 }),
        (joined, size) => {
          const group = members(joined);

          for (const { first, last, lastJoinedAt } of cutRanges(group, size)) {
            const joins = group
              .filter(({ key }) => key >= first && key <= last)
              .map(({ joinedAtMs }) => joinedAtMs);
            expect(lastJoinedAt.epochMilliseconds).toBe(Math.max(...joins));
          }
        },
      ),
    );
  });
});

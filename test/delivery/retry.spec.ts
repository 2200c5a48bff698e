import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryDelayMs } from '../../src/delivery/retry.ts';

const LOWEST = 0;
const HIGHEST = 1 - Number.EPSILON / 2; // the largest number below 1

describe('retryDelayMs', () => {
  it.each([
    [1, 30_000],
    [2, 60_000],
    [3, 120_000],
    [4, 240_000],
    [5, 480_000],
    [6, 960_000],
    [7, 1_920_000],
    [8, 3_600_000],
    [9, 3_600_000],
    [2_000, 3_600_000],
  ])('after attempt %d waits between 1 s and %d ms', (attempt, ceilingMs) => {
    const shortest = retryDelayMs(attempt, () => LOWEST);
    const longest = retryDelayMs(attempt, () => HIGHEST);

    expect(shortest).toBe(1_000);
    expect(longest).toBe(ceilingMs - 1);
  });

  it('waits half an hour on average once the hour is reached', () => {
    expect(retryDelayMs(8, () => 0.5)).toBe(1_800_500);
  });

  it('waits a whole number of milliseconds from 1 s to 1 h, after any attempt', () => {
    const random = fc.double({ min: 0, max: HIGHEST, noNaN: true });

    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), random, (attempt, drawn) => {
        const delayMs = retryDelayMs(attempt, () => drawn);

        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(1_000);
        expect(delayMs).toBeLessThanOrEqual(3_600_000);
      }),
    );
  });

  it('spreads those that were deferred together over the whole range', () => {
    const drawn = [0, 0.25, 0.5, 0.75];

    const delaysMs = drawn.map((number) => retryDelayMs(1, () => number));

    expect(delaysMs).toEqual([1_000, 8_250, 15_500, 22_750]);
  });
});

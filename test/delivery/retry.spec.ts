import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchRetryDelayMs, retryDelayMs, type Wait } from '../../src/delivery/retry.ts';

const BASE_MS = 30_000;
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
    const shortest = retryDelayMs(attempt, BASE_MS, () => LOWEST);
    const longest = retryDelayMs(attempt, BASE_MS, () => HIGHEST);

    expect(shortest).toBe(1_000);
    expect(longest).toBe(ceilingMs - 1);
  });

  it.each([
    [1_000, [1_000, 1_500, 2_500]],
    [900_000, [450_500, 900_500, 1_800_500]],
    [3_600_000, [1_800_500, 1_800_500, 1_800_500]],
  ])('doubles its ceiling from a base of %d ms', (baseMs, middlesMs) => {
    const delaysMs = [1, 2, 3].map((attempt) => retryDelayMs(attempt, baseMs, () => 0.5));

    expect(delaysMs).toEqual(middlesMs);
  });

  it('waits half an hour on average once the hour is reached', () => {
    expect(retryDelayMs(8, BASE_MS, () => 0.5)).toBe(1_800_500);
  });

  it('waits a whole number of milliseconds from 1 s to 1 h, after any attempt', () => {
    const random = fc.double({ min: 0, max: HIGHEST, noNaN: true });

    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), random, (attempt, drawn) => {
        const delayMs = retryDelayMs(attempt, BASE_MS, () => drawn);

        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(1_000);
        expect(delayMs).toBeLessThanOrEqual(3_600_000);
      }),
    );
  });

  it('spreads those that were deferred together over the whole range', () => {
    const drawn = [0, 0.25, 0.5, 0.75];

    const delaysMs = drawn.map((number) => retryDelayMs(1, BASE_MS, () => number));

    expect(delaysMs).toEqual([1_000, 8_250, 15_500, 22_750]);
  });
});

describe('batchRetryDelayMs', () => {
  const reason = 'no';
  const throttled: Wait = { result: { kind: 'throttled', reason }, attempt: 0 };
  const deferred: Wait = { result: { kind: 'deferred', reason }, attempt: 2 };
  const unknown: Wait = { result: { kind: 'unknown', reason }, attempt: 3 };

  it.each<[string, readonly Wait[], number, number]>([
    ['what was throttled one to four seconds', [throttled, throttled], 1_000, 3_999],
    ['what was deferred as its attempt says', [deferred], 1_000, 59_999],
    ['what is in doubt likewise', [unknown], 1_000, 119_999],
    ['all of them for whoever must wait longest', [throttled, deferred, unknown], 1_000, 119_999],
    [
      'as long as the provider says',
      [{ ...throttled, result: { kind: 'throttled', reason, retryAfterMs: 9_000 } }],
      9_000,
      9_000,
    ],
    [
      'as long as it says of a deferred one too',
      [{ ...deferred, result: { kind: 'deferred', reason, retryAfterMs: 5_000 } }],
      5_000,
      5_000,
    ],
    [
      'never less than a second',
      [{ ...throttled, result: { kind: 'throttled', reason, retryAfterMs: 0 } }],
      1_000,
      1_000,
    ],
    [
      'never more than an hour',
      [{ ...deferred, result: { kind: 'deferred', reason, retryAfterMs: 1e9 } }],
      3_600_000,
      3_600_000,
    ],
  ])('waits %s', (_what, waits, shortestMs, longestMs) => {
    const shortest = batchRetryDelayMs(waits, BASE_MS, () => LOWEST);
    const longest = batchRetryDelayMs(waits, BASE_MS, () => HIGHEST);

    expect([shortest, longest]).toEqual([shortestMs, longestMs]);
  });

  it('draws once for all of a batch: the longest of fifty draws would always be near the ceiling', () => {
    const drawn = [0.25, 0.9];

    const delayMs = batchRetryDelayMs([throttled, throttled], BASE_MS, () => drawn.shift() ?? 1);

    expect(delayMs).toBe(1_750);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Chunk,
  leaseChunk,
  lower,
  type Pace,
  type Quota,
  rateAt,
  withQuota,
} from '../../../src/delivery/rate/pace.ts';
import { HOUR_MS, MINUTE_MS, msBetween, plusMs } from '../../../src/platform/clock/clock.ts';
import { anInstant } from '../../support/builders.ts';

const NOW = anInstant();

/** Asks at each of these moments (milliseconds from now, in order), and keeps what it is given. */
function chunksAt(limit: number, askedMs: readonly number[], pace?: Pace): readonly Chunk[] {
  const chunks: Chunk[] = [];
  for (const ms of askedMs) {
    const leased = leaseChunk(pace, { limit, now: plusMs(NOW, ms) });
    ({ pace } = leased);
    if (leased.lease.kind === 'chunk') {
      chunks.push(leased.lease.chunk);
    }
  }
  return chunks;
}

function aQuota(quota: Partial<Quota> = {}): Quota {
  return { rate: 14, left: undefined, readAt: NOW, ...quota };
}

describe('permits to send', () => {
  it.each([
    [14, 7, 500],
    [500, 250, 500],
    [15, 7, 467],
    [1, 1, 1_000],
    [0.1, 1, 10_000],
  ])('at %d mails a second come %d at a time, of %d ms', (limit, count, takesMs) => {
    const [first, second] = chunksAt(limit, [0, 0]);

    expect(first).toMatchObject({ count, from: NOW });
    expect(second).toMatchObject({ count, from: plusMs(NOW, takesMs) });
  });

  it('are void when their time is over: an idle hour earns no burst', () => {
    const chunks = chunksAt(14, [0, HOUR_MS, HOUR_MS]);

    expect(chunks.map(({ from }) => msBetween(NOW, from))).toEqual([0, HOUR_MS, HOUR_MS + 500]);
    expect(chunks[0]?.until).toEqual(plusMs(NOW, 500));
  });

  it('never go faster than the rate, whoever asks when', () => {
    const waits = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 });

    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1_000, noNaN: true }), waits, (limit, waitsMs) => {
        let ms = 0;
        const chunks = chunksAt(
          limit,
          waitsMs.map((waitMs) => (ms += waitMs)),
        );

        for (const [index, { from }] of chunks.entries()) {
          const before = chunks.slice(0, index);
          const withinMs = 1_000;
          const sent = before
            .filter((chunk) => msBetween(chunk.from, from) < withinMs)
            .reduce((sum, { count }) => sum + count, 0);
          // A second's worth, and at most one chunk that began just before.
          expect(sent).toBeLessThanOrEqual(limit * (withinMs / 1_000) + Math.max(1, limit / 2));
        }
        const total = chunks.reduce((sum, { count }) => sum + count, 0);
        const last = chunks.at(-1);
        const spanMs = last ? msBetween(chunks[0]?.from ?? NOW, last.from) : 0;
        expect(total - (last?.count ?? 0)).toBeLessThanOrEqual((limit * spanMs) / 1_000 + 1e-6);
      }),
    );
  });

  it('are all given out while there is demand: not a second is lost', () => {
    const askedMs = Array.from({ length: 1_000 }, (_, index) => index * 100);

    const chunks = chunksAt(14, askedMs);

    const inTime = chunks.filter(({ from }) => msBetween(NOW, from) < 100_000);
    expect(inTime.reduce((sum, { count }) => sum + count, 0)).toBe(1_400);
  });

  it('are not given out for later than five seconds ahead, but one at a time however slow the rate', () => {
    const many = chunksAt(
      14,
      Array.from({ length: 50 }, () => 0),
    );
    const slow = leaseChunk(leaseChunk(undefined, { limit: 0.1, now: NOW }).pace, { limit: 0.1, now: NOW });
    const slower = leaseChunk(slow.pace, { limit: 0.1, now: NOW });

    expect(many).toHaveLength(11);
    expect(many.at(-1)?.from).toEqual(plusMs(NOW, 5_000));
    expect(slow.lease).toMatchObject({ kind: 'chunk', chunk: { from: plusMs(NOW, 10_000) } });
    expect(slower.lease).toEqual({ kind: 'wait', until: plusMs(NOW, 10_000) });
  });

  it('are not held up for hours by somebody whose clock was wrong', () => {
    const wrong = leaseChunk(undefined, { limit: 14, now: plusMs(NOW, 24 * HOUR_MS) });

    const { lease } = leaseChunk(wrong.pace, { limit: 14, now: NOW });

    expect(lease).toMatchObject({ kind: 'chunk', chunk: { from: NOW } });
  });
});

describe('a rate that the provider finds too fast', () => {
  it('is halved at once, with a pause of a second', () => {
    const pace = lower(undefined, 14, NOW);

    expect(rateAt(pace, 14, NOW)).toBe(7);
    expect(leaseChunk(pace, { limit: 14, now: NOW }).lease).toMatchObject({
      chunk: { count: 3, from: plusMs(NOW, 1_000) },
    });
  });

  it('is halved once for all who were turned away at the same time', () => {
    const once = lower(undefined, 14, NOW);

    const twice = lower(once, 14, plusMs(NOW, 1_999));
    const later = lower(once, 14, plusMs(NOW, 2_000));

    expect(twice).toEqual(once);
    expect(rateAt(later, 14, plusMs(NOW, 2_000))).toBeCloseTo(3.5, 1);
  });

  it('rises slowly, and is what it was after four minutes', () => {
    const pace = lower(undefined, 14, NOW);

    const ratesAt = [1, 2, 4, 60].map((minutes) => rateAt(pace, 14, plusMs(NOW, minutes * MINUTE_MS)));

    expect(ratesAt).toEqual([8.75, 10.5, 14, 14]);
  });

  it('never falls to nothing', () => {
    let pace: Pace | undefined;
    for (let second = 0; second < 60; second += 2) {
      pace = lower(pace, 14, plusMs(NOW, second * 1_000));
    }

    expect(rateAt(pace, 14, plusMs(NOW, 58_000))).toBe(0.875);
  });
});

describe('the quota of 24 hours', () => {
  it('is used up by what is given out, and by no more', () => {
    const pace = withQuota(undefined, aQuota({ left: 10 }));

    const chunks = chunksAt(14, [0, 0, 0], pace);

    expect(chunks.map(({ count }) => count)).toEqual([7, 3]);
    expect(leaseChunk(withQuota(undefined, aQuota({ left: 0 })), { limit: 14, now: NOW }).lease).toEqual({
      kind: 'used-up',
    });
  });

  it('is what the provider says, whenever it is asked again', () => {
    const used = leaseChunk(withQuota(undefined, aQuota({ left: 7 })), { limit: 14, now: NOW });

    const asked = withQuota(used.pace, aQuota({ left: 100 }));

    expect(used.pace.quota?.left).toBe(0);
    expect(asked).toEqual({ ...used.pace, quota: aQuota({ left: 100 }) });
  });

  it('is no limit any more once it could not be read again for half an hour', () => {
    const pace = withQuota(undefined, aQuota({ left: 0 }));

    const leases = [30 * MINUTE_MS, 30 * MINUTE_MS + 1].map(
      (ms) => leaseChunk(pace, { limit: 14, now: plusMs(NOW, ms) }).lease.kind,
    );

    expect(leases).toEqual(['used-up', 'chunk']);
  });

  it('is no limit where the provider has none', () => {
    const chunks = chunksAt(14, [0, 0, 0], withQuota(undefined, aQuota()));

    expect(chunks.map(({ count }) => count)).toEqual([7, 7, 7]);
  });
});

import type { SendQuota } from '../channels/channel.ts';
import { later, MINUTE_MS, msBetween, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';

/*
 * How fast mails may go under one limit, decided without any I/O. Permits to send are cut off a line of time, one chunk after the other:
 * a chunk of n at a rate of r takes n / r seconds of it, so that all who take chunks keep to the rate together. What was not taken
 * in time is gone: an idle hour earns no burst.
 */

/** What is known of a limit; shared by all workers. */
export interface Pace {
  /** Where the line has got to. */
  readonly nextAt: Temporal.Instant;
  /** Absent where nobody wanted it slower, or where it has long been forgotten. */
  readonly lowered: { readonly rate: number; readonly at: Temporal.Instant } | undefined;
  /** What the provider allows; absent where it was not asked, or does not say. */
  readonly quota: Quota | undefined;
}

/** What the provider said; permits that were given out since are off what is left. */
export interface Quota extends SendQuota {
  readonly readAt: Temporal.Instant;
}

/** Permits to send: so many mails, from one moment on and before another. */
export interface Chunk {
  readonly count: number;
  readonly from: Temporal.Instant;
  /** What is not used by then is void. */
  readonly until: Temporal.Instant;
}

/** What comes of asking for permits. */
export type Lease =
  | { readonly kind: 'chunk'; readonly chunk: Chunk }
  /** Others have the line for so long ahead that it is better asked again then. */
  | { readonly kind: 'wait'; readonly until: Temporal.Instant }
  /** Nothing more may go within the 24 hours. */
  | { readonly kind: 'used-up' };

// Half a second's worth: a provider that counts by the second takes it at one stroke, though the one before came late; and one that is
// lost with its worker costs half a second. A worker asks the store twice a second at most, whatever the rate.
const CHUNK_MS = SECOND_MS / 2;

// Chunks for later than this are not given out: whoever has them may be gone by then, and a rate that is lowered meanwhile comes too late.
const AHEAD_MAX_MS = 5 * SECOND_MS;

// No line is that far ahead, unless a clock was wrong that has moved it.
const NONSENSE_MS = 10 * MINUTE_MS;

// At once to the half, and back to the whole within four minutes: additive increase, multiplicative decrease
// (D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance", 1989).
const LOWER_FACTOR = 0.5;
const RAISE_FULLY_MS = 8 * MINUTE_MS;
// Whatever a provider does, it is asked now and then whether it takes more.
const LOWEST_SHARE = 1 / 16;
// Those who are turned away at the same time say so at the same time; it is one reason to go slower, not many.
const LOWER_EVERY_MS = 2 * SECOND_MS;
// Limits are per second: after a second there is room again.
const PAUSE_MS = SECOND_MS;

// Several times as long as it takes until it is read again.
const QUOTA_GOOD_MS = 30 * MINUTE_MS;

/** Mails per second that go now. */
export function rateAt(pace: Pace | undefined, limit: number, now: Temporal.Instant): number {
  if (!pace?.lowered) {
    return limit;
  }
  const { rate, at } = pace.lowered;
  const raised = rate + (limit * Math.max(0, msBetween(at, now))) / RAISE_FULLY_MS;
  return Math.min(limit, Math.max(limit * LOWEST_SHARE, raised));
}

/** Cuts the next chunk off the line. */
export function leaseChunk(
  pace: Pace | undefined,
  { limit, now }: { readonly limit: number; readonly now: Temporal.Instant },
): { readonly pace: Pace; readonly lease: Lease } {
  const { nextAt, ...known } = sane(pace, now);
  const left = leftOf(known.quota, now);
  if (left < 1) {
    return { pace: { nextAt, ...known }, lease: { kind: 'used-up' } };
  }
  const rate = rateAt(pace, limit, now);
  const count = Math.min(left, Math.max(1, Math.floor((rate * CHUNK_MS) / SECOND_MS)));
  const takesMs = Math.ceil((count / rate) * SECOND_MS); // rounded so that it is never faster than the rate
  const from = later(nextAt, now);
  const aheadMs = Math.max(AHEAD_MAX_MS, takesMs);
  if (msBetween(now, from) > aheadMs) {
    return { pace: { nextAt, ...known }, lease: { kind: 'wait', until: plusMs(from, -aheadMs) } };
  }
  return {
    pace: { ...known, nextAt: plusMs(from, takesMs), quota: lessened(known.quota, count) },
    lease: { kind: 'chunk', chunk: { count, from, until: plusMs(from, Math.max(takesMs, CHUNK_MS)) } },
  };
}

/** The provider wants it slower. A second call within two seconds changes nothing. */
export function lower(pace: Pace | undefined, limit: number, now: Temporal.Instant): Pace {
  const known = sane(pace, now);
  if (known.lowered && msBetween(known.lowered.at, now) < LOWER_EVERY_MS) {
    return known;
  }
  const rate = Math.max(limit * LOWEST_SHARE, rateAt(pace, limit, now) * LOWER_FACTOR);
  return { ...known, lowered: { rate, at: now }, nextAt: later(known.nextAt, plusMs(now, PAUSE_MS)) };
}

/** With what the provider has just said. */
export function withQuota(pace: Pace | undefined, quota: Quota): Pace {
  return { nextAt: quota.readAt, lowered: undefined, ...pace, quota };
}

function sane(pace: Pace | undefined, now: Temporal.Instant): Pace {
  if (!pace) {
    return { nextAt: now, lowered: undefined, quota: undefined };
  }
  return msBetween(now, pace.nextAt) > NONSENSE_MS ? { ...pace, nextAt: now } : pace;
}

/** A quota that could not be read again for long says nothing any more: those 24 hours have moved on. */
function leftOf(quota: Quota | undefined, now: Temporal.Instant): number {
  return quota?.left === undefined || msBetween(quota.readAt, now) > QUOTA_GOOD_MS
    ? Number.POSITIVE_INFINITY
    : quota.left;
}

function lessened(quota: Quota | undefined, count: number): Quota | undefined {
  return quota?.left === undefined ? quota : { ...quota, left: Math.max(0, quota.left - count) };
}

import { HOUR_MS, SECOND_MS } from '../platform/clock/clock.ts';
import type { SendResult } from './channels/channel.ts';

// RFC 5321, 4.5.4.1: retry intervals SHOULD be at least 30 minutes, shorter ones where the reason is known. With full jitter
// a ceiling of an hour gives 30 minutes on average, from the eighth attempt on.
const CAP_MS = HOUR_MS;

// Never at once: a server that has just said "later" would say it again.
const FLOOR_MS = SECOND_MS;

// Limits of rate are per second (SES Developer Guide, Managing your sending limits), so the next second has room again; spread over a
// few of them, batches that were turned away together do not return together.
const THROTTLED_MIN_MS = SECOND_MS;
const THROTTLED_MAX_MS = 4 * SECOND_MS;

/** Why a delivery is still open after it was handed to the channel. */
export interface Wait {
  readonly result: SendResult;
  /** The attempts that it has had, this one included. */
  readonly attempt: number;
}

/**
 * How long a batch waits for what is still open in it. It has one time for all of them: that of whoever must wait longest, because a delivery
 * that is tried too early only uses up its attempts.
 * @param baseMs as `retryDelayMs` takes it.
 * @param random answers a number from 0 up to but not including 1, as `Math.random` does.
 */
export function batchRetryDelayMs(waits: readonly Wait[], baseMs: number, random: () => number): number {
  const drawn = random(); // once: the longest of many draws would always be near the ceiling
  return Math.max(FLOOR_MS, ...waits.map((wait) => waitMs(wait, baseMs, drawn)));
}

function waitMs({ result, attempt }: Wait, baseMs: number, drawn: number): number {
  const hintMs = 'retryAfterMs' in result ? result.retryAfterMs : undefined;
  if (hintMs !== undefined) {
    return Math.min(CAP_MS, hintMs);
  }
  return result.kind === 'throttled'
    ? Math.floor(THROTTLED_MIN_MS + drawn * (THROTTLED_MAX_MS - THROTTLED_MIN_MS))
    : retryDelayMs(attempt, baseMs, () => drawn);
}

/**
 * How long to wait after attempt number `attempt` (from 1) was deferred: whole milliseconds, drawn evenly between 1 s and a
 * ceiling that doubles from `baseMs` to 1 h. The whole range, "full jitter", because batches that were deferred together would
 * otherwise return together (AWS Architecture Blog, "Exponential Backoff And Jitter").
 * @param baseMs at least 1 s.
 * @param random answers a number from 0 up to but not including 1, as `Math.random` does.
 */
export function retryDelayMs(attempt: number, baseMs: number, random: () => number): number {
  const ceilingMs = Math.min(CAP_MS, baseMs * 2 ** (attempt - 1));
  return Math.floor(FLOOR_MS + random() * (ceilingMs - FLOOR_MS));
}

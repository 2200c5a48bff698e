import { DAY_MS, formatInstant, isReached, msBetween, plusMs } from '../platform/clock/clock.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { earliestWave } from './local-delivery.ts';
import type { Message } from './message.ts';
import { formatDuration } from './schedule-time.ts';

/** What is to become of a message whose time has come, or had passed already when it was scheduled. */
export type Verdict =
  | { readonly kind: 'go' }
  | { readonly kind: 'hold'; readonly reason: string }
  | { readonly kind: 'skip'; readonly reason: string };

/** Status and wake of a message that has not begun, by the same rule. */
export function placeInTime(
  times: Pick<Message, 'dueAt' | 'onMissed' | 'expiresAt' | 'occurrence' | 'localDelivery' | 'time'>,
  now: Temporal.Instant,
  graceMs: number,
): Pick<Message, 'status' | 'reason' | 'wakeAt'> {
  const verdict = judgeLateness(times, now, graceMs);
  switch (verdict.kind) {
    case 'go':
      return { status: 'scheduled', reason: undefined, wakeAt: firstWake(times, now) };
    case 'hold':
      return { status: 'held', reason: verdict.reason, wakeAt: undefined };
    case 'skip':
      return { status: 'skipped', reason: verdict.reason, wakeAt: undefined };
    default:
      return assertNever(verdict);
  }
}

/** Before its first wave, because until then somebody may come whose wave is earlier. */
function firstWake(
  { dueAt, localDelivery, time }: Pick<Message, 'dueAt' | 'localDelivery' | 'time'>,
  now: Temporal.Instant,
): Temporal.Instant {
  if (time) {
    return wakeForRules(dueAt, now);
  }
  const earliest = localDelivery ? earliestWave(localDelivery) : dueAt;
  return isReached(earliest, dueAt) ? earliest : dueAt;
}

// No change of the rules of a zone moves a local time by more, but for one across the date line.
const RULES_AHEAD_MS = DAY_MS;

/**
 * When a message with a local time wakes: a day before it is due, to be resolved by the rules that are known then, and at its time. What is
 * due within two days wakes at its time alone: it was resolved just now.
 */
export function wakeForRules(dueAt: Temporal.Instant, now: Temporal.Instant): Temporal.Instant {
  return isReached(plusMs(now, 2 * RULES_AHEAD_MS), dueAt) ? plusMs(dueAt, -RULES_AHEAD_MS) : dueAt;
}

/**
 * Nothing stale goes out by surprise: what is late by more than the grace follows the message's `onMissed`,
 * and what has expired is never sent. The same rule serves an outage and a time that was in the past from the start.
 */
export function judgeLateness(
  message: Pick<Message, 'dueAt' | 'onMissed' | 'expiresAt' | 'occurrence'>,
  now: Temporal.Instant,
  graceMs: number,
): Verdict {
  if (message.expiresAt && isReached(message.expiresAt, now)) {
    return { kind: 'skip', reason: `It expired at ${formatInstant(message.expiresAt)}, before it was sent.` };
  }
  const followedAt = message.occurrence?.followedAt;
  if (followedAt && isReached(followedAt, now)) {
    return {
      kind: 'skip',
      reason: `It was not sent before the next occurrence of its series, at ${formatInstant(followedAt)}: after an outage only the newest goes.`,
    };
  }
  const lateMs = msBetween(message.dueAt, now);
  if (lateMs <= graceMs) {
    return { kind: 'go' };
  }
  const late = `Its time, ${formatInstant(message.dueAt)}, had passed ${formatDuration(lateMs)} before; the grace is ${formatDuration(graceMs)}.`;
  switch (message.onMissed) {
    case 'hold':
      return { kind: 'hold', reason: late };
    case 'skip':
      return { kind: 'skip', reason: `${late} The message says to skip it then.` };
    case 'send':
      return { kind: 'go' };
    default:
      return assertNever(message.onMissed);
  }
}

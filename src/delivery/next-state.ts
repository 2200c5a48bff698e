import type { Subscriber } from '../groups/subscriber.ts';
import type { Suppression } from '../groups/suppression.ts';
import { formatInstant, isReached } from '../platform/clock/clock.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import type { Message, MessageStatus, OnUnknown } from '../schedule/message.ts';
import type { SendResult } from './channels/channel.ts';
import type { Delivery } from './delivery.ts';

/*
 * What becomes of a delivery, decided without any I/O. `before` is what the ledger has of it, absent at its first attempt.
 */

export interface RetryRules {
  readonly onUnknown: OnUnknown;
  readonly maxAttempts: number;
}

const WORKER_LOST = 'The worker was lost while handing it over.';

/** What is known of a delivery when it is its turn. */
export interface Turn {
  readonly subscriber: Subscriber;
  /** Present where nothing is to be sent to the address, whatever group it is in. */
  readonly suppression: Suppression | undefined;
  readonly before: Delivery | undefined;
  readonly message: Pick<Message, 'expiresAt'>;
  /** Of the message, as the ledger last said. */
  readonly status: MessageStatus;
  readonly now: Temporal.Instant;
}

/** The end of a delivery that is not to be handed to the channel (any more), or `undefined` where it is. */
export function endWithoutSending(turn: Turn): Delivery | undefined {
  const { subscriber, suppression, before, message, status, now } = turn;
  if (status === 'cancelled') {
    return afterSkip(subscriber, before, 'The message was cancelled.', now);
  }
  if (message.expiresAt && isReached(message.expiresAt, now)) {
    const reason = `The message expired at ${formatInstant(message.expiresAt)}.`;
    const skipped = afterSkip(subscriber, before, reason, now);
    // Who was tried and deferred until then was not left out on purpose.
    return skipped.outcome === 'skipped' && skipped.attempt > 0
      ? { ...skipped, outcome: 'failed', reason: `${before?.reason ?? ''} ${reason}`.trim() }
      : skipped;
  }
  if (subscriber.status !== 'active') {
    return afterSkip(subscriber, before, `The subscriber is ${subscriber.status}.`, now);
  }
  return suppression && afterSkip(subscriber, before, suppressionNote(suppression), now);
}

function suppressionNote({ reason, detail, addedAt }: Suppression): string {
  const since = `The address is suppressed (${reason}) since ${formatInstant(addedAt)}`;
  return detail === undefined ? `${since}.` : `${since}: ${detail}`;
}

/** Not handed over on purpose; but who may have got it in an earlier attempt was not skipped. */
export function afterSkip(
  subscriber: Pick<Subscriber, 'key' | 'email'>,
  before: Delivery | undefined,
  reason: string,
  at: Temporal.Instant,
): Delivery {
  return before !== undefined && before.unknownAttempts > 0
    ? {
        ...entry(subscriber, before, at),
        outcome: 'unknown',
        reason: `${before.reason ?? ''} ${reason}`.trim(),
      }
    : { ...entry(subscriber, before, at), outcome: 'skipped', reason };
}

/** Whoever left the group gets nothing more; `wasInFlight` says that they may have got it just before. */
export function afterLeaving(before: Delivery, wasInFlight: boolean, at: Temporal.Instant): Delivery {
  const reason = 'The subscriber has left the group.';
  return wasInFlight
    ? {
        ...entry(before, before, at),
        attempt: before.attempt + 1,
        unknownAttempts: before.unknownAttempts + 1,
        outcome: 'unknown',
        reason: `${WORKER_LOST} ${reason}`,
      }
    : afterSkip(before, before, reason, at);
}

/** The mail could not even be made; trying again would not help. */
export function afterRenderFault(
  subscriber: Subscriber,
  before: Delivery | undefined,
  reason: string,
  at: Temporal.Instant,
): Delivery {
  return { ...entry(subscriber, before, at), outcome: 'failed', reason };
}

/** The worker was lost while this delivery was being handed over. */
export function afterLoss(
  subscriber: Pick<Subscriber, 'key' | 'email'>,
  before: Delivery | undefined,
  rules: RetryRules,
  at: Temporal.Instant,
): Delivery {
  return doubt(subscriber, before, WORKER_LOST, rules, at);
}

/** `refused` is no attempt: the delivery stays as it was. `throttled` is none either, but the record says why it waits. */
export function afterSend(
  subscriber: Subscriber,
  before: Delivery | undefined,
  result: Exclude<SendResult, { kind: 'refused' }>,
  rules: RetryRules,
  at: Temporal.Instant,
): Delivery {
  if (result.kind === 'throttled') {
    return { ...entry(subscriber, before, at), reason: result.reason };
  }
  const attempted = { ...entry(subscriber, before, at), attempt: (before?.attempt ?? 0) + 1 };
  switch (result.kind) {
    case 'accepted':
      return { ...attempted, outcome: 'sent', providerId: result.providerId, reason: doubtNote(before) };
    case 'rejected':
      return { ...attempted, outcome: 'failed', reason: result.reason };
    case 'deferred':
      return !isLastAttempt(attempted.attempt, rules)
        ? { ...attempted, reason: result.reason }
        : {
            ...attempted,
            outcome: attempted.unknownAttempts > 0 ? 'unknown' : 'failed',
            reason: `${result.reason} (attempt ${attempted.attempt} was the last)`,
          };
    case 'unknown':
      return doubt(subscriber, before, result.reason, rules, at);
    default:
      return assertNever(result);
  }
}

function doubt(
  subscriber: Pick<Subscriber, 'key' | 'email'>,
  before: Delivery | undefined,
  reason: string,
  rules: RetryRules,
  at: Temporal.Instant,
): Delivery {
  const attempt = (before?.attempt ?? 0) + 1;
  const isFinal = rules.onUnknown === 'leave' || isLastAttempt(attempt, rules);
  return {
    ...entry(subscriber, before, at),
    attempt,
    unknownAttempts: (before?.unknownAttempts ?? 0) + 1,
    outcome: isFinal ? 'unknown' : undefined,
    reason,
  };
}

/** A delivery that somebody retries goes on counting, and has as many attempts again. */
function isLastAttempt(attempt: number, { maxAttempts }: RetryRules): boolean {
  return attempt % maxAttempts === 0;
}

/** Nothing is sent twice without saying so. */
function doubtNote(before: Delivery | undefined): string | undefined {
  return before !== undefined && before.unknownAttempts > 0
    ? `It may have arrived more than once: an earlier attempt ended unknown. ${before.reason ?? ''}`.trim()
    : undefined;
}

function entry(
  subscriber: Pick<Subscriber, 'key' | 'email'>,
  before: Delivery | undefined,
  at: Temporal.Instant,
): Delivery {
  return {
    key: subscriber.key,
    email: subscriber.email,
    outcome: undefined,
    at,
    attempt: before?.attempt ?? 0,
    unknownAttempts: before?.unknownAttempts ?? 0,
    providerId: undefined,
    reason: undefined,
  };
}

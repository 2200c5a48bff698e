import type { Cut, Reopening, Report } from '../../delivery/delivery-store.ts';
import { isReached } from '../../platform/clock/clock.ts';
import { type Counts, type FeedbackCounts, type Message, setAsideReason } from '../../schedule/message.ts';
import type { SubscriberKey } from '../../groups/subscriber.ts';
import { ItemUpdate } from './item-update.ts';
import {
  broughtForward,
  COUNT_ATTRIBUTES,
  FEEDBACK_ATTRIBUTES,
  LEASE_ATTRIBUTES,
  leaseHeld,
  WAKE_ATTRIBUTES,
  wakeAttributes,
} from './message-item.ts';

/*
 * What delivery writes to the item of its message. DynamoDB knows no minimum and no maximum: what depends on the stored value is
 * decided on `message`, as it was read before, under the condition that it would still be decided so.
 *
 * How much one message bears: its item takes 1,000 writes of 1 KB a second (DynamoDB Developer Guide, "Designing partition keys
 * to distribute your workload"), and a transaction writes twice what it changes: some 250 reports a second for an item of up to
 * 2 KB. Transactions that touch it at the same moment collide, and `transact` tries them again, so count on 100. With 50 deliveries
 * a batch that is 5,000 a second: an account of SES begins at 14 and seldom has more than some hundred.
 */

/** Without it, a change of an item that is not there would make one. */
export const exists = 'attribute_exists(message_key)';

/** `keepsWake` says what the stored wake is like: one that was brought forward for a batch stays as it is. */
export function cutUpdate(cut: Cut, keepsWake: boolean): ItemUpdate {
  const through = cut.batches.at(-1)?.last;
  const update = new ItemUpdate()
    .require(leaseHeld, { ':token': cut.token, ':now': cut.now.epochMilliseconds })
    .set('dispatch_complete', cut.complete)
    .set('lease_until', cut.leaseUntil.epochMilliseconds)
    .add('batches_cut', cut.batches.length)
    .add(
      COUNT_ATTRIBUTES.subscribers,
      cut.batches.reduce((sum, batch) => sum + batch.count, 0),
    );
  requireSending(update);
  if (cut.after === undefined) {
    update.require('attribute_not_exists(dispatched_through)');
  } else {
    update.require('dispatched_through = :after', { ':after': cut.after });
  }
  if (through !== undefined) {
    update.set('dispatched_through', through);
  }
  if (keepsWake) {
    update.require(broughtForward);
  } else {
    update.require(`NOT (${broughtForward})`);
    setWake(update, cut.messageKey, cut.leaseUntil, cut.now);
  }
  return update;
}

/** True where nothing but the wake can have kept `cut` from being written. */
export function allowsCut(message: Message, cut: Cut): boolean {
  const { lease } = message;
  return (
    message.status === 'sending' &&
    lease?.token === cut.token &&
    !isReached(lease.until, cut.now) &&
    message.dispatch.through === cut.after
  );
}

export function isBroughtForward({ wakeAt, lease }: Message): boolean {
  return wakeAt !== undefined && lease !== undefined && Temporal.Instant.compare(wakeAt, lease.until) < 0;
}

/** What a report adds to the counters, and its attempts. Changes nothing where there is nothing in it. */
export function reportUpdate(message: Message, attempts: Report['attempts'], gained: Counts): ItemUpdate {
  const update = new ItemUpdate()
    .add(COUNT_ATTRIBUTES.subscribers, gained.subscribers)
    .add(COUNT_ATTRIBUTES.sent, gained.sent)
    .add(COUNT_ATTRIBUTES.failed, gained.failed)
    .add(COUNT_ATTRIBUTES.skipped, gained.skipped)
    .add(COUNT_ATTRIBUTES.unknown, gained.unknown);
  const { firstAt, lastAt, lastAcceptedAt, lastDueAt } = message.attempts;
  if (attempts && (!firstAt || isBefore(attempts.at, firstAt))) {
    setInstant(update, 'first_attempt_at', '>', attempts.at);
  }
  if (attempts && (!lastAt || isBefore(lastAt, attempts.at))) {
    setInstant(update, 'last_attempt_at', '<', attempts.at);
  }
  if (attempts?.acceptedAt && (!lastAcceptedAt || isBefore(lastAcceptedAt, attempts.acceptedAt))) {
    setInstant(update, 'last_accepted_at', '<', attempts.acceptedAt);
  }
  if (attempts?.dueAt && (!lastDueAt || isBefore(lastDueAt, attempts.dueAt))) {
    setInstant(update, 'last_due_at', '<', attempts.dueAt);
  }
  return update;
}

/** What feedback adds to the counters. */
export function feedbackUpdateOf(
  outcomes: Pick<Counts, 'sent' | 'failed' | 'unknown'>,
  heard: FeedbackCounts,
): ItemUpdate {
  return new ItemUpdate()
    .require(exists)
    .add(COUNT_ATTRIBUTES.sent, outcomes.sent)
    .add(COUNT_ATTRIBUTES.failed, outcomes.failed)
    .add(COUNT_ATTRIBUTES.unknown, outcomes.unknown)
    .add(FEEDBACK_ATTRIBUTES.delivered, heard.delivered)
    .add(FEEDBACK_ATTRIBUTES.bounced, heard.bounced)
    .add(FEEDBACK_ATTRIBUTES.complained, heard.complained);
}

/** A window is handed over only while the message goes on. */
export function requireSending(update: ItemUpdate): void {
  update.require('#status = :sending', { ':sending': 'sending' }, ['status']);
}

/** A message that wakes at all wakes no later than `retryAt`. */
export function addWakeBy(
  update: ItemUpdate,
  message: Message,
  retryAt: Temporal.Instant,
  now: Temporal.Instant,
): void {
  const values = { ':retryAt': retryAt.epochMilliseconds };
  if (message.wakeAt && isBefore(retryAt, message.wakeAt)) {
    update.require('wake_at > :retryAt', values);
    setWake(update, message.key, retryAt, now);
  } else {
    update.require('attribute_not_exists(wake_at) OR wake_at <= :retryAt', values);
  }
}

/** The position moves behind `through`, by whoever holds the message's lease, which is renewed; `undefined`: behind the last batch. */
export function reopenUpdate(
  reopening: Reopening,
  after: SubscriberKey | undefined,
  through: SubscriberKey | undefined,
): ItemUpdate {
  const update = new ItemUpdate()
    .require(leaseHeld, { ':token': reopening.token, ':now': reopening.now.epochMilliseconds })
    .require('attribute_exists(retry_outcomes)')
    .set('lease_until', reopening.leaseUntil.epochMilliseconds);
  if (after === undefined) {
    update.require('attribute_not_exists(retried_through)');
  } else {
    update.require('retried_through = :after', { ':after': after });
  }
  return through === undefined
    ? update.remove('retry_outcomes', 'retried_through')
    : update.set('retried_through', through);
}

/** Ends a message of which nothing is left to do, as it was read; `undefined` for one of which something is. */
export function finishUpdate(message: Message): ItemUpdate | undefined {
  if (!canFinish(message)) {
    return undefined;
  }
  const { status, dispatch } = message;
  const update = new ItemUpdate()
    // DynamoDB's conditions add nothing up, so that all three must be as they were read.
    .require('batches_cut = :cut AND batches_settled = :settled AND batches_set_aside = :aside', {
      ':cut': dispatch.batchesCut,
      ':settled': dispatch.batchesSettled,
      ':aside': dispatch.batchesSetAside,
    })
    .require('attribute_not_exists(retry_outcomes)')
    .require('#status = :status', { ':status': status }, ['status'])
    .remove(...WAKE_ATTRIBUTES, ...LEASE_ATTRIBUTES);
  switch (status) {
    case 'sending':
      update.require('dispatch_complete = :true', { ':true': true }).add('version', 1);
      return dispatch.batchesSetAside === 0
        ? update.set('status', 'sent')
        : update.set('status', 'failed').set('reason', setAsideReason(dispatch.batchesSetAside));
    case 'cancelled':
      return update;
    default:
      return undefined;
  }
}

function canFinish({ status, dispatch, retry, wakeAt }: Message): boolean {
  return (
    !retry &&
    dispatch.batchesSettled + dispatch.batchesSetAside === dispatch.batchesCut &&
    ((status === 'sending' && dispatch.complete) || (status === 'cancelled' && wakeAt !== undefined))
  );
}

/** The new value is further in one direction than the stored one, which the condition demands as well. */
function setInstant(
  update: ItemUpdate,
  attribute: string,
  comparison: '<' | '>',
  at: Temporal.Instant,
): void {
  const value = `:${attribute}`;
  update
    .set(attribute, at.epochMilliseconds)
    .require(`attribute_not_exists(${attribute}) OR ${attribute} ${comparison} ${value}`, {
      [value]: at.epochMilliseconds,
    });
}

function setWake(
  update: ItemUpdate,
  key: Message['key'],
  wakeAt: Temporal.Instant,
  now: Temporal.Instant,
): void {
  for (const [attribute, value] of Object.entries(wakeAttributes(key, wakeAt, now))) {
    update.set(attribute, value);
  }
}

function isBefore(a: Temporal.Instant, b: Temporal.Instant): boolean {
  return Temporal.Instant.compare(a, b) < 0;
}

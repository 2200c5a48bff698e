import { BATCH_SIZE, type Batch, type BatchPointer } from '../../delivery/batch.ts';
import { type Delivery, OUTCOMES } from '../../delivery/delivery.ts';
import { decodeHeard, encodeHeard } from '../../delivery/feedback.ts';
import { isSubscriberEmail, isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { expiresAtEpochSeconds } from './batch-item.ts';
import { branded, instant, integer, type Item, oneOf, optionalInteger, optionalText } from './item.ts';
import { ItemUpdate } from './item-update.ts';
import type { Key } from './read-items.ts';

/*
 * What became of the deliveries of a batch, as an item of the table `deliveries`: an attribute for each delivery, named by the
 * subscriber's key (which has an '@', as no other attribute has), so that a report writes its own without reading the others and
 * a condition keeps it from writing an outcome over another. There is none before the first report.
 *
 * Size: an item holds 400 KB. A delivery has at most 254 bytes of name, 254 of address, 600 of provider id (200 characters),
 * 3,000 of reason, 3,200 of what was heard of it (five kinds, 200 characters each) and some 100 of everything else, so 50 of them have
 * at most 370 KB; they usually have 10 KB, or 20 once everybody's mail server has answered.
 */

// The last stand where a channel or a template says more than anybody reads (SMTP's replies are cut at 500 before).
const REASON_MAX_LENGTH = 1_000;

// Two clauses and three aliases for each: more would not fit into the 4 KB of an expression (DynamoDB Developer Guide, Quotas).
export const RESULTS_PER_WRITE = 2 * BATCH_SIZE;

export const OUTCOMES_PREFIX = 'outcomes#';

export function outcomesKey({ messageKey, first }: Pick<BatchPointer, 'messageKey' | 'first'>): Key {
  return { message_key: messageKey, first_subscriber: `${OUTCOMES_PREFIX}${first}` };
}

/** Writes the deliveries, none of which may have an outcome yet; one for each subscriber. */
export function outcomesUpdate(batch: Batch, deliveries: readonly Delivery[]): ItemUpdate {
  const update = new ItemUpdate().set('expires_at_epoch_seconds', expiresAtEpochSeconds(batch));
  for (const delivery of deliveries) {
    update.set(delivery.key, toAttribute(delivery)).requireAbsent(delivery.key, 'outcome');
  }
  return update;
}

/** Writes a delivery in place of another, which must be there as it was read, `stored`. */
export function feedbackUpdate(delivery: Delivery, stored: unknown): ItemUpdate {
  return new ItemUpdate().set(delivery.key, toAttribute(delivery)).requireEqual(delivery.key, stored);
}

/** Takes their outcomes from these deliveries, all of which must still have them. */
export function reopenOutcomesUpdate(deliveries: readonly Delivery[]): ItemUpdate {
  const update = new ItemUpdate();
  for (const { key, outcome } of deliveries) {
    update.removeEntry(key, 'outcome', outcome);
  }
  return update;
}

/** In order of subscriber. */
export function toDeliveries(item: Item): readonly Delivery[] {
  return Object.keys(item)
    .filter((name) => isSubscriberKey(name))
    .toSorted()
    .flatMap((key) => toDelivery(item, key) ?? []);
}

export function toDelivery(item: Item, key: SubscriberKey): Delivery | undefined {
  const stored = item[key];
  if (typeof stored !== 'object' || stored === null) {
    return undefined;
  }
  const delivery: Item = { ...stored };
  return {
    key,
    email: branded(delivery, 'email', isSubscriberEmail),
    outcome: delivery['outcome'] === undefined ? undefined : oneOf(delivery, 'outcome', OUTCOMES),
    at: instant(delivery, 'at'),
    attempt: integer(delivery, 'attempt'),
    unknownAttempts: optionalInteger(delivery, 'unknown_attempts') ?? 0,
    providerId: optionalText(delivery, 'provider_id'),
    reason: optionalText(delivery, 'reason'),
    heard: decodeHeard(delivery['heard']),
  };
}

function toAttribute(delivery: Delivery): Item {
  return {
    email: delivery.email,
    outcome: delivery.outcome,
    at: delivery.at.epochMilliseconds,
    attempt: delivery.attempt,
    unknown_attempts: delivery.unknownAttempts > 0 ? delivery.unknownAttempts : undefined,
    provider_id: delivery.providerId,
    reason: delivery.reason?.slice(0, REASON_MAX_LENGTH).toWellFormed(),
    heard: Object.keys(delivery.heard).length > 0 ? encodeHeard(delivery.heard) : undefined,
  };
}

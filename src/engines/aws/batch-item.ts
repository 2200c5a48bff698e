import {
  type Batch,
  BATCH_STATES,
  type BatchPointer,
  type BatchRecord,
  type ClaimedBatch,
  type InFlight,
} from '../../delivery/batch.ts';
import { type Outcome, OUTCOMES } from '../../delivery/delivery.ts';
import type { Mishap, Progress } from '../../delivery/delivery-store.ts';
import { isGroupName } from '../../groups/group.ts';
import { isSubscriberKey } from '../../groups/subscriber.ts';
import { DAY_MS, later, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import type { ClaimTerms } from '../../schedule/message-store.ts';
import { isMessageKey, type RetryableOutcome } from '../../schedule/message.ts';
import {
  branded,
  instant,
  integer,
  type Item,
  oneOf,
  optionalBranded,
  optionalInstant,
  optionalInteger,
  optionalText,
  text,
} from './item.ts';
import { ItemUpdate } from './item-update.ts';
import { LEASE_ATTRIBUTES, leaseFree, leaseHeld } from './message-item.ts';
import type { Key } from './read-items.ts';

/*
 * A batch as an item of the table `deliveries`. It is small (some 300 bytes), so that the state of all batches of a message can
 * be read; what became of each delivery is in the outcomes item beside it. An attribute that is absent is a lease that nobody
 * holds, nobody in flight, a number that is 0, or no mishap.
 */

/** How many deliveries of the batch have each outcome: says which batches are worth reading for one of them. */
export type Tally = Readonly<Record<Outcome, number>>;
export const NO_OUTCOMES: Tally = { sent: 0, failed: 0, skipped: 0, unknown: 0 };

// Who got what is asked after a year, when the books of the year are closed; a month more to do it in.
const KEEP_MS = 400 * DAY_MS;

export const BATCH_PREFIX = 'batch#';
const IN_FLIGHT_ATTRIBUTES = ['in_flight_first', 'in_flight_last', 'in_flight_count'] as const;
const TRIES_ATTRIBUTES = ['tries', 'mishaps'] as const;

const claimable = `batch_state = :open AND available_at <= :now AND ${leaseFree}`;

export function batchKey({ messageKey, first }: Pick<BatchPointer, 'messageKey' | 'first'>): Key {
  return { message_key: messageKey, first_subscriber: `${BATCH_PREFIX}${first}` };
}

export function tallyAttribute(outcome: Outcome): string {
  return `${outcome}_count`;
}

/** When DynamoDB may remove what is kept of a batch. */
export function expiresAtEpochSeconds(batch: Batch): number {
  return Math.floor(plusMs(batch.cutAt, KEEP_MS).epochMilliseconds / SECOND_MS);
}

/** A batch that has just been cut. */
export function newBatchItem(batch: Batch, now: Temporal.Instant): Item {
  return {
    ...batchKey(batch),
    group_name: batch.group,
    last_subscriber: batch.last,
    subscriber_count: batch.count,
    cut_at: batch.cutAt.epochMilliseconds,
    batch_state: 'open',
    available_at: now.epochMilliseconds,
    expires_at_epoch_seconds: expiresAtEpochSeconds(batch),
  };
}

/** A filter for what can be claimed, or has come to that after `since`, and its values. */
export function claimableAt(
  now: Temporal.Instant,
  since?: Temporal.Instant,
): { readonly condition: string; readonly values: Item } {
  const values = { ':open': 'open', ':now': now.epochMilliseconds };
  return since
    ? {
        condition: `${claimable} AND (available_at > :since OR lease_until > :since)`,
        values: { ...values, ':since': since.epochMilliseconds },
      }
    : { condition: claimable, values };
}

/** A filter for what waits until later, with nobody at work on it, and its values. */
export function waitingAt(now: Temporal.Instant): { readonly condition: string; readonly values: Item } {
  return {
    condition: `batch_state = :open AND available_at > :now AND ${leaseFree}`,
    values: { ':open': 'open', ':now': now.epochMilliseconds },
  };
}

/** What waits until later waits no more. */
export function hastenUpdate(now: Temporal.Instant): ItemUpdate {
  const { condition, values } = waitingAt(now);
  return new ItemUpdate().set('available_at', now.epochMilliseconds).require(condition, values);
}

/** From when on an open batch can be claimed, if whoever has it now is lost. */
export function claimableFrom(item: Item): Temporal.Instant {
  const availableAt = instant(item, 'available_at');
  return later(availableAt, optionalInstant(item, 'lease_until') ?? availableAt);
}

export function claimUpdate(terms: ClaimTerms): ItemUpdate {
  const { condition, values } = claimableAt(terms.now);
  return new ItemUpdate()
    .set('lease_token', terms.token)
    .set('lease_until', terms.until.epochMilliseconds)
    .add('tries', 1)
    .require(condition, values);
}

/** A change by whoever holds the lease, and the outcomes that come with it. */
export function heldUpdate(batch: ClaimedBatch, now: Temporal.Instant, gained: Tally): ItemUpdate {
  const update = new ItemUpdate().require(leaseHeld, {
    ':token': batch.lease.token,
    ':now': now.epochMilliseconds,
  });
  for (const outcome of OUTCOMES) {
    update.add(tallyAttribute(outcome), gained[outcome]);
  }
  return update;
}

/** The lease goes on, with `next` and nobody else in flight. */
export function advanceUpdate(
  update: ItemUpdate,
  progress: Progress,
  next: InFlight | undefined,
): ItemUpdate {
  update.set('lease_until', progress.leaseUntil.epochMilliseconds);
  if (progress.results.some(({ outcome }) => outcome)) {
    update.remove(...TRIES_ATTRIBUTES);
  }
  return next
    ? update
        .set('in_flight_first', next.first)
        .set('in_flight_last', next.last)
        .set('in_flight_count', next.count)
    : update.remove(...IN_FLIGHT_ATTRIBUTES);
}

/** The lease ends, and nobody is in flight: the batch waits until `retryAt` or is settled. */
export function settleUpdate(update: ItemUpdate, retryAt: Temporal.Instant | undefined): ItemUpdate {
  update.remove(...LEASE_ATTRIBUTES, ...IN_FLIGHT_ATTRIBUTES, ...TRIES_ATTRIBUTES);
  return retryAt
    ? update.set('available_at', retryAt.epochMilliseconds)
    : update.set('batch_state', 'settled').remove('error');
}

/** The lease ends after a mishap, with whoever is in flight: the batch waits until `retryAt` or is set aside. */
export function mishapUpdate(
  batch: ClaimedBatch,
  mishap: Mishap,
  retryAt: Temporal.Instant | undefined,
): ItemUpdate {
  const update = heldUpdate(batch, mishap.now, NO_OUTCOMES)
    .remove(...LEASE_ATTRIBUTES)
    .set('error', mishap.error);
  return retryAt
    ? update.set('available_at', retryAt.epochMilliseconds).add('mishaps', 1)
    : update.set('batch_state', 'set_aside');
}

/** A filter for batches to be opened again, and its values. */
export function reopenable(outcomes: readonly RetryableOutcome[]): {
  readonly condition: string;
  readonly values: Item;
} {
  const has = outcomes.map((outcome) => `${tallyAttribute(outcome)} > :zero`).join(' OR ');
  return has === ''
    ? { condition: 'batch_state = :aside', values: { ':aside': 'set_aside' } }
    : {
        condition: `batch_state = :aside OR (batch_state = :settled AND (${has}))`,
        values: { ':aside': 'set_aside', ':settled': 'settled', ':zero': 0 },
      };
}

/** The batch is open again, without the outcomes in `gone`. */
export function reopenBatchUpdate(batch: BatchRecord, gone: Tally, now: Temporal.Instant): ItemUpdate {
  const update = new ItemUpdate()
    .require('batch_state = :was', { ':was': batch.state })
    .set('batch_state', 'open')
    .set('available_at', now.epochMilliseconds)
    .remove(...TRIES_ATTRIBUTES, 'error');
  for (const outcome of OUTCOMES) {
    update.add(tallyAttribute(outcome), -gone[outcome]);
  }
  return update;
}

export function releaseUpdate(batch: ClaimedBatch, now: Temporal.Instant): ItemUpdate {
  return new ItemUpdate()
    .require('lease_token = :token', { ':token': batch.lease.token })
    .set('available_at', now.epochMilliseconds)
    .remove(...LEASE_ATTRIBUTES, ...TRIES_ATTRIBUTES);
}

/** True where this very claim has taken the lease: its write was sent twice, and the answer to the first was lost. */
export function isClaimedOn(item: Item, terms: ClaimTerms): boolean {
  return item['lease_token'] === terms.token && item['lease_until'] === terms.until.epochMilliseconds;
}

export function toBatch(item: Item): Batch {
  return {
    ...toPointer(item),
    last: branded(item, 'last_subscriber', isSubscriberKey),
    count: integer(item, 'subscriber_count'),
    cutAt: instant(item, 'cut_at'),
  };
}

export function toBatchRecord(item: Item): BatchRecord {
  return {
    ...toBatch(item),
    state: oneOf(item, 'batch_state', BATCH_STATES),
    tries: optionalInteger(item, 'tries') ?? 0,
    error: optionalText(item, 'error'),
  };
}

export function toPointer(item: Item): BatchPointer {
  const first = text(item, 'first_subscriber').slice(BATCH_PREFIX.length);
  if (!isSubscriberKey(first)) {
    throw new Error('The sort key of a batch names no subscriber.');
  }
  return {
    group: branded(item, 'group_name', isGroupName),
    messageKey: branded(item, 'message_key', isMessageKey),
    first,
  };
}

export function toClaimedBatch(item: Item): ClaimedBatch {
  const first = optionalBranded(item, 'in_flight_first', isSubscriberKey);
  const last = optionalBranded(item, 'in_flight_last', isSubscriberKey);
  return {
    ...toBatch(item),
    lease: { token: text(item, 'lease_token'), until: instant(item, 'lease_until') },
    tries: integer(item, 'tries'),
    mishaps: optionalInteger(item, 'mishaps') ?? 0,
    inFlight:
      first !== undefined && last !== undefined
        ? { first, last, count: integer(item, 'in_flight_count') }
        : undefined,
  };
}

export function toTally(item: Item): Tally {
  const countOf = (outcome: Outcome): number => optionalInteger(item, tallyAttribute(outcome)) ?? 0;
  return {
    sent: countOf('sent'),
    failed: countOf('failed'),
    skipped: countOf('skipped'),
    unknown: countOf('unknown'),
  };
}

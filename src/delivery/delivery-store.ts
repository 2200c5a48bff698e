import type { GroupName } from '../groups/group.ts';
import type { SubscriberKey } from '../groups/subscriber.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import type { ClaimTerms } from '../schedule/message-store.ts';
import type { MessageKey, MessageStatus, RetryableOutcome } from '../schedule/message.ts';
import type { Batch, BatchPointer, BatchRecord, BatchState, ClaimedBatch, InFlight } from './batch.ts';
import type { Delivery, Outcome } from './delivery.ts';
import type { Feedback } from './feedback.ts';

/** The next batches of a message, and how far they reach. */
export interface Cut {
  readonly group: GroupName;
  readonly messageKey: MessageKey;
  readonly token: string;
  /** The position on which the cut was decided. */
  readonly after: SubscriberKey | undefined;
  readonly batches: readonly Batch[];
  readonly complete: boolean;
  readonly now: Temporal.Instant;
  readonly leaseUntil: Temporal.Instant;
}

/** What a worker found out, to be written at once. */
export interface Report {
  readonly results: readonly Delivery[];
  /** When the channel was last asked, and when it last said yes; for the message's latencies. */
  readonly attempts:
    | {
        readonly at: Temporal.Instant;
        readonly acceptedAt: Temporal.Instant | undefined;
        /** The latest moment from which one of those deliveries could go; absent where that is the message's time. */
        readonly dueAt?: Temporal.Instant | undefined;
      }
    | undefined;
  /** People who were in flight when their worker was lost, and have left the group since: counted as unknown, without a delivery. */
  readonly goneInDoubt: number;
  /** How many of the results were refused by the subscriber's mail server at once, and had not been before. */
  readonly bounced: number;
  readonly now: Temporal.Instant;
}

export interface Progress extends Report {
  /** Whom the worker is about to hand to the channel; nobody where it only reports. */
  readonly next: InFlight | undefined;
  readonly leaseUntil: Temporal.Instant;
}

export interface Settlement extends Report {
  /** When what is still pending is tried again; absent where nothing is. */
  readonly retryAt: Temporal.Instant | undefined;
}

/** Something went wrong with a batch that nobody foresaw. */
export interface Mishap {
  /** For people; no address in it. */
  readonly error: string;
  readonly now: Temporal.Instant;
}

/** The next batches to be opened again. */
export interface Reopening {
  readonly group: GroupName;
  readonly messageKey: MessageKey;
  readonly token: string;
  readonly outcomes: readonly RetryableOutcome[];
  /** The position on which it was decided. */
  readonly after: SubscriberKey | undefined;
  /** Of batches, in one call. */
  readonly limit: number;
  readonly now: Temporal.Instant;
  readonly leaseUntil: Temporal.Instant;
}

export interface BatchPage {
  readonly after: SubscriberKey | undefined;
  readonly limit: number;
  readonly state: BatchState | undefined;
}

export interface ClaimablePage {
  readonly after: SubscriberKey | undefined;
  readonly limit: number;
  readonly since: Temporal.Instant | undefined;
}

export interface DeliveryPage {
  readonly after: SubscriberKey | undefined;
  readonly limit: number;
  readonly outcome: Outcome | undefined;
}

/** Thrown on writing under a lease that has ended or that somebody else took. Whatever was to be written is not; send nothing more. */
export class LeaseLostError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'lease-lost';

  constructor(what: string, options?: ErrorOptions) {
    super(`The lease of ${what} is not held any more.`, options);
  }
}

/**
 * The ledger: batches, deliveries and the counters of their message, which change together or not at all.
 * Every write names the lease under which it is made, so that a worker that was paused past its lease can record nothing.
 */
export abstract class DeliveryStore {
  /**
   * Writes the batches, the message's position behind the last of them and its counters in one transaction, and renews the message's lease.
   * A second run finds another position and throws, so nobody is in two batches.
   * The last cut (`complete`) of a message that has no batch left open finishes it.
   * @throws {LeaseLostError} where the lease is not `token`'s any more, or the position is not `after`.
   */
  abstract cut(cut: Cut): Promise<void>;

  /**
   * The batches of a message that can be claimed at `now`, in order of their first subscriber; with `since`, only those that came to
   * that after it, because their retry is due or the lease of a worker that was lost has ended.
   */
  abstract findClaimable(
    messageKey: MessageKey,
    now: Temporal.Instant,
    page: ClaimablePage,
  ): Promise<readonly BatchPointer[]>;

  /**
   * When the next of the message's open batches can be claimed, or could be if its worker were lost; `soon` where that comes earlier, so that
   * nobody need look at all of them; absent where none is open.
   */
  abstract findNextAt(messageKey: MessageKey, soon: Temporal.Instant): Promise<Temporal.Instant | undefined>;

  /** Lets open batches that wait until later, and that nobody works on, be claimed from `now` on. A second run finds none. */
  abstract hasten(messageKey: MessageKey, now: Temporal.Instant): Promise<void>;

  /** In order of their first subscriber. */
  abstract listBatches(messageKey: MessageKey, page: BatchPage): Promise<readonly BatchRecord[]>;

  /** The batch in whose range `key` lies. */
  abstract findBatch(messageKey: MessageKey, key: SubscriberKey): Promise<Batch | undefined>;

  /** Takes the lease of a batch. `undefined` where it is settled, is to wait longer, has a lease that has not ended, or does not exist. */
  abstract claim(pointer: BatchPointer, terms: ClaimTerms): Promise<ClaimedBatch | undefined>;

  /**
   * Goes on holding the lease until `until`; a second run does the same.
   * @throws {LeaseLostError}
   */
  abstract renew(batch: ClaimedBatch, now: Temporal.Instant, until: Temporal.Instant): Promise<void>;

  /**
   * Writes the results, with the message's counters, and marks `next` as in flight, in one transaction; renews the lease.
   * Answers the message's status: `next` is in flight only where that is `sending`; otherwise hand nothing over.
   * @throws {LeaseLostError}
   */
  abstract advance(batch: ClaimedBatch, progress: Progress): Promise<MessageStatus>;

  /**
   * Writes the last results and ends the lease. With `retryAt` the batch waits until then, and the message wakes no later;
   * without, it is settled: who left the group before the batch was worked counts as skipped, and a message whose last batch
   * this was is finished. Answers the message's status after that.
   * @throws {LeaseLostError}
   */
  abstract settle(batch: ClaimedBatch, settlement: Settlement): Promise<MessageStatus>;

  /**
   * Ends the lease after a mishap; the batch can be claimed again from `retryAt` on. Whoever was in flight stays so: nobody knows.
   * @throws {LeaseLostError}
   */
  abstract putBack(batch: ClaimedBatch, mishap: Mishap, retryAt: Temporal.Instant): Promise<void>;

  /**
   * Ends the lease and sets the batch aside until it is opened again; whoever was in flight stays so. A message of which only such
   * batches are left becomes `failed`. Answers its status after that.
   * @throws {LeaseLostError}
   */
  abstract setAside(batch: ClaimedBatch, mishap: Mishap): Promise<MessageStatus>;

  /**
   * Opens again the next batches that were set aside or hold deliveries of these outcomes, which are pending from then on and
   * counted so; with the position behind them in the same write, and the message's lease renewed. Answers where they are and how far
   * that reaches; behind the last of them (`complete`) the message's `retry` is done and gone. A second run finds another
   * position and throws, so no delivery is opened twice.
   * @throws {LeaseLostError} where the message's lease is not `token`'s any more, or its position is not `after`.
   */
  abstract reopen(
    reopening: Reopening,
  ): Promise<{ readonly pointers: readonly BatchPointer[]; readonly complete: boolean }>;

  /** Ends the lease; the batch can be claimed again at once. Does nothing where the lease is another's. */
  abstract release(batch: ClaimedBatch, now: Temporal.Instant): Promise<void>;

  abstract findDelivery(messageKey: MessageKey, key: SubscriberKey): Promise<Delivery | undefined>;

  /** Deliveries that were worked, in order of subscriber. */
  abstract listDeliveries(messageKey: MessageKey, page: DeliveryPage): Promise<readonly Delivery[]>;

  /**
   * Writes what was heard of a delivery, with the counters of its message, in one transaction; `afterFeedback` decides what changes.
   * `repeated` where that is nothing, so a second run changes nothing. `pending` where the delivery has no outcome: nothing is written
   * then, and whoever heard it comes again.
   */
  abstract recordFeedback(
    message: { readonly group: GroupName; readonly messageKey: MessageKey },
    key: SubscriberKey,
    feedback: Feedback,
  ): Promise<'recorded' | 'repeated' | 'pending'>;

  /** The deliveries of one batch that were worked before, in order of subscriber. */
  abstract readDeliveries(batch: Batch): Promise<readonly Delivery[]>;

  /**
   * Finishes a message whose batches are all cut and settled or set aside, with no `retry` under way; does nothing to another.
   * A message that is `sending` becomes `sent`, or `failed` where a batch was set aside; its wake is removed.
   */
  abstract finish(group: GroupName, messageKey: MessageKey): Promise<void>;
}

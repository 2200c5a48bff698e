import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type QueryCommandInput, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { Injectable } from '@nestjs/common';
import {
  type Batch,
  BATCH_SIZE,
  type BatchPointer,
  type BatchRecord,
  type ClaimedBatch,
  type InFlight,
} from '../../delivery/batch.ts';
import {
  type BatchPage,
  type ClaimablePage,
  type Cut,
  type DeliveryPage,
  DeliveryStore,
  LeaseLostError,
  type Mishap,
  type Progress,
  type Reopening,
  type Report,
  type Settlement,
} from '../../delivery/delivery-store.ts';
import { type Delivery, type Outcome, OUTCOMES } from '../../delivery/delivery.ts';
import { afterFeedback, type Feedback, feedbackGained } from '../../delivery/feedback.ts';
import type { GroupName } from '../../groups/group.ts';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { isReached } from '../../platform/clock/clock.ts';
import { StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import type { ClaimTerms } from '../../schedule/message-store.ts';
import type { Counts, Message, MessageKey, MessageStatus } from '../../schedule/message.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import {
  advanceUpdate,
  BATCH_PREFIX,
  batchKey,
  claimableAt,
  claimableFrom,
  claimUpdate,
  hastenUpdate,
  heldUpdate,
  isClaimedOn,
  mishapUpdate,
  newBatchItem,
  NO_OUTCOMES,
  releaseUpdate,
  reopenable,
  reopenBatchUpdate,
  settleUpdate,
  type Tally,
  tallyAttribute,
  tallyUpdate,
  toBatch,
  toBatchRecord,
  toClaimedBatch,
  toPointer,
  toTally,
  waitingAt,
} from './batch-item.ts';
import { type Item, optionalInteger, text } from './item.ts';
import { ItemUpdate } from './item-update.ts';
import { COUNT_ATTRIBUTES, FEEDBACK_ATTRIBUTES, messageItemKey, toMessage } from './message-item.ts';
import {
  addWakeBy,
  allowsCut,
  cutUpdate,
  exists,
  feedbackUpdateOf,
  finishUpdate,
  isBroughtForward,
  reopenUpdate,
  reportUpdate,
  requireSending,
} from './message-progress.ts';
import {
  feedbackUpdate,
  OUTCOMES_PREFIX,
  outcomesKey,
  outcomesUpdate,
  reopenOutcomesUpdate,
  RESULTS_PER_WRITE,
  toDeliveries,
  toDelivery,
} from './outcomes-item.ts';
import { eachItem, type Key, queryItems, readItem, readItems } from './read-items.ts';
import { callAws, transact, type TransactItem } from './transact.ts';

// What is decided on the message as it was read is decided anew where it has changed before it was written. Its instants only move
// one way, so that each can be the cause once; a wake that moves each time is somebody else's fault.
const DECISIONS = 8;

// Of one outcome, in one step: some 30 KB.
const BATCHES_PER_STEP = 100;

// Side by side: as many as the sockets of the client.
const HASTENED_AT_ONCE = 50;

// Behind every address: '~' is the last character that one may have.
const BEHIND_ALL = '\u007f';

const NOBODY = { subscribers: 0, skipped: 0, unknown: 0 };

/** A report, and what else is written with it. */
interface Writing {
  readonly batch: ClaimedBatch;
  readonly results: readonly Delivery[];
  readonly attempts: Report['attempts'];
  readonly now: Temporal.Instant;
  /** Counted beside the outcomes of `results`. */
  readonly alsoCounted: Pick<Counts, 'subscribers' | 'skipped' | 'unknown'>;
  readonly bounced: number;
  readonly completeBatch: (update: ItemUpdate, message: Message) => void;
  readonly completeMessage: (update: ItemUpdate, message: Message) => void;
}

type MessagePointer = Pick<BatchPointer, 'group' | 'messageKey'>;

/** Sort keys, each bound included where it is given: those of one prefix, of batches from one first subscriber to another. */
interface KeyRange {
  readonly prefix: string;
  readonly from?: string;
  readonly to?: string;
}

interface Filter {
  readonly condition: string;
  readonly values: Item;
}

/**
 * The ledger in DynamoDB. A report is one transaction of three items: the batch, whose lease is its condition; the outcomes beside
 * it, whose condition is that no outcome is written twice; and the message's counters.
 *
 * How much one message bears: all its batches have one partition key, and a report rewrites the outcomes of its batch. With 10 KB
 * of outcomes that is some 25 of the 1,000 write units which a partition takes a second, so 40 reports a second, or 2,000
 * deliveries; a message that goes on faster is split over partitions by DynamoDB itself within minutes (DynamoDB Developer Guide,
 * "Designing partition keys to distribute your workload"). What the message item bears stands in message-progress.ts.
 */
@Injectable()
export class AwsDeliveryStore extends DeliveryStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
  }

  /** At most 99 batches: with the message they are the 100 items of a transaction. A crash before the finish leaves that to the message's wake. */
  override async cut(cut: Cut): Promise<void> {
    let broughtForward = false; // which is seldom, so it is found out by trying
    for (let decisionsLeft = DECISIONS; decisionsLeft > 0; decisionsLeft -= 1) {
      const message = await this.#tryCut(cut, broughtForward);
      if (!message) {
        if (cut.complete && cut.batches.length === 0) {
          await this.finish(cut.group, cut.messageKey); // otherwise a batch is open, and the last to settle does it
        }
        return;
      }
      if (!allowsCut(message, cut)) {
        throw new LeaseLostError(`message ${cut.messageKey}`);
      }
      broughtForward = isBroughtForward(message);
    }
    throw tooManyDecisions();
  }

  override async findClaimable(
    messageKey: MessageKey,
    now: Temporal.Instant,
    page: ClaimablePage,
  ): Promise<readonly BatchPointer[]> {
    const range = { prefix: BATCH_PREFIX, from: page.after === undefined ? '' : behind(page.after) };
    const items = await this.#query(messageKey, range, page.limit, claimableAt(now, page.since));
    return items.map(toPointer);
  }

  override async findNextAt(
    messageKey: MessageKey,
    soon: Temporal.Instant,
  ): Promise<Temporal.Instant | undefined> {
    const query = {
      ...this.#rangeQuery(messageKey, { prefix: BATCH_PREFIX }, { ':open': 'open' }),
      FilterExpression: 'batch_state = :open',
      ProjectionExpression: 'available_at, lease_until',
    };
    let nextAt: Temporal.Instant | undefined;
    for await (const item of eachItem(this.clients.dynamo, query)) {
      const at = claimableFrom(item);
      if (isReached(at, soon)) {
        return soon;
      }
      nextAt = nextAt && isReached(nextAt, at) ? nextAt : at;
    }
    return nextAt;
  }

  override async hasten(messageKey: MessageKey, now: Temporal.Instant): Promise<void> {
    const { condition, values } = waitingAt(now);
    const items = await this.#query(messageKey, { prefix: BATCH_PREFIX }, Infinity, { condition, values });
    for (let start = 0; start < items.length; start += HASTENED_AT_ONCE) {
      const some = items.slice(start, start + HASTENED_AT_ONCE);
      await Promise.all(some.map((item) => this.#hasten(batchKey(toPointer(item)), now)));
    }
  }

  async #hasten(key: Key, now: Temporal.Instant): Promise<void> {
    const update = new UpdateCommand(hastenUpdate(now).byItself(this.#target(key)));
    try {
      await callAws(() => this.clients.dynamo.send(update));
    } catch (error) {
      requireConditionFailure(error); // somebody has claimed or settled it since
    }
  }

  override async listBatches(messageKey: MessageKey, page: BatchPage): Promise<readonly BatchRecord[]> {
    const range = { prefix: BATCH_PREFIX, from: page.after === undefined ? '' : behind(page.after) };
    const filter = page.state && { condition: 'batch_state = :state', values: { ':state': page.state } };
    const items = await this.#query(messageKey, range, page.limit, filter);
    return items.map(toBatchRecord);
  }

  override async findBatch(messageKey: MessageKey, key: SubscriberKey): Promise<Batch | undefined> {
    const item = await this.#findLast(messageKey, { prefix: BATCH_PREFIX, to: key });
    const batch = item && toBatch(item);
    return batch && batch.last >= key ? batch : undefined;
  }

  /** One conditional write. Sent twice, because the first answer was lost, it finds its own lease, which is as good. */
  override async claim(pointer: BatchPointer, terms: ClaimTerms): Promise<ClaimedBatch | undefined> {
    const claim = new UpdateCommand({
      ...claimUpdate(terms).byItself(this.#target(batchKey(pointer))),
      ReturnValues: 'ALL_NEW',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    });
    try {
      const { Attributes: item } = await callAws(() => this.clients.dynamo.send(claim));
      return item && toClaimedBatch(item);
    } catch (error) {
      if (holderOf(requireConditionFailure(error)) !== terms.token) {
        return undefined;
      }
      const item = await this.#readBatch(pointer);
      return item && isClaimedOn(item, terms) ? toClaimedBatch(item) : undefined;
    }
  }

  override async renew(batch: ClaimedBatch, now: Temporal.Instant, until: Temporal.Instant): Promise<void> {
    const renewal = new UpdateCommand(
      heldUpdate(batch, now, NO_OUTCOMES)
        .set('lease_until', until.epochMilliseconds)
        .byItself(this.#target(batchKey(batch))),
    );
    try {
      await callAws(() => this.clients.dynamo.send(renewal));
    } catch (error) {
      requireConditionFailure(error);
      throw new LeaseLostError(`a batch of message ${batch.messageKey}`, { cause: error });
    }
  }

  override async advance(batch: ClaimedBatch, progress: Progress): Promise<MessageStatus> {
    const results = await this.#writeSurplus(batch, progress);
    const nextOf = (message: Message): InFlight | undefined =>
      message.status === 'sending' ? progress.next : undefined;
    const message = await this.#record({
      batch,
      results,
      attempts: progress.attempts,
      now: progress.now,
      alsoCounted: { ...NOBODY, unknown: progress.goneInDoubt },
      bounced: progress.bounced,
      completeBatch: (update, found) =>
        advanceUpdate(update, progress, nextOf(found)).add('left_count', progress.goneInDoubt),
      completeMessage: (update, found) => {
        if (nextOf(found)) {
          requireSending(update);
        }
      },
    });
    return message.status;
  }

  override async settle(batch: ClaimedBatch, settlement: Settlement): Promise<MessageStatus> {
    const results = await this.#writeSurplus(batch, settlement);
    const { attempts, goneInDoubt, bounced, now, retryAt } = settlement;
    const writing = { batch, results, attempts, bounced, now };
    if (retryAt) {
      const message = await this.#record({
        ...writing,
        alsoCounted: { ...NOBODY, unknown: goneInDoubt },
        completeBatch: (update) => settleUpdate(update, retryAt).add('left_count', goneInDoubt),
        completeMessage: (update, found) => addWakeBy(update, found, retryAt, now),
      });
      return message.status;
    }
    const left = await this.#countWhoLeft(batch, results, goneInDoubt);
    await this.#record({
      ...writing,
      alsoCounted: left,
      completeBatch: (update) =>
        settleUpdate(update, undefined)
          .add('subscriber_count', left.subscribers)
          .add('left_count', left.skipped + goneInDoubt),
      completeMessage: (update) => update.add('batches_settled', 1),
    });
    // A crash before this leaves it to the message's wake.
    return this.#finish(await this.#getMessage(batch));
  }

  override async putBack(batch: ClaimedBatch, mishap: Mishap, retryAt: Temporal.Instant): Promise<void> {
    const update = mishapUpdate(batch, mishap, retryAt).byItself(this.#target(batchKey(batch)));
    try {
      await callAws(() => this.clients.dynamo.send(new UpdateCommand(update)));
    } catch (error) {
      requireConditionFailure(error);
      throw new LeaseLostError(`a batch of message ${batch.messageKey}`, { cause: error });
    }
  }

  override async setAside(batch: ClaimedBatch, mishap: Mishap): Promise<MessageStatus> {
    const result = await transact(this.clients.dynamo, [
      mishapUpdate(batch, mishap, undefined).inTransaction(this.#target(batchKey(batch))),
      new ItemUpdate().add('batches_set_aside', 1).require(exists).inTransaction(this.#messageTarget(batch)),
    ]);
    if (result.kind !== 'done') {
      throw new LeaseLostError(`a batch of message ${batch.messageKey}`);
    }
    // A crash before this leaves it to the message's wake.
    return this.#finish(await this.#getMessage(batch));
  }

  /** A transaction for each batch, which moves the position too: a crash between two of them leaves nothing half done. */
  override async reopen(
    reopening: Reopening,
  ): Promise<{ readonly pointers: readonly BatchPointer[]; readonly complete: boolean }> {
    const { messageKey, limit } = reopening;
    const range = {
      prefix: BATCH_PREFIX,
      from: reopening.after === undefined ? '' : behind(reopening.after),
    };
    const items = await this.#query(messageKey, range, limit, reopenable(reopening.outcomes));
    const batches = items.map(toBatchRecord);
    let after = reopening.after;
    for (const batch of batches) {
      await this.#reopen(reopening, batch, after);
      after = batch.first;
    }
    const complete = batches.length < limit;
    if (complete) {
      await this.#write(reopenUpdate(reopening, after, undefined), reopening);
    }
    return { pointers: items.map(toPointer), complete };
  }

  override async release(batch: ClaimedBatch, now: Temporal.Instant): Promise<void> {
    const release = new UpdateCommand(releaseUpdate(batch, now).byItself(this.#target(batchKey(batch))));
    try {
      await callAws(() => this.clients.dynamo.send(release));
    } catch (error) {
      requireConditionFailure(error); // the lease is another's, or has ended: by the first of two runs, for instance
    }
  }

  override async findDelivery(messageKey: MessageKey, key: SubscriberKey): Promise<Delivery | undefined> {
    const item = await this.#findLast(messageKey, { prefix: OUTCOMES_PREFIX, to: key });
    return item && toDelivery(item, key);
  }

  override async listDeliveries(messageKey: MessageKey, page: DeliveryPage): Promise<readonly Delivery[]> {
    const { after, limit, outcome } = page;
    const found: Delivery[] = [];
    let from = after === undefined ? '' : await this.#firstOfBatchAt(messageKey, after);
    for (;;) {
      const items = await this.#readOutcomes(messageKey, from, outcome, limit - found.length);
      const deliveries = items
        .flatMap(toDeliveries)
        .filter((delivery) => after === undefined || delivery.key > after)
        .filter((delivery) => outcome === undefined || delivery.outcome === outcome);
      found.push(...deliveries);
      const last = items.at(-1);
      if (!last || found.length >= limit) {
        return found.slice(0, limit);
      }
      from = behind(firstOf(last, OUTCOMES_PREFIX));
    }
  }

  override async recordFeedback(
    message: MessagePointer,
    key: SubscriberKey,
    feedback: Feedback,
  ): Promise<'recorded' | 'repeated' | 'pending'> {
    for (let decisionsLeft = DECISIONS; decisionsLeft > 0; decisionsLeft -= 1) {
      const item = await this.#findLast(message.messageKey, { prefix: OUTCOMES_PREFIX, to: key });
      const before = item && toDelivery(item, key);
      if (!item || !before?.outcome) {
        return 'pending';
      }
      const after = afterFeedback(before, feedback);
      if (after === before) {
        return 'repeated';
      }
      if (await this.#tryFeedback(message, item, before, after)) {
        return 'recorded';
      }
    }
    throw tooManyDecisions();
  }

  override async readDeliveries(batch: Batch): Promise<readonly Delivery[]> {
    const item = await readItem(this.clients.dynamo, this.names.tables.deliveries, outcomesKey(batch));
    return item ? toDeliveries(item) : [];
  }

  override async finish(group: GroupName, messageKey: MessageKey): Promise<void> {
    const message = await this.#findMessage(group, messageKey);
    if (message) {
      await this.#finish(message);
    }
  }

  /** False where the delivery is not as it was read any more. */
  async #tryFeedback(
    message: MessagePointer,
    outcomes: Item,
    before: Delivery,
    after: Delivery,
  ): Promise<boolean> {
    const { messageKey } = message;
    const batch = { messageKey, first: firstOf(outcomes, OUTCOMES_PREFIX) };
    const gained = difference(tally([after]), tally([before]));
    const items = [
      feedbackUpdate(after, outcomes[after.key]).inTransaction(this.#target(outcomesKey(batch))),
      feedbackUpdateOf(gained, feedbackGained(before.heard, after.heard)).inTransaction(
        this.#messageTarget(message),
      ),
    ];
    if (after.outcome !== before.outcome) {
      items.push(tallyUpdate(gained).inTransaction(this.#target(batchKey(batch))));
    }
    const result = await transact(this.clients.dynamo, items);
    if (result.kind === 'done') {
      return true;
    }
    const [changed] = result.reasons;
    if (!changed) {
      throw new Error(`There are deliveries of message ${messageKey}, but no such message or batch.`);
    }
    return false;
  }

  /** `undefined` where the cut is written; otherwise the message that stood in its way. */
  async #tryCut(cut: Cut, broughtForward: boolean): Promise<Message | undefined> {
    const onMessage = cutUpdate(cut, broughtForward).inTransaction(this.#messageTarget(cut));
    const batches = cut.batches.map((batch): TransactItem => ({
      Put: {
        TableName: this.names.tables.deliveries,
        Item: newBatchItem(batch, cut.now),
        ConditionExpression: 'attribute_not_exists(message_key)',
      },
    }));
    const result = await transact(this.clients.dynamo, [onMessage, ...batches]);
    if (result.kind === 'done') {
      return undefined;
    }
    const message = await this.#getMessage(cut);
    if (result.reasons[0] === undefined && allowsCut(message, cut)) {
      throw new Error(`A batch of message ${cut.messageKey} lies behind the position of the message.`);
    }
    return message;
  }

  /**
   * Writes all but the last results, where there are more than fit into one write, and answers these: somebody who joined a large
   * group on a clock that is behind may be in a batch beside those who were counted. Whoever was in flight stays so meanwhile.
   */
  async #writeSurplus(batch: ClaimedBatch, report: Report): Promise<readonly Delivery[]> {
    const results = lastOfEach(batch, report.results);
    let start = 0;
    for (; results.length - start > RESULTS_PER_WRITE; start += RESULTS_PER_WRITE) {
      await this.#record({
        batch,
        results: results.slice(start, start + RESULTS_PER_WRITE),
        attempts: undefined,
        now: report.now,
        alsoCounted: NOBODY,
        bounced: 0,
        completeBatch: () => undefined,
        completeMessage: () => undefined,
      });
    }
    return results.slice(start);
  }

  async #reopen(reopening: Reopening, batch: BatchRecord, after: SubscriberKey | undefined): Promise<void> {
    const wanted: readonly (Outcome | undefined)[] = reopening.outcomes;
    const deliveries = (await this.readDeliveries(batch)).filter(({ outcome }) => wanted.includes(outcome));
    const gone = tally(deliveries);
    const onMessage = reopenUpdate(reopening, after, batch.first)
      .add(COUNT_ATTRIBUTES.failed, -gone.failed)
      .add(COUNT_ATTRIBUTES.unknown, -gone.unknown)
      .add(batch.state === 'settled' ? 'batches_settled' : 'batches_set_aside', -1);
    const items = [
      onMessage.inTransaction(this.#messageTarget(reopening)),
      reopenBatchUpdate(batch, gone, reopening.now).inTransaction(this.#target(batchKey(batch))),
    ];
    if (deliveries.length > 0) {
      items.push(reopenOutcomesUpdate(deliveries).inTransaction(this.#target(outcomesKey(batch))));
    }
    const result = await transact(this.clients.dynamo, items);
    if (result.kind !== 'done') {
      throw new LeaseLostError(`message ${reopening.messageKey}`);
    }
  }

  async #write(update: ItemUpdate, message: MessagePointer): Promise<void> {
    try {
      await callAws(() =>
        this.clients.dynamo.send(new UpdateCommand(update.byItself(this.#messageTarget(message)))),
      );
    } catch (error) {
      requireConditionFailure(error);
      throw new LeaseLostError(`message ${message.messageKey}`, { cause: error });
    }
  }

  /** Answers the message as it was when that was decided which was written. A second run finds no lease, or outcomes that are there. */
  async #record(writing: Writing): Promise<Message> {
    for (let decisionsLeft = DECISIONS; decisionsLeft > 0; decisionsLeft -= 1) {
      const message = await this.#getMessage(writing.batch);
      if (await this.#tryRecord(writing, message)) {
        return message;
      }
    }
    throw tooManyDecisions();
  }

  /** False where the message has changed, so that something else is to be written. */
  async #tryRecord(writing: Writing, message: Message): Promise<boolean> {
    const { batch, results, alsoCounted } = writing;
    const gained = tally(results);
    const onBatch = heldUpdate(batch, writing.now, gained);
    writing.completeBatch(onBatch, message);
    const counted = {
      ...gained,
      subscribers: alsoCounted.subscribers,
      skipped: gained.skipped + alsoCounted.skipped,
      unknown: gained.unknown + alsoCounted.unknown,
    };
    const onMessage = reportUpdate(message, writing.attempts, counted).add(
      FEEDBACK_ATTRIBUTES.bounced,
      writing.bounced,
    );
    writing.completeMessage(onMessage, message);

    const items = [onBatch.inTransaction(this.#target(batchKey(batch)))];
    if (results.length > 0) {
      items.push(outcomesUpdate(batch, results).inTransaction(this.#target(outcomesKey(batch))));
    }
    if (!onMessage.isEmpty) {
      items.push(onMessage.require(exists).inTransaction(this.#messageTarget(batch)));
    }
    const result = await transact(this.clients.dynamo, items);
    if (result.kind === 'done') {
      return true;
    }
    const [lease, outcomes] = result.reasons;
    if (lease) {
      throw new LeaseLostError(`a batch of message ${batch.messageKey}`);
    }
    if (outcomes && results.length > 0) {
      throw secondOutcome(batch);
    }
    return false;
  }

  /**
   * Whoever was in the range when it was cut and has no outcome now has left the group, and the ledger keeps no address of theirs.
   * A batch that was opened again is counted once more, so what was counted before is kept in it.
   */
  async #countWhoLeft(
    batch: ClaimedBatch,
    results: readonly Delivery[],
    goneInDoubt: number,
  ): Promise<Writing['alsoCounted']> {
    const item = await this.#readBatch(batch);
    if (!item) {
      throw new LeaseLostError(`a batch of message ${batch.messageKey}`);
    }
    const worked = sumOf(toTally(item)) + sumOf(tally(results));
    const counted = (optionalInteger(item, 'left_count') ?? 0) + goneInDoubt;
    return {
      skipped: Math.max(batch.count - worked, 0) - counted,
      unknown: goneInDoubt,
      subscribers: Math.max(worked - batch.count, 0),
    };
  }

  /** Answers the status after that. Of many who find the message done, one finishes it; the others find it finished. */
  async #finish(message: Message): Promise<MessageStatus> {
    const update = finishUpdate(message);
    if (!update) {
      return message.status;
    }
    const { group, key: messageKey } = message;
    const finish = new UpdateCommand(update.byItself(this.#messageTarget({ group, messageKey })));
    try {
      await callAws(() => this.clients.dynamo.send(finish));
    } catch (error) {
      requireConditionFailure(error);
    }
    return (await this.#getMessage({ group, messageKey })).status;
  }

  async #readBatch(pointer: BatchPointer): Promise<Item | undefined> {
    return readItem(this.clients.dynamo, this.names.tables.deliveries, batchKey(pointer));
  }

  async #getMessage({ group, messageKey }: MessagePointer): Promise<Message> {
    const message = await this.#findMessage(group, messageKey);
    if (!message) {
      throw new LeaseLostError(`message ${messageKey}`);
    }
    return message;
  }

  async #findMessage(group: GroupName, messageKey: MessageKey): Promise<Message | undefined> {
    const key = { ...messageItemKey(group, messageKey) };
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, key);
    return item && toMessage(item);
  }

  /** The first subscriber of the batch in which `key` lies, or of the one before. */
  async #firstOfBatchAt(messageKey: MessageKey, key: SubscriberKey): Promise<string> {
    const item = await this.#findLast(messageKey, { prefix: BATCH_PREFIX, to: key });
    return item ? firstOf(item, BATCH_PREFIX) : '';
  }

  /** Some outcomes items from the batch on that begins with `from`, in order; none where there are no more. */
  async #readOutcomes(
    messageKey: MessageKey,
    from: string,
    outcome: Outcome | undefined,
    wanted: number,
  ): Promise<readonly Item[]> {
    if (outcome === undefined) {
      const count = Math.ceil(wanted / BATCH_SIZE) + 1; // the first may be that in which the page before has ended
      return this.#query(messageKey, { prefix: OUTCOMES_PREFIX, from }, count);
    }
    // The batches know how many they have: an outcome that is rare is found without reading those that have none of it.
    const count = Math.min(wanted, BATCHES_PER_STEP);
    const filter = { condition: `${tallyAttribute(outcome)} > :zero`, values: { ':zero': 0 } };
    const batches = await this.#query(messageKey, { prefix: BATCH_PREFIX, from }, count, filter);
    const keys = enoughFor(wanted, batches, outcome).map((item) => outcomesKey(toPointer(item)));
    const items = await readItems(this.clients.dynamo, this.names.tables.deliveries, keys);
    return items.toSorted((a, b) => (firstOf(a, OUTCOMES_PREFIX) < firstOf(b, OUTCOMES_PREFIX) ? -1 : 1));
  }

  /** Up to `limit` items in order; all of it is read as it is now. */
  async #query(
    messageKey: MessageKey,
    range: KeyRange,
    limit: number,
    filter?: Filter,
  ): Promise<readonly Item[]> {
    const query = {
      ...this.#rangeQuery(messageKey, range, filter?.values),
      ...(filter && { FilterExpression: filter.condition }),
    };
    return queryItems(this.clients.dynamo, query, limit);
  }

  /** The last item of the range. */
  async #findLast(messageKey: MessageKey, range: KeyRange): Promise<Item | undefined> {
    const query = { ...this.#rangeQuery(messageKey, range), ScanIndexForward: false };
    const [item] = await queryItems(this.clients.dynamo, query, 1);
    return item;
  }

  #rangeQuery(
    messageKey: MessageKey,
    { prefix, from, to }: KeyRange,
    values: Item = {},
  ): Omit<QueryCommandInput, 'Limit' | 'ExclusiveStartKey'> {
    return {
      TableName: this.names.tables.deliveries,
      ConsistentRead: true,
      KeyConditionExpression: 'message_key = :messageKey AND first_subscriber BETWEEN :from AND :to',
      ExpressionAttributeValues: {
        ...values,
        ':messageKey': messageKey,
        ':from': `${prefix}${from ?? ''}`,
        ':to': `${prefix}${to ?? BEHIND_ALL}`,
      },
    };
  }

  #target(key: Key): { readonly TableName: string; readonly Key: Key } {
    return { TableName: this.names.tables.deliveries, Key: key };
  }

  #messageTarget({ group, messageKey }: MessagePointer): { readonly TableName: string; readonly Key: Key } {
    return { TableName: this.names.tables.messages, Key: { ...messageItemKey(group, messageKey) } };
  }
}

/**
 * The last result of each subscriber, in the order of the first.
 * @throws where it is not the only one with an outcome: an outcome is final.
 */
function lastOfEach(batch: Batch, results: readonly Delivery[]): readonly Delivery[] {
  const lasts = new Map<SubscriberKey, Delivery>();
  for (const delivery of results) {
    if (lasts.get(delivery.key)?.outcome !== undefined) {
      throw secondOutcome(batch);
    }
    lasts.set(delivery.key, delivery);
  }
  return [...lasts.values()];
}

/** Whoever would write one has worked without the lease. */
function secondOutcome({ messageKey }: Batch): Error {
  return new Error(`A delivery of message ${messageKey} has an outcome already.`);
}

function tally(results: readonly Delivery[]): Tally {
  const countOf = (outcome: Outcome): number => results.filter((one) => one.outcome === outcome).length;
  return {
    sent: countOf('sent'),
    failed: countOf('failed'),
    skipped: countOf('skipped'),
    unknown: countOf('unknown'),
  };
}

function difference(after: Tally, before: Tally): Tally {
  return {
    sent: after.sent - before.sent,
    failed: after.failed - before.failed,
    skipped: after.skipped - before.skipped,
    unknown: after.unknown - before.unknown,
  };
}

function sumOf(counted: Tally): number {
  return OUTCOMES.reduce((sum, outcome) => sum + counted[outcome], 0);
}

/** As many of the batches as together have `wanted` deliveries of the outcome, and those of one more: some of the first may have been read before. */
function enoughFor(wanted: number, batches: readonly Item[], outcome: Outcome): readonly Item[] {
  let found = -BATCH_SIZE;
  return batches.filter((item) => {
    const isWanted = found < wanted;
    found += toTally(item)[outcome];
    return isWanted;
  });
}

/** The first subscriber of a batch, from the sort key of its item or of its outcomes. */
function firstOf(item: Item, prefix: string): SubscriberKey {
  const first = text(item, 'first_subscriber').slice(prefix.length);
  if (!isSubscriberKey(first)) {
    throw new Error('The sort key of a batch names no subscriber.');
  }
  return first;
}

/** What comes next in order: no address has a space, and no character of one comes before it. */
function behind(first: string): string {
  return `${first} `;
}

/** Throws whatever is not the failure of a write's condition. */
function requireConditionFailure(error: unknown): ConditionalCheckFailedException {
  if (!(error instanceof ConditionalCheckFailedException)) {
    throw error;
  }
  return error;
}

/** Whose lease stood in the way. */
function holderOf({ Item: found }: ConditionalCheckFailedException): string | undefined {
  return found?.['lease_token']?.S;
}

function tooManyDecisions(): StoreUnavailableError {
  return new StoreUnavailableError({
    cause: new Error(`The message changed ${DECISIONS} times between reading and writing it.`),
  });
}

import { Injectable } from '@nestjs/common';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import type { SubscriberKey } from '../groups/subscriber.ts';
import { Clock, HOUR_MS, isReached, later, msBetween, plusMs } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import { Log } from '../platform/logging/log.ts';
import { Tracing } from '../platform/tracing/tracing.ts';
import { MessageStore } from '../schedule/message-store.ts';
import { type Message, type Retry, traceOf } from '../schedule/message.ts';
import { type Batch, BATCH_SIZE, cutRanges } from './batch.ts';
import { DeliveryStore, LeaseLostError } from './delivery-store.ts';
import { WorkQueue } from './work-queue.ts';

// One DynamoDB transaction takes 100 items (DynamoDB API reference, TransactWriteItems): the message and its batches.
const BATCHES_PER_CUT = 99;
const CLAIMABLE_PAGE = 1_000;
// How often a message at work is looked at for batches that were left behind: they wait a quarter of a lease beyond its end at most.
const LOOKS_PER_LEASE = 4;
// At that, batches come to the queue again whose pointers it has lost, and an outage is told from a wait.
const SLEEP_MAX_MS = HOUR_MS;
// Read and written within a small part of a lease, which each page renews.
const REOPENED_PAGE = 100;

/** Cuts a claimed message into batches and puts them on the work queue. */
@Injectable()
export class Dispatcher {
  constructor(
    private readonly messages: MessageStore,
    private readonly deliveries: DeliveryStore,
    private readonly subscribers: SubscriberStore,
    private readonly queue: WorkQueue,
    private readonly tracing: Tracing,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  /**
   * Goes on from the position at which the message stands, whoever brought it there; opens again what is to be retried; puts batches that were left behind on the
   * queue again, and those of a cancelled message that wait; finishes a message that has nothing left. Ends quietly where the lease is lost: another one goes on then.
   */
  async dispatch(message: Message, token: string): Promise<void> {
    await this.tracing.run({ trace: traceOf(message.key), name: 'message.dispatch' }, () =>
      this.#dispatch(message, token),
    );
  }

  async #dispatch(message: Message, token: string): Promise<void> {
    const isToBeCut = message.status === 'sending' && !message.dispatch.complete;
    try {
      if (message.retry) {
        await this.#reopen(message, message.retry, token);
      }
      if (isToBeCut) {
        await this.#cut(message, token); // which finishes it, where nothing is left
      }
    } catch (error) {
      if (!(error instanceof LeaseLostError)) {
        throw error;
      }
      this.log.info('dispatch.lease-lost', { message_key: message.key });
      return;
    }
    if (message.status === 'cancelled') {
      await this.deliveries.hasten(message.key, this.clock.now()); // nobody waits for a time that does not come
    }
    if (!isToBeCut) {
      await this.deliveries.finish(message.group, message.key);
    }
    const lookedAt = this.clock.now(); // behind the cut, whose pointers are on their way
    if (message.dispatch.batchesCut > message.dispatch.batchesSettled) {
      await this.#pushLeftBehind(message, lookedAt);
    }
    const wakeAt = this.shutdown.isStopping ? this.clock.now() : await this.#nextWake(message);
    await this.messages.rest(message.group, message.key, { token, wakeAt, lookedAt });
  }

  /** Soon, while there is work; a message whose batches all wait sleeps until the first of them can go on. */
  async #nextWake({ key, attempts }: Message): Promise<Temporal.Instant> {
    const now = this.clock.now();
    const soonMs = Math.round(this.settings.leaseMs / LOOKS_PER_LEASE);
    const soon = plusMs(now, soonMs);
    if (attempts.lastAt && msBetween(attempts.lastAt, now) <= 2 * soonMs) {
      return soon; // without a look at its batches, of which there may be thousands
    }
    const nextAt = (await this.deliveries.findNextAt(key, soon)) ?? soon;
    const latest = plusMs(now, SLEEP_MAX_MS);
    return isReached(nextAt, latest) ? nextAt : latest;
  }

  async #cut(message: Message, token: string): Promise<void> {
    let after = message.dispatch.through;
    let subscriberCount = 0;
    let complete = false;
    while (!complete && !this.shutdown.isStopping) {
      const members = await this.subscribers.pageMembers(message.group, after, BATCHES_PER_CUT * BATCH_SIZE);
      complete = members.length < BATCHES_PER_CUT * BATCH_SIZE;
      const now = this.clock.now();
      const batches = cutRanges(members, BATCH_SIZE).map(({ lastJoinedAt, ...range }): Batch => ({
        ...range,
        group: message.group,
        messageKey: message.key,
        cutAt: later(lastJoinedAt, now),
      }));
      await this.deliveries.cut({
        group: message.group,
        messageKey: message.key,
        token,
        after,
        batches,
        complete,
        now,
        leaseUntil: plusMs(now, this.settings.leaseMs),
      });
      // After the record: a pointer to a batch that is not there would be thrown away.
      await this.queue.push(batches);
      after = members.at(-1)?.key ?? after;
      subscriberCount += members.length;
    }
    this.log.info(complete ? 'message.dispatched' : 'dispatch.interrupted', {
      message_key: message.key,
      group: message.group,
      subscriber_count: subscriberCount,
      late_ms: msBetween(message.dueAt, this.clock.now()),
    });
  }

  async #reopen(message: Message, retry: Retry, token: string): Promise<void> {
    let after = retry.through;
    let batchCount = 0;
    for (let complete = false; !complete && !this.shutdown.isStopping;) {
      const now = this.clock.now();
      const reopened = await this.deliveries.reopen({
        group: message.group,
        messageKey: message.key,
        token,
        outcomes: retry.outcomes,
        after,
        limit: REOPENED_PAGE,
        now,
        leaseUntil: plusMs(now, this.settings.leaseMs),
      });
      await this.queue.push(reopened.pointers);
      after = reopened.pointers.at(-1)?.first ?? after;
      batchCount += reopened.pointers.length;
      complete = reopened.complete;
    }
    this.log.info('message.reopened', {
      message_key: message.key,
      group: message.group,
      batch_count: batchCount,
    });
  }

  async #pushLeftBehind(message: Message, now: Temporal.Instant): Promise<void> {
    const since = lookSince(message, now);
    let after: SubscriberKey | undefined;
    for (;;) {
      const page = { after, limit: CLAIMABLE_PAGE, since };
      const pointers = await this.deliveries.findClaimable(message.key, now, page);
      await this.queue.push(pointers);
      after = pointers.at(-1)?.first;
      if (pointers.length < CLAIMABLE_PAGE) {
        return;
      }
    }
  }
}

/**
 * Since when batches count as left behind; absent: all that can be claimed. Those that only wait for their turn have a pointer on
 * the queue, and another for each look would flood it; once an hour they get one all the same, because a queue may lose one.
 */
function lookSince({ dispatch }: Message, now: Temporal.Instant): Temporal.Instant | undefined {
  const { lookedAt } = dispatch;
  return lookedAt && hourOf(lookedAt) === hourOf(now) ? lookedAt : undefined;
}

function hourOf(at: Temporal.Instant): number {
  return Math.floor(at.epochMilliseconds / HOUR_MS);
}

import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import type { Subscriber, SubscriberKey } from '../groups/subscriber.ts';
import { Suppressor } from '../groups/suppressor.ts';
import { Suppressions } from '../groups/suppressions.ts';
import { Clock, isReached, later, plusMs, SECOND_MS } from '../platform/clock/clock.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { StoreUnavailableError } from '../platform/errors/domain-error.ts';
import { Settings } from '../platform/config/settings.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import { Log } from '../platform/logging/log.ts';
import { Tracing } from '../platform/tracing/tracing.ts';
import { MessageStore } from '../schedule/message-store.ts';
import { RenderError } from '../schedule/compiled-content.ts';
import { ContentDamagedError, type Message, type MessageStatus, traceOf } from '../schedule/message.ts';
import type { BatchPointer, ClaimedBatch, InFlight } from './batch.ts';
import { Channel, type Mail, type SendResult } from './channels/channel.ts';
import type { Delivery } from './delivery.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import { DeliveryStore, LeaseLostError, type Report } from './delivery-store.ts';
import { BatchLease } from './batch-lease.ts';
import { Brake } from './brake.ts';
import { detailOf, feedbackGained } from './feedback.ts';
import { newToken } from './lease.ts';
import { type MailMaker, MailMakers } from './mail-maker.ts';
import { MessageStopper } from './message-stopper.ts';
import {
  afterLeaving,
  afterLoss,
  afterRenderFault,
  afterSend,
  afterSkip,
  endWithoutSending,
  type RetryRules,
} from './next-state.ts';
import { Pacer } from './rate/pacer.ts';
import { batchRetryDelayMs, retryDelayMs, type Wait } from './retry.ts';
import { lookAgainAt, SendTimes, wasUnattended } from './send-time.ts';
import { WorkQueue } from './work-queue.ts';

/** A delivery that has no outcome yet, and to whom. */
interface Open {
  readonly subscriber: Subscriber;
  /** What the ledger has of it; absent before its first attempt. */
  readonly before: Delivery | undefined;
}

/** A delivery whose time has come. */
interface Due extends Open {
  /** From when on it could go. */
  readonly since: Temporal.Instant;
}

/** A delivery that is about to be handed to the channel. */
interface Ready extends Due {
  readonly mail: Mail;
}

/** One claim of one batch, while it is worked. */
interface Run {
  readonly batch: ClaimedBatch;
  readonly lease: BatchLease;
  readonly message: Message;
  readonly rules: RetryRules;
  /** Found out, and not in the ledger yet. */
  unreported: Delivery[];
  goneInDoubt: number;
  /** Of those in `unreported`, how many bounced at once and had not before. */
  bounced: number;
  attempts: Report['attempts'];
  /** Deferred, throttled, or in doubt and to be sent again: the batch waits for them. */
  readonly waiting: Wait[];
  readonly times: SendTimes;
  /** When the rest is to be tried that has not had its turn; absent where all has. */
  laterAt: Temporal.Instant | undefined;
  /** When the time of the next one comes whose time has not come yet; absent where that of all has. */
  waitsUntil: Temporal.Instant | undefined;
  /** As the ledger last said. */
  status: MessageStatus;
  /** The channel has been asked, and its answer is not in `unreported`: those in flight are in doubt until then. */
  isAsking: boolean;
}

// What fails for a reason that nobody foresaw is mostly over at the next try, or never. With the delays between them this many
// take about an hour: time for a deployment that mends it.
const MAX_MISHAPS = 8;
// A process that is killed takes its batches with it, whatever they are: only a batch that none survives is to blame.
const MAX_LOSSES = 50;

const USED_UP =
  "The account's quota of mails in 24 hours is used up. Resume the message when there is room again, or have the quota raised.";

// Then somebody has attended to the message, if anybody runs.
const UNATTENDED_MS = 5 * SECOND_MS;

// All mails of a window are in memory at once; those of large messages go in smaller windows.
const WINDOW_BYTES = 16 * 1024 * 1024;

/** Works one batch from claim to settlement. */
@Injectable()
export class BatchWorker {
  constructor(
    private readonly messages: MessageStore,
    private readonly deliveries: DeliveryStore,
    private readonly subscribers: SubscriberStore,
    private readonly suppressions: Suppressions,
    private readonly suppressor: Suppressor,
    private readonly groups: GroupStore,
    private readonly queue: WorkQueue,
    private readonly channel: Channel,
    private readonly mailMakers: MailMakers,
    private readonly stopper: MessageStopper,
    private readonly brake: Brake,
    private readonly pacer: Pacer,
    private readonly metrics: DeliveryMetrics,
    private readonly tracing: Tracing,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  /**
   * Works the batch where it can be claimed; does nothing where it cannot, so a pointer may come twice.
   * After a mishap that nobody foresaw it is tried again later, and set aside when that happens again and again.
   * Answers false where the lease was lost: the pointer is needed again then, unless another worker is through before.
   * @throws {StoreUnavailableError} where the ledger cannot be reached: the lease then ends by itself, and the batch is claimed again.
   */
  async work(pointer: BatchPointer): Promise<boolean> {
    const now = this.clock.now();
    const terms = { token: newToken(), now, until: plusMs(now, this.settings.leaseMs) };
    const batch = await this.deliveries.claim(pointer, terms);
    if (!batch) {
      this.metrics.countConflict('batch');
      return true;
    }
    if (batch.tries === 1) {
      this.metrics.observeQueueWait(batch.cutAt, now);
    }
    const { deliveries, clock, log } = this;
    const lease = new BatchLease(batch, { deliveries, clock, log, leaseMs: this.settings.leaseMs });
    try {
      if (batch.tries > MAX_LOSSES) {
        await this.#setAside(batch, `Its worker was lost ${MAX_LOSSES} times in a row.`);
        return true;
      }
      const run = await this.#begin(batch, lease);
      const attributes = { count: batch.count, try: batch.tries };
      await this.tracing.run({ trace: traceOf(batch.messageKey), name: 'batch.work', attributes }, () =>
        this.#workSafely(run),
      );
      return true;
    } catch (error) {
      if (!(error instanceof LeaseLostError)) {
        throw error;
      }
      this.log.warn('batch.lease-lost', { message_key: batch.messageKey });
      return false;
    } finally {
      lease.end();
    }
  }

  async #workSafely(run: Run): Promise<void> {
    try {
      await this.#work(run);
    } catch (error) {
      await this.#endAfterMishap(run, error);
    } finally {
      this.pacer.leave(run);
    }
  }

  async #begin(batch: ClaimedBatch, lease: BatchLease): Promise<Run> {
    const message = await this.messages.find(batch.group, batch.messageKey);
    if (!message) {
      throw new Error(`There is a batch of message ${batch.messageKey}, but no such message.`);
    }
    return {
      batch,
      lease,
      message,
      rules: { onUnknown: message.onUnknown, maxAttempts: this.settings.maxAttempts },
      unreported: [],
      goneInDoubt: 0,
      bounced: 0,
      attempts: undefined,
      waiting: [],
      times: new SendTimes(message, await this.groups.find(batch.group)),
      laterAt: undefined,
      waitsUntil: undefined,
      status: message.status,
      isAsking: false,
    };
  }

  async #work(run: Run): Promise<void> {
    const open = await this.#readOpen(run);
    if (run.status === 'cancelled') {
      // Without the content: it may be damaged, and making mails that are thrown away would only take time.
      this.#endAll(run, open);
      await this.#settle(run);
      return;
    }
    if (wasUnattended(run.message, this.clock.now(), this.settings.missedGraceMs)) {
      run.laterAt = plusMs(this.clock.now(), UNATTENDED_MS);
      await this.#settle(run);
      return;
    }
    const due = this.#whoseTimeHasCome(run, open);
    const mailMaker = due.length > 0 ? await this.#mailMakerFor(run) : undefined;
    const isThrough =
      due.length === 0 || (mailMaker !== undefined && (await this.#sendAll(run, due, mailMaker)));
    await (isThrough ? this.#settle(run) : this.#giveBack(run));
  }

  /** The others wait, or are not to get it. */
  #whoseTimeHasCome(run: Run, open: readonly Open[]): readonly Due[] {
    const now = this.clock.now();
    const { expiresAt } = run.message;
    if (expiresAt && isReached(expiresAt, now)) {
      return open.map((one) => ({ ...one, since: now })); // whoever has not got it by now need not wait to be told
    }
    return open.flatMap((one): readonly Due[] => {
      const time = run.times.of(one.subscriber, one.before !== undefined, now);
      switch (time.kind) {
        case 'now':
          return [{ ...one, since: time.since }];
        case 'later':
          run.waitsUntil = run.waitsUntil && isReached(run.waitsUntil, time.at) ? run.waitsUntil : time.at;
          return [];
        case 'skip':
          run.unreported.push(afterSkip(one.subscriber, one.before, time.reason, now));
          return [];
        default:
          return assertNever(time);
      }
    });
  }

  /** Of those whose time had come. */
  #whoseTimeIsStill(run: Run, due: readonly Due[]): readonly Due[] {
    return run.times.isCommon ? due : this.#whoseTimeHasCome(run, due);
  }

  /** Who is still to get it. Whoever left the group, or was being handed over when the last worker was lost, is decided upon here. */
  async #readOpen(run: Run): Promise<readonly Open[]> {
    const { batch } = run;
    const now = this.clock.now();
    const known = new Map(
      (await this.deliveries.readDeliveries(batch)).map((delivery) => [delivery.key, delivery]),
    );
    const members = (await this.subscribers.readRange(batch.group, batch)).filter((subscriber) =>
      isReached(subscriber.joinedAt, batch.cutAt),
    );
    const present = new Set(members.map((subscriber) => subscriber.key));
    const gone = [...known.values()].filter(({ key, outcome }) => !outcome && !present.has(key));
    run.unreported.push(...gone.map((before) => afterLeaving(before, isInFlight(run, before.key), now)));
    run.goneInDoubt = countGoneInDoubt(run, members, gone, known);
    return members
      .map((subscriber) => ({ subscriber, before: known.get(subscriber.key) }))
      .filter(({ before }) => before?.outcome === undefined)
      .map((open) => this.#resolveLoss(run, open, now))
      .filter(({ before }) => before?.outcome === undefined);
  }

  #resolveLoss(run: Run, open: Open, now: Temporal.Instant): Open {
    if (!isInFlight(run, open.subscriber.key)) {
      return open;
    }
    const doubtful = afterLoss(open.subscriber, open.before, run.rules, now);
    run.unreported.push(doubtful);
    return { ...open, before: doubtful };
  }

  /** Absent where the content is not what was scheduled: that stops the message. */
  async #mailMakerFor(run: Run): Promise<MailMaker | undefined> {
    try {
      return await this.mailMakers.for(run.message);
    } catch (error) {
      if (!(error instanceof ContentDamagedError)) {
        throw error;
      }
      await this.stopper.stop(run.message, `${error.message} Restore it, or schedule the message anew.`);
      return undefined;
    }
  }

  /** False where the batch is to be given back before its end: the message or the process stops. */
  async #sendAll(run: Run, due: readonly Due[], mailMaker: MailMaker): Promise<boolean> {
    for (let rest = due; rest.length > 0;) {
      const wanted = Math.min(this.#windowSize(run.message), rest.length);
      const turn = await this.pacer.take(run, wanted, () => this.#recordBeforeWaiting(run));
      if (turn.kind === 'later') {
        run.laterAt = turn.at;
        return true;
      }
      if (turn.kind === 'used-up') {
        await this.stopper.stop(run.message, USED_UP);
      }
      if (turn.kind !== 'go' || this.shutdown.isStopping) {
        return false;
      }
      // While it waited for its turn, the send window of the group may have ended.
      const window = this.#whoseTimeIsStill(run, rest.slice(0, turn.count));
      if (!(await this.#sendWindow(run, window, mailMaker))) {
        return false;
      }
      rest = this.#whoseTimeIsStill(run, rest.slice(turn.count)); // whoever waits for a time needs no turn
    }
    return true;
  }

  /** What the window before has brought: a worker that is lost while it waits should leave nobody in doubt. */
  async #recordBeforeWaiting(run: Run): Promise<void> {
    if (run.unreported.length > 0) {
      await this.#advance(run, undefined);
    }
  }

  async #sendWindow(run: Run, window: readonly Due[], mailMaker: MailMaker): Promise<boolean> {
    const ready = await this.#prepare(run, window, mailMaker);
    const first = ready.at(0);
    const last = ready.at(-1);
    if (!first || !last) {
      return true;
    }
    const { length: count } = ready;
    await this.#advance(run, { first: first.subscriber.key, last: last.subscriber.key, count });
    if (run.status === 'cancelled') {
      this.#endAll(run, ready);
      return true;
    }
    if (run.status !== 'sending') {
      return false;
    }
    const at = this.clock.now();
    run.lease.requireHeld(); // between the record and now, this process may have been stopped for longer than that
    run.isAsking = true;
    const results = await this.tracing.run(
      {
        trace: traceOf(run.message.key),
        name: 'channel.send',
        attributes: { channel: this.channel.name, count: ready.length },
      },
      () =>
        this.channel.send(
          ready.map(({ mail }) => mail),
          run.lease.signal,
        ),
    );
    const refusal = this.#take(run, ready, await this.#endDead(run, ready, results), at);
    run.isAsking = false;
    if (results.some(({ kind }) => kind === 'throttled')) {
      await this.pacer.slowDown();
    }
    if (refusal !== undefined) {
      await this.stopper.stop(run.message, refusal);
    }
    return refusal === undefined;
  }

  /** Makes the mails; whoever is not to get one, or for whom none can be made, is decided upon here. */
  async #prepare(run: Run, window: readonly Due[], mailMaker: MailMaker): Promise<readonly Ready[]> {
    const ready: Ready[] = [];
    const suppressed = await this.suppressions.findAmong(window.map(({ subscriber }) => subscriber.key));
    const now = this.clock.now();
    for (const open of window) {
      const suppression = suppressed.get(open.subscriber.key);
      const end = endWithoutSending({ ...open, suppression, message: run.message, status: run.status, now });
      if (end) {
        run.unreported.push(end);
        continue;
      }
      try {
        ready.push({ ...open, mail: await mailMaker.make(open.subscriber, now) });
      } catch (error) {
        if (!(error instanceof RenderError)) {
          throw error;
        }
        run.unreported.push(afterRenderFault(open.subscriber, open.before, error.message, now));
      }
    }
    return ready;
  }

  /** Ends what is not to be sent any more. */
  #endAll({ unreported, message, status }: Run, all: readonly Open[]): void {
    const now = this.clock.now();
    const suppression = undefined; // they end anyway
    unreported.push(
      ...all.flatMap((open) => endWithoutSending({ ...open, suppression, message, status, now }) ?? []),
    );
  }

  /**
   * Sees to it that nothing more is sent to an address that is dead: before the ledger has the delivery, so that a worker which is lost in
   * between leaves it in doubt, and whoever works it next does this again. Where it cannot be done now, the delivery is tried again.
   */
  async #endDead(
    { message, batch: { group } }: Run,
    ready: readonly Ready[],
    results: readonly SendResult[],
  ): Promise<readonly SendResult[]> {
    if (!results.some((result) => result.kind === 'rejected' && result.isDead === true)) {
      return results; // as nearly always
    }
    return Promise.all(
      results.map(async (result, index): Promise<SendResult> => {
        const subscriber = ready[index]?.subscriber.key;
        if (result.kind !== 'rejected' || result.isDead !== true || subscriber === undefined) {
          return result;
        }
        try {
          const detail = detailOf(result.reason);
          await this.suppressor.end({
            group,
            subscriber,
            ending: 'bounced',
            detail,
            messageKey: message.key,
          });
          return result;
        } catch (error) {
          this.log.error('bounce.failed', { message_key: message.key, err: error });
          return { kind: 'deferred', reason: result.reason };
        }
      }),
    );
  }

  /** Answers why the message is to be stopped, where it is. */
  #take(
    run: Run,
    ready: readonly Ready[],
    results: readonly SendResult[],
    at: Temporal.Instant,
  ): string | undefined {
    const now = this.clock.now();
    let refusal: string | undefined;
    for (const [index, open] of ready.entries()) {
      const result = results[index];
      if (!result) {
        throw new Error(`The channel ${this.channel.name} has not answered for every mail.`);
      }
      if (result.kind === 'refused') {
        refusal = result.reason;
        continue;
      }
      const delivery = afterSend(open.subscriber, open.before, result, run.rules, now);
      run.unreported.push(delivery);
      run.bounced += feedbackGained(open.before?.heard ?? {}, delivery.heard).bounced;
      if (!delivery.outcome) {
        run.waiting.push({ result, attempt: delivery.attempt });
      }
    }
    const hasAccepted = results.some((result) => result.kind === 'accepted');
    if (results.some((result) => result.kind !== 'throttled')) {
      const dueAt = ready.map(({ since }) => since).reduce(later);
      run.attempts = { at, acceptedAt: hasAccepted ? now : undefined, dueAt };
    }
    return refusal;
  }

  async #advance(run: Run, next: InFlight | undefined): Promise<void> {
    const leaseUntil = run.lease.nextUntil();
    run.status = await this.deliveries.advance(run.batch, {
      ...reportOf(run, this.clock.now()),
      next,
      leaseUntil,
    });
    run.lease.isRenewed(leaseUntil);
    await this.#isReported(run);
  }

  async #settle(run: Run): Promise<void> {
    const now = this.clock.now();
    const status = await this.deliveries.settle(run.batch, {
      ...reportOf(run, now),
      retryAt: this.#retryAt(run, now),
    });
    await this.#isReported(run);
    this.log.debug('batch.settled', { message_key: run.message.key, waiting_count: run.waiting.length });
    if (status === 'sent') {
      this.log.info('message.sent', { message_key: run.message.key, group: run.message.group });
    }
  }

  /** What is known is recorded first, so that nobody gets it again for what happened to somebody else. */
  async #endAfterMishap(run: Run, error: unknown): Promise<void> {
    if (error instanceof StoreUnavailableError || error instanceof LeaseLostError) {
      throw error;
    }
    const { batch } = run;
    this.log.error('batch.failed', { message_key: batch.messageKey, try: batch.tries, err: error });
    if (!run.isAsking) {
      await this.#advance(run, undefined);
    }
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const mishaps = batch.mishaps + 1;
    if (mishaps >= MAX_MISHAPS) {
      await this.#setAside(batch, reason);
      return;
    }
    const now = this.clock.now();
    const retryAt = plusMs(now, retryDelayMs(mishaps, this.settings.retryBaseMs, Math.random));
    await this.deliveries.putBack(batch, { error: reason, now }, retryAt);
  }

  async #setAside(batch: ClaimedBatch, error: string): Promise<void> {
    await this.deliveries.setAside(batch, { error, now: this.clock.now() });
    this.metrics.countSetAside();
    this.log.error('batch.set-aside', { message_key: batch.messageKey, group: batch.group, error });
  }

  async #giveBack(run: Run): Promise<void> {
    await this.#advance(run, undefined);
    await this.deliveries.release(run.batch, this.clock.now());
    if (run.status === 'sending') {
      await this.queue.push([run.batch]); // its task is done, and it must not wait for the message's next wake
    }
    this.log.info('batch.given-back', { message_key: run.message.key, status: run.status });
  }

  #retryAt(run: Run, now: Temporal.Instant): Temporal.Instant | undefined {
    const { expiresAt } = run.message;
    const moments = [
      this.#triedAgainAt(run, now),
      run.waitsUntil && lookAgainAt(run.waitsUntil, now, Math.random),
    ].filter((moment) => moment !== undefined);
    if (moments.length === 0) {
      return undefined;
    }
    // At its expiry they end; nobody should wait an hour to see it.
    return [...moments, ...(expiresAt ? [expiresAt] : [])].reduce((a, b) => (isReached(a, b) ? a : b));
  }

  /** When those are tried again whose time has come. */
  #triedAgainAt({ waiting, laterAt }: Run, now: Temporal.Instant): Temporal.Instant | undefined {
    if (waiting.length === 0) {
      return laterAt;
    }
    const waitMs = batchRetryDelayMs(waiting, this.settings.retryBaseMs, Math.random);
    return later(laterAt ?? now, plusMs(now, waitMs));
  }

  /** The ledger has it: it is written once. */
  async #isReported(run: Run): Promise<void> {
    this.metrics.countOutcomes(this.channel.name, run.unreported);
    const { bounced } = run;
    run.bounced = 0;
    run.unreported = [];
    run.goneInDoubt = 0;
    run.attempts = undefined;
    if (bounced > 0) {
      this.metrics.countFeedback('bounced', bounced);
      await this.brake.check(run.message);
    }
  }

  #windowSize(message: Message): number {
    return Math.max(1, Math.min(this.channel.window, Math.floor(WINDOW_BYTES / message.content.bytes)));
  }
}

/** True of whoever may have been handed over when the last worker was lost. */
function isInFlight({ batch: { inFlight } }: Run, key: SubscriberKey): boolean {
  return inFlight !== undefined && key >= inFlight.first && key <= inFlight.last;
}

/** How many of those in flight are neither in the group nor in the ledger any more: removed while their mail was on its way. */
function countGoneInDoubt(
  run: Run,
  members: readonly Subscriber[],
  gone: readonly Delivery[],
  known: ReadonlyMap<SubscriberKey, Delivery>,
): number {
  const here = [...members, ...gone].filter(
    ({ key }) => isInFlight(run, key) && known.get(key)?.outcome === undefined,
  );
  return Math.max((run.batch.inFlight?.count ?? 0) - here.length, 0);
}

function reportOf(
  { unreported: results, attempts, goneInDoubt, bounced }: Run,
  now: Temporal.Instant,
): Report {
  return { results, attempts, goneInDoubt, bounced, now };
}

import { Injectable } from '@nestjs/common';
import { GroupStore } from '../../groups/group-store.ts';
import type { GroupName } from '../../groups/group.ts';
import { Clock, HOUR_MS, SECOND_MS } from '../../platform/clock/clock.ts';
import { SEND_RATE_MAX, Settings } from '../../platform/config/settings.ts';
import { Shutdown } from '../../platform/lifecycle/shutdown.ts';
import { Log } from '../../platform/logging/log.ts';
import type { Message } from '../../schedule/message.ts';
import { BATCH_SIZE } from '../batch.ts';
import { Channel } from '../channels/channel.ts';
import { GroupRates } from './group-rates.ts';
import { Line, type Permits, type Taker } from './line.ts';
import { type Lease, leaseChunk, lower, rateAt } from './pace.ts';
import { ProviderQuota } from './provider-quota.ts';
import { type RateKey, RateStore } from './rate-store.ts';

/** A batch that is worked, as far as its pace is concerned. */
export interface PacedBatch extends Taker {
  readonly message: Pick<Message, 'key' | 'group' | 'counts'>;
}

/** What a batch is told that wants to hand over mails. */
export type Turn =
  | Permits
  /** Others of its group are in hand for so long that it would only keep other groups out: it is to come again then. */
  | { readonly kind: 'later'; readonly at: Temporal.Instant };

// A batch in hand keeps others out, so no more of a group are in hand than are through soon; but until more of them come again,
// which they do on the tenth second, there must be some to go on with.
const IN_HAND_MS = 15 * SECOND_MS;
const LATER_GRID_MS = 10 * SECOND_MS;
// For an account whose quota cannot be read. Most have at least that much; one that has less says so with the first mails.
const RATE_WHERE_UNKNOWN = 14;
// Then somebody looks whether its group has become faster.
const LATER_MAX_MS = HOUR_MS;

/**
 * Says when mails may go, so that all workers together keep to MAX_SEND_RATE, to what the provider allows the account, and to the rate
 * of each group. Permits are taken from the store in chunks; what is not used in time is void.
 */
@Injectable()
export class Pacer {
  readonly #quota: ProviderQuota;
  readonly #groupRates: GroupRates;
  readonly #channelKey: RateKey;
  #channelLine: Line | undefined;
  /** While somebody of the group is in hand. */
  readonly #groupLines = new Map<GroupName, { readonly line: Line; readonly inHand: Set<PacedBatch> }>();

  constructor(
    private readonly rates: RateStore,
    groups: GroupStore,
    private readonly channel: Channel,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {
    this.#channelKey = `channel/${channel.name}`;
    this.#quota = new ProviderQuota({ rates, channel, key: this.#channelKey, clock, log });
    this.#groupRates = new GroupRates(groups, clock);
  }

  /** Learns what the provider allows, and logs it: an operator should not have to wait for the first mail to see it. Never rejects. */
  async start(): Promise<void> {
    await this.#quota.rate(RATE_WHERE_UNKNOWN);
  }

  /**
   * Waits until mails of this batch may go, and says how many: at most `wanted`. Where it may have to wait, `beforeWaiting` is run first.
   * @throws {StoreUnavailableError}
   */
  async take(batch: PacedBatch, wanted: number, beforeWaiting: () => Promise<void>): Promise<Turn> {
    const ofGroup = await this.#groupRates.find(batch.message.group);
    const ofChannel = await this.#channelRate();
    if (ofGroup === undefined && ofChannel === undefined) {
      return { kind: 'go', count: wanted };
    }
    await beforeWaiting();
    if (ofGroup === undefined) {
      return this.#lineOfChannel().take(batch, wanted);
    }
    const line = this.#comeInto(batch, ofGroup);
    if (!line) {
      return { kind: 'later', at: this.#laterFor(batch, ofGroup) };
    }
    const turn = await line.take(batch, wanted);
    if (turn.kind !== 'go' || ofChannel === undefined) {
      return turn;
    }
    const last = await this.#lineOfChannel().take(batch, turn.count);
    line.giveBack(turn.count - (last.kind === 'go' ? last.count : 0));
    return last;
  }

  /**
   * Waits until one mail may go that is of no message, as one that asks for a confirmation is: through the channel, whatever the rate of its
   * group. All takers of the same key take turns with the messages, as if they were one.
   * @throws {StoreUnavailableError}
   */
  async takeOne(taker: Taker): Promise<Permits> {
    if ((await this.#channelRate()) === undefined) {
      return { kind: 'go', count: 1 };
    }
    const line = this.#lineOfChannel();
    try {
      return await line.take(taker, 1);
    } finally {
      line.forget(taker);
    }
  }

  /** To be called when a batch wants no more, however it ended. A second call does nothing. */
  leave(batch: PacedBatch): void {
    const { group } = batch.message;
    const ofGroup = this.#groupLines.get(group);
    ofGroup?.inHand.delete(batch);
    ofGroup?.line.forget(batch);
    if (ofGroup?.inHand.size === 0) {
      this.#groupLines.delete(group);
    }
    this.#channelLine?.forget(batch);
  }

  /** The provider has turned mails away as too fast. Never rejects: what became of them is more important to be recorded. */
  async slowDown(): Promise<void> {
    this.#quota.doubt();
    this.#channelLine?.drop();
    try {
      const limit = (await this.#channelRate()) ?? SEND_RATE_MAX;
      const rate = await this.rates.change(this.#channelKey, (before) => {
        const now = this.clock.now();
        const pace = lower(before, limit, now);
        return { pace, answer: rateAt(pace, limit, now) };
      });
      this.log.warn('rate.lowered', { channel: this.channel.name, mails_per_second: rate });
    } catch (error) {
      this.log.warn('rate.not-lowered', { channel: this.channel.name, err: error });
    }
  }

  /** Mails per second; absent: without limit. */
  async #channelRate(): Promise<number | undefined> {
    const { maxSendRate } = this.settings;
    const allowed = await this.#quota.rate(maxSendRate ?? RATE_WHERE_UNKNOWN);
    return maxSendRate === undefined || allowed === undefined
      ? (maxSendRate ?? allowed)
      : Math.min(maxSendRate, allowed);
  }

  #lineOfChannel(): Line {
    this.#channelLine ??= new Line(this.clock, this.shutdown.signal, () => this.#leaseOfChannel());
    return this.#channelLine;
  }

  async #leaseOfChannel(): Promise<Lease> {
    const lease = await this.#lease(this.#channelKey, await this.#channelRate());
    if (lease.kind !== 'used-up') {
      return lease;
    }
    // Permits that nobody used count as used until the provider is asked again: no message is stopped for those.
    await this.#quota.ask();
    return this.#lease(this.#channelKey, await this.#channelRate());
  }

  async #lease(key: RateKey, limit = SEND_RATE_MAX): Promise<Lease> {
    return this.rates.change(key, (before) => {
      const { pace, lease } = leaseChunk(before, { limit, now: this.clock.now() });
      return { pace, answer: lease };
    });
  }

  /** Absent where those of its group that are in hand already take long enough. */
  #comeInto(batch: PacedBatch, rate: number): Line | undefined {
    const { group } = batch.message;
    const ofGroup = this.#groupLines.get(group) ?? { line: this.#newGroupLine(group), inHand: new Set() };
    const takeMs = (ofGroup.inHand.size * BATCH_SIZE * SECOND_MS) / rate;
    if (!ofGroup.inHand.has(batch) && takeMs > IN_HAND_MS) {
      return undefined;
    }
    ofGroup.inHand.add(batch);
    this.#groupLines.set(group, ofGroup);
    return ofGroup.line;
  }

  #newGroupLine(group: GroupName): Line {
    return new Line(this.clock, this.shutdown.signal, async () =>
      this.#lease(`group/${group}`, await this.#groupRates.find(group)),
    );
  }

  /**
   * Somewhere in the time that all that is left of the message takes, so that about as many come as can go; on the tenth second, so that
   * a message wakes once for all of those, and not for each.
   */
  #laterFor({ message: { counts } }: PacedBatch, rate: number): Temporal.Instant {
    const left = counts.subscribers - counts.sent - counts.failed - counts.skipped - counts.unknown;
    const spreadMs = Math.min(LATER_MAX_MS, (Math.max(left, BATCH_SIZE) * SECOND_MS) / rate);
    const atMs = this.clock.now().epochMilliseconds + Math.random() * spreadMs;
    return Temporal.Instant.fromEpochMilliseconds(Math.ceil(atMs / LATER_GRID_MS) * LATER_GRID_MS);
  }
}

import { type Clock, isReached, MINUTE_MS, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import type { Log } from '../../platform/logging/log.ts';
import type { Channel } from '../channels/channel.ts';
import { type Quota, withQuota } from './pace.ts';
import type { RateKey, RateStore } from './rate-store.ts';

// AWS changes a quota some times a year; within 24 hours, what is left of it grows again.
const EVERY_MS = 5 * MINUTE_MS;
const AGAIN_AFTER_FAULT_MS = MINUTE_MS;
// Where it is in doubt whether it still holds: not for each mail that is turned away.
const FRESH_MS = 5 * SECOND_MS;

export interface ProviderQuotaParts {
  readonly rates: RateStore;
  readonly channel: Channel;
  readonly key: RateKey;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the provider allows the account, as this process knows it. One worker asks it for all: the others find the answer in the store. */
export class ProviderQuota {
  #quota: Quota | undefined;
  #dueAt: Temporal.Instant | undefined;
  #doubtedAt: Temporal.Instant | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(private readonly parts: ProviderQuotaParts) {}

  /** Mails per second, `unknown` where it could not be read; absent where this channel has no quota. Only the first answer is waited for. Never rejects. */
  async rate(unknown: number): Promise<number | undefined> {
    const { channel, clock } = this.parts;
    if (!channel.readQuota) {
      return undefined;
    }
    const isFirst = this.#dueAt === undefined;
    if (this.#dueAt === undefined || isReached(this.#dueAt, clock.now())) {
      this.#refreshing ??= this.#refresh().finally(() => {
        this.#refreshing = undefined;
      });
    }
    if (isFirst) {
      await this.#refreshing;
    }
    return this.#quota?.rate ?? unknown;
  }

  /** It may have become less, or be used up: to be asked anew soon. */
  doubt(): void {
    this.#doubtedAt = this.parts.clock.now();
    this.#dueAt = this.#dueAt && plusMs(this.#doubtedAt, FRESH_MS);
  }

  /** Asks now, unless that was done a moment ago. Never rejects. */
  async ask(): Promise<void> {
    const now = this.parts.clock.now();
    if (!this.#quota || isReached(plusMs(this.#quota.readAt, FRESH_MS), now)) {
      this.#doubtedAt = now;
      await this.#refresh();
    }
  }

  async #refresh(): Promise<void> {
    const { channel, clock, log } = this.parts;
    const now = clock.now();
    try {
      const shared = await this.#shared();
      this.#quota = shared && this.#isGood(shared, now) ? shared : await this.#askProvider(now);
      this.#dueAt = plusMs(this.#quota.readAt, EVERY_MS);
    } catch (error) {
      log.warn('quota.unread', { channel: channel.name, err: error });
      this.#dueAt = plusMs(now, AGAIN_AFTER_FAULT_MS);
    }
  }

  #isGood({ readAt }: Quota, now: Temporal.Instant): boolean {
    const isRecent = !isReached(plusMs(readAt, EVERY_MS), now);
    return isRecent && (this.#doubtedAt === undefined || !isReached(readAt, this.#doubtedAt));
  }

  async #shared(): Promise<Quota | undefined> {
    const { rates, key, clock } = this.parts;
    return rates.change(key, (pace) => ({
      pace: pace ?? { nextAt: clock.now(), lowered: undefined, quota: undefined },
      answer: pace?.quota,
    }));
  }

  async #askProvider(now: Temporal.Instant): Promise<Quota> {
    const { rates, channel, key, log } = this.parts;
    const allowed = await channel.readQuota?.();
    if (!allowed) {
      throw new Error(`The channel ${channel.name} has no quota.`);
    }
    const quota = { ...allowed, readAt: now };
    await rates.change(key, (pace) => ({ pace: withQuota(pace, quota), answer: undefined }));
    if (quota.rate !== this.#quota?.rate) {
      const left = quota.left ?? 'unlimited';
      log.info('quota.read', { channel: channel.name, mails_per_second: quota.rate, left_in_24_hours: left });
    }
    return quota;
  }
}

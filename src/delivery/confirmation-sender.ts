import { Injectable } from '@nestjs/common';
import { Links } from '../consent/links.ts';
import { originOf } from '../groups/consent.ts';
import { type Confirmation, ConfirmationStore } from '../groups/confirmation-store.ts';
import { GroupStore } from '../groups/group-store.ts';
import type { Group } from '../groups/group.ts';
import { languageOf } from '../groups/language.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import type { Subscriber } from '../groups/subscriber.ts';
import { Suppressor } from '../groups/suppressor.ts';
import { Suppressions } from '../groups/suppressions.ts';
import { Clock, type Disarm, isReached, MINUTE_MS, plusMs, SECOND_MS } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { Log } from '../platform/logging/log.ts';
import { newMessageKey } from '../schedule/message.ts';
import { Channel, type Mail } from './channels/channel.ts';
import { confirmationContent } from './confirmation-content.ts';
import { detailOf } from './feedback.ts';
import { newMail } from './mime.ts';
import { Pacer } from './rate/pacer.ts';

const LOOK_EVERY_MS = SECOND_MS;
// Each a mail of its own: some hundred in ten seconds, which no form on a web page fills faster.
const AT_ONCE = 10;
// For whom a worker was lost with, for what a channel deferred, and for what did not get its turn.
const AGAIN_AFTER_MS = 5 * MINUTE_MS;
// No longer, so that it has gone before another worker may take it.
const WAIT_FOR_TURN_MS = AGAIN_AFTER_MS / 2;

/** Asks those who are pending to confirm, and takes those out of their group who do not in time. */
@Injectable()
export class ConfirmationSender {
  /** Under which they take turns with messages. */
  readonly #key = newMessageKey();
  #next: Disarm | undefined;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(
    private readonly confirmations: ConfirmationStore,
    private readonly subscribers: SubscriberStore,
    private readonly suppressions: Suppressions,
    private readonly suppressor: Suppressor,
    private readonly groups: GroupStore,
    private readonly channel: Channel,
    private readonly pacer: Pacer,
    private readonly links: Links,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  /** Looks every second from now on what is due. */
  start(): void {
    this.#next = this.clock.arm(plusMs(this.clock.now(), LOOK_EVERY_MS), () => {
      this.#running = this.#look();
    });
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#next?.();
    await this.#running;
  }

  /** Does what is due now, each by one worker only. A worker that dies in the middle leaves it to another one some minutes later. */
  async runOnce(): Promise<void> {
    const due = await this.confirmations.findDue(this.clock.now(), AT_ONCE);
    await Promise.all(due.map((confirmation) => this.#attend(confirmation)));
  }

  async #look(): Promise<void> {
    try {
      await this.runOnce();
    } catch (error) {
      this.log.error('confirmations.failed', { err: error }); // they stay due
    }
    if (!this.#isStopped) {
      this.start();
    }
  }

  async #attend(found: Confirmation): Promise<void> {
    const now = this.clock.now();
    const claimed = { ...found, dueAt: plusMs(now, AGAIN_AFTER_MS), version: found.version + 1 };
    if (!(await this.confirmations.put(claimed, found))) {
      return; // another worker was quicker
    }
    const subscriber = await this.subscribers.find(found.group, found.subscriber);
    if (subscriber?.status !== 'pending') {
      await this.confirmations.remove(claimed);
      return;
    }
    if (isReached(this.#expiryOf(found), now)) {
      await this.#expire(subscriber, now);
      await this.confirmations.remove(claimed);
      return;
    }
    const isSettled = !found.isWanted || (await this.#isSent(found));
    if (isSettled) {
      await this.confirmations.put(
        {
          ...claimed,
          isWanted: false,
          sentCount: found.sentCount + (found.isWanted ? 1 : 0),
          lastSentAt: found.isWanted ? now : found.lastSentAt,
          dueAt: this.#expiryOf(found),
          version: claimed.version + 1,
        },
        claimed,
      );
    }
  }

  /** False where it is worth trying again. */
  async #isSent({ group, subscriber: key }: Confirmation): Promise<boolean> {
    if (!(await this.#mayGo())) {
      return false;
    }
    // As they are now: the turn may have taken minutes.
    const subscriber = await this.subscribers.find(group, key);
    if (subscriber?.status !== 'pending' || (await this.suppressions.find(key))) {
      return true; // there is nothing to be sent
    }
    const mail = this.#mailTo(subscriber, await this.groups.find(group));
    const [result] = await this.channel.send([mail], new AbortController().signal);
    this.log.info('confirmation.sent', {
      group,
      message_key: mail.messageKey,
      result: result?.kind,
    });
    if (result?.kind === 'throttled') {
      await this.pacer.slowDown();
    }
    if (result?.kind === 'rejected' && result.isDead === true) {
      const detail = detailOf(result.reason);
      await this.suppressor.end({ group, subscriber: key, ending: 'bounced', detail, messageKey: undefined });
    }
    return result?.kind === 'accepted' || result?.kind === 'rejected';
  }

  /** Waits for its turn, within the same rate as all other mails; false where that takes too long. */
  async #mayGo(): Promise<boolean> {
    const patience = new AbortController();
    const disarm = this.clock.arm(plusMs(this.clock.now(), WAIT_FOR_TURN_MS), () => patience.abort());
    try {
      const taker = { message: { key: this.#key }, lease: { signal: patience.signal } };
      return (await this.pacer.takeOne(taker)).kind === 'go';
    } finally {
      disarm();
    }
  }

  #mailTo(subscriber: Subscriber, group: Group | undefined): Mail {
    const messageKey = newMessageKey();
    const url = this.links.confirmUrl({ group: subscriber.group, subscriber: subscriber.key, messageKey });
    const language = languageOf(subscriber, group?.language);
    return newMail({
      ...confirmationContent(language, {
        list: group?.displayName ?? subscriber.group,
        url,
        postalAddress: group?.postalAddress,
      }),
      merge: undefined,
      from: group?.from ?? this.settings.mailFrom,
      replyTo: group?.replyTo,
      to: subscriber.email,
      toName: subscriber.name,
      messageKey,
      group: subscriber.group,
      // RFC 3834, 5: made by a machine, so that no other machine answers it.
      headers: [{ name: 'Auto-Submitted', value: 'auto-generated' }],
      date: this.clock.now(),
    });
  }

  async #expire({ group, key, version }: Subscriber, at: Temporal.Instant): Promise<void> {
    await this.subscribers.remove(group, key, version, { ...originOf('expiry'), what: 'expired', at });
    this.log.info('confirmation.expired', { group });
  }

  #expiryOf({ requestedAt }: Confirmation): Temporal.Instant {
    return plusMs(requestedAt, this.settings.confirmWithinMs);
  }
}

import { Injectable } from '@nestjs/common';
import { Clock, isReached, MINUTE_MS, plusMs } from '../platform/clock/clock.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import { type Confirmation, ConfirmationStore } from './confirmation-store.ts';
import type { GroupName } from './group.ts';
import { SubscriberStore } from './subscriber-store.ts';
import { type Subscriber, type SubscriberKey, SubscriberNotFoundError } from './subscriber.ts';

// Whoever has not answered three mails does not want them, or is not who was named; more would be a nuisance to a stranger.
const SENDS_MAX = 3;
// Mail servers that greylist let a mail wait for some minutes: what was sent may still be on its way.
const RESEND_AFTER_MS = 10 * MINUTE_MS;

/** Thrown on asking for another mail to somebody who does not have to confirm. */
export class NotPendingError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'not-pending';

  constructor(options?: ErrorOptions) {
    super('This subscriber is not pending: there is nothing to confirm.', options);
  }
}

/** Thrown on asking for another mail too soon, or too often. */
export class ConfirmationLimitError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'confirmation-limit';

  constructor(options?: ErrorOptions) {
    super(
      `At most ${SENDS_MAX} mails ask for a confirmation, each at least ${RESEND_AFTER_MS / MINUTE_MS} minutes after the one before.`,
      options,
    );
  }
}

/** Decides when somebody is asked to confirm; workers do it. */
@Injectable()
export class Confirmations {
  constructor(
    private readonly confirmations: ConfirmationStore,
    private readonly subscribers: SubscriberStore,
    private readonly clock: Clock,
  ) {}

  /** Has a pending subscriber asked as soon as may be; one that is being waited for already is left as it is. */
  async request(group: GroupName, subscriber: SubscriberKey): Promise<void> {
    await this.#begin(group, subscriber, undefined);
  }

  /**
   * The same of somebody who has just become pending: the time to confirm begins anew. Where they were asked before, too often or too shortly
   * before, there is no other mail; the link that they have is good.
   */
  async begin(group: GroupName, subscriber: SubscriberKey): Promise<void> {
    for (;;) {
      const before = await this.confirmations.find(group, subscriber);
      if (await this.#begin(group, subscriber, before)) {
        return;
      }
    }
  }

  /**
   * The same at the time that is given, from which the time to confirm is counted; false where it has begun since they joined the group, so a
   * second call changes nothing.
   */
  async beginOnce({ group, key, joinedAt }: Subscriber, at: Temporal.Instant): Promise<boolean> {
    for (;;) {
      const before = await this.confirmations.find(group, key);
      if (before && isReached(joinedAt, before.requestedAt)) {
        return false;
      }
      if (await this.#begin(group, key, before, at)) {
        return true;
      }
    }
  }

  /**
   * Has a pending subscriber asked once more.
   * @throws {SubscriberNotFoundError} @throws {NotPendingError} @throws {ConfirmationLimitError}
   */
  async requestAgain(group: GroupName, key: SubscriberKey): Promise<void> {
    const subscriber = await this.subscribers.find(group, key);
    if (!subscriber) {
      throw new SubscriberNotFoundError(group);
    }
    if (subscriber.status !== 'pending') {
      throw new NotPendingError();
    }
    const before = await this.confirmations.find(group, key);
    if (!before) {
      await this.request(group, key);
      return;
    }
    const now = this.clock.now();
    if (before.isWanted) {
      return; // it is on its way
    }
    if (!mayAskAgain(before, now)) {
      throw new ConfirmationLimitError();
    }
    await this.confirmations.put(
      { ...before, isWanted: true, dueAt: now, version: before.version + 1 },
      before,
    );
  }

  async #begin(
    group: GroupName,
    subscriber: SubscriberKey,
    before: Confirmation | undefined,
    at = this.clock.now(),
  ): Promise<boolean> {
    return this.confirmations.put(
      {
        group,
        subscriber,
        requestedAt: at,
        isWanted: !before || before.isWanted || mayAskAgain(before, at),
        sentCount: before?.sentCount ?? 0,
        lastSentAt: before?.lastSentAt,
        dueAt: at,
        version: (before?.version ?? 0) + 1,
      },
      before,
    );
  }
}

function mayAskAgain({ sentCount, lastSentAt }: Confirmation, now: Temporal.Instant): boolean {
  return sentCount < SENDS_MAX && (!lastSentAt || isReached(plusMs(lastSentAt, RESEND_AFTER_MS), now));
}

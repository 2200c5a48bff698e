import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { originOf } from './consent.ts';
import type { GroupName } from './group.ts';
import { SubscriberStore } from './subscriber-store.ts';
import { type SubscriberKey, SubscriberNotFoundError, type SubscriberStatus } from './subscriber.ts';
import { Suppressions } from './suppressions.ts';

/** Why nothing more is sent to an address. */
export type Ending = Extract<SubscriberStatus, 'bounced' | 'complained'>;

/** What was said of an address, in answer to a mail of a group. */
export interface Verdict {
  readonly group: GroupName;
  readonly subscriber: SubscriberKey;
  readonly ending: Ending;
  /** In the words of a mail server. */
  readonly detail: string | undefined;
  /** Of the message that it was the answer to; absent where that was a mail of ours. */
  readonly messageKey: string | undefined;
}

// Who stands further behind has more reason not to be written to: nothing that is heard puts anybody back.
const RANKS: readonly SubscriberStatus[] = ['pending', 'active', 'bounced', 'unsubscribed', 'complained'];

/** Ends a subscription because of what became of a mail, and sees to it that nothing is sent to the address any more. */
@Injectable()
export class Suppressor {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly suppressions: Suppressions,
    private readonly clock: Clock,
  ) {}

  /** A second run changes nothing. */
  async end(verdict: Verdict): Promise<void> {
    const { subscriber, ending, detail } = verdict;
    // First what keeps mails away: whoever is lost in between leaves only the status behind.
    await this.suppressions.add({ subscriber, reason: ending, detail, addedAt: this.clock.now() });
    await this.#markSubscriber(verdict);
  }

  /** Does nothing where they have left the group. */
  async #markSubscriber({ group, subscriber: key, ending, detail, messageKey }: Verdict): Promise<void> {
    for (;;) {
      const subscriber = await this.subscribers.find(group, key);
      if (!subscriber || RANKS.indexOf(subscriber.status) >= RANKS.indexOf(ending)) {
        return;
      }
      try {
        const origin = originOf('feedback', { reason: detail, messageKey });
        const consent = { ...origin, what: ending, at: this.clock.now() };
        await this.subscribers.change(group, key, { status: ending, consent }, subscriber.version);
        return;
      } catch (error) {
        if (!(error instanceof VersionMismatchError) && !(error instanceof SubscriberNotFoundError)) {
          throw error;
        }
      }
    }
  }
}

import { Injectable } from '@nestjs/common';
import type { ConsentEntry, ConsentOrigin } from '../groups/consent.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import { type Subscriber, SubscriberNotFoundError } from '../groups/subscriber.ts';
import { Clock } from '../platform/clock/clock.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import type { LinkTarget } from './links.ts';

/** Who leaves what. */
type Leaver = Pick<LinkTarget, 'group' | 'subscriber'>;

/** Ends a subscription as its subscriber wishes. */
@Injectable()
export class Unsubscriber {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly clock: Clock,
  ) {}

  /** A second call changes nothing, and neither does one for somebody who is not in the group. */
  async leave({ group, subscriber: key }: Leaver, origin: ConsentOrigin): Promise<void> {
    for (;;) {
      const subscriber = await this.subscribers.find(group, key);
      if (!subscriber || !canLeave(subscriber)) {
        return;
      }
      try {
        const consent: ConsentEntry = { ...origin, what: 'unsubscribed', at: this.clock.now() };
        await this.subscribers.change(group, key, { status: 'unsubscribed', consent }, subscriber.version);
        return;
      } catch (error) {
        if (!(error instanceof VersionMismatchError || error instanceof SubscriberNotFoundError)) {
          throw error;
        }
      }
    }
  }
}

/** Whoever bounced may be made active again some day, and must not be then; who complained will not be without asking for it. */
function canLeave({ status }: Subscriber): boolean {
  return status !== 'unsubscribed' && status !== 'complained';
}

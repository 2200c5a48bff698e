import { Injectable } from '@nestjs/common';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import { type Subscriber, SubscriberNotFoundError } from '../groups/subscriber.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import type { LinkTarget } from './links.ts';

/** Ends a subscription as its subscriber wishes. */
@Injectable()
export class Unsubscriber {
  constructor(private readonly subscribers: SubscriberStore) {}

  /** A second call changes nothing, and neither does one for somebody who is not in the group. */
  async leave({ group, subscriber: key }: LinkTarget): Promise<void> {
    for (;;) {
      const subscriber = await this.subscribers.find(group, key);
      if (!subscriber || !canLeave(subscriber)) {
        return;
      }
      try {
        await this.subscribers.change(group, key, { status: 'unsubscribed' }, subscriber.version);
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

import { Injectable } from '@nestjs/common';
import type { ConsentOrigin } from '../groups/consent.ts';
import { ConsentStore } from '../groups/consent-store.ts';
import { GroupStore } from '../groups/group-store.ts';
import type { Group, GroupName } from '../groups/group.ts';
import { SubscribersService } from '../groups/subscribers.service.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import type { Subscriber, SubscriberKey } from '../groups/subscriber.ts';
import { Suppressions } from '../groups/suppressions.ts';
import { Clock } from '../platform/clock/clock.ts';
import type { LinkTarget } from './links.ts';
import { Unsubscriber } from './unsubscriber.ts';

/** A group that somebody is in, or has left. */
export interface Subscription {
  readonly group: Group;
  readonly subscriber: Subscriber;
}

/** What somebody wants of the groups that they were shown. */
export interface Wish {
  readonly shown: ReadonlySet<string>;
  readonly kept: ReadonlySet<string>;
}

/** What one address gets of all groups, and what its owner decides about that. */
@Injectable()
export class Preferences {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly groups: GroupStore,
    private readonly suppressions: Suppressions,
    private readonly consents: ConsentStore,
    private readonly service: SubscribersService,
    private readonly unsubscriber: Unsubscriber,
    private readonly clock: Clock,
  ) {}

  /** Where somebody can still decide; whose mail came back or who complained is left to the sender. That of the link comes first. */
  async list({ group: first, subscriber }: LinkTarget): Promise<readonly Subscription[]> {
    const names = new Set([first, ...(await this.subscribers.listGroups(subscriber))]);
    const all = await Promise.all([...names].map((name) => this.#find(name, subscriber)));
    return all.filter((one) => one !== undefined).filter(canDecide);
  }

  async isSuppressed({ subscriber }: LinkTarget): Promise<boolean> {
    return (await this.suppressions.find(subscriber)) !== undefined;
  }

  /** Changes what differs from the wish, of those that were shown; a second call changes nothing. */
  async change(target: LinkTarget, { shown, kept }: Wish, origin: ConsentOrigin): Promise<void> {
    for (const { group, subscriber } of await this.list(target)) {
      if (shown.has(group.name) && !kept.has(group.name)) {
        await this.unsubscriber.leave({ group: group.name, subscriber: subscriber.key }, origin);
      } else if (kept.has(group.name) && subscriber.status === 'unsubscribed') {
        await this.service.resubscribe(subscriber, origin);
      }
    }
  }

  /** Leaves every group, and suppresses the address, so that it is in no other one either; a second call changes nothing. */
  async leaveAll(target: LinkTarget, origin: ConsentOrigin): Promise<void> {
    const { subscriber, group } = target;
    const addedAt = this.clock.now();
    // First, because it alone is enough to keep everything away.
    const wasNew = await this.suppressions.add({
      subscriber,
      reason: 'unsubscribed',
      detail: undefined,
      addedAt,
    });
    for (const subscription of await this.list(target)) {
      await this.unsubscriber.leave({ group: subscription.group.name, subscriber }, origin);
    }
    if (wasNew) {
      await this.consents.append(group, subscriber, { ...origin, what: 'suppressed', at: addedAt });
    }
  }

  async #find(name: GroupName, key: SubscriberKey): Promise<Subscription | undefined> {
    const [group, subscriber] = await Promise.all([this.groups.find(name), this.subscribers.find(name, key)]);
    return group && subscriber && { group, subscriber };
  }
}

function canDecide({ subscriber: { status } }: Subscription): boolean {
  return status === 'active' || status === 'pending' || status === 'unsubscribed';
}

import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { checkItem } from '../platform/http/check-item.ts';
import type { GroupName } from './group.ts';
import { type AddedOrRefused, NewSubscriber, readNewcomer, type SubscriberPatch } from './subscriber.dto.ts';
import { type Added, type SubscriberChange, SubscriberStore } from './subscriber-store.ts';
import {
  ResubscribeRefusedError,
  type Subscriber,
  type SubscriberKey,
  SubscriberNotFoundError,
} from './subscriber.ts';

/** Decides who gets into a group, and how they may be changed. */
@Injectable()
export class SubscribersService {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly clock: Clock,
  ) {}

  /** @throws {InvalidInputError} where the address cannot be used. A second call changes nothing. */
  async add(group: GroupName, body: NewSubscriber): Promise<Added> {
    const newcomer = readNewcomer(body);
    const [added] = await this.subscribers.add(group, [newcomer], this.clock.now());
    if (!added) {
      throw new Error('The store has not answered for the subscriber that it was given.');
    }
    return added;
  }

  /** Answers for each item in the order given; those that are refused keep none of the others out. */
  async addMany(group: GroupName, items: readonly unknown[]): Promise<readonly AddedOrRefused[]> {
    const checked = await Promise.all(
      items.map((item, index) => checkItem(NewSubscriber, item, `/subscribers/${index}`, readNewcomer)),
    );
    const newcomers = checked.flatMap((item) => (item.kind === 'valid' ? [item.item] : []));
    const added = newcomers.length > 0 ? await this.subscribers.add(group, newcomers, this.clock.now()) : [];

    const answers = added.values();
    return checked.map((item) => {
      if (item.kind === 'invalid') {
        return item;
      }
      const answer = answers.next().value;
      if (!answer) {
        throw new Error('The store has not answered for every subscriber that it was given.');
      }
      return answer;
    });
  }

  /** @throws {SubscriberNotFoundError} */
  async get(group: GroupName, key: SubscriberKey): Promise<Subscriber> {
    const subscriber = await this.subscribers.find(group, key);
    if (!subscriber) {
      throw new SubscriberNotFoundError(group);
    }
    return subscriber;
  }

  /**
   * A second call with the same patch raises the version again and changes nothing else.
   * @throws {ResubscribeRefusedError} where it would make active again, unasked, somebody who must not be written to.
   */
  async change(
    group: GroupName,
    key: SubscriberKey,
    patch: SubscriberPatch,
    ifVersion: number | undefined,
  ): Promise<Subscriber> {
    const subscriber = await this.get(group, key);
    if (ifVersion !== undefined && ifVersion !== subscriber.version) {
      throw new VersionMismatchError(ifVersion, subscriber.version);
    }
    const isLocked = subscriber.status !== 'active' && subscriber.status !== 'pending';
    const opens = patch.status === 'active' || patch.status === 'pending';
    if (isLocked && opens && patch.resubscribe !== true) {
      throw new ResubscribeRefusedError(subscriber.status);
    }
    return this.subscribers.change(group, key, readChange(patch), subscriber.version);
  }
}

function readChange(patch: SubscriberPatch): SubscriberChange {
  return {
    ...(patch.status !== undefined && { status: patch.status }),
    ...(patch.name !== undefined && { name: patch.name ?? undefined }),
    ...(patch.attributes !== undefined && { attributes: patch.attributes ?? {} }),
    ...(patch.time_zone !== undefined && { timeZone: patch.time_zone ?? undefined }),
  };
}

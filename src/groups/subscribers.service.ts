import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { checkItem } from '../platform/http/check-item.ts';
import { Confirmations } from './confirmations.ts';
import { type ConsentEntry, consentEvent, type ConsentOrigin, originOf } from './consent.ts';
import type { GroupName } from './group.ts';
import { GroupStore } from './group-store.ts';
import {
  type AddedOrRefused,
  NewSubscriber,
  NO_REASON,
  readNewcomer,
  type SubscriberPatch,
} from './subscriber.dto.ts';
import { type Added, type Newcomer, type SubscriberChange, SubscriberStore } from './subscriber-store.ts';
import {
  ResubscribeRefusedError,
  type Subscriber,
  type SubscriberKey,
  subscriberKey,
  SubscriberNotFoundError,
} from './subscriber.ts';
import { AddressErasedError, ERASED_FAULT } from './suppression.ts';
import { Suppressions } from './suppressions.ts';

/** Decides who gets into a group, and how they may be changed. */
@Injectable()
export class SubscribersService {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly groups: GroupStore,
    private readonly confirmations: Confirmations,
    private readonly suppressions: Suppressions,
    private readonly clock: Clock,
  ) {}

  /**
   * A second call changes nothing.
   * @throws {InvalidInputError} where the address cannot be used.
   * @throws {AddressErasedError} where it belonged to somebody who was erased.
   */
  async add(group: GroupName, body: NewSubscriber): Promise<Added> {
    const newcomer = readNewcomer(body);
    if ((await this.#findBarred([newcomer])).has(newcomer)) {
      throw new AddressErasedError();
    }
    const [added] = await this.admit(group, [newcomer]);
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
    const valid = checked.flatMap((item) => (item.kind === 'valid' ? [item.item] : []));
    const barred = await this.#findBarred(valid);
    const newcomers = valid.filter((newcomer) => !barred.has(newcomer));
    const added = newcomers.length > 0 ? await this.admit(group, newcomers) : [];

    const answers = added.values();
    return checked.map((item, index) => {
      if (item.kind === 'invalid') {
        return item;
      }
      if (barred.has(item.item)) {
        const faults = [{ pointer: `/subscribers/${index}/email`, detail: ERASED_FAULT }];
        return { kind: 'invalid', faults };
      }
      const answer = answers.next().value;
      if (!answer) {
        throw new Error('The store has not answered for every subscriber that it was given.');
      }
      return answer;
    });
  }

  /**
   * Adds whoever is not there, in the order given; to a group with double opt-in as `pending`. Whoever is there stays as they are: nobody who
   * unsubscribed is subscribed again by being added.
   */
  async admit(group: GroupName, newcomers: readonly Newcomer[]): Promise<readonly Added[]> {
    const returning = newcomers.filter(({ isResubscribed }) => isResubscribed === true);
    const erased = await this.suppressions.findErased(returning.map(({ email }) => subscriberKey(email)));
    for (const subscriber of erased.keys()) {
      await this.suppressions.restore(subscriber);
    }
    const isDouble = (await this.groups.find(group))?.optIn === 'double';
    const admitted = isDouble ? newcomers.map((newcomer) => asPending(newcomer)) : newcomers;
    const added = await this.subscribers.add(group, admitted, this.clock.now());
    for (const { kind, subscriber } of added.filter((one) => one.subscriber.status === 'pending')) {
      // Also those who were there: a call that failed between the two is made again.
      await (kind === 'added'
        ? this.confirmations.begin(group, subscriber.key)
        : this.confirmations.request(group, subscriber.key));
    }
    return added;
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
   * @throws {InvalidInputError} where it is asked for and no reason is given.
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
    if (isLocked && opens && patch.reason === undefined) {
      throw new InvalidInputError([{ pointer: '/reason', detail: NO_REASON }]);
    }
    const change = { ...readChange(patch), ...this.#consentTo(subscriber, patch) };
    const changed = await this.subscribers.change(group, key, change, subscriber.version);
    if (patch.status !== undefined) {
      await this.#askIfPending(changed);
    }
    return changed;
  }

  /**
   * Subscribes again somebody who left, because they ask for it themselves; in a group with double opt-in they have to confirm.
   * @throws {VersionMismatchError} where they have changed since `before` was read.
   */
  async resubscribe(before: Subscriber, origin: ConsentOrigin): Promise<void> {
    const isDouble = (await this.groups.find(before.group))?.optIn === 'double';
    const [status, what] = isDouble
      ? (['pending', 'pending'] as const)
      : (['active', 'resubscribed'] as const);
    const consent: ConsentEntry = { ...origin, what, at: this.clock.now() };
    const { group, key, version } = before;
    await this.#askIfPending(await this.subscribers.change(group, key, { status, consent }, version));
  }

  /**
   * Takes the subscriber out of the group; what was agreed to stays recorded.
   * @throws {SubscriberNotFoundError}
   * @throws {VersionMismatchError}
   */
  async remove(group: GroupName, key: SubscriberKey, ifVersion: number | undefined): Promise<void> {
    const entry: ConsentEntry = { ...originOf('api'), what: 'removed', at: this.clock.now() };
    await this.subscribers.remove(group, key, ifVersion, entry);
  }

  /** Those who were erased, and have not said that they want to be written to again. */
  async #findBarred(newcomers: readonly Newcomer[]): Promise<ReadonlySet<Newcomer>> {
    const unasked = newcomers.filter(({ isResubscribed }) => isResubscribed !== true);
    const erased = await this.suppressions.findErased(unasked.map(({ email }) => subscriberKey(email)));
    return new Set(unasked.filter(({ email }) => erased.has(subscriberKey(email))));
  }

  async #askIfPending({ status, group, key }: Subscriber): Promise<void> {
    if (status === 'pending') {
      await this.confirmations.begin(group, key);
    }
  }

  #consentTo(before: Subscriber, { status, reason }: SubscriberPatch): { readonly consent?: ConsentEntry } {
    const what = status && consentEvent(before.status, status);
    return what ? { consent: { ...originOf('api', { reason }), what, at: this.clock.now() } } : {};
  }
}

function asPending(newcomer: Newcomer): Newcomer {
  return { ...newcomer, status: 'pending' };
}

function readChange(patch: SubscriberPatch): SubscriberChange {
  return {
    ...(patch.status !== undefined && { status: patch.status }),
    ...(patch.name !== undefined && { name: patch.name ?? undefined }),
    ...(patch.attributes !== undefined && { attributes: patch.attributes ?? {} }),
    ...(patch.time_zone !== undefined && { timeZone: patch.time_zone ?? undefined }),
  };
}

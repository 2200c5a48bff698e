import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.ts';
import { Log } from '../platform/logging/log.ts';
import { ConfirmationStore } from './confirmation-store.ts';
import { ConsentStore } from './consent-store.ts';
import type { GroupName } from './group.ts';
import { SubscriberStore } from './subscriber-store.ts';
import { type SubscriberKey, SubscriberNotFoundError } from './subscriber.ts';
import { Suppressions } from './suppressions.ts';

/** What an erasure took away. */
export interface Erased {
  /** When the person was first erased. */
  readonly at: Temporal.Instant;
  /** Those that they were taken out of. */
  readonly groups: readonly GroupName[];
  /** Those in which something was recorded of their consent. */
  readonly records: readonly GroupName[];
}

/** Takes a person away, whatever group they are in, and keeps only what keeps them from being written to again. */
@Injectable()
export class Erasure {
  constructor(
    private readonly suppressions: Suppressions,
    private readonly subscribers: SubscriberStore,
    private readonly confirmations: ConfirmationStore,
    private readonly consents: ConsentStore,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** A second call goes on where the first was interrupted, and takes away what it may have missed because it had only just been added. */
  async erase(subscriber: SubscriberKey): Promise<Erased> {
    // First, so that nobody adds or writes to them meanwhile.
    const at = await this.suppressions.erase(subscriber, this.clock.now());
    const groups: GroupName[] = [];
    for (const group of await this.subscribers.listGroups(subscriber)) {
      if (await this.#takeOut(group, subscriber)) {
        groups.push(group);
      }
    }
    // After the groups: a change of a subscriber writes into the record.
    const records = await this.consents.listGroups(subscriber);
    for (const group of new Set([...groups, ...records])) {
      const waiting = await this.confirmations.find(group, subscriber);
      if (waiting) {
        await this.confirmations.remove(waiting);
      }
    }
    // Last, because it is by these that a second call finds what is left.
    for (const group of records) {
      await this.consents.erase(group, subscriber);
    }
    this.log.info('subscriber.erased', { group_count: groups.length, record_count: records.length });
    return { at, groups, records };
  }

  /** False where they had left. */
  async #takeOut(group: GroupName, subscriber: SubscriberKey): Promise<boolean> {
    try {
      await this.subscribers.remove(group, subscriber);
      return true;
    } catch (error) {
      if (error instanceof SubscriberNotFoundError) {
        return false;
      }
      throw error;
    }
  }
}

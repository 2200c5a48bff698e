import { Injectable } from '@nestjs/common';
import { Clock, isReached, plusMs } from '../../platform/clock/clock.ts';
import { Confirmations } from '../confirmations.ts';
import { GroupStore } from '../group-store.ts';
import type { GroupName } from '../group.ts';
import { SubscriberStore } from '../subscriber-store.ts';
import type { ImportRow } from './import-row.ts';

// Half of what is sent in a second: whoever has just filled in a form does not wait behind a file of a million.
const ASK_EVERY_MS = 200;

/** Has those asked to confirm whom an import made pending, or found so. */
@Injectable()
export class ImportAsker {
  constructor(
    private readonly groups: GroupStore,
    private readonly subscribers: SubscriberStore,
    private readonly confirmations: Confirmations,
    private readonly clock: Clock,
  ) {}

  /**
   * One after the other, the first not before `from`; answers from when the next may be. A second call for the same rows asks nobody again.
   */
  async ask(group: GroupName, rows: readonly ImportRow[], from: Temporal.Instant): Promise<Temporal.Instant> {
    if (!(await this.#mayHavePending(group, rows))) {
      return from;
    }
    const keys = [...new Set(rows.map(({ key }) => key))];
    const found = await Promise.all(keys.map((key) => this.subscribers.find(group, key)));
    const pending = found.flatMap((subscriber) => (subscriber?.status === 'pending' ? [subscriber] : []));
    const asked = await Promise.all(
      pending.map((subscriber, index) => this.confirmations.beginOnce(subscriber, this.#turn(from, index))),
    );
    return this.#turn(from, asked.lastIndexOf(true) + 1);
  }

  async #mayHavePending(group: GroupName, rows: readonly ImportRow[]): Promise<boolean> {
    const saysSo = rows.some(({ status }) => status === 'pending');
    return saysSo || (rows.length > 0 && (await this.groups.find(group))?.optIn === 'double');
  }

  #turn(from: Temporal.Instant, index: number): Temporal.Instant {
    const now = this.clock.now();
    return plusMs(isReached(from, now) ? now : from, index * ASK_EVERY_MS);
  }
}

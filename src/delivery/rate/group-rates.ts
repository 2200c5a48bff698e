import type { GroupStore } from '../../groups/group-store.ts';
import type { GroupName } from '../../groups/group.ts';
import { type Clock, isReached, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';

// How long it may go unnoticed that a group's rate was changed.
const KNOWN_MS = 10 * SECOND_MS;
// More than are commonly sent to at once.
const KEPT = 1_000;

/** The rates of groups, remembered for a moment: they are asked for with every window. */
export class GroupRates {
  readonly #known = new Map<
    GroupName,
    { readonly rate: number | undefined; readonly readAt: Temporal.Instant }
  >();

  constructor(
    private readonly groups: GroupStore,
    private readonly clock: Clock,
  ) {}

  /** Mails per second; absent: without limit. */
  async find(name: GroupName): Promise<number | undefined> {
    const now = this.clock.now();
    const known = this.#known.get(name);
    if (known && !isReached(plusMs(known.readAt, KNOWN_MS), now)) {
      return known.rate;
    }
    const rate = (await this.groups.find(name))?.maxSendRate;
    this.#known.delete(name);
    this.#known.set(name, { rate, readAt: now });
    for (const oldest of [...this.#known.keys()].slice(0, -KEPT)) {
      this.#known.delete(oldest);
    }
    return rate;
  }
}

import type { Clock } from '../../platform/clock/clock.ts';
import { StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import type { Waking } from '../../schedule/message-store.ts';
import {
  type DuePartition,
  firstHourNotEmpty,
  idOf,
  isCoveredBy,
  isSettled,
  nameOf,
  partitionsToAsk,
  shardsOf,
  soonest,
} from './due-index.ts';
import type { QueryDue } from './due-query.ts';
import type { LowWaterMark } from './low-water-mark.ts';

// A year without a scanner is 35,000 partitions: asked in half a minute so, and with an eighth of the sockets of the client.
const QUERIES_AT_ONCE = 16;

/**
 * Finds what wakes, from the low-water mark on. An hour that was found over and empty is not asked again by this process, even where
 * an older one keeps the mark back: a message that nobody can attend to must not make every scan ask every hour since.
 *
 * What that rests on: nothing comes into an hour that is settled (`isSettled`), and what is in it wakes before its end. So evidence that
 * an hour is empty never becomes wrong, whoever gathered it and however long ago.
 */
export class DueFinder {
  /** Partitions that are settled and empty, from the mark on; by `idOf`. */
  readonly #empty = new Set<number>();
  /** The mark as this process saw it last: never ahead of the stored one. */
  #oldestHour: number | undefined;

  constructor(
    private readonly query: QueryDue,
    private readonly mark: Pick<LowWaterMark, 'get' | 'move'>,
    private readonly clock: Clock,
  ) {}

  /** `MessageStore.findWaking`. What a run that failed has found empty stays known, so the next goes on from there. */
  async find(until: Temporal.Instant, limit: number): Promise<readonly Waking[]> {
    const now = this.clock.now(); // before the first question: what comes into an hour after its answer must not be thought away
    this.#oldestHour ??= await this.mark.get(now);
    const toAsk = partitionsToAsk(this.#oldestHour, until, now)
      .filter((partition) => !this.#empty.has(idOf(partition)))
      .values()
      .map((partition) => partition); // a helper's iterator ends for all who share it when one of them throws
    let found: readonly Waking[] = [];
    const ask = async (): Promise<void> => {
      for (const partition of toAsk) {
        const waking = await this.query(nameOf(partition), until, limit);
        if (waking.length > 0) {
          found = soonest([...found, ...waking], limit);
        } else if (isSettled(partition.hour, now) && isCoveredBy(partition.hour, until)) {
          this.#empty.add(idOf(partition));
        }
      }
    };
    await Promise.all(Array.from({ length: QUERIES_AT_ONCE }, ask));
    await this.#moveMark(this.#oldestHour);
    return found;
  }

  async #moveMark(from: number): Promise<void> {
    const to = firstHourNotEmpty(from, (partition) => this.#empty.has(idOf(partition)));
    if (to === from) {
      return;
    }
    try {
      this.#oldestHour = await this.mark.move(from, to);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) {
        throw error;
      }
      return; // it stays behind, which costs nothing here; the next scan tries again
    }
    for (let hour = from; hour < this.#oldestHour; hour += 1) {
      this.#forget(shardsOf(hour));
    }
  }

  #forget(partitions: readonly DuePartition[]): void {
    for (const partition of partitions) {
      this.#empty.delete(idOf(partition));
    }
  }
}

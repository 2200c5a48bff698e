import { Clock, isReached, later, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import type { MessageKey } from '../../schedule/message.ts';
import type { Chunk, Lease } from './pace.ts';

/** Who wants permits: one batch, while it is worked. */
export interface Taker {
  readonly message: { readonly key: MessageKey };
  readonly lease: {
    /** Aborts when it may use none any more. */
    readonly signal: AbortSignal;
  };
}

/** What a taker is told. */
export type Permits =
  /** It may hand over so many mails now. */
  | { readonly kind: 'go'; readonly count: number }
  /** Nothing more may go within the 24 hours. */
  | { readonly kind: 'used-up' }
  /** It, or this process, is to stop. */
  | { readonly kind: 'stop' };

interface Waiter {
  readonly taker: Taker;
  readonly wanted: number;
  readonly resolve: (permits: Permits) => void;
  readonly reject: (error: unknown) => void;
}

// Where the store cannot say how long to wait.
const SHORTEST_WAIT_MS = SECOND_MS / 100;

/**
 * Everybody in this process who waits for permits of one limit. Messages take turns, so that a large one does not hold up a small one; of
 * one message, the batch that came first gets all until it is through, so that its place is soon free for others.
 */
export class Line {
  #chunk: Chunk | undefined;
  /** In the order in which they first came. */
  readonly #known = new Set<Taker>();
  readonly #waiting = new Map<Taker, Waiter>();
  #servedLast: MessageKey | undefined;
  #isServing = false;

  /** @param lease takes the next chunk from the store. */
  constructor(
    private readonly clock: Clock,
    private readonly stop: AbortSignal,
    private readonly lease: () => Promise<Lease>,
  ) {}

  /** Waits for its turn, and for the time at which it may go. */
  async take(taker: Taker, wanted: number): Promise<Permits> {
    if (this.stop.aborted || taker.lease.signal.aborted) {
      return { kind: 'stop' };
    }
    const { promise, resolve, reject } = Promise.withResolvers<Permits>();
    this.#known.add(taker);
    this.#waiting.set(taker, { taker, wanted, resolve, reject });
    const leave = (): void => this.#end(taker, { kind: 'stop' });
    const signals = [this.stop, taker.lease.signal];
    signals.forEach((signal) => signal.addEventListener('abort', leave));
    void this.#serve();
    try {
      return await promise;
    } finally {
      signals.forEach((signal) => signal.removeEventListener('abort', leave));
    }
  }

  /** To be called when a taker is through: the next one of its message moves up. */
  forget(taker: Taker): void {
    this.#known.delete(taker);
  }

  /** What is left of what was taken; void as it would have been. */
  giveBack(count: number): void {
    if (this.#chunk) {
      this.#chunk = { ...this.#chunk, count: this.#chunk.count + count };
    }
  }

  /** What is in hand was given out at a rate that is too fast by now. */
  drop(): void {
    this.#chunk = undefined;
  }

  async #serve(): Promise<void> {
    if (this.#isServing) {
      return;
    }
    this.#isServing = true;
    try {
      while (this.#waiting.size > 0) {
        const isUsedUp = !(await this.#untilThereAreSome());
        // Whose turn it is, is decided now: somebody may have come or gone meanwhile.
        const waiter = this.#next();
        if (waiter) {
          this.#end(
            waiter.taker,
            isUsedUp ? { kind: 'used-up' } : { kind: 'go', count: this.#draw(waiter.wanted) },
          );
          this.#servedLast = waiter.taker.message.key;
        }
      }
    } catch (error) {
      for (const waiter of this.#waiting.values()) {
        waiter.reject(error);
      }
      this.#waiting.clear();
    } finally {
      this.#isServing = false;
    }
  }

  /** False where there will be none for long. */
  async #untilThereAreSome(): Promise<boolean> {
    while (this.#waiting.size > 0) {
      const now = this.clock.now();
      const chunk = this.#chunk;
      if (chunk && chunk.count > 0 && !isReached(chunk.until, now)) {
        if (isReached(chunk.from, now)) {
          return true;
        }
        await this.#wait(chunk.from);
        continue;
      }
      const lease = await this.lease();
      if (lease.kind === 'used-up') {
        return false;
      }
      if (lease.kind === 'chunk') {
        this.#chunk = lease.chunk;
      } else {
        await this.#wait(later(lease.until, plusMs(now, SHORTEST_WAIT_MS)));
      }
    }
    return true;
  }

  #draw(wanted: number): number {
    const has = this.#chunk?.count ?? 0;
    const count = Math.min(wanted, has);
    this.#chunk = this.#chunk && { ...this.#chunk, count: has - count };
    return count;
  }

  #next(): Waiter | undefined {
    const inOrder = [...this.#known].flatMap((taker) => this.#waiting.get(taker) ?? []);
    const messages = [...new Set(inOrder.map(({ taker }) => taker.message.key))].toSorted();
    const next =
      messages.find((key) => this.#servedLast !== undefined && key > this.#servedLast) ?? messages[0];
    return inOrder.find(({ taker }) => taker.message.key === next);
  }

  #end(taker: Taker, permits: Permits): void {
    const waiter = this.#waiting.get(taker);
    this.#waiting.delete(taker);
    waiter?.resolve(permits);
  }

  /** Until then, or until nobody waits any more. */
  async #wait(at: Temporal.Instant): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const disarm = this.clock.arm(at, () => resolve());
    const wakeUp = (): void => resolve();
    this.stop.addEventListener('abort', wakeUp);
    await promise;
    disarm();
    this.stop.removeEventListener('abort', wakeUp);
  }
}

import { Injectable } from '@nestjs/common';
import type { BatchPointer } from '../../delivery/batch.ts';
import { DeliveryStore } from '../../delivery/delivery-store.ts';
import { type Task, WorkQueue } from '../../delivery/work-queue.ts';
import { Clock, isReached, MINUTE_MS, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import { isMessageKey, type MessageKey } from '../../schedule/message.ts';
import { branded } from './row.ts';
import { SqliteDatabase } from './sqlite-database.ts';

// A worker claims what it is given at once; from then on the lease of the batch keeps others away.
const HAND_OUT_MS = MINUTE_MS;
// A push ends the wait at once; this is for batches whose retry has come.
const WAIT_MS = SECOND_MS;

/**
 * The work queue is the batches table itself: what is open, of a message at work, is queued.
 * Messages take turns, so a large one does not hold up a small one.
 */
@Injectable()
export class SqliteWorkQueue extends WorkQueue {
  /** Batches that were handed out and are not done, and until when they are not handed out again. */
  readonly #handedOut = new Map<string, Temporal.Instant>();
  readonly #waiting = new Set<() => void>();
  #pushes = 0;

  constructor(
    private readonly database: SqliteDatabase,
    private readonly deliveries: DeliveryStore,
    private readonly clock: Clock,
  ) {
    super();
  }

  override async push(pointers: readonly BatchPointer[]): Promise<void> {
    if (pointers.length === 0) {
      return;
    }
    this.#pushes += 1;
    for (const wakeUp of this.#waiting) {
      wakeUp();
    }
  }

  override async pull(limit: number, signal: AbortSignal): Promise<readonly Task[]> {
    const pushesBefore = this.#pushes;
    const tasks = await this.#take(limit);
    if (tasks.length > 0 || signal.aborted) {
      return tasks;
    }
    if (this.#pushes === pushesBefore) {
      await this.#wait(signal);
    }
    return signal.aborted ? [] : this.#take(limit);
  }

  async #take(limit: number): Promise<readonly Task[]> {
    const turns: (readonly BatchPointer[])[] = [];
    let found = 0;
    for (const messageKey of this.#messagesAtWork()) {
      const claimable = await this.#claimable(messageKey, limit);
      turns.push(claimable);
      found += claimable.length > 0 ? 1 : 0;
      if (found >= limit) {
        break;
      }
    }
    const rounds = Math.max(0, ...turns.map((turn) => turn.length));
    const pointers = Array.from({ length: rounds }, (_, round) =>
      turns.flatMap((turn) => turn[round] ?? []),
    ).flat();
    return pointers.slice(0, limit).map((pointer) => this.#handOut(pointer));
  }

  #messagesAtWork(): readonly MessageKey[] {
    return this.database
      .all(
        `SELECT message_key FROM messages WHERE wake_at IS NOT NULL AND dispatch_begun_at IS NOT NULL ORDER BY due_at`,
      )
      .map((row) => branded(row, 'message_key', isMessageKey));
  }

  async #claimable(messageKey: MessageKey, limit: number): Promise<readonly BatchPointer[]> {
    const pointers = await this.deliveries.findClaimable(messageKey, this.clock.now(), {
      after: undefined,
      limit: limit + this.#handedOut.size,
    });
    return pointers.filter((pointer) => !this.#isHandedOut(pointer)).slice(0, limit);
  }

  #isHandedOut(pointer: BatchPointer): boolean {
    const until = this.#handedOut.get(nameOf(pointer));
    return until !== undefined && !isReached(until, this.clock.now());
  }

  #handOut(pointer: BatchPointer): Task {
    this.#handedOut.set(nameOf(pointer), plusMs(this.clock.now(), HAND_OUT_MS));
    return {
      pointer,
      done: async () => {
        this.#handedOut.delete(nameOf(pointer));
      },
    };
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakeUp = (): void => resolve();
    const disarm = this.clock.arm(plusMs(this.clock.now(), WAIT_MS), wakeUp);
    this.#waiting.add(wakeUp);
    signal.addEventListener('abort', wakeUp);
    await promise;
    disarm();
    this.#waiting.delete(wakeUp);
    signal.removeEventListener('abort', wakeUp);
  }
}

function nameOf(pointer: BatchPointer): string {
  return `${pointer.messageKey} ${pointer.first}`;
}

import { Injectable } from '@nestjs/common';
import type { BatchPointer } from '../../delivery/batch.ts';
import { partOf, type Task, WorkQueue } from '../../delivery/work-queue.ts';
import { Clock, isReached, MINUTE_MS, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import { isMessageKey, type MessageKey } from '../../schedule/message.ts';
import { type Claimable, claimable, findClaimable } from './delivery-store.ts';
import { branded, integer } from './row.ts';
import { SqliteDatabase } from './sqlite-database.ts';

// A worker claims what it is given at once; from then on the lease of the batch keeps others away.
const HAND_OUT_MS = MINUTE_MS;
// Of messages that have something to claim: mostly the first few are enough for everybody who asks.
const AT_WORK_PAGE = 16;
// What somebody could not do is not tried again without pause.
const GIVEN_BACK_MS = 5 * SECOND_MS;
// A push ends the wait at once; this is for batches whose retry has come.
const WAIT_MS = SECOND_MS;

const atWork = 'wake_at IS NOT NULL AND dispatch_begun_at IS NOT NULL';

/** A message's place among those at work, which are served in order of their time. */
interface Place {
  /** Epoch milliseconds. */
  readonly dueAt: number;
  readonly key: string;
}

const FIRST_PLACE: Place = { dueAt: Number.MIN_SAFE_INTEGER, key: '' };
const LAST_PLACE: Place = { dueAt: Number.MAX_SAFE_INTEGER, key: '' };

interface HandedOut {
  readonly task: Task;
  /** It is not handed out again until then. */
  readonly until: Temporal.Instant;
}

/**
 * The work queue is the batches table itself: what is open, of a message at work, is queued.
 * Messages take turns, so a large one does not hold up a small one.
 */
@Injectable()
export class SqliteWorkQueue extends WorkQueue {
  /** Batches that were handed out and are not done. */
  readonly #handedOut = new Map<string, HandedOut>();
  readonly #waiting = new Set<() => void>();
  #pushes = 0;
  /** Whose turn it was last. */
  #servedLast: MessageKey | undefined;

  constructor(
    private readonly database: SqliteDatabase,
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

  override async pull(limit: number, signal: AbortSignal, most = limit): Promise<readonly Task[]> {
    const pushesBefore = this.#pushes;
    const tasks = this.#take(limit, most);
    if (tasks.length > 0 || signal.aborted) {
      return tasks;
    }
    if (this.#pushes === pushesBefore) {
      await this.#wait(signal);
    }
    return signal.aborted ? [] : this.#take(limit, most);
  }

  /** At one stroke, so that two pulls at the same time never get the same batch. */
  #take(limit: number, most: number): readonly Task[] {
    const turns: (readonly Claimable[])[] = [];
    let first = 0; // of each turn, together
    for (const messageKey of this.#messagesInTurn()) {
      const batches = this.#claimable(messageKey, most);
      const [next] = batches;
      if (next) {
        turns.push(batches);
        first += partOf(next.count);
      }
      if (first >= limit || turns.length >= most) {
        break;
      }
    }
    const rounds = Math.max(0, ...turns.map((turn) => turn.length));
    const inTurn = Array.from({ length: rounds }, (_, round) =>
      turns.flatMap((turn) => turn[round] ?? []),
    ).flat();
    const tasks = withinLimit(inTurn, limit, most).map((batch) => this.#handOut(batch));
    this.#servedLast = tasks.at(-1)?.pointer.messageKey ?? this.#servedLast;
    return tasks;
  }

  /**
   * From the one behind that which was served last, where that is still at work: a busy worker asks for one batch at a time. Read as they are
   * asked for: thousands may be at work, and the first few have enough for everybody.
   */
  *#messagesInTurn(): Generator<MessageKey> {
    const served = this.#servedLast === undefined ? undefined : this.#findAtWork(this.#servedLast);
    if (served) {
      yield* this.#atWorkBetween(served, LAST_PLACE);
    }
    yield* this.#atWorkBetween(FIRST_PLACE, served ?? LAST_PLACE);
  }

  /** Those that have something to claim, behind the first place, up to and including the second. */
  *#atWorkBetween(after: Place, through: Place): Generator<MessageKey> {
    for (let from = after; ;) {
      const page = this.database
        .all(
          `SELECT due_at, message_key FROM messages
           WHERE ${atWork} AND (due_at, message_key) > (:afterDueAt, :afterKey) AND (due_at, message_key) <= (:dueAt, :key)
             AND EXISTS (SELECT 1 FROM batches INDEXED BY batches_open
               WHERE batches.message_key = messages.message_key AND ${claimable})
           ORDER BY due_at, message_key LIMIT ${AT_WORK_PAGE}`,
          { afterDueAt: from.dueAt, afterKey: from.key, ...through, now: this.clock.now().epochMilliseconds },
        )
        .map((row) => ({
          dueAt: integer(row, 'due_at'),
          key: branded(row, 'message_key', isMessageKey),
        }));
      for (const { key } of page) {
        yield key;
      }
      const last = page.at(-1);
      if (!last || page.length < AT_WORK_PAGE) {
        return;
      }
      from = last;
    }
  }

  #findAtWork(key: MessageKey): Place | undefined {
    const row = this.database.get(`SELECT due_at FROM messages WHERE message_key = :key AND ${atWork}`, {
      key,
    });
    return row && { dueAt: integer(row, 'due_at'), key };
  }

  #claimable(messageKey: MessageKey, limit: number): readonly Claimable[] {
    const page = { after: undefined, limit: limit + this.#handedOut.size, since: undefined };
    return findClaimable(this.database, messageKey, this.clock.now(), page)
      .filter(({ pointer }) => !this.#isHandedOut(pointer))
      .slice(0, limit);
  }

  #isHandedOut(pointer: BatchPointer): boolean {
    const handedOut = this.#handedOut.get(nameOf(pointer));
    return handedOut !== undefined && !isReached(handedOut.until, this.clock.now());
  }

  #handOut({ pointer, count }: Claimable): Task {
    const name = nameOf(pointer);
    let isOver = false;
    const task: Task = {
      pointer,
      count,
      done: async () => {
        // Only its own: meanwhile the batch may have been given to somebody else.
        if (!isOver && this.#handedOut.get(name)?.task === task) {
          this.#handedOut.delete(name);
        }
        isOver = true;
      },
      giveBack: async () => {
        if (!isOver && this.#handedOut.get(name)?.task === task) {
          this.#handedOut.set(name, { task, until: plusMs(this.clock.now(), GIVEN_BACK_MS) });
        }
        isOver = true;
      },
    };
    this.#handedOut.set(name, { task, until: plusMs(this.clock.now(), HAND_OUT_MS) });
    return task;
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

/** As many of the first as are together no more than so many whole ones, and the first of all in any case. */
function withinLimit(batches: readonly Claimable[], limit: number, most: number): readonly Claimable[] {
  let parts = 0;
  const end = batches.findIndex(({ count }, index) => {
    parts += partOf(count);
    return index > 0 && parts > limit;
  });
  return batches.slice(0, Math.min(end === -1 ? batches.length : end, most));
}

function nameOf(pointer: BatchPointer): string {
  return `${pointer.messageKey} ${pointer.first}`;
}

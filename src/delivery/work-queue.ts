import { BATCH_SIZE, type BatchPointer } from './batch.ts';

// The least part of a whole batch that a small one counts as: so many of them share each commit of the store, and no more are in flight.
const LEAST_PART = 1 / 16;

/** One pointer, as it was taken from the queue. */
export interface Task {
  readonly pointer: BatchPointer;
  /** How many subscribers are in the batch, where the queue knows; otherwise as many as a batch may have. */
  readonly count?: number;
  /**
   * Says that this worker is through with it, well or not: after the ledger was written, never before. A batch that is not settled
   * then is found by its message's wake. Never rejects: a
   * task that is handed out once more does no harm. A second call does nothing.
   */
  done(): Promise<void>;
  /**
   * Says that this worker could not do it: it is handed out again, to anybody, within seconds. Never rejects. A second call does
   * nothing, nor does either after the other.
   */
  giveBack(): Promise<void>;
}

/** What part of a whole batch one of so many subscribers is, as far as the work in hand is concerned. */
export function partOf(count = BATCH_SIZE): number {
  return Math.min(Math.max(count / BATCH_SIZE, LEAST_PART), 1);
}

/** How many of the smallest make as many whole ones. */
export function mostOf(wholes: number): number {
  return Math.floor(wholes / LEAST_PART);
}

/**
 * Tells workers which batches there are to work. At least once, in no promised order; a pointer may get lost,
 * because the message's wake looks for batches that were left behind. Only a claim of the batch decides who works it.
 */
export abstract class WorkQueue {
  /** A second call delivers the pointers again. */
  abstract push(pointers: readonly BatchPointer[]): Promise<void>;

  /**
   * Up to `limit` tasks, and up to `most` where the queue knows that together they are no more than `limit` whole batches. Waits for one
   * until `signal` is aborted or for as long as the engine thinks fit, then answers none.
   * A task that is not done is handed out again once its worker must be thought dead.
   */
  abstract pull(limit: number, signal: AbortSignal, most?: number): Promise<readonly Task[]>;
}

import { Injectable } from '@nestjs/common';
import { Clock, plusMs, SECOND_MS } from '../platform/clock/clock.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import { Log } from '../platform/logging/log.ts';
import { BatchWorker } from './batch-worker.ts';
import { type Task, WorkQueue } from './work-queue.ts';

// While one batch waits for the store, the others keep the channel busy.
export const BATCHES_AT_ONCE = 4;
// After a fault of the queue itself, so that a store that is down is not asked without pause.
const PAUSE_AFTER_FAULT_MS = SECOND_MS;

/** Takes tasks off the work queue and works them, a few side by side, until the process is to stop. */
@Injectable()
export class Worker {
  readonly #inHand = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;

  constructor(
    private readonly queue: WorkQueue,
    private readonly batchWorker: BatchWorker,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): void {
    this.#loop = this.#run();
  }

  /** Waits for what is in hand, once the process is to stop: nothing more is taken then. */
  async stopped(): Promise<void> {
    await this.#loop;
    await Promise.all(this.#inHand);
  }

  /** Works whatever is queued now, and resolves when that is done. */
  async runOnce(): Promise<void> {
    const now = AbortSignal.abort(); // so that the queue does not wait
    while (!this.shutdown.isStopping) {
      const tasks = await this.queue.pull(BATCHES_AT_ONCE, now);
      if (tasks.length === 0) {
        return;
      }
      for (const task of tasks) {
        await this.#end(task, await this.batchWorker.work(task.pointer));
      }
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.shutdown;
    while (!signal.aborted) {
      const free = BATCHES_AT_ONCE - this.#inHand.size;
      if (free === 0) {
        await Promise.race(this.#inHand);
        continue;
      }
      for (const task of await this.#pull(free)) {
        const work = this.#work(task).finally(() => this.#inHand.delete(work));
        this.#inHand.add(work);
      }
    }
  }

  async #pull(limit: number): Promise<readonly Task[]> {
    try {
      return await this.queue.pull(limit, this.shutdown.signal);
    } catch (error) {
      this.log.error('work.pull-failed', { err: error });
      await this.#pause();
      return [];
    }
  }

  async #work(task: Task): Promise<void> {
    let isThrough = false;
    try {
      isThrough = await this.batchWorker.work(task.pointer);
    } catch (error) {
      // A batch that was claimed keeps its lease and what was in flight: whoever claims it next decides about that. One that could not
      // be claimed has nothing but its pointer to be found by.
      this.log.error('batch.failed', { message_key: task.pointer.messageKey, err: error });
    }
    await this.#end(task, isThrough);
  }

  /**
   * A pointer outlives every claim that did not come to its end: a write that arrives late may leave a batch with a lease that has long
   * ended, and looks for what was left behind have passed that moment.
   */
  async #end(task: Task, isThrough: boolean): Promise<void> {
    await (isThrough ? task.done() : task.giveBack());
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakeUp = (): void => resolve();
    const disarm = this.clock.arm(plusMs(this.clock.now(), PAUSE_AFTER_FAULT_MS), wakeUp);
    this.shutdown.signal.addEventListener('abort', wakeUp);
    await promise;
    disarm();
    this.shutdown.signal.removeEventListener('abort', wakeUp);
  }
}

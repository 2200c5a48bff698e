import { Injectable } from '@nestjs/common';
import { Clock } from '../platform/clock/clock.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import { TaskLoop } from '../platform/lifecycle/task-loop.ts';
import { Log } from '../platform/logging/log.ts';
import { BatchWorker } from './batch-worker.ts';
import { mostOf, partOf, type Task, WorkQueue } from './work-queue.ts';

// While one batch waits for the store, the others keep the channel busy.
export const BATCHES_AT_ONCE = 4;

/** Takes tasks off the work queue and works them, a few side by side, until the process is to stop. */
@Injectable()
export class Worker {
  #loop: TaskLoop<Task> | undefined;

  constructor(
    private readonly queue: WorkQueue,
    private readonly batchWorker: BatchWorker,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  start(): void {
    this.#loop = new TaskLoop<Task>(
      {
        atOnce: BATCHES_AT_ONCE,
        weigh: ({ count }): number => partOf(count),
        pull: (limit, signal): Promise<readonly Task[]> => this.queue.pull(limit, signal, mostOf(limit)),
        work: (task): Promise<void> => this.#work(task),
        pullFailed: (error): void => this.log.error('work.pull-failed', { err: error }),
      },
      this.shutdown,
      this.clock,
    );
    this.#loop.start();
  }

  /** Waits for what is in hand, once the process is to stop: nothing more is taken then. */
  async stopped(): Promise<void> {
    await this.#loop?.stopped();
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
}

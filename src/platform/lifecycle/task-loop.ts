import { type Clock, plusMs, SECOND_MS } from '../clock/clock.ts';
import type { Shutdown } from './shutdown.ts';

// After a fault of whoever gives out the tasks, so that a store that is down is not asked without pause.
const PAUSE_AFTER_FAULT_MS = SECOND_MS;

export interface TaskPlan<Task> {
  /** How many whole tasks are worked side by side. */
  readonly atOnce: number;
  /** What part of a whole one a task is, more than 0 and at most 1: of small ones, more are worked side by side. Absent: all are whole. */
  readonly weigh?: (task: Task) => number;
  /** Up to `limit` tasks; waits for one until `signal` is aborted, or for as long as it thinks fit. */
  pull(limit: number, signal: AbortSignal): Promise<readonly Task[]>;
  /** Never rejects. */
  work(task: Task): Promise<void>;
  pullFailed(error: unknown): void;
}

/** Takes tasks and works them, a few side by side, until the process is to stop. */
export class TaskLoop<Task> {
  readonly #inHand = new Map<Promise<void>, number>();
  #loop: Promise<void> | undefined;

  constructor(
    private readonly plan: TaskPlan<Task>,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
  ) {}

  start(): void {
    this.#loop = this.#run();
  }

  /** Waits for what is in hand, once the process is to stop: nothing more is taken then. */
  async stopped(): Promise<void> {
    await this.#loop;
    await Promise.all(this.#inHand.keys());
  }

  async #run(): Promise<void> {
    const { signal } = this.shutdown;
    while (!signal.aborted) {
      // As many as have room whatever they weigh: what is pulled is worked at once.
      const free = Math.floor(this.plan.atOnce - this.#weight());
      if (free === 0) {
        await Promise.race(this.#inHand.keys());
        continue;
      }
      for (const task of await this.#pull(free)) {
        const work = this.plan.work(task).finally(() => this.#inHand.delete(work));
        this.#inHand.set(work, this.plan.weigh?.(task) ?? 1);
      }
    }
  }

  #weight(): number {
    return this.#inHand.values().reduce((sum, weight) => sum + weight, 0);
  }

  async #pull(limit: number): Promise<readonly Task[]> {
    try {
      return await this.plan.pull(limit, this.shutdown.signal);
    } catch (error) {
      this.plan.pullFailed(error);
      await this.#pause();
      return [];
    }
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

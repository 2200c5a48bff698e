import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  Optional,
} from '@nestjs/common';
import { Clock } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import { TaskLoop } from '../platform/lifecycle/task-loop.ts';
import { Log } from '../platform/logging/log.ts';
import { FeedbackMetrics } from './feedback-metrics.ts';
import { FeedbackQueue, type FeedbackTask } from './feedback-queue.ts';
import { FeedbackTaker } from './feedback-taker.ts';
import { readSesEvent } from './ses-event.ts';

// An event is some five calls of the store; they are to leave room for deliveries.
const EVENTS_AT_ONCE = 8;

/** Takes what the provider says off its queue for as long as a process in the role `worker` runs, where there is such a queue. */
@Injectable()
export class FeedbackReader implements OnApplicationBootstrap, BeforeApplicationShutdown {
  #loop: TaskLoop<FeedbackTask> | undefined;

  constructor(
    @Optional() @Inject(FeedbackQueue) private readonly queue: FeedbackQueue | undefined,
    private readonly taker: FeedbackTaker,
    private readonly metrics: FeedbackMetrics,
    private readonly shutdown: Shutdown,
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    if (this.settings.roles.includes('worker')) {
      this.#start();
    }
  }

  /** What is in hand ends; the rest comes out again. */
  async beforeApplicationShutdown(): Promise<void> {
    this.shutdown.begin();
    await this.shutdown.waitFor(this.#loop?.stopped() ?? Promise.resolve());
  }

  #start(): void {
    const { queue } = this;
    if (!queue) {
      return;
    }
    this.#loop = new TaskLoop<FeedbackTask>(
      {
        atOnce: EVENTS_AT_ONCE,
        pull: (limit, signal): Promise<readonly FeedbackTask[]> => queue.pull(limit, signal),
        work: (task): Promise<void> => this.#work(task),
        pullFailed: (error): void => this.log.error('feedback.pull-failed', { err: error }),
      },
      this.shutdown,
      this.clock,
    );
    this.#loop.start();
  }

  async #work(task: FeedbackTask): Promise<void> {
    try {
      await this.#take(task);
    } catch (error) {
      this.log.error('feedback.failed', { err: error });
      await task.again();
    }
  }

  async #take(task: FeedbackTask): Promise<void> {
    const reading = readSesEvent(task.body);
    switch (reading.kind) {
      case 'ignored':
        return task.done();
      case 'unreadable':
        return this.#setAside(task, reading.reason);
      case 'event': {
        const result = await this.taker.take(reading.event);
        if (result === 'unmatched') {
          return this.#setAside(task, 'There is no such delivery.');
        }
        return result === 'pending' ? task.again() : task.done();
      }
      default:
        return assertNever(reading);
    }
  }

  async #setAside(task: FeedbackTask, reason: string): Promise<void> {
    this.metrics.countSetAside();
    this.log.error('feedback.set-aside', { reason });
    await task.leave();
  }
}

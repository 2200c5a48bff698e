import { Injectable } from '@nestjs/common';
import { Clock, msBetween, plusMs } from '../clock/clock.ts';
import { Settings } from '../config/settings.ts';
import { Log } from '../logging/log.ts';

/**
 * Knows that the process is stopping, before anything of it has stopped. Then, in Nest's order: `onModuleDestroy` and
 * `beforeApplicationShutdown` (workers finish what is in hand), the server closes (requests in hand finish),
 * `onApplicationShutdown` (the database closes).
 */
@Injectable()
export class Shutdown {
  readonly #controller = new AbortController();
  #deadlineAt: Temporal.Instant | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  get isStopping(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Aborts at the moment at which stopping begins. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** When work in hand must have ended; absent while nothing stops. */
  get deadlineAt(): Temporal.Instant | undefined {
    return this.#deadlineAt;
  }

  /** A second run changes nothing. */
  begin(): void {
    if (this.isStopping) {
      return;
    }
    this.#deadlineAt = plusMs(this.clock.now(), this.settings.shutdownGraceMs);
    this.log.info('shutdown.begun', { grace_ms: this.settings.shutdownGraceMs });
    this.#controller.abort();
  }

  /** Waits for `work`, but not beyond the deadline; true when it ended in time. What was not waited for goes on. */
  async waitFor(work: Promise<unknown>): Promise<boolean> {
    const deadlineAt = this.#deadlineAt ?? plusMs(this.clock.now(), this.settings.shutdownGraceMs);
    const late = Promise.withResolvers<false>();
    // Not the clock's unreferenced timer alone: nothing else may keep the process alive while it waits.
    const keepAlive = setInterval(() => undefined, Math.max(msBetween(this.clock.now(), deadlineAt), 1));
    const disarm = this.clock.arm(deadlineAt, () => late.resolve(false));
    try {
      return await Promise.race([work.then(() => true), late.promise]);
    } finally {
      disarm();
      clearInterval(keepAlive);
    }
  }
}

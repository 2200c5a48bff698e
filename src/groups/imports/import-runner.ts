import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Clock, type Disarm, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { Shutdown } from '../../platform/lifecycle/shutdown.ts';
import { Log } from '../../platform/logging/log.ts';
import { ImportSignal } from './import-signal.ts';
import { ImportWorker } from './import-worker.ts';

// Of imports that another process has received, or left; those of this one are signalled.
const ASK_EVERY_MS = 5 * SECOND_MS;

/** Runs the import worker for as long as a process in the role `worker` runs. */
@Injectable()
export class ImportRunner implements OnApplicationBootstrap, BeforeApplicationShutdown {
  #next: Disarm | undefined;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isStopping = false;

  constructor(
    private readonly worker: ImportWorker,
    private readonly signal: ImportSignal,
    private readonly shutdown: Shutdown,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    if (this.settings.roles.includes('worker')) {
      this.signal.listen(() => this.#begin());
      this.#begin();
    }
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#isStopping = true;
    this.#next?.();
    this.worker.stop();
    this.shutdown.begin();
    await this.shutdown.waitFor(this.#running ?? Promise.resolve());
  }

  #begin(): void {
    this.#isWanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    this.#next?.();
    while (this.#isWanted && !this.#isStopping) {
      this.#isWanted = false;
      try {
        await this.worker.runOnce();
      } catch (error) {
        this.log.error('import.failed-to-go-on', { err: error }); // its claim lapses, and then somebody goes on with it
      }
    }
    if (!this.#isStopping) {
      this.#next = this.clock.arm(plusMs(this.clock.now(), ASK_EVERY_MS), () => this.#begin());
    }
  }
}

import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, type Disarm, HOUR_MS, plusMs } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { Log } from '../../platform/logging/log.ts';
import { ContentSweeper } from './content-sweeper.ts';

// The sweeper itself knows whether a pass is due; this only asks, and not while everything starts.
const ASK_EVERY_MS = HOUR_MS;

/** Starts the sweeper in workers, off the hot path. */
@Injectable()
export class SweepRunner implements OnApplicationBootstrap, OnApplicationShutdown {
  #next: Disarm | undefined;

  constructor(
    private readonly sweeper: ContentSweeper,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    if (this.settings.roles.includes('worker')) {
      this.#askLater();
    }
  }

  onApplicationShutdown(): void {
    this.#next?.();
  }

  #askLater(): void {
    this.#next = this.clock.arm(plusMs(this.clock.now(), ASK_EVERY_MS), () => {
      void this.#sweep();
    });
  }

  async #sweep(): Promise<void> {
    try {
      const sweep = await this.sweeper.runOnce();
      if (sweep.kind === 'swept') {
        this.log.info('content.swept', { seen_count: sweep.seenCount, removed_count: sweep.removedCount });
      }
    } catch (error) {
      this.log.error('content.sweep-failed', { err: error }); // the next pass goes on from where this one was
    }
    this.#askLater();
  }
}

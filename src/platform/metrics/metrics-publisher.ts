import { type BeforeApplicationShutdown, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Clock, type Disarm, MINUTE_MS, plusMs } from '../clock/clock.ts';
import { Settings } from '../config/settings.ts';
import { Log } from '../logging/log.ts';
import { embeddedMetrics, type Metric } from './embedded-metrics.ts';
import { Metrics } from './metrics.ts';

// CloudWatch's standard resolution.
const EVERY_MS = MINUTE_MS;

/** On the engine `aws`, writes what was measured to the log every minute, in the form that CloudWatch reads. */
@Injectable()
export class MetricsPublisher implements OnApplicationBootstrap, BeforeApplicationShutdown {
  #before: readonly Metric[] = [];
  #disarm: Disarm = () => undefined;

  constructor(
    private readonly metrics: Metrics,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  onApplicationBootstrap(): void {
    if (this.settings.engine === 'aws') {
      this.#arm();
    }
  }

  /** What happened since the last minute was full is not lost with the process. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#disarm();
    if (this.settings.engine === 'aws') {
      await this.publish();
    }
  }

  async publish(): Promise<void> {
    // A copy: what prom-client answers goes on changing.
    const after = structuredClone(await this.metrics.registry.getMetricsAsJSON());
    for (const line of embeddedMetrics(this.#before, after, this.clock.now())) {
      this.log.info('metrics.published', line);
    }
    this.#before = after;
  }

  #arm(): void {
    this.#disarm = this.clock.arm(plusMs(this.clock.now(), EVERY_MS), () => {
      void this.publish();
      this.#arm();
    });
  }
}

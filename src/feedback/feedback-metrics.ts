import { Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { Metrics } from '../platform/metrics/metrics.ts';

/** What cannot be worked of what is heard. */
@Injectable()
export class FeedbackMetrics {
  readonly #setAside: Counter;

  constructor({ registry }: Metrics) {
    this.#setAside = new Counter({
      name: 'belfry_feedback_set_aside_total',
      help: 'Events that are not what they say, or that are about no delivery of this installation.',
      registers: [registry],
    });
  }

  countSetAside(): void {
    this.#setAside.inc();
  }
}

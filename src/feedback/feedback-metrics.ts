import { Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import type { FeedbackKind } from '../delivery/feedback.ts';
import { Metrics } from '../platform/metrics/metrics.ts';

/** What is heard of deliveries after they have left. */
@Injectable()
export class FeedbackMetrics {
  readonly #feedback: Counter;
  readonly #setAside: Counter;

  constructor({ registry }: Metrics) {
    this.#feedback = new Counter({
      name: 'belfry_feedback_total',
      help: 'What was heard of deliveries after they had left, each counted once.',
      labelNames: ['kind'],
      registers: [registry],
    });
    this.#setAside = new Counter({
      name: 'belfry_feedback_set_aside_total',
      help: 'Events that are not what they say, or that are about no delivery of this installation.',
      registers: [registry],
    });
  }

  count(kind: FeedbackKind): void {
    this.#feedback.inc({ kind });
  }

  countSetAside(): void {
    this.#setAside.inc();
  }
}

import { Injectable } from '@nestjs/common';
import { Counter, Gauge, Histogram } from 'prom-client';
import { msBetween, SECOND_MS } from '../platform/clock/clock.ts';
import { Metrics } from '../platform/metrics/metrics.ts';
import type { Message } from '../schedule/message.ts';
import type { ChannelName } from './channels/channel.ts';
import type { Delivery } from './delivery.ts';
import type { FeedbackKind } from './feedback.ts';

// From punctual to an outage.
const LATENESS_BUCKETS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600, 86_400];

/** The few numbers that say whether messages go out, and in time. */
@Injectable()
export class DeliveryMetrics {
  readonly #dueLag: Gauge;
  readonly #lateness: Histogram;
  readonly #deliveries: Counter;
  readonly #setAside: Counter;
  readonly #conflicts: Counter;
  readonly #queueWait: Histogram;
  readonly #feedback: Counter;
  readonly #held: Counter;

  constructor({ registry }: Metrics) {
    const registers = [registry];
    this.#dueLag = new Gauge({
      name: 'belfry_due_lag_seconds',
      help: 'How long the oldest message that is due and not begun has waited, at the last scan.',
      registers,
    });
    this.#lateness = new Histogram({
      name: 'belfry_lateness_seconds',
      help: 'From the time of a message to its claim.',
      buckets: LATENESS_BUCKETS_SECONDS,
      registers,
    });
    this.#deliveries = new Counter({
      name: 'belfry_deliveries_total',
      help: 'Deliveries that got their outcome.',
      labelNames: ['channel', 'outcome'],
      registers,
    });
    this.#setAside = new Counter({
      name: 'belfry_batches_set_aside_total',
      help: 'Batches that failed again and again for a reason nobody foresaw.',
      registers,
    });
    this.#conflicts = new Counter({
      name: 'belfry_claim_conflicts_total',
      help: 'Claims that another worker had made before.',
      labelNames: ['claimed'],
      registers,
    });
    this.#feedback = new Counter({
      name: 'belfry_feedback_total',
      help: 'What was heard of deliveries, at once or after they had left, each counted once.',
      labelNames: ['kind'],
      registers,
    });
    this.#held = new Counter({
      name: 'belfry_messages_held_total',
      help: 'Messages that the brake held, because too many of their deliveries bounced or were complained about.',
      registers,
    });
    this.#queueWait = new Histogram({
      name: 'belfry_queue_wait_seconds',
      help: 'From the cut of a batch to its first claim.',
      buckets: LATENESS_BUCKETS_SECONDS,
      registers,
    });
  }

  /** `oldest`: the time of the oldest message that is due and not begun; absent where none is. */
  observeDueLag(oldest: Temporal.Instant | undefined, now: Temporal.Instant): void {
    this.#dueLag.set(oldest ? Math.max(msBetween(oldest, now), 0) / SECOND_MS : 0);
  }

  observeLateness({ dueAt }: Message, now: Temporal.Instant): void {
    this.#lateness.observe(Math.max(msBetween(dueAt, now), 0) / SECOND_MS);
  }

  observeQueueWait(cutAt: Temporal.Instant, now: Temporal.Instant): void {
    this.#queueWait.observe(Math.max(msBetween(cutAt, now), 0) / SECOND_MS);
  }

  countOutcomes(channel: ChannelName, deliveries: readonly Delivery[]): void {
    for (const { outcome } of deliveries) {
      if (outcome) {
        this.#deliveries.inc({ channel, outcome });
      }
    }
  }

  countSetAside(): void {
    this.#setAside.inc();
  }

  countFeedback(kind: FeedbackKind, count = 1): void {
    this.#feedback.inc({ kind }, count);
  }

  countHeld(): void {
    this.#held.inc();
  }

  countConflict(claimed: 'message' | 'batch'): void {
    this.#conflicts.inc({ claimed });
  }
}

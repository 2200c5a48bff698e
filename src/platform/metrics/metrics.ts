import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';

// The default, 10 ms, wakes an idle process a hundred times a second.
const EVENT_LOOP_RESOLUTION_MS = 100;

/** From a read out of memory to a call that was tried four times. */
const STORE_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 20];

/**
 * What GET /metrics shows. Names begin with `belfry_` and end with their unit; labels have few values and are never ids.
 * Whoever has something to count registers it here.
 */
@Injectable()
export class Metrics {
  readonly registry = new Registry();
  readonly #storeLatency = new Histogram({
    name: 'belfry_store_latency_seconds',
    help: 'How long the store took: a commit of SQLite, a call of AWS with its retries.',
    labelNames: ['operation'],
    buckets: STORE_BUCKETS_SECONDS,
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({
      register: this.registry,
      eventLoopMonitoringPrecision: EVENT_LOOP_RESOLUTION_MS,
    });
  }

  /** `call`, recording of each run how long it took, whatever came of it. */
  timed<Parameters extends readonly unknown[], Result>(
    operation: string,
    call: (...parameters: Parameters) => Promise<Result>,
  ): (...parameters: Parameters) => Promise<Result> {
    return async (...parameters) => this.timeStore(operation, () => call(...parameters));
  }

  /** Runs `call` and records how long it took, whatever came of it. */
  async timeStore<Result>(operation: string, call: () => Promise<Result>): Promise<Result> {
    const end = this.#storeLatency.startTimer({ operation });
    try {
      return await call();
    } finally {
      end();
    }
  }
}

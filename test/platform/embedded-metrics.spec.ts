import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { embeddedMetrics, type Metric } from '../../src/platform/metrics/embedded-metrics.ts';
import { anInstant } from '../support/builders.ts';

async function readAll(registry: Registry): Promise<readonly Metric[]> {
  return structuredClone(await registry.getMetricsAsJSON());
}

describe('metrics for CloudWatch', () => {
  it('say what was counted since the last time, a line for each set of dimensions', async () => {
    const registry = new Registry();
    const counter = new Counter({
      name: 'belfry_deliveries_total',
      help: 'x',
      labelNames: ['channel', 'outcome'],
      registers: [registry],
    });
    counter.inc({ channel: 'smtp', outcome: 'sent' }, 5);
    const before = await readAll(registry);
    counter.inc({ channel: 'smtp', outcome: 'sent' }, 2);
    counter.inc({ channel: 'smtp', outcome: 'failed' });

    const lines = embeddedMetrics(before, await readAll(registry), anInstant());

    const aws = {
      Timestamp: anInstant().epochMilliseconds,
      CloudWatchMetrics: [
        {
          Namespace: 'Belfry',
          Dimensions: [['Channel', 'Outcome']],
          Metrics: [{ Name: 'Deliveries', Unit: 'Count' }],
        },
      ],
    };
    expect(lines).toEqual([
      { _aws: aws, Channel: 'smtp', Outcome: 'sent', Deliveries: 2 },
      { _aws: aws, Channel: 'smtp', Outcome: 'failed', Deliveries: 1 },
    ]);
  });

  it('have how gauges stand, in milliseconds, and how values of a histogram are distributed', async () => {
    const registry = new Registry();
    new Gauge({ name: 'belfry_due_lag_seconds', help: 'x', registers: [registry] }).set(1.25);
    const lateness = new Histogram({
      name: 'belfry_lateness_seconds',
      help: 'x',
      buckets: [0.1, 1],
      registers: [registry],
    });
    lateness.observe(0.05);
    const before = await readAll(registry);
    lateness.observe(0.05);
    lateness.observe(0.06);
    lateness.observe(0.5);
    lateness.observe(7);

    const lines = embeddedMetrics(before, await readAll(registry), anInstant());

    expect(lines).toMatchObject([
      { DueLagMs: 1_250, LatenessMs: { Values: [100, 1_000, 1_000], Counts: [2, 1, 1] } },
    ]);
  });

  it('leave out what nobody has counted, and what is of Node itself but for the event loop', async () => {
    const registry = new Registry();
    new Counter({ name: 'belfry_batches_set_aside_total', help: 'x', registers: [registry] }).inc(0);
    new Gauge({ name: 'nodejs_version_info', help: 'x', registers: [registry] }).set(1);
    new Gauge({ name: 'nodejs_eventloop_lag_p99_seconds', help: 'x', registers: [registry] }).set(0.02);

    const lines = embeddedMetrics([], await readAll(registry), anInstant());

    expect(lines).toMatchObject([{ EventLoopLagMs: 20 }]);
    expect(JSON.stringify(lines)).not.toContain('SetAside');
  });
});

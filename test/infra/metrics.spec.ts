import { expect, it } from 'vitest';
import * as watched from '../../infra/metrics.ts';
import { DeliveryMetrics } from '../../src/delivery/delivery-metrics.ts';
import { FEEDBACK_KINDS } from '../../src/delivery/feedback.ts';
import { OUTCOMES } from '../../src/delivery/delivery.ts';
import { embeddedMetrics, NAMESPACE } from '../../src/platform/metrics/embedded-metrics.ts';
import { Metrics } from '../../src/platform/metrics/metrics.ts';
import { aDelivery, aMessage, anInstant } from '../support/builders.ts';

it('watches what the application writes, by the names and dimensions that it has there', async () => {
  const written = new Set(await writtenMetrics());

  const { dueLagMs, latenessMs, latenessMedianMs, queueWaitMs, batchesSetAside, eventLoopLagMs } = watched;
  const metrics = [
    dueLagMs,
    latenessMs,
    latenessMedianMs,
    queueWaitMs,
    batchesSetAside,
    eventLoopLagMs,
    watched.claimConflicts('message'),
    watched.claimConflicts('batch'),
    ...OUTCOMES.map((outcome) => watched.deliveries(outcome)),
    ...FEEDBACK_KINDS.map((kind) => watched.feedback(kind)),
    watched.messagesHeld,
  ];
  for (const { namespace, metricName, dimensions } of metrics) {
    expect(namespace).toBe(NAMESPACE);
    expect(written).toContain(nameOf(metricName, dimensions ?? {}));
  }
  expect(written).toContain(nameOf('StoreLatencyMs', { Operation: 'dynamodb.GetItemCommand' }));
  expect(watched.storeLatencyMs.expression).toContain('{Belfry,Operation} MetricName="StoreLatencyMs"');
});

/** Everything that there is to measure, measured once. */
async function writtenMetrics(): Promise<readonly string[]> {
  const metrics = new Metrics();
  const delivery = new DeliveryMetrics(metrics);
  delivery.observeDueLag(undefined, anInstant());
  delivery.observeLateness(aMessage(), anInstant());
  delivery.observeQueueWait(anInstant(), anInstant());
  delivery.countOutcomes(
    'ses',
    OUTCOMES.map((outcome) => aDelivery('ada@example.com', { outcome })),
  );
  delivery.countSetAside();
  FEEDBACK_KINDS.forEach((kind) => delivery.countFeedback(kind));
  delivery.countHeld();
  delivery.countConflict('message');
  delivery.countConflict('batch');
  await metrics.timeStore('dynamodb.GetItemCommand', async () => {});
  const lines = embeddedMetrics([], await metrics.registry.getMetricsAsJSON(), anInstant());
  return lines.flatMap(({ _aws: { CloudWatchMetrics: all }, ...values }) =>
    all.flatMap(({ Metrics: named, Dimensions: [dimensions = []] }) =>
      named.map(({ Name }) =>
        nameOf(Name, Object.fromEntries(dimensions.map((name) => [name, String(values[name])]))),
      ),
    ),
  );
}

function nameOf(name: string, dimensions: Readonly<Record<string, string>>): string {
  return `${name} ${JSON.stringify(dimensions)}`;
}

import { expect, it, onTestFinished } from 'vitest';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

async function anApp(env: Readonly<Record<string, string>> = {}): Promise<TestApp> {
  const app = await startTestApp({ env });
  onTestFinished(() => app.close());
  return app;
}

async function metricsOf(app: TestApp): Promise<string> {
  return (await app.request('GET', '/metrics')).text;
}

it('counts deliveries by channel and outcome, and says how late messages are and how long the store takes', async () => {
  const app = await anApp();
  await app.request('POST', '/v1/groups/measured/subscribers', {
    body: { subscribers: ['ada', 'grace', 'alan'].map((name) => ({ email: `${name}@example.com` })) },
  });
  await app.request('PATCH', '/v1/groups/measured/subscribers/alan@example.com', {
    body: { status: 'unsubscribed' },
  });
  const scheduleOn = Temporal.Now.instant().epochMilliseconds;

  await app.request('POST', '/v1/groups/measured/schedule', {
    body: { subject: 'News', body: 'News', schedule_on: scheduleOn },
  });

  const metrics = await until('The message is sent', 30_000, async () => {
    const text = await metricsOf(app);
    return text.includes('outcome="sent"') ? text : undefined;
  });
  expect(metrics).toContain('belfry_deliveries_total{channel="outbox",outcome="sent"} 2');
  expect(metrics).toContain('belfry_deliveries_total{channel="outbox",outcome="skipped"} 1');
  expect(metrics).toContain('belfry_lateness_seconds_count 1');
  expect(metrics).toContain('belfry_queue_wait_seconds_count 1');
  expect(metrics).toContain('belfry_batches_set_aside_total 0');
  expect(metrics).toMatch(/belfry_store_latency_seconds_count\{operation="\S+"\} [1-9]/);
  expect(metrics).toContain('belfry_due_lag_seconds 0');
  expect(metrics).toContain('nodejs_eventloop_lag_p99_seconds');
  expect(metrics, 'No ids and no addresses').not.toMatch(/@|measured/);
});

it('is for whoever has a key', async () => {
  const app = await anApp({ API_KEYS: 'scraper:reader:a-key-for-prometheus' });

  const refused = await app.request('GET', '/metrics');
  const answered = await app.request('GET', '/metrics', {
    headers: { authorization: 'Bearer a-key-for-prometheus' },
  });

  expect(refused.status).toBe(401);
  expect(answered.status).toBe(200);
  expect(answered.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
});

import { createServer } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { type JsonObject, objectsAt, parseObject, textAt } from '../support/json.ts';
import { startTestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

/** A collector as OTLP over HTTP describes it; keeps every span. */
async function aCollector(): Promise<{ readonly url: string; readonly spans: JsonObject[] }> {
  const spans: JsonObject[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    request.on('end', () => {
      expect(request.url).toBe('/v1/traces');
      for (const resource of objectsAt(parseObject(body), 'resourceSpans')) {
        spans.push(...objectsAt(resource, 'scopeSpans').flatMap((scope) => objectsAt(scope, 'spans')));
      }
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`, spans };
}

it('makes one trace of a message, from its request to its last settlement', async () => {
  const collector = await aCollector();
  const app = await startTestApp({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  await app.request('POST', '/v1/groups/traced/subscribers', { body: { email: 'ada@example.com' } });
  const scheduled = await app.request('POST', '/v1/groups/traced/schedule', {
    body: { subject: 'News', body: 'News', schedule_on: Temporal.Now.instant().epochMilliseconds },
  });
  const key = textAt(scheduled.body, 'key');
  await until('The message is sent', 10_000, async () => {
    const { body } = await app.request('GET', `/v1/groups/traced/schedule/${key}`);
    return body['status'] === 'sent' || undefined;
  });

  await app.close();

  const { spans } = collector;
  expect(new Set(spans.map((span) => span['traceId']))).toEqual(new Set([key.replaceAll('-', '')]));
  const roots = spans.filter((span) => (span['parentSpanId'] ?? '') === '');
  expect(roots).toMatchObject([{ name: 'message.schedule' }]);
  const children = spans.filter((span) => !roots.includes(span));
  expect(new Set(children.map((span) => span['name']))).toEqual(
    new Set(['message.dispatch', 'batch.work', 'channel.send']),
  );
  expect(new Set(children.map((span) => span['parentSpanId']))).toEqual(new Set([roots[0]?.['spanId']]));
  expect(JSON.stringify(spans), 'No addresses').not.toContain('@');
});

it('works all the same where nobody collects', async () => {
  const app = await startTestApp({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' } });

  const { status } = await app.request('POST', '/v1/groups/traced/schedule', {
    body: { subject: 'News', body: 'News', schedule_on: '2100-01-01T09:00:00Z' },
  });
  await app.close();

  expect(status).toBe(201);
});

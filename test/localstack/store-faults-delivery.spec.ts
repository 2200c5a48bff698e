import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BATCH_SIZE } from '../../src/delivery/batch.ts';
import { BATCHES_AT_ONCE } from '../../src/delivery/worker.ts';
import { isReached, MINUTE_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { addresses, anInstant } from '../support/builders.ts';
import { type Choice, type Fault, FaultProxy } from '../support/fault-proxy.ts';
import { type JsonObject, numberAt, textAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SmtpSink } from '../support/smtp-sink.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

/* A message in the middle of its delivery while all of AWS throttles, fails or does not answer for a minute. */

// As many batches as are worked at once; and more, so that some have not begun when the fault does.
const IN_HAND = addresses(BATCHES_AT_ONCE * BATCH_SIZE);
const MORE = addresses(2 * BATCHES_AT_ONCE * BATCH_SIZE);
const MAILS_BEFORE = 50;
// It takes half a minute where nothing else runs.
const PATIENCE_MS = 150_000;
const TEST_LIMIT_MS = 2 * PATIENCE_MS;
// While nothing can be done time goes by twenty times as fast as it does; afterwards half as fast, so that a lease lasts for what is done,
// and in larger steps, because each of them has LocalStack asked for what is due.
const IDLE_STEP_MS = SECOND_MS;
const IDLE_STEP_EVERY_MS = 50;
const STEP_MS = 2 * SECOND_MS;
const STEP_EVERY_MS = 200;
// A look for what is due every second, a poll of the queue every second, and what the SDK tries for each of them.
const REQUESTS_A_MINUTE = 60 * 10;

let proxy: FaultProxy;
let clock: ManualClock;
let sink: SmtpSink;
let app: TestApp;
const endpoint = process.env['AWS_ENDPOINT_URL'] ?? '';

beforeAll(async () => {
  proxy = await FaultProxy.open(endpoint);
  process.env['AWS_ENDPOINT_URL'] = proxy.url; // where the SDK looks for it
});
afterAll(async () => {
  process.env['AWS_ENDPOINT_URL'] = endpoint;
  await proxy.close();
});
beforeEach(async () => {
  clock = new ManualClock(anInstant());
  sink = await SmtpSink.start({ behaviours: [{ at: 'rcpt', do: 'delay', ms: 40 }] });
  app = await startTestApp({ engine: 'aws', clock, env: { SMTP_URL: sink.url } });
});
afterEach(async () => {
  proxy.mend();
  await app.close();
  await sink.close();
});

describe('a message in its delivery, when a minute of everything being', { timeout: TEST_LIMIT_MS }, () => {
  it.each<Fault>(['throttled', 'lost answers', 'hanging', 'slow'])(
    '%s is over, goes on by itself: everybody has got it, and twice only who the record says was in doubt',
    async (fault) => {
      const path = await aMessageInItsDelivery(IN_HAND);
      const requestCount = await aMinuteOf(fault);

      const message = await untilSent(path);

      const deliveries = await listAll(app, `${path}/deliveries`);
      const inDoubt = deliveries.filter((delivery) => numberAt(delivery, 'unknown_attempts') > 0);
      expect(requestCount).toBeLessThan(REQUESTS_A_MINUTE);
      expect(message['counts']).toMatchObject({ subscribers: IN_HAND.length, sent: IN_HAND.length });
      expect(new Set(recipients())).toEqual(new Set(IN_HAND));
      expect(inDoubt.map((delivery) => textAt(delivery, 'subscriber'))).toEqual(
        expect.arrayContaining([...gotTwice()]),
      );
    },
  );

  it('throttled is over, goes on with the batches that had not begun, within minutes', async () => {
    const path = await aMessageInItsDelivery(MORE);
    await aMinuteOf('throttled', { service: 'dynamodb' });

    const message = await untilSent(path);

    expect(message['counts']).toMatchObject({ subscribers: MORE.length, sent: MORE.length });
  });
});

/** How many requests came in during it. */
async function aMinuteOf(fault: Fault, part: Choice = {}): Promise<number> {
  const countBefore = proxy.seen.length;
  proxy.break(fault, part);
  const end = plusMs(clock.now(), MINUTE_MS);
  await until(
    'the minute is over',
    PATIENCE_MS,
    async () => {
      clock.advance(IDLE_STEP_MS);
      return isReached(end, clock.now()) ? end : undefined;
    },
    IDLE_STEP_EVERY_MS,
  );
  const requestCount = proxy.seen.length - countBefore;
  proxy.mend();
  return requestCount;
}

function recipients(): readonly string[] {
  return sink.received.map(({ recipient }) => recipient);
}

function gotTwice(): readonly string[] {
  const all = recipients();
  return [...new Set(all.filter((recipient, index) => all.indexOf(recipient) !== index))];
}

/** To so many; some have got it and some have not. */
async function aMessageInItsDelivery(emails: readonly string[]): Promise<string> {
  await app.request('POST', '/v1/groups/club/subscribers', {
    body: { subscribers: emails.map((email) => ({ email })) },
  });
  const { headers } = await app.request('POST', '/v1/groups/club/schedule', {
    body: { subject: 'News', body: '<p>News</p>', schedule_on: clock.now().epochMilliseconds },
  });
  await sink.waitFor(MAILS_BEFORE, PATIENCE_MS);
  return headers.get('location') ?? '';
}

async function untilSent(path: string): Promise<JsonObject> {
  return until(
    'the message is sent',
    PATIENCE_MS,
    async () => {
      clock.advance(STEP_MS);
      const { body } = await app.request('GET', path);
      return body['status'] === 'sent' ? body : undefined;
    },
    STEP_EVERY_MS,
  );
}

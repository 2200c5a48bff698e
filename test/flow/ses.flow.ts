import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type JsonObject, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { SesStandIn } from '../support/ses-stand-in.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 20_000;
const TEST_LIMIT_MS = 60_000; // it takes a few seconds where nothing else runs

/** The whole application with MAIL=ses, from the API to what SES would deliver, on the engine of the project. */
export function describeSesFlow(): void {
  describe('mail through SES', { timeout: TEST_LIMIT_MS }, () => {
    let ses: SesStandIn;
    let app: TestApp;
    let group: string;

    beforeAll(async () => {
      ses = await SesStandIn.start();
      vi.stubEnv('AWS_ENDPOINT_URL_SESV2', ses.url);
      vi.stubEnv('AWS_REGION', process.env['AWS_REGION'] ?? 'eu-west-1');
      vi.stubEnv('AWS_ACCESS_KEY_ID', process.env['AWS_ACCESS_KEY_ID'] ?? 'test');
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', process.env['AWS_SECRET_ACCESS_KEY'] ?? 'test');
      app = await startTestApp({
        env: {
          MAIL: 'ses',
          SES_CONFIGURATION_SET: 'belfry-mails',
          MAIL_FROM: 'News <news@example.com>',
        },
      });
    });

    afterAll(async () => {
      await app.close();
      await ses.close();
      vi.unstubAllEnvs();
    });

    beforeEach(() => {
      group = `news-${randomUUID()}`;
      ses.forget();
      ses.behave([]);
    });

    async function subscribe(count: number): Promise<readonly string[]> {
      const subscribers = Array.from({ length: count }, (_, index) => ({
        email: `reader-${String(index).padStart(3, '0')}@example.com`,
        name: `Reader ${index}`,
      }));
      await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { subscribers } });
      return subscribers.map(({ email }) => email);
    }

    async function schedule(fields: object = {}): Promise<string> {
      const { body } = await app.request('POST', `/v1/groups/${group}/schedule`, {
        body: {
          subject: 'For {{ name }}',
          body: '<p>Dear {{ name }}</p>',
          template: 'liquid',
          schedule_on: Temporal.Now.instant().epochMilliseconds,
          ...fields,
        },
      });
      return `/v1/groups/${group}/schedule/${textAt(body, 'key')}`;
    }

    function sendCalls(): readonly string[] {
      return ses.calls.map(({ kind }) => kind).filter((kind) => kind === 'bulk' || kind === 'single');
    }

    async function untilStatus(path: string, status: string): Promise<JsonObject> {
      return until(`${path} is ${status}`, LIMIT_MS, async () => {
        const { body } = await app.request('GET', path);
        return body['status'] === status ? body : undefined;
      });
    }

    it('reaches everybody of a group once, fifty in a call, and the record has what SES calls each', async () => {
      const everybody = await subscribe(120);
      const path = await schedule();

      const message = await untilStatus(path, 'sent');

      expect(message['counts']).toMatchObject({ subscribers: 120, sent: 120 });
      expect(sendCalls()).toEqual(['bulk', 'bulk', 'bulk']);
      expect(ses.received.map(({ recipient }) => recipient).toSorted()).toEqual(everybody);
      expect(ses.received[0]).toMatchObject({
        from: '"News" <news@example.com>',
        subject: matching(/^For Reader \d+$/),
        html: matching(/^<p>Dear Reader \d+<\/p>\n<div .*>Unsubscribe<\/a>/),
        text: matching(/^Dear Reader \d+\n\n-- \n.*\nUnsubscribe: http/),
        tags: { message_key: message['key'], group },
        configurationSet: 'belfry-mails',
        headers: {
          'list-unsubscribe': matching(/^<http:\/\/localhost:\d+\/u\/[\w-]+>$/),
          'list-unsubscribe-post': 'List-Unsubscribe=One-Click',
          'list-id': `<${group}.example.com>`,
          precedence: 'bulk',
        },
      });
      expect(new Set(ses.received.map(({ headers }) => headers['list-unsubscribe'])).size).toBe(120);
      expect(ses.received[0]?.headers).not.toHaveProperty('feedback-id'); // SES makes it of the tags
      const ids = new Map(ses.received.map(({ recipient, messageId }) => [recipient, messageId]));
      const deliveries = await listAll(app, `${path}/deliveries`);
      expect(deliveries.map((delivery) => delivery['provider_id'])).toEqual(
        everybody.map((recipient) => ids.get(recipient)),
      );
    });

    it('goes as MIME messages where SES might read the content otherwise', async () => {
      const everybody = await subscribe(3);
      const path = await schedule({ body: '<p>{% raw %}{{ name }}{% endraw %}, dear {{ name }}</p>' });

      await untilStatus(path, 'sent');

      expect(sendCalls()).toEqual(['single', 'single', 'single']);
      expect(ses.received.map(({ recipient }) => recipient).toSorted()).toEqual(everybody);
    });

    it('stops the message where sending is paused, says why, and goes on when it is resumed', async () => {
      const everybody = await subscribe(60);
      ses.behave([{ do: 'fail', name: 'SendingPausedException', status: 400, message: 'Paused.' }]);
      const path = await schedule();
      const stopped = await untilStatus(path, 'failed');
      expect(stopped).toMatchObject({
        reason: matching(/paused .* resume/),
        counts: { failed: 0, unknown: 0 },
      });

      ses.behave([]);
      await app.request('POST', `${path}/resume`);
      await untilStatus(path, 'sent');

      expect(ses.received.map(({ recipient }) => recipient).toSorted()).toEqual(everybody);
      const attempts = (await listAll(app, `${path}/deliveries`)).map((delivery) => delivery['attempt']);
      expect(new Set(attempts)).toEqual(new Set([1]));
    });

    it('tries again within seconds what was too fast for SES, and spends no attempt on it', async () => {
      const everybody = await subscribe(20);
      ses.behave([
        {
          do: 'fail',
          name: 'TooManyRequestsException',
          status: 429,
          message: 'Maximum sending rate exceeded.',
          times: 1,
        },
      ]);
      const path = await schedule();

      await untilStatus(path, 'sent');

      expect(ses.received.map(({ recipient }) => recipient).toSorted()).toEqual(everybody);
      const attempts = (await listAll(app, `${path}/deliveries`)).map((delivery) => delivery['attempt']);
      expect(new Set(attempts)).toEqual(new Set([1]));
    });

    it('says of mails that SES may have taken that it does not know, and leaves them where it is told to', async () => {
      await subscribe(2);
      ses.behave([{ do: 'cut', taken: true }]);
      const path = await schedule({ on_unknown: 'leave' });

      const message = await untilStatus(path, 'sent');

      expect(message['counts']).toMatchObject({ sent: 0, unknown: 2 });
      expect(ses.count).toBe(2);
    });
  });
}

import { afterEach, describe, expect, it, vi } from 'vitest';
import { type JsonObject, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { type SesOptions, SesStandIn } from '../support/ses-stand-in.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 30_000;
const TEST_LIMIT_MS = 60_000; // it takes some seconds, which is what is tested

describe('the rate of mail through SES', { timeout: TEST_LIMIT_MS }, () => {
  let ses: SesStandIn;
  let app: TestApp;

  afterEach(async () => {
    await app.close();
    await ses.close();
    vi.unstubAllEnvs();
  });

  async function start(options: SesOptions): Promise<void> {
    ses = await SesStandIn.start(options);
    vi.stubEnv('AWS_ENDPOINT_URL_SESV2', ses.url);
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
    app = await startTestApp({ env: { MAIL: 'ses', MAIL_FROM: 'news@example.com' } });
  }

  /** The path of a message to so many, whose time has come. */
  async function aMessageTo(count: number): Promise<string> {
    const subscribers = Array.from({ length: count }, (_, index) => ({
      email: `reader-${index}@example.com`,
    }));
    await app.request('POST', '/v1/groups/news/subscribers', { body: { subscribers } });
    const { body } = await app.request('POST', '/v1/groups/news/schedule', {
      body: { subject: 'News', body: '<p>News</p>', schedule_on: Temporal.Now.instant().epochMilliseconds },
    });
    return `/v1/groups/news/schedule/${textAt(body, 'key')}`;
  }

  async function untilStatus(path: string, status: string): Promise<JsonObject> {
    return until(`${path} is ${status}`, LIMIT_MS, async () => {
      const { body } = await app.request('GET', path);
      return body['status'] === status ? body : undefined;
    });
  }

  it('is that of the account: SES turns nothing away', async () => {
    await start({ account: { maxSendRate: 20 } });
    const path = await aMessageTo(70);

    await untilStatus(path, 'sent');

    expect(ses.received).toHaveLength(70);
    expect(ses.turnedAway).toBe(0);
    const [first, last] = [ses.received.at(0)?.atMs ?? 0, ses.received.at(-1)?.atMs ?? 0];
    expect(last - first).toBeGreaterThan(2_500);
  });

  it('is lowered where SES allows less than it said, and everybody gets the mail once, at the first attempt', async () => {
    await start({ account: { maxSendRate: 20 } });
    await until('The quota is read', LIMIT_MS, () =>
      Promise.resolve(ses.calls.some(({ kind }) => kind === 'account') || undefined),
    );
    ses.setAccount({ maxSendRate: 6 });
    const path = await aMessageTo(25);

    await untilStatus(path, 'sent');

    expect(ses.turnedAway).toBeGreaterThan(0);
    expect(new Set(ses.received.map(({ recipient }) => recipient)).size).toBe(25);
    expect(ses.received).toHaveLength(25);
    const attempts = (await listAll(app, `${path}/deliveries`)).map((delivery) => delivery['attempt']);
    expect(new Set(attempts)).toEqual(new Set([1]));
  });

  it('ends where the mails of 24 hours are used up: the message stops, says why, and goes on when it is resumed', async () => {
    await start({ account: { maxSendRate: 1_000, max24HourSend: 200, sentLast24Hours: 195 } });
    const path = await aMessageTo(12);
    const stopped = await untilStatus(path, 'failed');

    ses.setAccount({ max24HourSend: 50_000 });
    // What it knows of the quota is good for a moment yet.
    await until(
      'It is resumed for good',
      LIMIT_MS,
      async () => {
        await app.request('POST', `${path}/resume`);
        const { body } = await app.request('GET', path);
        return body['status'] === 'sent' || undefined;
      },
      1_000,
    );

    expect(stopped).toMatchObject({
      reason: matching(/quota of mails in 24 hours/),
      counts: { sent: 5, failed: 0 },
    });
    expect(ses.turnedAway).toBe(0);
    expect(new Set(ses.received.map(({ recipient }) => recipient)).size).toBe(12);
    expect(ses.received).toHaveLength(12);
  });

  it('is kept low where the account may not be asked', async () => {
    await start({
      behaviours: [{ on: 'account', do: 'fail', name: 'AccessDeniedException', status: 403 }],
      account: { maxSendRate: 14 },
    });
    const path = await aMessageTo(40);

    await untilStatus(path, 'sent');

    expect(ses.received).toHaveLength(40);
    expect(ses.turnedAway).toBe(0);
  });
});

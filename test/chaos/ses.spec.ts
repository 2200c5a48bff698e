import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { bodyOf, listDeliveries, untilFinished } from '../support/belfry-api.ts';
import { textAt } from '../support/json.ts';
import { ServerProcess } from '../support/server-process.ts';
import { SesProcess } from '../support/ses-process.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 60_000;
const TEST_LIMIT_MS = 120_000; // it takes 15 s where nothing else runs
const SUBSCRIBERS = 1_000;

it(
  'leaves in doubt what SES had when the server was killed with -9, fifty at a time, and nothing else is sent twice',
  { timeout: TEST_LIMIT_MS },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'belfry-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const ses = await SesProcess.start({
      record: join(folder, 'mails.ndjson'),
      // Three calls are answered; the next of each of four batches is taken, and never answered.
      behaviours: [
        { on: 'bulk', do: 'delay', ms: 100, times: 3 },
        { on: 'bulk', do: 'hang', taken: true, times: 4 },
      ],
    });
    onTestFinished(() => ses[Symbol.asyncDispose]());
    const env = { ...ses.env, DATA_DIR: join(folder, 'data'), MAIL_FROM: 'news@example.com', LEASE: '10s' };
    const killed = await startServer(env);
    const key = await aMessageOnItsWay(killed);
    await until('Some are sent', LIMIT_MS, async () => (await takenBy(ses)).length === 350 || undefined);

    await killed.kill('SIGKILL');
    const server = await startServer(env);
    const { counts } = await untilFinished(server, { group: 'news', key }, { limitMs: LIMIT_MS });

    const recipients = await takenBy(ses);
    const twice = recipients.filter((recipient, index) => recipients.indexOf(recipient) !== index);
    const deliveries = await Array.fromAsync(listDeliveries(server, 'news', key));
    const inDoubt = deliveries.filter(({ unknownAttempts }) => unknownAttempts > 0);
    expect(counts).toMatchObject({ subscribers: SUBSCRIBERS, sent: SUBSCRIBERS });
    expect(new Set(recipients).size).toBe(SUBSCRIBERS);
    expect(inDoubt, 'Four calls were on their way').toHaveLength(200);
    expect(twice.filter((recipient) => inDoubt.every(({ subscriber }) => subscriber !== recipient))).toEqual(
      [],
    );
  },
);

async function startServer(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const server = await ServerProcess.start({ env });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function aMessageOnItsWay(server: ServerProcess): Promise<string> {
  const subscribers = Array.from({ length: SUBSCRIBERS }, (_, index) => ({
    email: `reader-${index}@example.com`,
  }));
  bodyOf(await server.request('POST', '/v1/groups/news/subscribers', { body: { subscribers } }), 200);
  const message = {
    subject: 'News',
    body: '<p>News for {{ email }}</p>',
    template: 'liquid',
    schedule_on: Temporal.Now.instant().epochMilliseconds,
  };
  return textAt(
    bodyOf(await server.request('POST', '/v1/groups/news/schedule', { body: message }), 201),
    'key',
  );
}

async function takenBy(ses: SesProcess): Promise<readonly string[]> {
  return (await Array.fromAsync(ses.taken())).map(({ recipient }) => recipient);
}

import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bodyOf, listDeliveries, readMessage, untilFinished } from '../support/belfry-api.ts';
import { textAt } from '../support/json.ts';
import { ServerProcess } from '../support/server-process.ts';
import { SinkProcess } from '../support/sink-process.ts';
import type { Behaviour } from '../support/smtp-sink.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 30_000;
const TEST_LIMIT_MS = 90_000; // servers start; it takes 2 s where nothing else runs
const SUBSCRIBERS = 200;
// Ten connections at once: all of them together take 2 s, enough to be interrupted.
const SLOW: Behaviour = { at: 'after-dot', do: 'delay', ms: 100 };

describe('a server that is asked to stop (SIGTERM)', { timeout: TEST_LIMIT_MS }, () => {
  it('settles what is in flight, exits 0, and sends nothing twice when it is started again', async () => {
    const { sink, env } = await aSetting([SLOW]);
    const server = await startServer(env);
    const key = await aMessageOnItsWay(server);
    await until('Some are sent', LIMIT_MS, async () => (await countTaken(sink)) >= 20 || undefined);

    const exit = await server.kill('SIGTERM');

    const takenAtExit = await countTaken(sink);
    const restarted = await startServer(env);
    const before = await readMessage(restarted, 'news', key);
    const after = await untilFinished(restarted, { group: 'news', key }, { limitMs: LIMIT_MS });
    const deliveries = await Array.fromAsync(listDeliveries(restarted, 'news', key));
    const recipients = (await Array.fromAsync(sink.taken())).map(({ recipient }) => recipient);
    expect(exit).toEqual({ code: 0, signal: null });
    expect(takenAtExit, 'It was stopped in the middle').toBeLessThan(SUBSCRIBERS);
    expect(before.counts.sent, 'Nothing in flight was left open').toBeGreaterThanOrEqual(takenAtExit);
    expect(after.counts).toMatchObject({ subscribers: SUBSCRIBERS, sent: SUBSCRIBERS });
    expect(recipients).toHaveLength(SUBSCRIBERS);
    expect(new Set(recipients).size).toBe(SUBSCRIBERS);
    expect(deliveries.filter(({ attempt, unknownAttempts }) => attempt !== 1 || unknownAttempts > 0)).toEqual(
      [],
    );
  });

  it('begins nothing more of a large message', async () => {
    const { sink, env } = await aSetting([{ ...SLOW, ms: 500 }]);
    const server = await startServer(env);
    await aMessageOnItsWay(server);
    await until('Some are sent', LIMIT_MS, async () => (await countTaken(sink)) > 0 || undefined);

    await server.kill('SIGTERM');

    // In flight are four windows, which stay small because the server is slow.
    expect(await countTaken(sink)).toBeLessThan(SUBSCRIBERS / 2);
  });

  it('answers the requests in hand, and keeps what it answered', async () => {
    const { env } = await aSetting([]);
    const server = await startServer(env);
    const inHand = await aRequestInHand(server);

    server.signal('SIGTERM');
    await server.untilLogged('shutdown.begun', LIMIT_MS);
    const status = await inHand.finish();

    const exit = await server.exited;
    const restarted = await startServer(env);
    const found = await restarted.request('GET', '/v1/groups/news/subscribers/ada@example.com');
    expect(status).toBe(201);
    expect(exit).toEqual({ code: 0, signal: null });
    expect(found.status).toBe(200);
  });

  it('takes no new requests meanwhile, and says so', async () => {
    const { env } = await aSetting([]);
    const server = await startServer(env);
    const inHand = await aRequestInHand(server);

    server.signal('SIGTERM');
    await server.untilLogged('shutdown.begun', LIMIT_MS);
    const refused = await server.request('POST', '/v1/groups/news/subscribers', {
      body: { email: 'late@example.com' },
    });

    await inHand.finish();
    expect(refused).toMatchObject({ status: 503, body: { code: 'server-stopping' } });
    expect(await server.exited).toEqual({ code: 0, signal: null });
  });
});

interface Setting {
  readonly sink: SinkProcess;
  readonly env: Readonly<Record<string, string>>;
}

async function aSetting(behaviours: readonly Behaviour[]): Promise<Setting> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const sink = await SinkProcess.start({ record: join(folder, 'mails.ndjson'), behaviours });
  onTestFinished(() => sink[Symbol.asyncDispose]());
  return { sink, env: { DATA_DIR: join(folder, 'data'), SMTP_URL: sink.url } };
}

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
    body: '<p>News</p>',
    schedule_on: Temporal.Now.instant().epochMilliseconds,
  };
  return textAt(
    bodyOf(await server.request('POST', '/v1/groups/news/schedule', { body: message }), 201),
    'key',
  );
}

async function countTaken(sink: SinkProcess): Promise<number> {
  return (await Array.fromAsync(sink.taken())).length;
}

/** A request that the server has begun to read, and whose body waits for `finish`. */
async function aRequestInHand(server: ServerProcess): Promise<{ finish(): Promise<number> }> {
  const body = JSON.stringify({ email: 'ada@example.com' });
  const call = request(`${server.url}/v1/groups/news/subscribers`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' },
  });
  const answered = new Promise<number>((resolve, reject) => {
    call.once('error', reject);
    call.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
  });
  // The server says it once it has read the head: from then on the request is in its hands.
  const begun = new Promise<void>((resolve) => call.once('continue', resolve));
  call.flushHeaders();
  await Promise.race([begun, answered]);
  return {
    finish: async () => {
      call.end(body);
      return answered;
    },
  };
}

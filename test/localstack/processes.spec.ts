import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { check, type Verdict } from '../chaos/checker.ts';
import type { AskedMessage, Exchange, Member } from '../chaos/evidence.ts';
import { type Asked, bodyOf, untilFinished } from '../support/belfry-api.ts';
import { textAt } from '../support/json.ts';
import { ServerProcess } from '../support/server-process.ts';
import { SinkProcess } from '../support/sink-process.ts';
import type { Behaviour } from '../support/smtp-sink.ts';
import { until } from '../support/until.ts';
import { openAwsGround } from './aws-ground.ts';

/* Processes as they are shipped, on the engine aws, held against what the mail server got and what the API says. */

// LocalStack takes a minute for the large one on two busy cores.
const TEST_LIMIT_MS = 300_000;
const FINISH_LIMIT_MS = 240_000;
const LOOK_EVERY_MS = 500;

// More than one transaction cuts: 120 batches, in two.
const LARGE = 6_000;
const MIDDLING = 2_000;
// The most that one call takes.
const ADD_AT_ONCE = 1_000;
const GROUP = 'everybody';
const MAX_ATTEMPTS = 30; // the default

describe('processes on the engine aws', { timeout: TEST_LIMIT_MS }, () => {
  it('send a message to 6,000 subscribers, in 120 batches that two transactions cut, with every promise kept', async () => {
    const { env, sink } = await aSetting();
    const server = await startServer(env);
    const members = await subscribe(server, LARGE);
    const message = await scheduleMessage(server);

    const { counts } = await untilFinished(server, message, {
      limitMs: FINISH_LIMIT_MS,
      everyMs: LOOK_EVERY_MS,
    });

    const verdict = await judge(server, sink, members, message);
    expect(verdict.faults).toEqual([]);
    expect(verdict).toMatchObject({ mailCount: LARGE, deliveryCount: LARGE, inDoubtCount: 0, twiceCount: 0 });
    expect(counts).toMatchObject({ subscribers: LARGE, sent: LARGE });
  });

  it('miss nobody when one of two is killed in the middle, and send nothing twice that the record does not call unknown', async () => {
    const { env, sink } = await aSetting([{ at: 'after-dot', do: 'delay', ms: 100 }], {
      LEASE: '10s', // so that what is left behind is soon taken over
    });
    const [killed, server] = await Promise.all([startServer(env), startServer(env)]);
    const members = await subscribe(server, MIDDLING);
    const message = await scheduleMessage(server);
    await until(
      'A quarter is sent',
      FINISH_LIMIT_MS,
      async () => (await countTaken(sink)) > MIDDLING / 4 || undefined,
    );

    await killed.kill('SIGKILL');
    const takenAtKill = await countTaken(sink);
    const { counts } = await untilFinished(server, message, {
      limitMs: FINISH_LIMIT_MS,
      everyMs: LOOK_EVERY_MS,
    });

    const verdict = await judge(server, sink, members, message);
    expect(takenAtKill, 'It was killed in the middle').toBeLessThan(MIDDLING);
    expect(verdict.faults).toEqual([]);
    expect(verdict.inDoubtCount, 'It had something in hand').toBeGreaterThan(0);
    expect(counts).toMatchObject({ subscribers: MIDDLING, sent: MIDDLING });
  });
});

interface Setting {
  readonly env: Readonly<Record<string, string>>;
  readonly sink: SinkProcess;
}

async function aSetting(behaviours: readonly Behaviour[] = [], given: Setting['env'] = {}): Promise<Setting> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const ground = await openAwsGround({ hasQueues: true, isForServers: true });
  onTestFinished(() => ground.close());
  const sink = await SinkProcess.start({ record: join(folder, 'mails.ndjson'), behaviours });
  onTestFinished(() => sink[Symbol.asyncDispose]());
  const access = ['AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'].map(
    (name) => [name, process.env[name]] as const,
  );
  const settings = [...Object.entries(ground.env), ...access].flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  const env = {
    ...Object.fromEntries(settings),
    SMTP_URL: sink.url,
    SMTP_CONNECTIONS: '100', // so that a window is large, and LocalStack is asked less often
    SIGNING_SECRET: randomBytes(32).toString('hex'),
    ...given,
  };
  return { env, sink };
}

async function startServer(env: Setting['env']): Promise<ServerProcess> {
  const server = await ServerProcess.start({ env });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function subscribe(server: Asked, count: number): Promise<readonly Member[]> {
  const members: Member[] = [];
  while (members.length < count) {
    const subscribers = Array.from({ length: ADD_AT_ONCE }, (_, index) => ({
      email: `reader-${members.length + index}@example.com`,
      name: 'Reader',
    }));
    const [added, answer] = await timed(() =>
      server.request('POST', `/v1/groups/${GROUP}/subscribers`, { body: { subscribers } }),
    );
    bodyOf(answer, 200);
    members.push(...subscribers.map(({ email }) => ({ email, added })));
  }
  return members;
}

async function scheduleMessage(server: Asked): Promise<AskedMessage> {
  const dueAtMs = nowMs() + 1_000;
  const body = {
    subject: 'News',
    body: '<p>News for {{ email }}</p>',
    template: 'liquid',
    schedule_on: dueAtMs,
  };
  const [posted, answer] = await timed(() =>
    server.request('POST', `/v1/groups/${GROUP}/schedule`, { body }),
  );
  const key = textAt(bodyOf(answer, 201), 'key');
  return { key, group: GROUP, dueAtMs, onUnknown: 'resend', posted, pauses: [], retries: [] };
}

async function judge(
  server: Asked,
  sink: SinkProcess,
  members: readonly Member[],
  message: AskedMessage,
): Promise<Verdict> {
  return check(server, {
    groups: new Map([[GROUP, members]]),
    messages: [message],
    mails: sink.taken(),
    disturbances: [],
    stops: [],
    maxAttempts: MAX_ATTEMPTS,
  });
}

async function countTaken(sink: SinkProcess): Promise<number> {
  return (await Array.fromAsync(sink.taken())).length;
}

async function timed<Result>(ask: () => Promise<Result>): Promise<readonly [Exchange, Result]> {
  const askedAtMs = nowMs();
  const result = await ask();
  return [{ askedAtMs, answeredAtMs: nowMs() }, result];
}

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

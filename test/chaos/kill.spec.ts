import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { isFinished, listMessages } from '../support/belfry-api.ts';
import { Random } from '../support/random.ts';
import { ServerProcess, spawnServer } from '../support/server-process.ts';
import { SinkProcess } from '../support/sink-process.ts';
import { until } from '../support/until.ts';
import { check } from './checker.ts';
import { Clients } from './clients.ts';

const ROUNDS = 20;
// Some kills come while the server starts: in the middle of putting right what the last one left.
const START_KILL_CHANCE = 0.2;
const START_KILL_MAX_MS = 1_000;
const WORK_MAX_MS = 700;
const FINISH_LIMIT_MS = 60_000;
const LOOK_EVERY_MS = 200;
const MAX_ATTEMPTS = 30; // the default
const TEST_LIMIT_MS = 180_000; // it takes 40 s where nothing else runs

it(
  'loses nothing that was acknowledged, and sends nothing twice in silence, though it is killed with -9 at any moment',
  { timeout: TEST_LIMIT_MS },
  async () => {
    const seed = Number(process.env['BELFRY_SEED'] ?? randomInt(2 ** 32));
    say(`BELFRY_SEED=${seed} draws these kills again`);
    const random = new Random(seed);
    const clients = new Clients(random);
    const folder = await mkdtemp(join(tmpdir(), 'belfry-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const sink = await SinkProcess.start({ record: join(folder, 'mails.ndjson') });
    onTestFinished(() => sink[Symbol.asyncDispose]());
    const env = { DATA_DIR: join(folder, 'data'), SMTP_URL: sink.url };

    for (let round = 1; round <= ROUNDS; round += 1) {
      await (random.chance(START_KILL_CHANCE)
        ? killAtStart(env, random.integer(0, START_KILL_MAX_MS))
        : killAtWork(env, clients, random.integer(0, WORK_MAX_MS)));
    }
    const server = await startServer(env);
    await clients.clearDoubts(server);
    // Those of a group without a member too.
    await untilAllFinished(server, new Set(clients.messages.map(({ group }) => group)));

    const { groups, messages } = clients;
    const { faults, ...figures } = await check(server, {
      groups,
      messages,
      mails: sink.taken(),
      disturbances: [],
      stops: [],
      maxAttempts: MAX_ATTEMPTS,
    });
    say(`${ROUNDS} kills, ${messages.length} messages, ${JSON.stringify(figures)}`);
    expect(faults, `BELFRY_SEED=${seed}`).toEqual([]);
    expect(figures.mailCount, 'A run without mail shows nothing').toBeGreaterThan(100);
  },
);

async function killAtWork(
  env: Readonly<Record<string, string>>,
  clients: Clients,
  afterMs: number,
): Promise<void> {
  const server = await startServer(env);
  let isKilled = false;
  const work = clients.work(server, () => isKilled);
  await Promise.race([delay(afterMs), work]); // `work` ends by itself only with a fault
  isKilled = true;
  await server.kill('SIGKILL');
  await work;
}

async function killAtStart(env: Readonly<Record<string, string>>, afterMs: number): Promise<void> {
  const child = spawnServer({ env });
  onTestFinished(() => child[Symbol.asyncDispose]());
  await delay(afterMs);
  await child.kill('SIGKILL');
}

async function startServer(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const server = await ServerProcess.start({ env });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function untilAllFinished(server: ServerProcess, groups: ReadonlySet<string>): Promise<void> {
  const areFinished = async (): Promise<true | undefined> => {
    for (const group of groups) {
      for await (const message of listMessages(server, group)) {
        if (!isFinished(message)) {
          return undefined;
        }
      }
    }
    return true;
  };
  await until('Every message is finished', FINISH_LIMIT_MS, areFinished, LOOK_EVERY_MS);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bodyOf, listDeliveries, readMessage, untilFinished } from '../support/belfry-api.ts';
import { aName, Container, type ContainerPlan, docker, IMAGE } from '../support/container.ts';
import { aFreePort } from '../support/free-port.ts';
import { textAt } from '../support/json.ts';
import { SinkProcess } from '../support/sink-process.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 60_000;
const SUBSCRIBERS = 200;
const MEGABYTE = 1_000_000;

async function start(plan: ContainerPlan = {}): Promise<Container> {
  const container = await Container.start(plan);
  onTestFinished(() => container[Symbol.asyncDispose]());
  return container;
}

async function aVolume(): Promise<string> {
  const name = aName('data');
  await docker('volume', 'create', name);
  onTestFinished(async () => {
    await docker('volume', 'rm', '--force', name);
  });
  return name;
}

/** A message to many, of whom some have it already; ten connections take a second for a hundred. */
async function aMessageOnItsWay(container: Container, sink: SinkProcess): Promise<string> {
  await container.request('POST', '/v1/groups/news/subscribers', {
    body: {
      subscribers: Array.from({ length: SUBSCRIBERS }, (_, index) => ({ email: `s${index}@example.com` })),
    },
  });
  const scheduled = await container.request('POST', '/v1/groups/news/schedule', {
    body: { subject: 'News', body: '<p>News</p>', schedule_on: Temporal.Now.instant().epochMilliseconds },
  });
  const key = textAt(bodyOf(scheduled, 201), 'key');
  await until('Some are sent', LIMIT_MS, async () => (await recipientsOf(sink)).length >= 20 || undefined);
  return key;
}

async function recipientsOf(sink: SinkProcess): Promise<readonly string[]> {
  return (await Array.fromAsync(sink.taken())).map(({ recipient }) => recipient);
}

/** A container that sends to a slow SMTP server, with its state on a volume. */
async function aSender(): Promise<{ container: Container; sink: SinkProcess; port: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-sink-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const sink = await SinkProcess.start({
    record: join(folder, 'taken.ndjson'),
    behaviours: [{ at: 'after-dot', do: 'delay', ms: 100 }],
  });
  onTestFinished(() => sink[Symbol.asyncDispose]());
  const port = await aFreePort();
  const container = await start({
    hostPort: port,
    env: { SMTP_URL: sink.url },
    args: ['--volume', `${await aVolume()}:/data`],
  });
  return { container, sink, port };
}

describe('the image', { timeout: 4 * LIMIT_MS }, () => {
  it('is the whole of an installation: one command, and the quickstart works with the key that it printed once', async () => {
    const volume = await aVolume();
    const container = await start({ args: ['--volume', `${volume}:/data`, '--health-interval', '1s'] });
    const [key = ''] = /belfry_\S+/.exec(await container.logs()) ?? [];
    expect((await container.request('GET', '/v1/groups')).status).toBe(401);
    container.useKey(key);

    await container.request('POST', '/serverless/subscribers', { body: { email: 'ada@example.com' } });
    const held = await container.request('POST', '/serverless/schedule', {
      body: { subject: 'Hello SLS workshop!', body: '<h1>Welcome</h1>', schedule_on: 1_649_753_447_000 },
    });
    await container.request('POST', '/v1/groups/serverless/schedule/latest/resume');
    const message = await untilFinished(
      container,
      { group: 'serverless', key: textAt(bodyOf(held, 201), 'key') },
      { limitMs: LIMIT_MS },
    );

    expect(message).toMatchObject({ status: 'sent', counts: { subscribers: 1, sent: 1 } });
    expect((await container.request('GET', '/docs')).status).toBe(200);
    expect(await container.exec('id', '-u')).toBe('1000');
    expect(await container.exec('cat', '/proc/1/comm')).toMatch(/node|MainThread/);
    await until('Docker says that it is healthy', LIMIT_MS, async () =>
      (await container.inspect('{{.State.Health.Status}}')) === 'healthy' ? true : undefined,
    );
    await container.stop();
    await container.restart();
    expect((await container.logs()).match(/belfry_/g), 'The key is printed once').toHaveLength(1);
    expect((await readMessage(container, 'serverless', message.key)).status).toBe('sent');
  });

  it('can write nowhere but into /data and /tmp', async () => {
    const container = await start();
    const write = async (path: string): Promise<string> =>
      container.exec('sh', '-c', `touch ${path} 2>/dev/null && echo written || echo refused`);

    const answers = [
      await write('/app/x'),
      await write('/etc/x'),
      await write('/tmp/x'),
      await write('/data/x'),
    ];

    expect(answers).toEqual(['refused', 'refused', 'written', 'written']);
  });

  it('holds what runs and nothing that builds or tests, in less than 120 MB of layers of its own', async () => {
    const list = ['run', '--rm', '--entrypoint', 'ls', IMAGE];

    const packages = await docker(...list, '/app/node_modules', '/app/node_modules/@nestjs');

    for (const needless of [
      'typescript',
      'vitest',
      'node',
      'testcontainers',
      'aws-cdk-lib',
      'smtp-server',
      'testing',
    ]) {
      expect(packages.split('\n')).not.toContain(needless);
    }
    expect((await docker(...list, '/app')).split('\n').toSorted()).toEqual([
      'dist',
      'node_modules',
      'package.json',
    ]);
    const sizeOf = async (image: string): Promise<number> =>
      Number(await docker('image', 'inspect', '--format', '{{.Size}}', image));
    const own = (await sizeOf(IMAGE)) - (await sizeOf('node:26-bookworm-slim'));
    expect(own / MEGABYTE).toBeLessThan(120);
  });

  it('stops gracefully with a message on its way, and goes on where it was', async () => {
    const { container, sink, port } = await aSender();
    const key = await aMessageOnItsWay(container, sink);

    const exitCode = await container.stop();

    const takenAtExit = (await recipientsOf(sink)).length;
    await container.restart(port);
    const message = await untilFinished(container, { group: 'news', key }, { limitMs: LIMIT_MS });
    expect(exitCode).toBe(0);
    expect(takenAtExit, 'It was stopped in the middle').toBeLessThan(SUBSCRIBERS);
    expect(message.counts).toMatchObject({ subscribers: SUBSCRIBERS, sent: SUBSCRIBERS });
    const recipients = await recipientsOf(sink);
    expect(recipients.length, 'Nobody has it twice').toBe(new Set(recipients).size);
    expect(recipients).toHaveLength(SUBSCRIBERS);
  });

  it('is killed and started again on the same volume: nobody missing, nobody twice who is not said to be in doubt', async () => {
    const { container, sink, port } = await aSender();
    const key = await aMessageOnItsWay(container, sink);

    await container.kill();

    await container.restart(port);
    const message = await untilFinished(container, { group: 'news', key }, { limitMs: LIMIT_MS });
    const deliveries = await Array.fromAsync(listDeliveries(container, 'news', key));
    const recipients = await recipientsOf(sink);
    const doubtful = new Set(
      deliveries.filter(({ unknownAttempts }) => unknownAttempts > 0).map(({ subscriber }) => subscriber),
    );
    const twice = recipients.filter((recipient, index) => recipients.indexOf(recipient) !== index);
    expect(message.counts).toMatchObject({ subscribers: SUBSCRIBERS, sent: SUBSCRIBERS });
    expect(new Set(recipients).size).toBe(SUBSCRIBERS);
    expect(twice.filter((recipient) => !doubtful.has(recipient))).toEqual([]);
  });
});

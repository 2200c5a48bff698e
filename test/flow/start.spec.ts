import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Child } from '../support/child.ts';
import { ServerProcess, spawnServer } from '../support/server-process.ts';

const TEST_LIMIT_MS = 60_000; // servers start; it takes 2 s where nothing else runs

describe('a server that cannot start', { timeout: TEST_LIMIT_MS }, () => {
  it('says who holds the data, and exits 1 at once', async () => {
    const dataDir = await aFolder();
    const holder = await startServer({ DATA_DIR: dataDir });

    const second = spawn({ DATA_DIR: dataDir });

    expect(await second.exited).toEqual({ code: 1, signal: null });
    expect(second.text).toContain(`The data is in use by process ${holder.pid} on `);
    expect(second.text).toContain('stop that one first');
    expect(second.lines, 'No stack: it is told in words').toHaveLength(1);
    expect((await holder.request('GET', '/health/ready')).status, 'The holder goes on').toBe(200);
  });

  it('tells every fault of its settings in one message, and exits 1', async () => {
    const server = spawn({
      DATA_DIR: await aFolder(),
      PORT: 'http',
      ENGINE: 'paper',
      MISSED_GRACE: '24',
      API_KEYS: 'ops:root:correct-horse-battery-staple',
    });

    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.lines).toEqual([
      'The settings are not usable:',
      expect.stringMatching(/^ {2}PORT: got "http"; allowed: /),
      expect.stringMatching(/^ {2}ENGINE: got "paper"; allowed: /),
      expect.stringMatching(/^ {2}API_KEYS: .*unknown role/),
      expect.stringMatching(/^ {2}MISSED_GRACE: got "24"; allowed: /),
    ]);
    expect(server.text).not.toContain('correct-horse');
  });

  it('says in one line that its port is taken, and exits 1', async () => {
    const port = await aTakenPort();
    const server = spawn({ DATA_DIR: await aFolder(), PORT: String(port) });

    expect(await server.exited).toEqual({ code: 1, signal: null });
    expect(server.lines.at(-1)).toMatch(new RegExp(`^Belfry cannot listen: .*${port}.* set PORT`));
    expect(server.text, 'No stack: it is told in words').not.toMatch(/^ +at /m);
  });
});

describe('a server that other machines can reach', { timeout: TEST_LIMIT_MS }, () => {
  it('makes an API key where it has none, shows it once, and takes it ever after', async () => {
    const env = { DATA_DIR: await aFolder(), HOST: '0.0.0.0' };

    const first = await startServer(env);
    const [, key = ''] = /\b(belfry_[\w-]+)/.exec(first.logs.join('\n')) ?? [];
    const without = await first.request('GET', '/v1/groups');
    await first.kill('SIGTERM');
    const second = await startServer(env);
    const withKey = await second.request('GET', '/v1/groups', {
      headers: { authorization: `Bearer ${key}` },
    });

    expect(key).not.toBe('');
    expect(first.logs.filter((line) => line.includes(key))).toHaveLength(1);
    expect(second.logs.join('\n')).not.toContain('belfry_');
    expect(without.status).toBe(401);
    expect(withKey.status).toBe(200);
  });
});

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function startServer(env: Readonly<Record<string, string>>): Promise<ServerProcess> {
  const server = await ServerProcess.start({ env });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

function spawn(env: Readonly<Record<string, string>>): Child {
  const child = spawnServer({ env });
  onTestFinished(() => child[Symbol.asyncDispose]());
  return child;
}

async function aTakenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(async () => {
    await new Promise((resolve) => server.close(resolve));
  });
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === 'string') {
    throw new Error('The server does not listen on a port.');
  }
  return address.port;
}

import { createHash } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Controller, Get } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it } from 'vitest';
import { ApiKeys, isLoopback, openApiKeys } from '../../src/platform/auth/api-keys.ts';
import { Needs, Public } from '../../src/platform/auth/roles.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { aDirectory, aServer } from './a-server.ts';

@Needs('reader')
@Controller('doors')
class DoorsController {
  @Get('reader')
  reader(): string {
    return 'open';
  }

  @Needs('sender')
  @Get('sender')
  sender(): string {
    return 'open';
  }

  @Needs('admin')
  @Get('admin')
  admin(): string {
    return 'open';
  }

  @Public()
  @Get('public')
  public(): string {
    return 'open';
  }
}

@Controller('forgotten')
class ForgottenController {
  @Get()
  read(): string {
    return 'open';
  }
}

const SECRETS = {
  reader: 'reader-secret-0123456789',
  sender: 'sender-secret-0123456789',
  admin: 'admin-secret-0123456789',
} as const;
const KEYS = Object.entries(SECRETS)
  .map(([role, secret]) => `${role}:${role}:${secret}`)
  .join(',');
const CONTROLLERS = [DoorsController, ForgottenController];

type Answer = Awaited<ReturnType<NestFastifyApplication['inject']>>;

async function ask(
  url: string,
  headers: Record<string, string> = {},
  env = { API_KEYS: KEYS },
): Promise<Answer> {
  const app = await aServer({ env, controllers: CONTROLLERS });
  return app.inject({ url, headers });
}

function bearer(secret: string): Record<string, string> {
  return { authorization: `Bearer ${secret}` };
}

describe('a key', () => {
  it.each([
    ['reader', 'reader', 200],
    ['reader', 'sender', 403],
    ['reader', 'admin', 403],
    ['sender', 'reader', 200],
    ['sender', 'sender', 200],
    ['sender', 'admin', 403],
    ['admin', 'reader', 200],
    ['admin', 'sender', 200],
    ['admin', 'admin', 200],
  ] as const)('of a %s meets a door for a %s: %i', async (held, needed, status) => {
    const answer = await ask(`/doors/${needed}`, bearer(SECRETS[held]));

    expect(answer.statusCode).toBe(status);
  });

  it('may be the password of HTTP Basic, under any name', async () => {
    const credentials = Buffer.from(`whoever:${SECRETS.reader}`).toString('base64');

    const answer = await ask('/doors/reader', { authorization: `Basic ${credentials}` });

    expect(answer.statusCode).toBe(200);
  });

  it.each([
    ['none', {}],
    ['an unknown one', bearer('reader-secret-0123456780')],
    ['an empty one', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: `Digest ${SECRETS.reader}` }],
    ['Basic without a colon', { authorization: `Basic ${Buffer.from(SECRETS.reader).toString('base64')}` }],
    ['the name instead of the secret', bearer('reader')],
  ])('is asked for with 401 when the request shows %s', async (_name, headers: Record<string, string>) => {
    const answer = await ask('/doors/reader', headers);

    expect(answer.json()).toMatchObject({ status: 401, code: 'api-key-needed' });
    expect(answer.headers['www-authenticate']).toEqual('Bearer realm="belfry"');
  });

  it('is asked for with a dialogue only by a browser that opens a page', async () => {
    const answer = await ask('/doors/reader', { accept: 'text/html,*/*;q=0.8' });

    expect(answer.headers['www-authenticate']).toEqual([
      'Bearer realm="belfry"',
      'Basic realm="belfry", charset="UTF-8"',
    ]);
  });

  it('is not needed at a door that is open to all, and does not open one that nobody has opened', async () => {
    const open = await ask('/doors/public');
    const forgotten = await ask('/forgotten', bearer(SECRETS.admin));

    expect(open.statusCode).toBe(200);
    expect(forgotten.json()).toMatchObject({ status: 403, code: 'route-closed' });
  });

  it('is compared with every key there is, whichever it is', () => {
    const compared: string[] = [];
    const keys = new ApiKeys(
      (['a', 'b', 'c'] as const).map((name) => ({
        name,
        role: 'reader' as const,
        get sha256(): Buffer {
          compared.push(name);
          return createHash('sha256').update(name).digest();
        },
      })),
    );

    expect(keys.find('a')?.name).toBe('a');
    expect(compared).toEqual(['a', 'b', 'c']);
  });
});

describe('a server on loopback without keys', () => {
  const NO_KEYS = { API_KEYS: '' };

  it.each([
    ['localhost'],
    ['localhost:3000'],
    ['LOCALHOST'],
    ['127.0.0.1:3000'],
    ['[::1]:3000'],
    ['belfry.localhost:80'],
  ])('lets everybody do everything who calls it %s', async (host) => {
    const answer = await ask('/doors/admin', { host }, NO_KEYS);

    expect(answer.statusCode).toBe(200);
  });

  it.each([
    ['evil.example'],
    ['localhost.evil.example'],
    ['evil-localhost'],
    ['127.0.0.1.nip.io'],
    ['evil.127.0.0.1'],
    ['localhost:80@evil.example'],
  ])('answers nobody who calls it %j, and says why', async (host) => {
    const admin = await ask('/doors/admin', { host }, NO_KEYS);
    const open = await ask('/doors/public', { host }, NO_KEYS);

    expect(admin.json()).toMatchObject({ status: 403, code: 'foreign-host' });
    expect(admin.body).toContain('set API_KEYS');
    expect(open.statusCode).toBe(403);
  });

  it.each([
    ['127.0.0.1', true],
    ['127.1.2.3', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['192.168.1.5', false],
    ['127.0.0.1.example.com', false],
  ])('is one whose HOST is %s: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});

describe('a server that others can reach, without keys', () => {
  it('makes an admin key at its first start, shows it once and keeps only its hash', async () => {
    const settings = parseSettings({ HOST: '0.0.0.0', DATA_DIR: await aDirectory() });
    const shown: string[] = [];
    const events: string[] = [];

    const first = await openApiKeys(settings, (lines) => shown.push(...lines), logInto(events));
    const [secret = ''] = /belfry_[\w-]{43}/.exec(shown.join('\n')) ?? [];
    const shownCount = shown.length;
    const later = await openApiKeys(settings, (lines) => shown.push(...lines), logInto(events));

    expect(first.find(secret)?.role).toBe('admin');
    expect(later.find(secret)?.role).toBe('admin');
    expect(later.find(`${secret}x`)).toBeUndefined();
    expect(shown).toHaveLength(shownCount);
    expect(events).toEqual(['api-key.loaded']);
    const path = join(settings.dataDir, 'api-key.json');
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({
      sha256: createHash('sha256').update(secret).digest('hex'),
    });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('asks for that key', async () => {
    const shown: string[] = [];
    const app = await aServer({
      env: { HOST: '0.0.0.0' },
      controllers: CONTROLLERS,
      announce: (lines) => shown.push(...lines),
    });
    const [secret = ''] = /belfry_[\w-]{43}/.exec(shown.join('\n')) ?? [];

    const without = await app.inject({ url: '/doors/reader', headers: { host: 'localhost' } });
    const withKey = await app.inject({
      url: '/doors/admin',
      headers: { host: 'any.example', ...bearer(secret) },
    });

    expect(without.statusCode).toBe(401);
    expect(withKey.statusCode).toBe(200);
  });

  it('refuses to start on a damaged key file, rather than opening to all', async () => {
    const settings = parseSettings({ HOST: '0.0.0.0', DATA_DIR: await aDirectory() });
    await writeFile(join(settings.dataDir, 'api-key.json'), '{}');

    await expect(openApiKeys(settings, () => undefined, logInto([]))).rejects.toThrow('damaged');
  });
});

function logInto(events: string[]): Log {
  const write = (_fields: object, event: string): void => {
    events.push(event);
  };
  return new Log({ debug: write, info: write, warn: write, error: write });
}

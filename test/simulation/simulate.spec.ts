import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/platform/clock/system-clock.ts';
import { textAt } from '../support/json.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';

interface Run {
  readonly code: unknown;
  readonly output: string;
}

let app: TestApp;
let temporary: string;
beforeAll(async () => {
  app = await startTestApp({ engine: 'embedded', clock: new SystemClock() });
  temporary = await mkdtemp(join(tmpdir(), 'belfry-simulate-test-'));
});
afterAll(async () => {
  await app.close();
  await rm(temporary, { recursive: true });
});

/** Runs the command as it is shipped. */
async function run(...args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], TMPDIR: temporary };
    execFile(process.execPath, ['dist/simulate.js', ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, output: `${stdout}${stderr}` });
    });
  });
}

async function schedule(group: string, fields: object): Promise<string> {
  const { body } = await app.request('POST', `/v1/groups/${group}/schedule`, {
    body: { subject: 'News', body: '<p>News</p>', ...fields },
  });
  return textAt(body, 'key');
}

describe('npm run simulate', () => {
  it('says what would be sent, when and to how many, beside the server, and changes nothing', async () => {
    await app.request('POST', '/v1/groups/club/subscribers', {
      body: {
        subscribers: [
          { email: 'ada@example.com', time_zone: 'Asia/Tokyo' },
          { email: 'grace@example.com', time_zone: 'Europe/Paris' },
          { email: 'left@example.com', status: 'active' },
        ],
      },
    });
    await app.request('PATCH', '/v1/groups/club/subscribers/left@example.com', {
      body: { status: 'unsubscribed' },
    });
    const once = await schedule('club', { schedule_on: '2100-01-04T12:00Z' });
    const waves = await schedule('club', { local_delivery: { date: '2100-01-06', time: '09:00' } });
    await schedule('club', {
      schedule_on: '2100-01-01T09:00[Europe/Paris]',
      repeat: { rrule: 'FREQ=WEEKLY' },
    });
    const before = await listAll(app, '/v1/groups/club/schedule');
    const stored = await readFile(join(app.dataDir, 'belfry.db'));

    const { code, output } = await run(
      '--from=2100-01-02T00:00Z',
      '--to=2100-01-16T00:00Z',
      `--data-dir=${app.dataDir}`,
    );

    expect(output.replaceAll(/club [0-9a-f-]{36}/g, (found) => nameOf(found, once, waves))).toBe(
      [
        '2100-01-04T12:00:00.000Z once: 2 mails',
        '2100-01-06T00:00:00.000Z waves: 1 mail',
        '2100-01-06T08:00:00.000Z waves: 1 mail',
        '2100-01-08T08:00:00.000Z series: 2 mails',
        '2100-01-15T08:00:00.000Z series: 2 mails',
        'From 2100-01-02T00:00:00.000Z to 2100-01-16T00:00:00.000Z: 8 mails of 4 messages.',
        '',
      ].join('\n'),
    );
    expect(code).toBe(0);
    expect(await listAll(app, '/v1/groups/club/schedule')).toEqual(before);
    expect((await readFile(join(app.dataDir, 'belfry.db'))).equals(stored)).toBe(true);
    expect(await readdir(temporary)).toEqual([]);
  });

  it.each([
    ['no times', [], 'Usage: npm run simulate'],
    ['an unknown option', ['--until=2100-01-01T00:00Z'], "Unknown option '--until'"],
    ['a time that is none', ['--from=tomorrow', '--to=2100-01-01T00:00Z'], '--from: '],
    [
      'a folder without a store',
      ['--from=2100-01-01T00:00Z', '--to=2100-01-02T00:00Z', '--data-dir=/nowhere'],
      'There is no store in /nowhere',
    ],
  ])('says what is wrong, and exits with 2: %s', async (_what, args, said) => {
    const { code, output } = await run(...args);

    expect(output).toContain(said);
    expect(output).not.toContain('    at ');
    expect(code).toBe(2);
    expect(await readdir(temporary)).toEqual([]);
  });
});

function nameOf(found: string, once: string, waves: string): string {
  const names = new Map([
    [`club ${once}`, 'once'],
    [`club ${waves}`, 'waves'],
  ]);
  return names.get(found) ?? 'series';
}

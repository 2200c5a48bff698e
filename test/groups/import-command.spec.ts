import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const KEY = 'a-key-of-a-sender';

interface Run {
  readonly code: unknown;
  readonly output: string;
}

let app: TestApp;
let folder: string;
beforeAll(async () => {
  app = await startTestApp({ engine: 'embedded', env: { API_KEYS: `test:sender:${KEY}` } });
  folder = await mkdtemp(join(tmpdir(), 'belfry-import-'));
});
afterAll(async () => {
  await app.close();
  await rm(folder, { recursive: true });
});

/** Runs the command beside this process, which serves it. */
async function run(key: string, ...args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    const env = { ...process.env, BELFRY_URL: app.url, BELFRY_KEY: key };
    execFile(process.execPath, ['commands/import.ts', ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, output: `${stdout}${stderr}` });
    });
  });
}

async function aFile(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('npm run import', () => {
  it('imports a file and says how many rows did what', async () => {
    const file = await aFile('good.csv', 'email;name\nada@example.com;Ada\n');

    const { code, output } = await run(KEY, file, '--group', 'good');

    const [first = '', ...rest] = output.split('\n').toReversed().slice(1);
    expect(first).toBe('done. 1 row: 1 created, 0 updated, 0 unchanged, 0 rejected.');
    expect(rest[0]).toBe('  done, 100 %');
    expect(rest.filter((line) => !/^ {2}(?:queued|working|done), \d+ %$/.test(line))).toEqual([]);
    expect(code).toBe(0);
  });

  it('prints the rows that are rejected, and exits with 1', async () => {
    const ada = '{"email":"ada@example.com"}\n';
    const file = await aFile('bad.ndjson', `${ada}{"email":"no"}\n${ada}`);

    const { code, output } = await run(KEY, file, '--group', 'bad', '--dry-run');

    expect(output).toMatch(
      /Dry run: done\. 3 rows: 1 created, 0 updated, 1 unchanged, 1 rejected; 1 of them for an address that came before\.\n {2}line 2 no: \/email An address has a name/,
    );
    expect(code).toBe(1);
  });

  it.each([
    ['no such file', KEY, ['nowhere.csv', '--group', 'none'], /nowhere\.csv/],
    ['no group', KEY, ['package.json'], /Usage/],
    ['a wrong key', 'wrong', ['package.json', '--group', 'none'], /401: A key is needed/],
  ])('exits with 2 where there is %s', async (_what, key, args, said) => {
    const { code, output } = await run(key, ...args);

    expect(output).toMatch(said);
    expect(code).toBe(2);
  });
});

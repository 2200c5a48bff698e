import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Confirmations } from '../../src/groups/confirmations.ts';
import { ImportAsker } from '../../src/groups/imports/import-asker.ts';
import { type ImportJob, newImportKey } from '../../src/groups/imports/import-job.ts';
import { reportLines } from '../../src/groups/imports/import-report.ts';
import type { ImportChunk, ImportClaim } from '../../src/groups/imports/import-store.ts';
import { ImportWorker, KEPT_MS } from '../../src/groups/imports/import-worker.ts';
import { Suppressions } from '../../src/groups/suppressions.ts';
import { DAY_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { openSqlite, type SqliteEngine } from '../contract/open-sqlite.ts';
import { numberAt, parseObject, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { addresses, aGroupName, aKey, anInstant, groupSettings } from '../support/builders.ts';

const GROUP = aGroupName();
const ignore = (): void => undefined;
const SETTINGS = parseSettings({});
// Several chunks, and more than are sorted at a time.
const ROWS = 12_000;
const LINES = addresses(ROWS).map((email, index) => `${email},${index}\n`);
// Prime to the number of rows, so that each comes once.
const STRIDE = 7_919;
const FILES = {
  'in the order of addresses': fileOf(LINES),
  'in no order': fileOf(LINES.map((_, index) => LINES[(index * STRIDE) % ROWS] ?? '')),
  'in order at first': fileOf([...LINES.slice(0, 1_500), ...LINES.slice(1_500).toReversed()]),
} as const;
const FILE = FILES['in the order of addresses'];

function fileOf(lines: readonly string[]): string {
  return `email,n\n${lines.join('')}`;
}

describe('the import worker', () => {
  let engine: SqliteEngine;

  beforeEach(async () => {
    engine = await openSqlite();
  });
  afterEach(async () => {
    await engine.close();
  });

  function aWorker(): ImportWorker {
    const log = new Log({ debug: ignore, info: ignore, warn: ignore, error: ignore });
    const suppressions = new Suppressions(engine.suppressions, new SigningKey(Buffer.alloc(32)));
    const confirmations = new Confirmations(engine.confirmations, engine.subscribers, engine.clock);
    const asker = new ImportAsker(engine.groups, engine.subscribers, confirmations, engine.clock);
    return new ImportWorker(engine.imports, suppressions, asker, engine.clock, SETTINGS, log);
  }

  async function receive(...pieces: readonly string[]): Promise<ImportJob> {
    return receiveAs({}, ...pieces);
  }

  async function receiveAs(
    overrides: { readonly askToConfirm?: boolean; readonly dryRun?: boolean },
    ...pieces: readonly string[]
  ): Promise<ImportJob> {
    async function* file(): AsyncGenerator<Uint8Array> {
      for (const piece of pieces) {
        yield Buffer.from(piece);
      }
    }
    const plan = {
      key: newImportKey(),
      group: GROUP,
      format: 'csv',
      dryRun: false,
      askToConfirm: true,
      ...overrides,
      at: anInstant(),
    } as const;
    return engine.imports.receive(plan, file(), plusMs(anInstant(), DAY_MS));
  }

  async function find({ key }: ImportJob): Promise<ImportJob | undefined> {
    return engine.imports.find(GROUP, key);
  }

  /** As `line email result`, and whether the address came before. */
  async function reported(job: ImportJob): Promise<readonly string[]> {
    const rows: string[] = [];
    const ended = await find(job);
    if (!ended) {
      throw new Error('The import is gone.');
    }
    for await (const text of reportLines(engine.imports, ended, { format: 'ndjson', result: undefined })) {
      for (const line of text.split('\n').filter((one) => one !== '')) {
        const row = parseObject(line);
        rows.push(
          `${numberAt(row, 'line')} ${textAt(row, 'email')} ${textAt(row, 'result')}${row['duplicate'] === true ? ' duplicate' : ''}`,
        );
      }
    }
    return rows;
  }

  /** Of those of example.com, who is asked to confirm, and when. */
  async function asked(...names: readonly string[]): Promise<readonly unknown[]> {
    const found = await Promise.all(
      names.map((name) => engine.confirmations.find(GROUP, aKey(`${name}@example.com`))),
    );
    return found.flatMap((one) =>
      one ? [{ subscriber: one.subscriber, sentCount: one.sentCount, dueAt: one.dueAt }] : [],
    );
  }

  /** Dies in the place of a process, before or after a chunk is written. */
  function dieAtChunk(nth: number, when: 'before' | 'after'): () => void {
    const apply = engine.imports.apply.bind(engine.imports);
    let chunks = 0;
    engine.imports.apply = async (
      job: ImportJob,
      claim: ImportClaim,
      chunk: ImportChunk,
    ): Promise<ImportJob | undefined> => {
      chunks += 1;
      if (chunks === nth && when === 'before') {
        throw new Error('killed');
      }
      const after = await apply(job, claim, chunk);
      if (chunks === nth) {
        throw new Error('killed');
      }
      return after;
    };
    return () => {
      engine.imports.apply = apply;
    };
  }

  it.each(
    Object.entries(FILES).flatMap(([order, file]) => [
      ['before' as const, order, file] as const,
      ['after' as const, order, file] as const,
    ]),
  )(
    'goes on where a process was killed %s its second chunk, with a file %s, and does no row twice',
    async (when, _order, file) => {
      const job = await receive(file);
      const revive = dieAtChunk(2, when);
      await expect(aWorker().runOnce()).rejects.toThrow('killed');
      revive();

      await aWorker().runOnce();
      expect((await find(job))?.state).toBe('working'); // the claim of the dead still lasts
      engine.clock.advance(SETTINGS.leaseMs);
      await aWorker().runOnce();

      expect(await find(job)).toMatchObject({
        state: 'done',
        counts: { read: ROWS, created: ROWS, updated: 0, unchanged: 0, rejected: 0, duplicates: 0 },
      });
      expect((await engine.groups.find(GROUP))?.counts.active).toBe(ROWS);
      expect(await engine.subscribers.find(GROUP, aKey('s09999@example.com'))).toMatchObject({
        attributes: { n: '9999' },
        version: 1,
      });
      expect(await reported(job)).toEqual(
        file
          .split('\n')
          .flatMap((line, index) =>
            line.includes('@') ? [`${index + 1} ${line.split(',')[0]} created`] : [],
          ),
      );
    },
  );

  it('does several rows for one address in the order of the file, whatever lies between them', async () => {
    const job = await receive(
      'email,a,b\nm@example.com,1,\nz@example.com,1,\nA@example.com,1,1\nno\nm@example.com,2,2\nz@example.com,,2\na@example.com,2,\nm@example.com,,3\n',
    );

    await aWorker().runOnce();

    expect(await reported(job)).toEqual([
      '2 m@example.com created',
      '3 z@example.com created',
      '4 A@example.com created',
      '5 no rejected',
      '6 m@example.com updated duplicate',
      '7 z@example.com updated duplicate',
      '8 a@example.com updated duplicate',
      '9 m@example.com updated duplicate',
    ]);
    const attributes = async (email: string): Promise<unknown> =>
      (await engine.subscribers.find(GROUP, aKey(email)))?.attributes;
    expect(await attributes('m@example.com')).toEqual({ a: '2', b: '3' });
    expect(await attributes('z@example.com')).toEqual({ a: '1', b: '2' });
    expect(await attributes('a@example.com')).toEqual({ a: '2', b: '1' });
  });

  it('does what is before the place where a file in no order cannot be read any further', async () => {
    const job = await receive(
      'email,n\nb@example.com,1\na@example.com,2\n',
      `c@example.com,${'y'.repeat(200_000)}\n`,
    );

    await aWorker().runOnce();

    expect(await find(job)).toMatchObject({ state: 'failed', counts: { read: 2, created: 2 } });
  });

  it('tells of the rows that are done, and leaves no other file than that of the import', async () => {
    const job = await receive(FILES['in no order']);
    dieAtChunk(2, 'after');
    await expect(aWorker().runOnce()).rejects.toThrow('killed');

    const rows = await reported(job);

    expect(rows).toHaveLength(2 * engine.imports.chunkRows);
    expect(rows.toSorted()).not.toEqual(rows); // the least addresses are done, and told in the order of the file
    expect(await readdir(engine.imports.sortFolder ?? '')).toEqual([job.key]);
  });

  it('gives an import back when it is stopped, and another goes on at once', async () => {
    const job = await receive(FILE);
    const stopped = aWorker();
    const apply = engine.imports.apply.bind(engine.imports);
    engine.imports.apply = async (...args): Promise<ImportJob | undefined> => {
      stopped.stop();
      return apply(...args);
    };
    await stopped.runOnce();
    engine.imports.apply = apply;
    const left = await find(job);

    await aWorker().runOnce();

    expect(left?.state).toBe('working');
    expect(left?.counts.read).toBeLessThan(ROWS);
    expect(await find(job)).toMatchObject({ state: 'done', counts: { created: ROWS } });
  });

  it('stops where the import is cancelled under its hands', async () => {
    const job = await receive(FILE);
    const apply = engine.imports.apply.bind(engine.imports);
    engine.imports.apply = async (...args): Promise<ImportJob | undefined> => {
      const after = await apply(...args);
      await engine.imports.cancel(GROUP, job.key, anInstant(), anInstant());
      return after;
    };

    await aWorker().runOnce();

    const { state, counts } = (await find(job)) ?? {};
    expect(state).toBe('cancelled');
    expect(counts?.read).toBe(engine.imports.chunkRows);
  });

  it('does what is before the place where a file cannot be read any further', async () => {
    const job = await receive('email,note\na@example.com,x\n', `b@example.com,${'y'.repeat(200_000)}\n`);

    await aWorker().runOnce();

    expect(await find(job)).toMatchObject({
      state: 'failed',
      reason: matching(/^Line 3, column 2, note: the row has more than/),
      counts: { read: 1, created: 1 },
    });
  });

  it('ends where its file is lost, and says so', async () => {
    const job = await receive(FILE);
    await rm(join(engine.imports.sortFolder ?? '', job.key));

    await aWorker().runOnce();

    expect(await find(job)).toMatchObject({
      state: 'failed',
      reason: matching(/^The file is not there any more/),
      counts: { read: 0 },
    });
    expect(await reported(job)).toEqual([]);
  });

  it('has everybody who must confirm asked, once, though the process was killed before it asked', async () => {
    await engine.groups.put(GROUP, groupSettings({ optIn: 'double' }));
    const file =
      'email,status\na@example.com,\nb@example.com,active\nleft@example.com,unsubscribed\nc@example.com,pending\n';
    await receive(file);
    const revive = dieAtChunk(1, 'after');
    await expect(aWorker().runOnce()).rejects.toThrow('killed');
    revive();
    expect(await asked('a', 'b', 'c', 'left')).toEqual([]);

    engine.clock.advance(SETTINGS.leaseMs);
    const resumedAt = engine.clock.now();
    await aWorker().runOnce();

    expect(await asked('a', 'b', 'c', 'left')).toEqual(
      [
        { subscriber: 'a@example.com', sentCount: 0, afterMs: 0 },
        { subscriber: 'b@example.com', sentCount: 0, afterMs: 200 },
        { subscriber: 'c@example.com', sentCount: 0, afterMs: 400 },
      ].map(({ afterMs, ...one }) => ({ ...one, dueAt: plusMs(resumedAt, afterMs) })),
    );
  });

  it('asks nobody again by a file that is sent again, and somebody who has joined anew', async () => {
    await engine.groups.put(GROUP, groupSettings({ optIn: 'double' }));
    await receive('a@example.com\nb@example.com\n');
    await aWorker().runOnce();
    const before = await asked('a', 'b');
    engine.clock.advance(DAY_MS);
    await engine.subscribers.remove(GROUP, aKey('b@example.com'));

    await receive('a@example.com\nb@example.com\n');
    await aWorker().runOnce();

    const after = await asked('a', 'b');
    expect(after[0]).toEqual(before[0]);
    expect(after[1]).toMatchObject({ dueAt: plusMs(engine.clock.now(), 200) }); // the turn of the first is kept for them
  });

  it.each([
    ['says so', { askToConfirm: false }],
    ['is a dry run', { dryRun: true }],
  ])('asks nobody where the import %s', async (_what, plan) => {
    await engine.groups.put(GROUP, groupSettings({ optIn: 'double' }));
    await receiveAs(plan, 'a@example.com\n');

    await aWorker().runOnce();

    expect(await asked('a')).toEqual([]);
  });

  it('imports 100,000 rows for one address', async () => {
    const job = await receive(
      `email,n\n${Array.from({ length: 100_000 }, (_, n) => `a@example.com,${n}\n`).join('')}`,
    );

    await aWorker().runOnce();

    expect((await find(job))?.counts).toMatchObject({ read: 100_000, created: 1, duplicates: 99_999 });
    expect(await engine.subscribers.find(GROUP, aKey('a@example.com'))).toMatchObject({
      attributes: { n: '99999' },
    });
  });

  it('forgets an import a week after its end', async () => {
    const job = await receive('a@example.com\n');
    await aWorker().runOnce();

    engine.clock.advance(KEPT_MS - 1);
    await aWorker().runOnce();
    expect(await find(job)).toBeDefined();
    engine.clock.advance(1);
    await aWorker().runOnce();

    expect(await find(job)).toBeUndefined();
  });

  it('removes what nobody sends the rest of', async () => {
    const job = await receive('a@example.com\n');
    await engine.database.write(() => engine.database.run(`UPDATE imports SET state = 'receiving'`));

    await aWorker().runOnce();

    expect(await find(job)).toBeUndefined();
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ImportJob, newImportKey } from '../../src/groups/imports/import-job.ts';
import type { ImportChunk, ImportClaim } from '../../src/groups/imports/import-store.ts';
import { ImportWorker, KEPT_MS } from '../../src/groups/imports/import-worker.ts';
import { Suppressions } from '../../src/groups/suppressions.ts';
import { DAY_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { openSqlite, type SqliteEngine } from '../contract/open-sqlite.ts';
import { matching } from '../support/matching.ts';
import { addresses, aGroupName, aKey, anInstant } from '../support/builders.ts';

const GROUP = aGroupName();
const ignore = (): void => undefined;
const SETTINGS = parseSettings({});
// Several chunks.
const ROWS = 10_000;
const FILE = `email,n\n${addresses(ROWS)
  .map((email, index) => `${email},${index}\n`)
  .join('')}`;

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
    return new ImportWorker(engine.imports, suppressions, engine.clock, SETTINGS, log);
  }

  async function receive(...pieces: readonly string[]): Promise<ImportJob> {
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
      at: anInstant(),
    } as const;
    return engine.imports.receive(plan, file(), plusMs(anInstant(), DAY_MS));
  }

  async function find({ key }: ImportJob): Promise<ImportJob | undefined> {
    return engine.imports.find(GROUP, key);
  }

  /** Dies in the place of a process, before or after its second chunk is written. */
  function dieAtSecondChunk(when: 'before' | 'after'): () => void {
    const apply = engine.imports.apply.bind(engine.imports);
    let chunks = 0;
    engine.imports.apply = async (
      job: ImportJob,
      claim: ImportClaim,
      chunk: ImportChunk,
    ): Promise<ImportJob | undefined> => {
      chunks += 1;
      if (chunks === 2 && when === 'before') {
        throw new Error('killed');
      }
      const after = await apply(job, claim, chunk);
      if (chunks === 2) {
        throw new Error('killed');
      }
      return after;
    };
    return () => {
      engine.imports.apply = apply;
    };
  }

  it.each(['before', 'after'] as const)(
    'goes on where a process was killed %s its second chunk, and does no row twice',
    async (when) => {
      const job = await receive(FILE);
      const revive = dieAtSecondChunk(when);
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
    },
  );

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

import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turnOfEventLoop } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { SqliteDatabase } from '../../../src/engines/sqlite/sqlite-database.ts';
import { GroupNotFoundError } from '../../../src/groups/group.ts';
import { StoreUnavailableError } from '../../../src/platform/errors/domain-error.ts';
import { aGroupName } from '../../support/builders.ts';
import { openDatabase, temporaryFile } from './temporary-file.ts';

/** A row of a table that is as good as any for writing to. */
function insert(database: SqliteDatabase, key: string, answer = ''): void {
  database.run(`INSERT INTO idempotency_keys VALUES ('serverless', :key, '', '', :answer, 0)`, {
    key,
    answer,
  });
}

function storedKeys(database: SqliteDatabase): readonly unknown[] {
  return database
    .all('SELECT idempotency_key FROM idempotency_keys ORDER BY idempotency_key')
    .map((row) => row['idempotency_key']);
}

/** How many commits the write-ahead log holds: a frame that ends one names the size of the file (sqlite.org/fileformat2.html, 4.1). */
function commitsIn(path: string): number {
  const log = readFileSync(`${path}-wal`);
  const frameBytes = 24 + log.readUInt32BE(8);
  let commits = 0;
  for (let frame = 32; frame + frameBytes <= log.length; frame += frameBytes) {
    commits += log.readUInt32BE(frame + 4) > 0 ? 1 : 0;
  }
  return commits;
}

/** Somebody else who writes to the same file. */
function anotherHandle(path: string): DatabaseSync {
  const other = new DatabaseSync(path);
  onTestFinished(() => other.close());
  return other;
}

// As if the disk had room for a few more pages: SQLite answers SQLITE_FULL either way.
function fillDisk(database: SqliteDatabase): void {
  const pages = Number(database.get('PRAGMA page_count')?.['page_count']);
  database.get(`PRAGMA max_page_count = ${pages + 5}`);
}

function freeDisk(database: SqliteDatabase): void {
  database.get('PRAGMA max_page_count = 1000000');
}

describe('SqliteDatabase', () => {
  it('keeps what is acknowledged through a power cut, and refuses a row without its parent', () => {
    const database = openDatabase();

    const pragma = (name: string): unknown => Object.values(database.get(`PRAGMA ${name}`) ?? {}).at(0);

    expect(pragma('journal_mode')).toBe('wal');
    expect(pragma('synchronous')).toBe(2); // FULL
    expect(pragma('foreign_keys')).toBe(1);
  });

  describe('write', () => {
    it('resolves with what the work answers, once another handle can read it', async () => {
      const path = temporaryFile();
      const database = openDatabase(path);

      const answer = await database.write(() => {
        insert(database, 'a');
        return 'an answer';
      });

      expect(answer).toBe('an answer');
      expect(
        anotherHandle(path).prepare('SELECT COUNT(*) AS count FROM idempotency_keys').get()?.['count'],
      ).toBe(1);
    });

    it('shares a commit between writes that wait together', async () => {
      const path = temporaryFile();
      const database = openDatabase(path);
      const before = commitsIn(path);

      await Promise.all(
        Array.from({ length: 100 }, (_, index) => database.write(() => insert(database, `${index}`))),
      );

      expect(storedKeys(database)).toHaveLength(100);
      expect(commitsIn(path) - before).toBe(1);
    });

    it('shares it with what comes in the next turns of the event loop', async () => {
      const path = temporaryFile();
      const database = openDatabase(path);
      const before = commitsIn(path);

      const first = database.write(() => insert(database, 'first'));
      await turnOfEventLoop();
      await Promise.all([first, database.write(() => insert(database, 'second'))]);

      expect(storedKeys(database)).toEqual(['first', 'second']);
      expect(commitsIn(path) - before).toBe(1);
    });

    it('bounds what one commit holds, so that the event loop gets its turn', async () => {
      const path = temporaryFile();
      const database = openDatabase(path);
      const before = commitsIn(path);

      await Promise.all(
        Array.from({ length: 450 }, (_, index) => database.write(() => insert(database, `${index}`))),
      );

      expect(storedKeys(database)).toHaveLength(450);
      expect(commitsIn(path) - before).toBe(3);
    });

    it('takes the writes in the order in which they were made, each seeing the one before', async () => {
      const database = openDatabase();

      const seen = await Promise.all(
        Array.from({ length: 5 }, (_, index) =>
          database.write(() => {
            insert(database, `${index}`);
            return storedKeys(database).length;
          }),
        ),
      );

      expect(seen).toEqual([1, 2, 3, 4, 5]);
    });

    it('undoes only the one that throws, and all of it', async () => {
      const database = openDatabase();
      const fault = new GroupNotFoundError(aGroupName());

      const writes = await Promise.allSettled([
        database.write(() => insert(database, 'before')),
        database.write(() => {
          insert(database, 'undone');
          insert(database, 'undone too');
          throw fault;
        }),
        database.write(() => insert(database, 'after')),
      ]);

      expect(writes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(writes[1]).toEqual({ status: 'rejected', reason: fault });
      expect(storedKeys(database)).toEqual(['after', 'before']);
    });

    it('undoes only the one that breaks a constraint, and does not call that unavailable', async () => {
      const database = openDatabase();

      const [first, second, third] = await Promise.allSettled([
        database.write(() => insert(database, 'a')),
        database.write(() => insert(database, 'a')),
        database.write(() => insert(database, 'b')),
      ]);

      expect([first.status, second.status, third.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(second).not.toHaveProperty('reason', expect.any(StoreUnavailableError));
      expect(storedKeys(database)).toEqual(['a', 'b']);
    });

    it('undoes all of them, and says so to each, where the commit fails', async () => {
      const database = openDatabase();
      const contentOfNoMessage = (): void => {
        database.run('PRAGMA defer_foreign_keys = ON'); // looked at by the commit, and not before
        database.run(`INSERT INTO contents VALUES ('nobody', x'00')`);
      };

      const writes = await Promise.allSettled([
        database.write(() => insert(database, 'before')),
        database.write(contentOfNoMessage),
        database.write(() => insert(database, 'after')),
      ]);

      expect(writes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      expect(storedKeys(database)).toEqual([]);
      await database.write(() => insert(database, 'later'));
      expect(storedKeys(database)).toEqual(['later']);
    });

    it('raises the revision with every commit, so that nobody keeps what was read before', async () => {
      const database = openDatabase();
      const before = database.revision;
      database.get('SELECT 1');
      expect(database.revision).toBe(before);

      const written = database.write(() => insert(database, 'a'));
      expect(database.revision).toBe(before);
      await written;

      expect(database.revision).toBeGreaterThan(before);
    });

    it('goes on after writes that have all failed', async () => {
      const database = openDatabase();
      await Promise.allSettled([
        database.write(() => {
          throw new Error('a defect');
        }),
      ]);

      await database.write(() => insert(database, 'a'));

      expect(storedKeys(database)).toEqual(['a']);
    });
  });

  describe('while the disk is full', () => {
    const LARGE = 'x'.repeat(100_000);

    it('says that the store is unavailable, with the cause', async () => {
      const database = openDatabase();
      fillDisk(database);

      const write = database.write(() => insert(database, 'large', LARGE));

      await expect(write).rejects.toThrow(StoreUnavailableError);
      await expect(write).rejects.toHaveProperty('cause.errcode', 13); // SQLITE_FULL
    });

    it('stores exactly what it acknowledges of the writes that share a commit', async () => {
      const database = openDatabase();
      fillDisk(database);
      const keys = Array.from({ length: 20 }, (_, index) => `key ${String(index).padStart(2, '0')}`);

      const writes = await Promise.allSettled(
        keys.map((key, index) => database.write(() => insert(database, key, index % 3 === 1 ? LARGE : 'x'))),
      );

      const acknowledged = keys.filter((_, index) => writes[index]?.status === 'fulfilled');
      expect(acknowledged.length).toBeLessThan(keys.length);
      expect(storedKeys(database)).toEqual(acknowledged);
      for (const write of writes) {
        expect(write.status === 'fulfilled' || write.reason instanceof StoreUnavailableError).toBe(true);
      }
    });

    it('goes on reading, and writes again as soon as there is room', async () => {
      const database = openDatabase();
      await database.write(() => insert(database, 'before'));
      fillDisk(database);
      await Promise.allSettled([database.write(() => insert(database, 'during', LARGE))]);
      expect(storedKeys(database)).toEqual(['before']);

      freeDisk(database);
      await database.write(() => insert(database, 'after', LARGE));

      expect(storedKeys(database)).toEqual(['after', 'before']);
    });
  });

  it('says that the store is unavailable while somebody else writes to the file, and goes on afterwards', async () => {
    const path = temporaryFile();
    const database = openDatabase(path);
    database.get('PRAGMA busy_timeout = 0');
    const other = anotherHandle(path);
    other.exec('BEGIN IMMEDIATE');

    await expect(database.write(() => insert(database, 'during'))).rejects.toThrow(StoreUnavailableError);

    other.exec('ROLLBACK');
    await database.write(() => insert(database, 'after'));
    expect(storedKeys(database)).toEqual(['after']);
  });

  describe('close', () => {
    it('commits what is queued', async () => {
      const path = temporaryFile();
      const database = openDatabase(path);
      const writes = Array.from({ length: 450 }, (_, index) =>
        database.write(() => insert(database, `${index}`)),
      );

      database.close();

      await Promise.all(writes);
      expect(
        anotherHandle(path).prepare('SELECT COUNT(*) AS count FROM idempotency_keys').get()?.['count'],
      ).toBe(450);
    });

    it('lets a write that comes later fail by itself, and not the process', async () => {
      const database = openDatabase();
      database.close();

      const write = database.write(() => insert(database, 'late'));

      await expect(write).rejects.toThrow(StoreUnavailableError);
    });
  });
});

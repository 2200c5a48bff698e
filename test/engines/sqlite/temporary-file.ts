import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { SqliteDatabase } from '../../../src/engines/sqlite/sqlite-database.ts';

/** A path in a folder of its own, which is removed when the test is over. */
export function temporaryFile(name = 'belfry.db'): string {
  const folder = mkdtempSync(join(tmpdir(), 'belfry-sqlite-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, name);
}

/** Closed when the test is over; a test may close it before. */
export function openDatabase(path = temporaryFile()): SqliteDatabase {
  const database = new SqliteDatabase(path);
  onTestFinished(() => {
    try {
      database.close();
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_STATE')) {
        throw error;
      }
    }
  });
  return database;
}

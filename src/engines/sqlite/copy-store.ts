import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';

const FILE = 'belfry.db';
// Pages in one step: between two, a server that writes would have it begin anew.
const ALL_AT_ONCE = 2 ** 31 - 1;

/** Thrown where there is no store to copy. */
export class NoStoreError extends Error {
  constructor(dataDir: string) {
    super(`There is no store in ${dataDir}: it has no ${FILE}. --data-dir says where the server keeps it.`);
    this.name = 'NoStoreError';
  }
}

/**
 * Copies the store as it is at this moment; a server may be using it, and its file is not written to. Where none does, SQLite
 * leaves the empty log beside it with which it reads.
 * @returns the path of the copy.
 * @throws {NoStoreError}
 */
export async function copyStore(dataDir: string, into: string): Promise<string> {
  const path = join(dataDir, FILE);
  if (!existsSync(path)) {
    throw new NoStoreError(dataDir);
  }
  const source = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  try {
    const copy = join(into, FILE);
    await backup(source, copy, { rate: ALL_AT_ONCE });
    return copy;
  } finally {
    source.close();
  }
}

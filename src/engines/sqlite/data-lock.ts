import { hostname } from 'node:os';
import { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5; // sqlite.org/rescode.html

/** Thrown where another process owns the data. */
export class DataLockedError extends Error {
  constructor(path: string, holder: string, options?: ErrorOptions) {
    super(
      `The data is in use by ${holder} (lock: ${path}). One process owns it; stop that one first.`,
      options,
    );
    this.name = 'DataLockedError';
  }
}

/**
 * The right of one process to the data. SQLite keeps it as a lock of the operating system on a small file of its own,
 * so it ends with the process however that ends, and says who holds it.
 */
export class DataLock {
  readonly #db: DatabaseSync;

  /** @throws {DataLockedError} */
  constructor(path: string, now: Temporal.Instant) {
    this.#db = new DatabaseSync(path, { timeout: 0 });
    try {
      this.#db.exec('BEGIN EXCLUSIVE');
      this.#db.exec('CREATE TABLE IF NOT EXISTS holder (one INTEGER PRIMARY KEY, who TEXT NOT NULL) STRICT');
      this.#db
        .prepare('INSERT OR REPLACE INTO holder VALUES (1, ?)')
        .run(`process ${process.pid} on ${hostname()}, started at ${now.toString()}`);
      this.#db.exec('COMMIT');
      // A reserved lock keeps other writers out and lets readers see who the holder is.
      this.#db.exec('BEGIN IMMEDIATE');
    } catch (error) {
      const held = isBusy(error);
      const holder = held ? this.#readHolder() : '';
      this.#db.close();
      throw held ? new DataLockedError(path, holder, { cause: error }) : error;
    }
  }

  /** Gives the data free. */
  release(): void {
    this.#db.close();
  }

  #readHolder(): string {
    try {
      const who = this.#db.prepare('SELECT who FROM holder').get()?.['who'];
      return typeof who === 'string' ? who : 'another process';
    } catch (error) {
      if (!isBusy(error)) {
        throw error;
      }
      return 'another process'; // it is writing its name just now
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

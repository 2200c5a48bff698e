import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { DomainError, StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import type { Metrics } from '../../platform/metrics/metrics.ts';
import { migrate } from './migrations.ts';

export type Row = Readonly<Record<string, SQLOutputValue>>;
type Parameters = Readonly<Record<string, SQLInputValue>>;

// A commit with synchronous=FULL waits for the disk, whatever it holds, so writes that wait together share one.
// The bound keeps one commit from holding the event loop for long.
const WRITES_PER_COMMIT = 200;
// How long writes are gathered at most, as long as more come: about what a commit takes that waits for the disk.
const GATHER_MS = 3;

interface Write {
  readonly work: () => void;
  readonly commit: () => void;
  readonly fail: (error: unknown) => void;
}

/**
 * One SQLite file, with its schema brought up to date.
 * Reads run at once; writes are queued and committed together, each in a savepoint of its own: one that throws undoes only itself.
 * A limit that is bound is written as `LIMIT +:limit`: SQLite plans by the value of a bare one, and so prepares the statement anew each time.
 */
export class SqliteDatabase {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #writes: Write[] = [];
  #revision = 0;

  constructor(
    path: string,
    private readonly metrics?: Metrics,
  ) {
    this.#db = new DatabaseSync(path, { timeout: 5_000, enableForeignKeyConstraints: true });
    this.#db.exec('PRAGMA journal_mode = WAL');
    this.#db.exec('PRAGMA synchronous = FULL'); // acknowledged is durable: after a power cut too
    // An import writes all over the index: with the defaults (2 MB and 1,000 pages) it reads pages again and copies them out of the log
    // after nearly every commit.
    this.#db.exec('PRAGMA cache_size = -8000'); // KB
    this.#db.exec('PRAGMA wal_autocheckpoint = 4000'); // pages: 16 MB
    // What a savepoint has to undo: beyond 64 KB of pages, it would go to a file on the disk, made anew for each.
    this.#db.exec('PRAGMA temp_store = MEMORY');
    migrate(this.#db);
  }

  /** Rises with every commit: as long as it is the same, what was read outside of a write would be read again. */
  get revision(): number {
    return this.#revision;
  }

  /** The first row, or `undefined`. */
  get(sql: string, parameters: Parameters = {}): Row | undefined {
    return reading(() => this.#statement(sql).get(parameters));
  }

  all(sql: string, parameters: Parameters = {}): readonly Row[] {
    return reading(() => this.#statement(sql).all(parameters));
  }

  /** Runs a statement that changes something, inside `write` only; answers how many rows it changed. */
  run(sql: string, parameters: Parameters = {}): number {
    return Number(this.#statement(sql).run(parameters).changes);
  }

  /** As `run`, for many rows at once: binding values by their place takes half the time of doing it by name. */
  runInPlace(sql: string, values: readonly SQLInputValue[]): number {
    return Number(this.#statement(sql).run(...values).changes);
  }

  /**
   * Runs `work` in a transaction and resolves with its result once that is on the disk.
   * Rejects with what `work` throws, having undone it; with StoreUnavailableError where SQLite could not write, or is closed.
   */
  write<Result>(work: () => Result): Promise<Result> {
    return this.metrics ? this.metrics.timeStore('write', () => this.#enqueue(work)) : this.#enqueue(work);
  }

  #enqueue<Result>(work: () => Result): Promise<Result> {
    if (!this.#db.isOpen) {
      return Promise.reject(new StoreUnavailableError()); // somebody who was not done when the process stopped
    }
    return new Promise((resolve, reject) => {
      let result: { readonly value: Result } | undefined;
      this.#writes.push({
        work: () => {
          result = { value: work() };
        },
        commit: () => {
          if (result) {
            resolve(result.value);
          }
        },
        fail: (error) => reject(translate(error)),
      });
      if (this.#writes.length === 1) {
        setImmediate(() => this.#gather(0, performance.now() + GATHER_MS));
      }
    });
  }

  /** Commits once a turn of the event loop has brought nothing more: what comes meanwhile would wait for a commit of its own. */
  #gather(before: number, endMs: number): void {
    const count = this.#writes.length;
    if (count > before && count < WRITES_PER_COMMIT && performance.now() < endMs) {
      setImmediate(() => this.#gather(count, endMs));
      return;
    }
    this.#commitWrites();
  }

  /** Commits what is queued and closes the file. */
  close(): void {
    while (this.#writes.length > 0) {
      this.#commitWrites();
    }
    this.#db.close();
  }

  #commitWrites(): void {
    if (this.#writes.length === 0) {
      return; // closing was quicker
    }
    const writes = this.#writes.slice(0, WRITES_PER_COMMIT);
    this.#writes = this.#writes.slice(WRITES_PER_COMMIT);
    if (this.#writes.length > 0) {
      setImmediate(() => this.#commitWrites());
    }
    let done: readonly Write[];
    try {
      this.run('BEGIN IMMEDIATE');
      done = writes.filter((write) => this.#runWrite(write));
      this.run('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) {
        this.#db.exec('ROLLBACK');
      }
      for (const write of writes) {
        write.fail(error); // a write that had failed by itself before has rejected already: the second call does nothing
      }
      return;
    }
    this.#revision += 1;
    for (const write of done) {
      write.commit();
    }
  }

  #runWrite(write: Write): boolean {
    this.run('SAVEPOINT one_write');
    try {
      write.work();
    } catch (error) {
      if (!this.#db.isTransaction) {
        throw error; // SQLite itself has undone everything (disk full, say), so every write of this commit fails
      }
      this.#db.exec('ROLLBACK TO one_write; RELEASE one_write');
      write.fail(error);
      return false;
    }
    this.run('RELEASE one_write');
    return true;
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function reading<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    throw translate(error);
  }
}

function translate(error: unknown): unknown {
  if (error instanceof DomainError) {
    return error;
  }
  if (error instanceof Error && 'errcode' in error && isPassing(error.errcode)) {
    return new StoreUnavailableError({ cause: error });
  }
  return error;
}

// Primary result codes (sqlite.org/rescode.html) that speak of the machine, not of the statement:
// BUSY 5, LOCKED 6, READONLY 8, IOERR 10, FULL 13, CANTOPEN 14. The low byte of an extended code is its primary one.
function isPassing(code: unknown): boolean {
  return typeof code === 'number' && [5, 6, 8, 10, 13, 14].includes(code & 0xff);
}

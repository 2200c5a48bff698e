import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import {
  IMPORT_FORMATS,
  IMPORT_STATES,
  ImportFileLostError,
  type ImportJob,
  type ImportKey,
  ImportNotFoundError,
  isEnded,
  isImportKey,
} from '../../groups/imports/import-job.ts';
import {
  type ImportChunk,
  type ImportClaim,
  type ImportEnd,
  type ImportPage,
  ImportStore,
  type NewImport,
  type RowResults,
  type WakingImport,
} from '../../groups/imports/import-store.ts';
import { addResults, mergeRows, type SubscriberWrite } from '../../groups/imports/merge-rows.ts';
import { packPositions, positionsFrom, unpackPositions } from '../../groups/imports/row-positions.ts';
import { originOf } from '../../groups/consent.ts';
import { OPT_INS, type OptIn } from '../../groups/mailing-settings.ts';
import type { Subscriber, SubscriberKey } from '../../groups/subscriber.ts';
import { ensureGroup } from './group-store.ts';
import { branded, instant, integer, oneOf, optionalInstant, optionalText, text } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';
import { countAdded, toSubscriber } from './subscriber-store.ts';

// One commit holds the event loop for as long as it takes to write so many rows: some tens of milliseconds where they are spread over a group of a million.
const CHUNK_ROWS = 1_000;
// Of one statement: a statement for each row takes twice as long, and one of more rows than this gains nothing.
const INSERT_ROWS = 50;
const READ_BYTES = 64 * 1024;
const RESULTS_PAGE = 100;

const SUBSCRIBER_COLUMNS = [
  'subscriber',
  'email',
  'status',
  'name',
  'attributes',
  'time_zone',
  'date_joined',
  'version',
] as const;
const INSERT_ONE = insertOf(1);
const INSERT_MANY = insertOf(INSERT_ROWS);

@Injectable()
export class SqliteImportStore extends ImportStore {
  override readonly chunkRows = CHUNK_ROWS;

  override readonly sortFolder: string;

  /** @param folder for the files; made where it is not there. */
  constructor(
    private readonly database: SqliteDatabase,
    private readonly folder: string,
  ) {
    super();
    this.sortFolder = folder;
  }

  override async receive(
    { key, group, format, dryRun, askToConfirm, at }: NewImport,
    file: AsyncIterable<Uint8Array>,
    giveUpAt: Temporal.Instant,
  ): Promise<ImportJob> {
    await this.database.write(() =>
      this.database.run(
        `INSERT INTO imports (import_key, group_name, format, dry_run, ask_to_confirm, state, file_bytes, added_at, wake_at)
         VALUES (:key, :group, :format, :dryRun, :askToConfirm, 'receiving', 0, :at, :wakeAt)`,
        {
          key,
          group,
          format,
          dryRun: dryRun ? 1 : 0,
          askToConfirm: askToConfirm ? 1 : 0,
          at: at.epochMilliseconds,
          wakeAt: giveUpAt.epochMilliseconds,
        },
      ),
    );
    try {
      const fileBytes = await this.#store(key, file);
      return await this.database.write(() => {
        this.database.run(
          `UPDATE imports SET state = 'queued', file_bytes = :fileBytes, wake_at = :at WHERE import_key = :key AND state = 'receiving'`,
          { key, fileBytes, at: at.epochMilliseconds },
        );
        return this.#get(group, key);
      });
    } catch (error) {
      await this.remove({ group, key });
      throw error;
    }
  }

  override async find(group: GroupName, key: ImportKey): Promise<ImportJob | undefined> {
    return this.#find(group, key);
  }

  override async list(group: GroupName, page: ImportPage): Promise<readonly ImportJob[]> {
    return this.database
      .all(
        `SELECT * FROM imports WHERE group_name = :group AND import_key < :before ORDER BY import_key DESC LIMIT +:limit`,
        { group, before: page.before ?? '~', limit: page.limit },
      )
      .map(toJob);
  }

  override async findWaking(now: Temporal.Instant, limit: number): Promise<readonly WakingImport[]> {
    return this.database
      .all(
        'SELECT group_name, import_key FROM imports WHERE wake_at <= :now ORDER BY wake_at LIMIT +:limit',
        {
          now: now.epochMilliseconds,
          limit,
        },
      )
      .map((row) => ({
        group: branded(row, 'group_name', isGroupName),
        key: branded(row, 'import_key', isImportKey),
      }));
  }

  override claim(group: GroupName, key: ImportKey, claim: ImportClaim): Promise<ImportJob | undefined> {
    return this.database.write(() => {
      const claimed = this.database.run(
        `UPDATE imports SET state = 'working', lease_token = :token, wake_at = :until, started_at = coalesce(started_at, :now)
         WHERE import_key = :key AND group_name = :group AND state IN ('queued', 'working') AND wake_at <= :now`,
        {
          key,
          group,
          token: claim.token,
          now: claim.now.epochMilliseconds,
          until: claim.until.epochMilliseconds,
        },
      );
      return claimed === 1 ? this.#get(group, key) : undefined;
    });
  }

  override openFile({ key }: ImportJob): Readable {
    return Readable.from(readPieces(this.#path(key)), { objectMode: false });
  }

  override apply(
    { group, key }: ImportJob,
    { token, now, until }: ImportClaim,
    chunk: ImportChunk,
  ): Promise<ImportJob | undefined> {
    return this.database.write(() => {
      const job = this.#findClaimed(group, key, token);
      if (!job || (chunk.rows.length > 0 && job.counts.read !== chunk.after)) {
        return undefined;
      }
      const existing = this.#existing(group, chunk);
      const optIn = this.#optIn(group);
      const { writes, results } = mergeRows(chunk.rows, { group, existing, at: now, optIn });
      if (!job.dryRun && writes.length > 0) {
        ensureGroup(this.database, group, now);
        this.#write(group, now, writes);
      }
      this.#note(key, chunk, results);
      this.#progress({ ...job, counts: addResults(job.counts, results), readBytes: chunk.readBytes }, until);
      return this.#get(group, key);
    });
  }

  override async end(
    { key }: ImportJob,
    token: string,
    { state, reason, at, wakeAt }: ImportEnd,
  ): Promise<void> {
    await this.database.write(() =>
      this.database.run(
        `UPDATE imports SET state = :state, reason = :reason, ended_at = :at, wake_at = :wakeAt, lease_token = NULL,
           read_bytes = iif(:state = 'done', file_bytes, read_bytes)
         WHERE import_key = :key AND lease_token = :token`,
        {
          key,
          token,
          state,
          reason: reason ?? null,
          at: at.epochMilliseconds,
          wakeAt: wakeAt.epochMilliseconds,
        },
      ),
    );
  }

  override async release({ key }: ImportJob, token: string, at: Temporal.Instant): Promise<void> {
    await this.database.write(() =>
      this.database.run(
        'UPDATE imports SET wake_at = :at, lease_token = NULL WHERE import_key = :key AND lease_token = :token',
        { key, token, at: at.epochMilliseconds },
      ),
    );
  }

  override cancel(
    group: GroupName,
    key: ImportKey,
    at: Temporal.Instant,
    wakeAt: Temporal.Instant,
  ): Promise<ImportJob> {
    return this.database.write(() => {
      const job = this.#get(group, key);
      if (isEnded(job)) {
        return job;
      }
      this.database.run(
        `UPDATE imports SET state = 'cancelled', ended_at = :at, wake_at = :wakeAt, lease_token = NULL WHERE import_key = :key`,
        { key, at: at.epochMilliseconds, wakeAt: wakeAt.epochMilliseconds },
      );
      return this.#get(group, key);
    });
  }

  override async *readResults({ key }: ImportJob): AsyncGenerator<RowResults> {
    let after = -1;
    for (;;) {
      const rows = this.database.all(
        `SELECT first_row, results, positions FROM import_results WHERE import_key = :key AND first_row > :after
         ORDER BY first_row LIMIT +:limit`,
        { key, after, limit: RESULTS_PAGE },
      );
      for (const row of rows) {
        after = integer(row, 'first_row');
        const letters = text(row, 'results');
        const packed = row['positions'];
        yield {
          letters,
          positions:
            packed instanceof Uint8Array ? unpackPositions(packed) : positionsFrom(after, letters.length),
        };
      }
      if (rows.length < RESULTS_PAGE) {
        return;
      }
    }
  }

  override async remove({ key }: WakingImport): Promise<void> {
    await rm(this.#path(key), { force: true }); // the record last: while it is there, somebody comes back for the file
    await this.database.write(() =>
      this.database.run('DELETE FROM imports WHERE import_key = :key', { key }),
    );
  }

  /** Resolves with its size, once all of it is on the disk. */
  async #store(key: ImportKey, file: AsyncIterable<Uint8Array>): Promise<number> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    await using handle = await open(this.#path(key), 'wx', 0o600);
    let bytes = 0;
    for await (const piece of file) {
      await handle.writeFile(piece);
      bytes += piece.length;
    }
    await handle.sync();
    await using folder = await open(this.folder);
    await folder.sync(); // otherwise its name may be gone after a power cut
    return bytes;
  }

  #path(key: ImportKey): string {
    return join(this.folder, key);
  }

  #find(group: GroupName, key: ImportKey): ImportJob | undefined {
    const row = this.database.get('SELECT * FROM imports WHERE import_key = :key AND group_name = :group', {
      key,
      group,
    });
    return row && toJob(row);
  }

  #get(group: GroupName, key: ImportKey): ImportJob {
    const job = this.#find(group, key);
    if (!job) {
      throw new ImportNotFoundError(group);
    }
    return job;
  }

  #findClaimed(group: GroupName, key: ImportKey, token: string): ImportJob | undefined {
    const row = this.database.get(
      'SELECT * FROM imports WHERE import_key = :key AND group_name = :group AND lease_token = :token',
      { key, group, token },
    );
    return row && toJob(row);
  }

  #optIn(group: GroupName): OptIn {
    const row = this.database.get('SELECT opt_in FROM groups WHERE group_name = :group', { group });
    return row ? oneOf(row, 'opt_in', OPT_INS) : 'single';
  }

  /** In one question, because most of the time of thousands would go into asking. */
  #existing(group: GroupName, { rows }: ImportChunk): ReadonlyMap<SubscriberKey, Subscriber> {
    const keys = rows.flatMap(({ row }) => row?.key ?? []);
    const found = this.database.all(
      `SELECT * FROM subscribers WHERE group_name = :group AND subscriber IN (SELECT value FROM json_each(:keys))`,
      { group, keys: JSON.stringify(keys) },
    );
    return new Map(found.map(toSubscriber).map((subscriber) => [subscriber.key, subscriber]));
  }

  /** In the order of the index, where neighbours lie on one page. */
  #write(group: GroupName, at: Temporal.Instant, writes: readonly SubscriberWrite[]): void {
    const ordered = writes.toSorted((a, b) => (a.after.key < b.after.key ? -1 : 1));
    const added = ordered.flatMap(({ before, after }) => (before ? [] : [after]));
    this.#insert(group, added);
    countAdded(this.database, group, added);
    this.#update(
      group,
      ordered.flatMap(({ before, after }) => (before ? [after] : [])),
    );
    this.#record(group, at, ordered);
  }

  #insert(group: GroupName, added: readonly Subscriber[]): void {
    for (let start = 0; start < added.length;) {
      const count = added.length - start < INSERT_ROWS ? 1 : INSERT_ROWS; // two statements, not one for each number of rows
      const values = added.slice(start, start + count).flatMap(valuesOf);
      this.database.runInPlace(count === 1 ? INSERT_ONE : INSERT_MANY, [group, ...values]);
      start += count;
    }
  }

  /**
   * In one statement: within a savepoint, each one that fires a trigger keeps a journal of its own, which for thousands takes longer than to
   * write them. All are there, so each conflicts; an UPDATE that joined them might be planned the other way round.
   */
  #update(group: GroupName, changed: readonly Subscriber[]): void {
    if (changed.length === 0) {
      return;
    }
    this.database.runInPlace(
      `INSERT INTO subscribers (group_name, ${SUBSCRIBER_COLUMNS.join(', ')})
       SELECT ?1, ${SUBSCRIBER_COLUMNS.map((_, index) => `value ->> ${index}`).join(', ')} FROM json_each(?2)
       WHERE true -- or SQLite takes ON for that of a join
       ON CONFLICT DO UPDATE SET status = excluded.status, name = excluded.name, attributes = excluded.attributes,
         time_zone = excluded.time_zone, version = excluded.version`,
      [group, JSON.stringify(changed.map(valuesOf))],
    );
  }

  /** As `recordConsent` does. @param writes in the order of addresses. */
  #record(group: GroupName, at: Temporal.Instant, writes: readonly SubscriberWrite[]): void {
    const position = this.#hasConsents(group, writes)
      ? '(SELECT COUNT(*) FROM consents WHERE group_name = ?1 AND subscriber = value)'
      : '0';
    const recorded = Map.groupBy(
      writes.flatMap(({ after, consent }) => (consent ? [{ key: after.key, what: consent.what }] : [])),
      ({ what }) => what,
    );
    for (const [what, entries] of recorded) {
      this.database.runInPlace(
        `INSERT INTO consents (group_name, subscriber, position, what, how, at)
         SELECT ?1, value, ${position}, ?2, ?3, ?4 FROM json_each(?5)`,
        [
          group,
          what,
          originOf('import').how,
          at.epochMilliseconds,
          JSON.stringify(entries.map(({ key }) => key)),
        ],
      );
    }
  }

  /** False where nothing is recorded of any address from the first to the last: asking for each takes as long as writing them. */
  #hasConsents(group: GroupName, writes: readonly SubscriberWrite[]): boolean {
    const [first, last] = [writes[0]?.after.key ?? '', writes.at(-1)?.after.key ?? ''];
    return (
      this.database.get(
        'SELECT 1 FROM consents WHERE group_name = :group AND subscriber BETWEEN :first AND :last LIMIT 1',
        { group, first, last },
      ) !== undefined
    );
  }

  #note(key: ImportKey, { after, positions }: ImportChunk, results: string): void {
    if (results !== '') {
      this.database.run(
        'INSERT INTO import_results (import_key, first_row, results, positions) VALUES (:key, :after, :results, :positions)',
        { key, after, results, positions: positions ? packPositions(positions) : null },
      );
    }
  }

  #progress({ key, counts, readBytes }: ImportJob, until: Temporal.Instant): void {
    this.database.run(
      `UPDATE imports SET wake_at = :until, read_bytes = :readBytes, read_count = :read, created_count = :created,
         updated_count = :updated, unchanged_count = :unchanged, rejected_count = :rejected, duplicate_count = :duplicates
       WHERE import_key = :key`,
      { key, until: until.epochMilliseconds, readBytes, ...counts },
    );
  }
}

/** @throws {ImportFileLostError} */
async function* readPieces(path: string): AsyncGenerator {
  try {
    yield* createReadStream(path, { highWaterMark: READ_BYTES });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new ImportFileLostError({ cause: error });
    }
    throw error;
  }
}

/** The group is the first of its values; then come those of each subscriber. */
function insertOf(rows: number): string {
  const tuple = `(?1${', ?'.repeat(SUBSCRIBER_COLUMNS.length)})`;
  return `INSERT INTO subscribers (group_name, ${SUBSCRIBER_COLUMNS.join(', ')}) VALUES ${Array(rows).fill(tuple).join(', ')}`;
}

/** In the order of SUBSCRIBER_COLUMNS. */
function valuesOf(subscriber: Subscriber): readonly (string | number | null)[] {
  return [
    subscriber.key,
    subscriber.email,
    subscriber.status,
    subscriber.name ?? null,
    JSON.stringify(subscriber.attributes),
    subscriber.timeZone ?? null,
    subscriber.joinedAt.epochMilliseconds,
    subscriber.version,
  ];
}

function toJob(row: Row): ImportJob {
  return {
    key: branded(row, 'import_key', isImportKey),
    group: branded(row, 'group_name', isGroupName),
    format: oneOf(row, 'format', IMPORT_FORMATS),
    dryRun: integer(row, 'dry_run') === 1,
    askToConfirm: integer(row, 'ask_to_confirm') === 1,
    state: oneOf(row, 'state', IMPORT_STATES),
    reason: optionalText(row, 'reason'),
    fileBytes: integer(row, 'file_bytes'),
    readBytes: integer(row, 'read_bytes'),
    counts: {
      read: integer(row, 'read_count'),
      created: integer(row, 'created_count'),
      updated: integer(row, 'updated_count'),
      unchanged: integer(row, 'unchanged_count'),
      rejected: integer(row, 'rejected_count'),
      duplicates: integer(row, 'duplicate_count'),
    },
    addedAt: instant(row, 'added_at'),
    startedAt: optionalInstant(row, 'started_at'),
    endedAt: optionalInstant(row, 'ended_at'),
    wakeAt: instant(row, 'wake_at'),
  };
}

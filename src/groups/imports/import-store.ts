import type { Readable } from 'node:stream';
import type { GroupName } from '../group.ts';
import type { ImportFormat, ImportJob, ImportKey, ImportState } from './import-job.ts';
import type { PlannedRow } from './merge-rows.ts';

export interface NewImport {
  readonly key: ImportKey;
  readonly group: GroupName;
  readonly format: ImportFormat;
  readonly dryRun: boolean;
  readonly askToConfirm: boolean;
  readonly at: Temporal.Instant;
}

export interface ImportPage {
  /** Older than this one; from the newest where absent. */
  readonly before: ImportKey | undefined;
  readonly limit: number;
}

export interface ImportClaim {
  /** No other claim has it. */
  readonly token: string;
  readonly now: Temporal.Instant;
  /** The claim is good for so long, unless it is renewed. */
  readonly until: Temporal.Instant;
}

/** The next rows of the file. */
export interface ImportChunk {
  readonly rows: readonly PlannedRow[];
  /** Of each row, its place in the file, from 0; absent where they are those that follow on `after`. */
  readonly positions?: readonly number[];
  /** Rows that were done before this chunk: the store refuses another chunk than the next. */
  readonly after: number;
  readonly readBytes: number;
}

/** How an import ends. */
export interface ImportEnd {
  readonly state: Extract<ImportState, 'done' | 'failed'>;
  readonly reason: string | undefined;
  readonly at: Temporal.Instant;
  /** When it is to be removed. */
  readonly wakeAt: Temporal.Instant;
}

/** Which import wakes. */
export interface WakingImport {
  readonly group: GroupName;
  readonly key: ImportKey;
}

/** What became of some rows. */
export interface RowResults {
  /** A letter of `mergeRows` for each. */
  readonly letters: string;
  /** Of each, its place in the file, from 0. */
  readonly positions: readonly number[];
}

/** Where imports, their files and their results live. */
export abstract class ImportStore {
  /** Rows that `apply` writes at one stroke, at most. */
  abstract readonly chunkRows: number;

  /**
   * Where rows can be sorted: then they come in the order of their addresses, because it is those that lie together which this store writes
   * fast. Absent where their order makes no difference to it.
   */
  abstract readonly sortFolder: string | undefined;

  /**
   * Stores the file and makes the import `queued`; resolves once both are durable. Until then it is `receiving`, and wakes at `giveUpAt`,
   * for whoever removes what a process that died has left behind.
   * What `file` throws is thrown on, and then nothing is left.
   */
  abstract receive(
    newImport: NewImport,
    file: AsyncIterable<Uint8Array>,
    giveUpAt: Temporal.Instant,
  ): Promise<ImportJob>;

  abstract find(group: GroupName, key: ImportKey): Promise<ImportJob | undefined>;

  /** The newest first. */
  abstract list(group: GroupName, page: ImportPage): Promise<readonly ImportJob[]>;

  /** Those whose wake has come, the longest waiting first. */
  abstract findWaking(now: Temporal.Instant, limit: number): Promise<readonly WakingImport[]>;

  /**
   * Takes the import for working on, or over from somebody whose claim has lapsed; `undefined` where it is not queued or working, or
   * somebody else has it. A second run with the same token, while the claim lasts, answers `undefined`.
   */
  abstract claim(group: GroupName, key: ImportKey, claim: ImportClaim): Promise<ImportJob | undefined>;

  /** The file from its beginning; what reads it is thrown an ImportFileLostError where it is not there any more. */
  abstract openFile(job: ImportJob): Readable;

  /**
   * Merges the rows into the group (see `mergeRows`; not in a dry run, which only counts), and notes their results and how far the import
   * has got, all of it or nothing; renews the claim. Makes the group where there is none.
   * Answers the import as it is then, or `undefined`, having changed nothing, where it is not this claim's any more (taken over, cancelled)
   * or has got further than `chunk.after`: so a second run changes nothing. Without rows, it only renews.
   */
  abstract apply(job: ImportJob, claim: ImportClaim, chunk: ImportChunk): Promise<ImportJob | undefined>;

  /** Ends it, where it is still this claim's. A second run does nothing. */
  abstract end(job: ImportJob, token: string, end: ImportEnd): Promise<void>;

  /** Lets somebody else go on with it at once, where it is still this claim's. */
  abstract release(job: ImportJob, token: string, at: Temporal.Instant): Promise<void>;

  /**
   * Cancels it; what is done stays done. One that has ended is answered as it is, so a second run changes nothing.
   * @throws {ImportNotFoundError}
   */
  abstract cancel(
    group: GroupName,
    key: ImportKey,
    at: Temporal.Instant,
    wakeAt: Temporal.Instant,
  ): Promise<ImportJob>;

  /** Of the rows that are done, in the order in which they were. */
  abstract readResults(job: ImportJob): AsyncIterable<RowResults>;

  /** Removes it with its file and its results. A second run does nothing. */
  abstract remove(job: WakingImport): Promise<void>;
}

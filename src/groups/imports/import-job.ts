/*
 *   import      a file of subscribers that is worked into a group; its key is a UUIDv7
 *   row         what the file says of one address
 *   result      what became of a row
 *   chunk       rows that are written at one stroke, together with how far the import has got
 */
import { randomUUIDv7 } from 'node:crypto';
import { DomainError } from '../../platform/errors/domain-error.ts';
import type { Brand } from '../../platform/ids/brand.ts';
import type { GroupName } from '../group.ts';

/** A UUIDv7, lower case: keys sort by the time at which they were made. */
export type ImportKey = Brand<string, 'ImportKey'>;

export const IMPORT_FORMATS = ['csv', 'ndjson'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

/**
 * `receiving` until the whole file is stored; `queued` until a worker takes it; `working`; and then one of the other three for ever.
 * `failed` says why in `reason`: what was read before that is done all the same.
 */
export const IMPORT_STATES = ['receiving', 'queued', 'working', 'done', 'failed', 'cancelled'] as const;
export type ImportState = (typeof IMPORT_STATES)[number];

/** Of rows; each is in `read` and in one of `created`, `updated`, `unchanged` and `rejected`. */
export interface ImportCounts {
  readonly read: number;
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  readonly rejected: number;
  /** Whose address came before in the same file; they are in one of the others too. */
  readonly duplicates: number;
}

export interface ImportJob {
  readonly key: ImportKey;
  readonly group: GroupName;
  readonly format: ImportFormat;
  /** Everything is read and compared, nothing of the group is changed. */
  readonly dryRun: boolean;
  /** Whether those who are pending are asked to confirm; a dry run asks nobody. */
  readonly askToConfirm: boolean;
  readonly state: ImportState;
  readonly reason: string | undefined;
  readonly fileBytes: number;
  /** Of the file, how much the rows that are done take, to within one piece of reading. */
  readonly readBytes: number;
  readonly counts: ImportCounts;
  readonly addedAt: Temporal.Instant;
  readonly startedAt: Temporal.Instant | undefined;
  readonly endedAt: Temporal.Instant | undefined;
  /** When it next needs attention: to be worked, to be taken over, to be removed. */
  readonly wakeAt: Temporal.Instant;
}

export const NO_COUNTS: ImportCounts = {
  read: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  rejected: 0,
  duplicates: 0,
};

export class ImportNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'import-not-found';

  constructor(group: GroupName, options?: ErrorOptions) {
    super(
      `The group '${group}' has no such import. Imports are forgotten some days after their end.`,
      options,
    );
  }
}

/** The file as a whole cannot be read, or not any further. */
export class ImportUnreadableError extends Error {
  override readonly name: string = 'ImportUnreadableError';
}

/** The file is not where it was stored: nobody can go on with the import, whoever tries and however often. */
export class ImportFileLostError extends ImportUnreadableError {
  constructor(options?: ErrorOptions) {
    super(
      'The file is not there any more: it was removed from where the server had stored it. What was read before is done; send the file again.',
      options,
    );
  }
}

const KEY_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export function newImportKey(): ImportKey {
  const key: string = randomUUIDv7();
  if (!isImportKey(key)) {
    throw new Error('randomUUIDv7 has made something that is no UUIDv7.');
  }
  return key;
}

export function isImportKey(text: string): text is ImportKey {
  return KEY_PATTERN.test(text);
}

export function isEnded({ state }: Pick<ImportJob, 'state'>): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}

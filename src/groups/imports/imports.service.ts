import { Injectable } from '@nestjs/common';
import { Clock, DAY_MS, plusMs } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { DomainError } from '../../platform/errors/domain-error.ts';
import type { GroupName } from '../group.ts';
import { type ImportJob, type ImportKey, ImportNotFoundError, newImportKey } from './import-job.ts';
import { ImportSignal } from './import-signal.ts';
import { ImportStore, type NewImport } from './import-store.ts';
import { KEPT_MS } from './import-worker.ts';

// No upload takes so long; what is still being received then has nobody who sends it.
const RECEIVE_MAX_MS = DAY_MS;

/** The file is larger than IMPORT_LIMIT. Nothing of it was kept. */
export class ImportTooLargeError extends DomainError {
  readonly kind = 'too-large';
  readonly code = 'import-too-large';

  constructor(limitBytes: number, options?: ErrorOptions) {
    super(
      `The file is too large: at most ${limitBytes} bytes are taken (IMPORT_LIMIT). Nothing of it was kept; send it in parts.`,
      options,
    );
  }
}

/** The connection ended before the file did. Nothing of it was kept. */
export class ImportInterruptedError extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'incomplete-body';

  constructor(options?: ErrorOptions) {
    super('The connection ended before the file did. Nothing of it was kept.', options);
  }
}

/** Takes files in, and stops imports. */
@Injectable()
export class ImportsService {
  constructor(
    private readonly imports: ImportStore,
    private readonly signal: ImportSignal,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /**
   * Stores the file as it comes, holding a piece of it at a time, and resolves once it is durable. A second call is another import.
   * @throws {ImportTooLargeError}
   * @throws {ImportInterruptedError}
   */
  async receive(plan: Omit<NewImport, 'key' | 'at'>, file: AsyncIterable<unknown>): Promise<ImportJob> {
    const at = this.clock.now();
    const job = await this.imports.receive(
      { ...plan, key: newImportKey(), at },
      limited(file, this.settings.importLimitBytes),
      plusMs(at, RECEIVE_MAX_MS),
    );
    this.signal.announce();
    return job;
  }

  /**
   * `latest` is the import of the group that was added last.
   * @throws {ImportNotFoundError}
   */
  async get(group: GroupName, key: ImportKey | 'latest'): Promise<ImportJob> {
    const [job] =
      key === 'latest'
        ? await this.imports.list(group, { before: undefined, limit: 1 })
        : [await this.imports.find(group, key)];
    if (!job) {
      throw new ImportNotFoundError(group);
    }
    return job;
  }

  /**
   * One that has ended stays as it is.
   * @throws {ImportNotFoundError}
   */
  async cancel(group: GroupName, key: ImportKey | 'latest'): Promise<ImportJob> {
    const job = await this.get(group, key);
    const at = this.clock.now();
    return this.imports.cancel(group, job.key, at, plusMs(at, KEPT_MS));
  }
}

async function* limited(file: AsyncIterable<unknown>, limitBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of interruptible(file)) {
    bytes += piece.length;
    if (bytes > limitBytes) {
      throw new ImportTooLargeError(limitBytes);
    }
    yield piece;
  }
}

async function* interruptible(file: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of file) {
      if (!(piece instanceof Uint8Array)) {
        throw new TypeError('A request gives something else than bytes.');
      }
      yield piece;
    }
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(String(error.code))
    ) {
      throw new ImportInterruptedError({ cause: error });
    }
    throw error;
  }
}

import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Clock, DAY_MS, plusMs } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { Log } from '../../platform/logging/log.ts';
import { Suppressions } from '../suppressions.ts';
import { type ImportJob, ImportUnreadableError, isEnded } from './import-job.ts';
import type { ReadRow } from './import-row.ts';
import { type ImportClaim, ImportStore, type WakingImport } from './import-store.ts';
import type { PlannedRow } from './merge-rows.ts';
import { readRows } from './read-rows.ts';
import { SeenAddresses } from './seen-addresses.ts';

/** How long an import that has ended can be looked at; then it goes, with its file and its report. */
export const KEPT_MS = 7 * DAY_MS;
// What SeenAddresses holds of so many is 64 MB.
const ROWS_MAX = 5_000_000;
// While rows that are done are passed over, nothing is written: so often the claim is renewed all the same.
const RENEW_ROWS = 100_000;
const WAKING_LIMIT = 100;

/** Works imports, one at a time: claims one, reads its file and merges the rows chunk by chunk, from where it was left. */
@Injectable()
export class ImportWorker {
  #isStopping = false;

  constructor(
    private readonly imports: ImportStore,
    private readonly suppressions: Suppressions,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  /** Attends to whatever wakes now, and resolves when that is done, or given back because the process stops. */
  async runOnce(): Promise<void> {
    for (const waking of await this.imports.findWaking(this.clock.now(), WAKING_LIMIT)) {
      if (this.#isStopping) {
        return;
      }
      await this.#attend(waking);
    }
  }

  /** Ends with the chunk that is in hand. */
  stop(): void {
    this.#isStopping = true;
  }

  async #attend(waking: WakingImport): Promise<void> {
    const job = await this.imports.find(waking.group, waking.key);
    if (!job || isEnded(job) || job.state === 'receiving') {
      await this.imports.remove(waking); // its time is over, or nobody sends the rest of its file
      return;
    }
    const claim = this.#claim(randomUUID());
    const claimed = await this.imports.claim(job.group, job.key, claim);
    if (!claimed) {
      return;
    }
    this.log.info('import.claimed', {
      import_key: job.key,
      group: job.group,
      after_rows: claimed.counts.read,
    });
    await this.#work(claimed, claim.token);
  }

  async #work(job: ImportJob, token: string): Promise<void> {
    const file = this.imports.openFile(job);
    const run = new ImportRun(job, this.imports, this.suppressions, () => this.#claim(token));
    try {
      for await (const rows of readRows(counted(file, run), job.format)) {
        for (const row of rows) {
          if (!(await run.add(row))) {
            return; // cancelled, or somebody else goes on with it
          }
        }
        await nextTurn(); // whoever waits for an answer comes first
        if (this.#isStopping) {
          await this.imports.release(job, token, this.clock.now());
          return;
        }
      }
      if (await run.flush()) {
        await this.#end(run.job, token, undefined);
      }
    } catch (error) {
      if (!(error instanceof ImportUnreadableError)) {
        throw error;
      }
      if (await run.flush()) {
        await this.#end(run.job, token, error.message);
      }
    } finally {
      file.destroy();
    }
  }

  async #end(job: ImportJob, token: string, reason: string | undefined): Promise<void> {
    const at = this.clock.now();
    const state = reason === undefined ? 'done' : 'failed';
    await this.imports.end(job, token, { state, reason, at, wakeAt: plusMs(at, KEPT_MS) });
    this.log.info(`import.${state}`, { import_key: job.key, group: job.group, ...job.counts });
  }

  #claim(token: string): ImportClaim {
    const now = this.clock.now();
    return { token, now, until: plusMs(now, this.settings.leaseMs) };
  }
}

/** One run over a file: passes over what is done, and writes the rest chunk by chunk. */
class ImportRun {
  readBytes = 0;
  readonly #seen = new SeenAddresses();
  readonly #toSkip: number;
  #rows: PlannedRow[] = [];
  #readRows = 0;

  constructor(
    public job: ImportJob,
    private readonly imports: ImportStore,
    private readonly suppressions: Suppressions,
    private readonly claim: () => ImportClaim,
  ) {
    this.#toSkip = job.counts.read;
  }

  /** False where the import is not ours any more. */
  async add(read: ReadRow): Promise<boolean> {
    const row = read.kind === 'row' ? read.row : undefined;
    const isDuplicate = row !== undefined && this.#seen.add(row.key);
    this.#readRows += 1;
    if (this.#readRows > ROWS_MAX) {
      throw new ImportUnreadableError(
        `The file has more than ${ROWS_MAX} rows. What is up to line ${read.line} is done; send the rest as another file.`,
      );
    }
    if (this.#readRows <= this.#toSkip) {
      return this.#readRows % RENEW_ROWS !== 0 || this.#apply();
    }
    this.#rows.push({ row, isDuplicate });
    return this.#rows.length < this.imports.chunkRows || this.#apply();
  }

  /** Writes what is left; false where the import is not ours any more. */
  async flush(): Promise<boolean> {
    return this.#rows.length === 0 || this.#apply();
  }

  async #apply(): Promise<boolean> {
    const rows = await this.#markErased(this.#rows);
    this.#rows = [];
    const after = await this.imports.apply(this.job, this.claim(), {
      rows,
      after: this.job.counts.read,
      readBytes: Math.max(this.readBytes, this.job.readBytes),
    });
    this.job = after ?? this.job;
    return after !== undefined;
  }

  async #markErased(planned: readonly PlannedRow[]): Promise<readonly PlannedRow[]> {
    const erased = await this.suppressions.findErased(planned.flatMap(({ row }) => row?.key ?? []));
    return erased.size === 0
      ? planned
      : planned.map((one) => ({ ...one, isErased: one.row !== undefined && erased.has(one.row.key) }));
  }
}

async function* counted(file: AsyncIterable<unknown>, run: ImportRun): AsyncGenerator<Uint8Array> {
  for await (const piece of file) {
    if (!(piece instanceof Uint8Array)) {
      throw new Error('The file of an import gives something else than bytes.');
    }
    run.readBytes += piece.length;
    yield piece;
  }
}

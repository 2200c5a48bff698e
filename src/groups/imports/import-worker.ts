import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Clock, DAY_MS, plusMs } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { Log } from '../../platform/logging/log.ts';
import { Suppressions } from '../suppressions.ts';
import { ImportAsker } from './import-asker.ts';
import { type ImportJob, ImportUnreadableError, isEnded } from './import-job.ts';
import { ImportRun } from './import-run.ts';
import { type ImportClaim, ImportStore, type WakingImport } from './import-store.ts';
import { readRows } from './read-rows.ts';

/** How long an import that has ended can be looked at; then it goes, with its file and its report. */
export const KEPT_MS = 7 * DAY_MS;
const WAKING_LIMIT = 100;

/** Works imports, one at a time: claims one, reads its file and merges the rows chunk by chunk, from where it was left. */
@Injectable()
export class ImportWorker {
  #isStopping = false;

  constructor(
    private readonly imports: ImportStore,
    private readonly suppressions: Suppressions,
    private readonly asker: ImportAsker,
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
    await using run = new ImportRun(job, {
      imports: this.imports,
      suppressions: this.suppressions,
      asker: this.asker,
      claim: (): ImportClaim => this.#claim(token),
    });
    let reason: string | undefined;
    try {
      if (!(await this.#read(run, token))) {
        return;
      }
    } catch (error) {
      if (!(error instanceof ImportUnreadableError)) {
        throw error;
      }
      reason = error.message; // what was read is done all the same
    }
    for await (const rows of run.readSorted()) {
      if (!(await run.takeSorted(rows)) || (await this.#isGivenBack(run, token))) {
        return;
      }
    }
    if (await run.flush()) {
      await this.#end(run.job, token, reason);
    }
  }

  /** False where it was cancelled or given back, or somebody else goes on with it. */
  async #read(run: ImportRun, token: string): Promise<boolean> {
    const file = this.imports.openFile(run.job);
    try {
      for await (const rows of readRows(counted(file, run), run.job.format)) {
        for (const row of rows) {
          if (!(await run.add(row))) {
            return false;
          }
        }
        if (await this.#isGivenBack(run, token)) {
          return false;
        }
      }
      return true;
    } finally {
      file.destroy();
    }
  }

  async #isGivenBack({ job }: ImportRun, token: string): Promise<boolean> {
    await nextTurn(); // whoever waits for an answer comes first
    if (this.#isStopping) {
      await this.imports.release(job, token, this.clock.now());
    }
    return this.#isStopping;
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

async function* counted(file: AsyncIterable<unknown>, run: ImportRun): AsyncGenerator<Uint8Array> {
  for await (const piece of file) {
    if (!(piece instanceof Uint8Array)) {
      throw new Error('The file of an import gives something else than bytes.');
    }
    run.readBytes += piece.length;
    yield piece;
  }
}

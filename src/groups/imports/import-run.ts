import type { Suppressions } from '../suppressions.ts';
import type { ImportAsker } from './import-asker.ts';
import { type ImportJob, ImportUnreadableError } from './import-job.ts';
import type { ImportRow, ReadRow } from './import-row.ts';
import type { ImportClaim, ImportStore } from './import-store.ts';
import type { PlannedRow } from './merge-rows.ts';
import { type PlacedRow, RowSorter } from './row-sorter.ts';
import { SeenAddresses } from './seen-addresses.ts';

// What SeenAddresses holds of so many is 64 MB.
const ROWS_MAX = 5_000_000;
// While rows that are done are passed over, nothing is written: so often the claim is renewed all the same.
const RENEW_ROWS = 100_000;

/** What a run works with. */
interface RunUses {
  readonly imports: ImportStore;
  readonly suppressions: Suppressions;
  readonly asker: ImportAsker;
  readonly claim: () => ImportClaim;
}

/**
 * One run over a file: passes over what is done, and writes the rest chunk by chunk. Where the store wants the order of addresses, rows are
 * written as they come for as long as they have it, and sorted from the first that has not. That order is the same in each run, so what is
 * done is always the beginning of it.
 */
export class ImportRun implements AsyncDisposable {
  readBytes = 0;
  /** Done, and perhaps not asked to confirm. */
  #toAsk: PlacedRow[] = [];
  #askFrom: Temporal.Instant;
  readonly #seen = new SeenAddresses();
  readonly #toSkip: number;
  #sorter: RowSorter | undefined;
  #lastKey = '';
  #sortedKey = '';
  #rows: PlacedRow[] = [];
  #readRows = 0;
  #takenRows = 0;

  constructor(
    public job: ImportJob,
    private readonly use: RunUses,
  ) {
    this.#askFrom = this.use.claim().now;
    this.#toSkip = job.counts.read;
  }

  /** False where the import is not ours any more. */
  async add(read: ReadRow): Promise<boolean> {
    const row = read.kind === 'row' ? read.row : undefined;
    this.#readRows += 1;
    if (this.#readRows > ROWS_MAX) {
      throw new ImportUnreadableError(
        `The file has more than ${ROWS_MAX} rows. What is up to line ${read.line} is done; send the rest as another file.`,
      );
    }
    const position = this.#readRows - 1;
    const { sortFolder } = this.use.imports;
    if (sortFolder === undefined || (!this.#sorter && this.#isInOrder(row))) {
      return this.#take({ row, position, isDuplicate: row !== undefined && this.#seen.add(row.key) });
    }
    this.#sorter ??= await RowSorter.open(sortFolder);
    // Of those that are sorted, an address that has come before stands right before it; of those before them, none is greater than the last.
    const isDuplicate = row !== undefined && row.key <= this.#lastKey && this.#seen.has(row.key);
    await this.#sorter.add({ row, position, isDuplicate });
    return this.#readRows % RENEW_ROWS !== 0 || this.#apply();
  }

  /** Those that had to be sorted, some at a time. */
  async *readSorted(): AsyncGenerator<readonly PlacedRow[]> {
    if (this.#sorter) {
      yield* this.#sorter.sorted();
    }
  }

  /** False where the import is not ours any more. */
  async takeSorted(rows: readonly PlacedRow[]): Promise<boolean> {
    for (const placed of rows) {
      const isDuplicate =
        placed.isDuplicate || (placed.row !== undefined && placed.row.key === this.#sortedKey);
      this.#sortedKey = placed.row?.key ?? '';
      if (!(await this.#take({ ...placed, isDuplicate }))) {
        return false;
      }
    }
    return true;
  }

  /** Writes what is left; false where the import is not ours any more. */
  async flush(): Promise<boolean> {
    await this.#ask();
    return this.#rows.length === 0 || this.#apply();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sorter?.[Symbol.asyncDispose]();
  }

  #isInOrder(row: ImportRow | undefined): boolean {
    if (row && row.key < this.#lastKey) {
      return false;
    }
    this.#lastKey = row?.key ?? this.#lastKey;
    return true;
  }

  async #take(row: PlacedRow): Promise<boolean> {
    this.#takenRows += 1;
    if (this.#takenRows <= this.#toSkip) {
      if (this.#takenRows > this.#toSkip - this.use.imports.chunkRows) {
        this.#toAsk.push(row); // whoever was killed may have written these and asked nobody
      }
      return this.#takenRows % RENEW_ROWS !== 0 || this.#apply();
    }
    this.#rows.push(row);
    return this.#rows.length < this.use.imports.chunkRows || this.#apply();
  }

  async #apply(): Promise<boolean> {
    if (this.#rows.length > 0) {
      await this.#ask();
    }
    const placed = this.#rows;
    this.#rows = [];
    const done = this.job.counts.read;
    const isAsInFile = placed.every(({ position }, index) => position === done + index);
    const after = await this.use.imports.apply(this.job, this.use.claim(), {
      rows: await this.#markErased(placed),
      ...(isAsInFile ? {} : { positions: placed.map(({ position }) => position) }),
      after: done,
      readBytes: Math.max(this.#doneBytes(), this.job.readBytes),
    });
    if (!after) {
      return false;
    }
    this.job = after;
    if (placed.length > 0) {
      this.#toAsk = placed;
      await this.#ask();
    }
    return true;
  }

  async #ask(): Promise<void> {
    const rows = this.#toAsk.flatMap(({ row }) => row ?? []);
    this.#toAsk = [];
    if (this.job.askToConfirm && !this.job.dryRun) {
      this.#askFrom = await this.use.asker.ask(this.job.group, rows, this.#askFrom);
    }
  }

  /** Of rows that were sorted, by their share: each has bytes all over the file. */
  #doneBytes(): number {
    return this.#sorter ? Math.floor((this.readBytes * this.#takenRows) / this.#readRows) : this.readBytes;
  }

  async #markErased(planned: readonly PlannedRow[]): Promise<readonly PlannedRow[]> {
    const erased = await this.use.suppressions.findErased(planned.flatMap(({ row }) => row?.key ?? []));
    return erased.size === 0
      ? planned
      : planned.map((one) => ({ ...one, isErased: one.row !== undefined && erased.has(one.row.key) }));
  }
}

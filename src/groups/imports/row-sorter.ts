import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Attributes,
  type SubscriberEmail,
  subscriberKey,
  type SubscriberStatus,
} from '../subscriber.ts';
import type { PlannedRow } from './merge-rows.ts';

// Sorting so many holds the event loop for some 8 ms, and they take some 3 MB: with more, most outlive the young generation.
const RUN_ROWS = 5_000;
// Of each run, so much is held while they are merged: 16 MB for those of five million rows.
const READ_BYTES = 16 * 1024;
const BATCH_ROWS = 500;
const LINE_END = 0x0a;
const KEY_END = '\t'; // which no address has
const EMPTIED = 0;

/** A row as it is kept: parsed only when its turn comes, because what lives for long is what collecting garbage takes time for. */
interface Line {
  readonly key: string;
  readonly text: string;
}

/** A row as a line has it behind its key; without names, because a million of them are written and read. */
type LineFields = readonly [
  position: number,
  isDuplicate: boolean,
  email?: SubscriberEmail,
  name?: string | typeof EMPTIED | null | undefined,
  timeZone?: string | typeof EMPTIED | null | undefined,
  attributes?: Attributes | typeof EMPTIED | null | undefined,
  status?: SubscriberStatus | null | undefined,
];

/** A row with its place in the file, from 0. */
export interface PlacedRow extends PlannedRow {
  readonly position: number;
}

/**
 * Sorts more rows than memory should hold by their address; those for one address stay in the order of the file, and those without one come
 * first. Runs of rows that are sorted go to a file, and are merged as they are read. The file has no name, so that none is left of a process
 * that is killed.
 */
export class RowSorter implements AsyncDisposable {
  readonly #runs: Run[] = [];
  #lines: Line[] = [];
  #bytes = 0;

  /** @param folder is made where it is not there. */
  static async open(folder: string): Promise<RowSorter> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `${randomUUID()}.sorting`);
    const file = await open(path, 'wx+', 0o600);
    await rm(path);
    return new RowSorter(file);
  }

  private constructor(private readonly file: FileHandle) {}

  async add(row: PlacedRow): Promise<void> {
    const key = row.row?.key ?? '';
    this.#lines.push({ key, text: `${key}${KEY_END}${JSON.stringify(fieldsOf(row))}\n` });
    if (this.#lines.length === RUN_ROWS) {
      await this.#write();
    }
  }

  /** All that were added, some at a time; nothing can be added any more. */
  async *sorted(): AsyncGenerator<readonly PlacedRow[]> {
    await this.#write();
    const heap: Run[] = [];
    for (const run of this.#runs) {
      await run.read();
      heap.push(run);
      siftUp(heap);
    }
    let batch: PlacedRow[] = [];
    for (let run = heap[0]; run; run = heap[0]) {
      batch.push(run.take());
      if (run.isEmpty && !(await run.read())) {
        const last = heap.pop();
        if (last && last !== run) {
          heap[0] = last;
        }
      }
      siftDown(heap);
      if (batch.length === BATCH_ROWS) {
        yield batch;
        batch = [];
      }
    }
    yield batch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close();
  }

  async #write(): Promise<void> {
    if (this.#lines.length === 0) {
      return;
    }
    this.#lines.sort((a, b) => compareKeys(a.key, b.key));
    const bytes = Buffer.from(this.#lines.map(({ text }) => text).join(''));
    this.#lines = [];
    await writeAll(this.file, bytes, this.#bytes);
    const start = this.#bytes;
    this.#bytes += bytes.length;
    this.#runs.push(new Run(this.file, { number: this.#runs.length, start, end: this.#bytes }));
  }
}

/** Rows that are sorted, in a part of the file. */
class Run {
  readonly number: number;
  /** Of the row that `take` answers. */
  key = '';
  readonly #end: number;
  #offset: number;
  // Cut into lines only as they are taken: a million that wait are what collecting garbage takes time for.
  #text = '';
  #next = 0;

  constructor(
    private readonly file: FileHandle,
    { number, start, end }: { readonly number: number; readonly start: number; readonly end: number },
  ) {
    this.number = number;
    this.#offset = start;
    this.#end = end;
  }

  get isEmpty(): boolean {
    return this.#next === this.#text.length;
  }

  /** Only where it is not empty. */
  take(): PlacedRow {
    if (this.isEmpty) {
      throw new Error('A run of rows was asked for more than it has.');
    }
    const end = this.#text.indexOf('\n', this.#next);
    const row = parseRow({ key: this.key, text: this.#text.slice(this.#next, end) });
    this.#next = end + 1;
    this.key = this.#readKey();
    return row;
  }

  /** Reads the next rows; false where there are none. */
  async read(): Promise<boolean> {
    this.#text = '';
    this.#next = 0;
    for (let size = READ_BYTES; this.#offset < this.#end && this.isEmpty; size *= 2) {
      const left = this.#end - this.#offset;
      const wanted = Math.min(size, left);
      const { buffer, bytesRead } = await this.file.read(Buffer.allocUnsafe(wanted), 0, wanted, this.#offset);
      const length = buffer.subarray(0, bytesRead).lastIndexOf(LINE_END) + 1; // none where a row is longer than that
      if (length === 0 && wanted === left) {
        throw new Error('The file of rows that are sorted has ended too early.');
      }
      this.#offset += length;
      this.#text = buffer.toString('utf8', 0, length);
    }
    this.key = this.#readKey();
    return !this.isEmpty;
  }

  #readKey(): string {
    return this.isEmpty ? '' : this.#text.slice(this.#next, this.#text.indexOf(KEY_END, this.#next));
  }
}

/** The system may write less than it is given: where the disk is full, of which the next call speaks. */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Earlier runs have the earlier rows of an address. */
function comesBefore(a: Run, b: Run): boolean {
  return (compareKeys(a.key, b.key) || a.number - b.number) < 0;
}

/** Takes the last run of the heap to its place. */
function siftUp(heap: Run[]): void {
  for (let index = heap.length - 1; index > 0;) {
    const parent = (index - 1) >> 1;
    if (!swapIfBefore(heap, index, parent)) {
      return;
    }
    index = parent;
  }
}

/** Takes the first run of the heap to its place. */
function siftDown(heap: Run[]): void {
  for (let index = 0; ;) {
    const [left, right] = [heap[2 * index + 1], heap[2 * index + 2]];
    if (!left) {
      return;
    }
    const least = right && comesBefore(right, left) ? 2 * index + 2 : 2 * index + 1;
    if (!swapIfBefore(heap, least, index)) {
      return;
    }
    index = least;
  }
}

function swapIfBefore(heap: Run[], index: number, parent: number): boolean {
  const [child, above] = [heap[index], heap[parent]];
  if (!child || !above || !comesBefore(child, above)) {
    return false;
  }
  heap[index] = above;
  heap[parent] = child;
  return true;
}

function fieldsOf({ position, isDuplicate, row }: PlacedRow): LineFields {
  return row
    ? [
        position,
        isDuplicate,
        row.email,
        row.name === null ? EMPTIED : row.name,
        row.timeZone === null ? EMPTIED : row.timeZone,
        row.attributes === null ? EMPTIED : row.attributes,
        row.status,
      ]
    : [position, isDuplicate];
}

function parseRow({ key, text }: Line): PlacedRow {
  const value: unknown = JSON.parse(text.slice(key.length + KEY_END.length));
  if (!isLineFields(value)) {
    throw new Error('The file of rows that are sorted has something else in it.');
  }
  const [position, isDuplicate, email, name, timeZone, attributes, status] = value;
  if (email === undefined) {
    return { position, isDuplicate, row: undefined };
  }
  return {
    position,
    isDuplicate,
    row: {
      email,
      key: subscriberKey(email),
      name: saidOf(name),
      timeZone: saidOf(timeZone),
      attributes: saidOf(attributes),
      status: status ?? undefined,
    },
  };
}

/** As `ImportRow` has it: JSON has no `undefined`, so it stands there as `null`, and what is emptied as 0. */
function saidOf<Value>(field: Value | typeof EMPTIED | null | undefined): Value | null | undefined {
  return field === EMPTIED ? null : (field ?? undefined);
}

/** What this process has written itself a moment ago is looked at only so far as to see that it is no other line. */
function isLineFields(value: unknown): value is LineFields {
  return Array.isArray(value) && typeof value[0] === 'number' && typeof value[1] === 'boolean';
}

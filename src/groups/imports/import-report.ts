import type { Fault } from '../../platform/errors/domain-error.ts';
import { csvLine } from '../csv-line.ts';
import { ERASED_FAULT } from '../suppression.ts';
import { type ImportJob, ImportUnreadableError } from './import-job.ts';
import type { ReadRow } from './import-row.ts';
import type { ImportStore } from './import-store.ts';
import { readResult, type RowResult } from './merge-rows.ts';
import { readRows } from './read-rows.ts';

export const REPORT_RESULTS = ['created', 'updated', 'unchanged', 'rejected'] as const;
export type ReportResult = (typeof REPORT_RESULTS)[number];

/** What became of one row, as a report tells it. */
interface ReportRow {
  readonly line: number;
  readonly email: string;
  readonly result: ReportResult;
  readonly duplicate: boolean;
  readonly errors: readonly Fault[];
}

const NOT_DONE = 0;
const HEADER = ['line', 'email', 'result', 'duplicate', 'errors'];

const KEPT: Fault = {
  pointer: '/status',
  detail:
    'The address must not be written to any more, and no import makes it active again: nothing about it was changed.',
};
const OVERFULL: Fault = {
  pointer: '/attributes',
  detail: 'Together with those that the subscriber has, these are too many attributes.',
};
const ERASED: Fault = { pointer: '/email', detail: ERASED_FAULT };
const WAS_REJECTED: Fault = { pointer: '', detail: 'The row was rejected by the rules of that time.' };

/** A line for each row that is done, in the order of the file: the file is read once more, beside the results. */
export async function* reportLines(
  imports: ImportStore,
  job: ImportJob,
  plan: { readonly format: 'csv' | 'ndjson'; readonly result: ReportResult | undefined },
): AsyncGenerator<string> {
  if (plan.format === 'csv') {
    yield csvLine(HEADER);
  }
  for await (const rows of reportRows(imports, job)) {
    const wanted = rows.filter(({ result }) => plan.result === undefined || plan.result === result);
    yield wanted.map((row) => (plan.format === 'csv' ? csvRow(row) : `${JSON.stringify(row)}\n`)).join('');
  }
}

async function* reportRows(imports: ImportStore, job: ImportJob): AsyncGenerator<readonly ReportRow[]> {
  const done = await readLetters(imports, job);
  const file = imports.openFile(job);
  let position = 0;
  try {
    for await (const rows of readRows(file, job.format)) {
      const told: ReportRow[] = [];
      for (const row of rows) {
        const letter = done[position] ?? NOT_DONE;
        position += 1;
        if (letter !== NOT_DONE) {
          told.push(reportRow(row, String.fromCharCode(letter)));
        }
      }
      yield told;
      if (position >= done.length) {
        return;
      }
    }
  } catch (error) {
    if (!(error instanceof ImportUnreadableError)) {
      throw error; // the job says where the file cannot be read any further
    }
  } finally {
    file.destroy();
  }
}

/** By the place of the row in the file: a byte each, which is 5 MB for the longest file that there can be. */
async function readLetters(imports: ImportStore, job: ImportJob): Promise<Uint8Array> {
  let found = new Uint8Array(job.counts.read);
  let length = 0;
  for await (const { letters, positions } of imports.readResults(job)) {
    const end = Math.max(...positions) + 1;
    if (end > found.length) {
      const larger = new Uint8Array(Math.max(end, 2 * found.length));
      larger.set(found);
      found = larger;
    }
    positions.forEach((position, index) => {
      found[position] = letters.charCodeAt(index);
    });
    length = Math.max(length, end);
  }
  return found.subarray(0, length);
}

function reportRow(read: ReadRow, letter: string): ReportRow {
  const { result, isDuplicate } = readResult(letter);
  return {
    line: read.line,
    email: read.kind === 'row' ? read.row.email : read.email,
    result: shownResult(result),
    duplicate: isDuplicate,
    errors: faultsOf(read, result),
  };
}

function shownResult(result: RowResult): ReportResult {
  switch (result) {
    case 'kept':
      return 'unchanged';
    case 'overfull':
    case 'erased':
      return 'rejected';
    default:
      return result;
  }
}

function faultsOf(read: ReadRow, result: RowResult): readonly Fault[] {
  switch (result) {
    case 'kept':
      return [KEPT];
    case 'overfull':
      return [OVERFULL];
    case 'erased':
      return [ERASED];
    case 'rejected':
      return read.kind === 'rejected' ? read.faults : [WAS_REJECTED];
    default:
      return [];
  }
}

function csvRow({ line, email, result, duplicate, errors }: ReportRow): string {
  const told = errors.map(({ pointer, detail }) => (pointer === '' ? detail : `${pointer}: ${detail}`));
  return csvLine([String(line), email, result, String(duplicate), told.join(' ')]);
}

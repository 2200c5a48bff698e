import { readCsv } from './csv-rows.ts';
import type { ImportFormat } from './import-job.ts';
import type { ReadRow } from './import-row.ts';
import { readNdjson } from './ndjson-rows.ts';

/**
 * The rows of a file, in its order and by the piece. The same file gives the same rows each time: that is how an import goes on where it
 * was, and how a report finds the row to each result.
 * @throws {ImportUnreadableError}
 */
export function readRows(
  file: AsyncIterable<Uint8Array>,
  format: ImportFormat,
): AsyncGenerator<readonly ReadRow[]> {
  return format === 'csv' ? readCsv(file) : readNdjson(file);
}

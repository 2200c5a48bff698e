import { Readable } from 'node:stream';
import { StreamableFile } from '@nestjs/common';

export const CSV_TYPE = 'text/csv';
export const NDJSON_TYPE = 'application/x-ndjson';

/** An answer that is written as fast as the client reads it. */
export function streamed(
  lines: AsyncIterable<string>,
  format: 'csv' | 'ndjson',
  name: string,
): StreamableFile {
  return new StreamableFile(Readable.from(withoutEmpty(lines), { objectMode: false }), {
    type: format === 'csv' ? `${CSV_TYPE}; charset=utf-8` : NDJSON_TYPE,
    disposition: `attachment; filename="${name}.${format}"`,
  });
}

async function* withoutEmpty(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const text of lines) {
    if (text !== '') {
      yield text;
    }
  }
}

import { CsvError, type Parser, parse } from 'csv-parse';
import { type Column, readHeader } from './csv-header.ts';
import { decodeText, firstLine, REPLACED, REPLACEMENT } from './decode-text.ts';
import { unguardCell } from './formula-guard.ts';
import { ImportUnreadableError } from './import-job.ts';
import { checkRow, type ReadRow, type RowFields, shown } from './import-row.ts';
import { PlainLines } from './plain-lines.ts';

// The header is looked for in so much of the file; with 200 names of 128 characters it is shorter.
const HEAD_BYTES = 64 * 1024;
// A name, an address and attributes of 8,192 characters, each of up to three bytes and every second one a quotation mark.
const RECORD_MAX_BYTES = 128 * 1024;
const DELIMITERS = [',', ';', '\t', '|'];

/** The rows of a CSV file, as many at once as a piece of the file holds. @throws {ImportUnreadableError} */
export async function* readCsv(file: AsyncIterable<Uint8Array>): AsyncGenerator<readonly ReadRow[]> {
  const pieces = decodeText(file);
  const head = await readHead(pieces);
  const rows = new CsvRows(delimiterOf(firstLine(head.toString())));
  try {
    await rows.write(head);
    yield rows.take();
    for await (const piece of pieces) {
      await rows.write(piece);
      yield rows.take();
    }
    await rows.end();
    yield rows.take();
  } finally {
    rows.close();
  }
}

/** At least the first line, where it is not longer than a header can be. */
async function readHead(pieces: AsyncGenerator<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  while (head.length < HEAD_BYTES && !/[\r\n]/.test(head.toString('latin1'))) {
    const next = await pieces.next();
    if (next.done === true) {
      break;
    }
    head = Buffer.concat([head, next.value]);
  }
  return head;
}

/** Whichever there is most of in the first line, outside of quotation marks. */
function delimiterOf(line: string): string {
  const bare = line.replaceAll(/"[^"]*"/g, '');
  const count = (delimiter: string): number => bare.split(delimiter).length - 1;
  return DELIMITERS.reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best));
}

/** Collects the records, in the order of the file, and those that csv-parse had to leave out. */
class CsvRows {
  readonly #plain: PlainLines;
  readonly #parser: Parser;
  #isPlain = true;
  #columns: readonly Column[] | undefined;
  #rows: ReadRow[] = [];
  #endLine = 0;
  #surplusLines = 0;
  #brokenLine = 0;

  constructor(delimiter: string) {
    this.#plain = new PlainLines(delimiter);
    this.#parser = parse({
      delimiter,
      record_delimiter: ['\r\n', '\n', '\r'],
      relax_column_count: true, // counted here, in words that name the row
      skip_empty_lines: true,
      trim: true, // around cells, not within quotation marks
      skip_records_with_error: true,
      max_record_size: RECORD_MAX_BYTES,
      on_record: (cells: string[], { lines }) => this.#addParsed(cells, lines),
      on_skip: (error) => this.#reject(error),
    });
    this.#parser.on('error', () => undefined); // which `write` and `end` reject with
  }

  async write(piece: Buffer): Promise<void> {
    const rest = this.#isPlain ? this.#plain.read(piece, (cells, line) => this.#add(cells, line)) : piece;
    if (rest) {
      await this.#parse(rest);
    }
  }

  async end(): Promise<void> {
    if (this.#isPlain) {
      await this.#parse(this.#plain.rest);
    }
    this.#parser.resume(); // nothing comes out, but only a stream that is read ends
    await new Promise<void>((resolve, reject) => {
      this.#parser.once('error', reject).once('end', resolve);
      this.#parser.end();
    });
    if (!this.#columns) {
      throw new ImportUnreadableError('The file has no rows.');
    }
  }

  /** What was read since the last time. */
  take(): readonly ReadRow[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }

  close(): void {
    this.#parser.destroy();
  }

  async #parse(bytes: Buffer): Promise<void> {
    if (this.#isPlain) {
      this.#isPlain = false;
      this.#endLine = this.#plain.count;
    }
    await settled((done) => this.#parser.write(bytes, done));
  }

  /** Answers nothing, so that csv-parse keeps nothing. */
  #addParsed(cells: readonly string[], lines: number): undefined {
    this.#add(cells, this.#lineOf(cells, this.#plain.count + lines));
  }

  #add(cells: readonly string[], line: number): void {
    if (!this.#columns) {
      const { columns, isInFile } = readHeader(cells);
      this.#columns = columns;
      if (isInFile) {
        return;
      }
    }
    this.#rows.push(checkCells(cells, this.#columns, line));
  }

  /** In which the record begins. csv-parse says in which it ends, and counts CR and LF within quotation marks each by itself. */
  #lineOf(cells: readonly string[], endLine: number): number {
    const isOneLine = endLine === this.#endLine + 1;
    this.#endLine = endLine;
    if (isOneLine) {
      return endLine - this.#surplusLines;
    }
    const count = (pattern: RegExp): number =>
      cells.reduce((sum, cell) => sum + (cell.match(pattern)?.length ?? 0), 0);
    const line = endLine - this.#surplusLines - count(/[\r\n]/g);
    this.#surplusLines += count(/\r\n/g);
    return line;
  }

  #reject(error: CsvError | undefined): undefined {
    const line = this.#plain.count + (error ? numberOf(error, 'lines') : 0);
    if (!error || error.code === 'CSV_MAX_RECORD_SIZE') {
      throw new ImportUnreadableError(wordsOf(error, line, this.#columns)); // csv-parse does not find back into the file
    }
    if (!this.#columns) {
      throw new ImportUnreadableError(wordsOf(error, line, undefined));
    }
    if (line !== this.#brokenLine) {
      // A record with two faults is left out once.
      this.#brokenLine = line;
      const faults = [{ pointer: '', detail: wordsOf(error, line, this.#columns) }];
      this.#rows.push({ kind: 'rejected', line, email: '', faults });
    }
  }
}

async function settled(begin: (done: (error?: Error | null) => void) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  begin((error) => (error ? reject(error) : resolve()));
  await promise;
}

function checkCells(cells: readonly string[], columns: readonly Column[], line: number): ReadRow {
  const fields = fieldsOf(cells, columns);
  const surplus = cells.slice(columns.length).findIndex((cell) => cell !== '');
  if (surplus !== -1) {
    const detail = `Column ${columns.length + surplus + 1} has something in it, and the first line names ${columns.length} columns. Is a quotation mark missing?`;
    return { kind: 'rejected', line, email: shown(fields.email), faults: [{ pointer: '', detail }] };
  }
  const unreadable = cells.findIndex((cell) => cell.includes(REPLACEMENT));
  if (unreadable !== -1) {
    const detail = `Column ${unreadable + 1} has ${REPLACED}`;
    return { kind: 'rejected', line, email: shown(fields.email), faults: [{ pointer: '', detail }] };
  }
  return checkRow(fields, line);
}

/** A cell that is empty says nothing. */
function fieldsOf(cells: readonly string[], columns: readonly Column[]): RowFields {
  const fields: { -readonly [Field in keyof RowFields]: unknown } = { email: '' };
  const attributes: Record<string, unknown> = {};
  let hasAttributes = false;
  for (const [index, column] of columns.entries()) {
    const cell = cells[index] ?? '';
    if (cell === '') {
      continue;
    }
    const text = unguardCell(cell);
    switch (column.kind) {
      case 'attribute':
        attributes[column.name] = text; // never __proto__, which no header may name
        hasAttributes = true;
        break;
      case 'attributes':
        fields.attributes = parseCell(text);
        break;
      case 'ignored':
        break;
      case 'status':
        fields.status = text.trim().toLowerCase();
        break;
      default:
        fields[column.kind] = text;
    }
  }
  if (hasAttributes) {
    const given = fields.attributes;
    fields.attributes =
      given === undefined
        ? attributes
        : isObject(given)
          ? Object.fromEntries([...Object.entries(given), ...Object.entries(attributes)])
          : given;
  }
  return fields;
}

/** What is not JSON stays text, which the rule for attributes refuses. */
function parseCell(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wordsOf(error: CsvError | undefined, line: number, columns: readonly Column[] | undefined): string {
  if (!error) {
    return 'The file cannot be read as CSV.';
  }
  const index = numberOf(error, 'index');
  const column = columns?.[index];
  const name = column && `, ${column.kind === 'attribute' ? column.name : column.kind}`;
  const place = `Line ${line}, column ${index + 1}${name ?? ''}`;
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return `${place}: a quotation mark is not closed: all that follows it, up to the end of the file, is in this cell.`;
    case 'CSV_INVALID_CLOSING_QUOTE':
      return `${place}: something follows a closing quotation mark. One within a cell is written twice. What is up to the next one is taken for this cell, over line ends too.`;
    case 'INVALID_OPENING_QUOTE':
      return `${place}: a quotation mark within a cell that does not begin with one. Put the cell in quotation marks, and those within it twice.`;
    case 'CSV_MAX_RECORD_SIZE':
      return `${place}: the row has more than ${RECORD_MAX_BYTES} bytes, so nothing behind it was read. Is a quotation mark not closed?`;
    default:
      return `${place}: the row cannot be read.`;
  }
}

function numberOf(error: CsvError, field: 'lines' | 'index'): number {
  const value: unknown = error[field];
  return typeof value === 'number' ? value : 0;
}

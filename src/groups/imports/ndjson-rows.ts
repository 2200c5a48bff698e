import { decodeText, REPLACED, REPLACEMENT } from './decode-text.ts';
import { checkRow, type ReadRow, type RowFields } from './import-row.ts';

// As of CSV: what a row can hold, in the longest way to write it.
const LINE_MAX_LENGTH = 128 * 1024;
const FIELDS: ReadonlySet<string> = new Set(['email', 'name', 'attributes', 'time_zone', 'status']);
// An export has them; they are about another membership.
const IGNORED: ReadonlySet<string> = new Set(['date_joined', 'group_name']);

/** The rows of a file of one JSON object a line, as many at once as a piece of the file holds. */
export async function* readNdjson(file: AsyncIterable<Uint8Array>): AsyncGenerator<readonly ReadRow[]> {
  const decoder = new TextDecoder();
  const lines = new Lines();
  for await (const piece of decodeText(file)) {
    yield lines.add(decoder.decode(piece, { stream: true }));
  }
  yield lines.add(`${decoder.decode()}\n`);
}

/** Cuts text into lines and reads each; of one that is too long it keeps no more than it needs to know that. */
class Lines {
  #rest = '';
  #line = 0;
  #isOverlong = false;

  add(text: string): readonly ReadRow[] {
    const parts = text.split('\n');
    const rest = parts.pop() ?? '';
    const rows: ReadRow[] = [];
    for (const part of parts) {
      this.#extend(part);
      this.#line += 1;
      const row = this.#read();
      if (row) {
        rows.push(row);
      }
      this.#rest = '';
      this.#isOverlong = false;
    }
    this.#extend(rest);
    return rows;
  }

  #extend(text: string): void {
    if (this.#rest.length + text.length > LINE_MAX_LENGTH) {
      this.#isOverlong = true;
      this.#rest = '';
    }
    if (!this.#isOverlong) {
      this.#rest += text;
    }
  }

  #read(): ReadRow | undefined {
    if (this.#isOverlong) {
      return rejected(this.#line, `The line has more than ${LINE_MAX_LENGTH} characters.`);
    }
    const text = this.#rest.trim();
    return text === '' ? undefined : readLine(text, this.#line);
  }
}

function readLine(text: string, line: number): ReadRow {
  if (text.includes(REPLACEMENT)) {
    return rejected(line, `The line has ${REPLACED}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return rejected(
      line,
      `The line is not valid JSON: ${error instanceof Error ? error.message : 'unreadable'}.`,
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return rejected(line, 'Each line must be one JSON object.');
  }
  const unknown = Object.keys(value).filter((field) => !FIELDS.has(field) && !IGNORED.has(field));
  const fields: RowFields = { email: undefined, ...value };
  if (unknown.length > 0) {
    return {
      kind: 'rejected',
      line,
      email: typeof fields.email === 'string' ? fields.email.slice(0, 256) : '',
      faults: unknown.slice(0, 10).map((field) => ({
        pointer: `/${field.replaceAll('~', '~0').replaceAll('/', '~1')}`,
        detail: 'This is an unknown property.',
      })),
    };
  }
  return checkRow(fields, line);
}

function rejected(line: number, detail: string): ReadRow {
  return { kind: 'rejected', line, email: '', faults: [{ pointer: '', detail }] };
}

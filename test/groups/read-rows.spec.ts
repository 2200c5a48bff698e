import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvLine } from '../../src/groups/csv-line.ts';
import { guardCell, unguardCell } from '../../src/groups/imports/formula-guard.ts';
import { type ImportFormat, ImportUnreadableError } from '../../src/groups/imports/import-job.ts';
import { checkRow, type ReadRow } from '../../src/groups/imports/import-row.ts';
import { readRows } from '../../src/groups/imports/read-rows.ts';
import { SeenAddresses } from '../../src/groups/imports/seen-addresses.ts';
import { NewSubscriber, readNewcomer } from '../../src/groups/subscriber.dto.ts';
import { InvalidInputError } from '../../src/platform/errors/domain-error.ts';
import { RequestPipe } from '../../src/platform/http/request.pipe.ts';
import { aKey } from '../support/builders.ts';

const MIB = 1024 * 1024;

/** In pieces of this size, so that every character is cut in two somewhere. */
async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size);
  }
}

async function read(
  file: string | Uint8Array,
  { format = 'csv', size = 7 }: { readonly format?: ImportFormat; readonly size?: number } = {},
): Promise<readonly ReadRow[]> {
  const rows: ReadRow[] = [];
  for await (const some of readRows(inPieces(Buffer.from(file), size), format)) {
    rows.push(...some);
  }
  return rows;
}

/** As `line email name attributes`, or `line !pointer detail`. */
function told(rows: readonly ReadRow[]): readonly unknown[] {
  return rows.map((row) =>
    row.kind === 'row'
      ? [row.line, row.row.email, row.row.name, row.row.attributes]
      : [row.line, ...row.faults.map(({ pointer, detail }) => `${pointer} ${detail}`)],
  );
}

/** The rows, or why there are none. */
async function outcome(file: string, size: number): Promise<unknown> {
  try {
    return told(await read(file, { size }));
  } catch (error) {
    return String(error);
  }
}

function utf16(text: string, order: 'le' | 'be', mark = true): Buffer {
  const bytes = Buffer.from(`${mark ? '\uFEFF' : ''}${text}`, 'utf16le');
  return order === 'le' ? bytes : bytes.swap16();
}

const TABLE = 'email,name,stadt\nada@example.com,"Ünal, Ada",Köln\nbert@example.com,Bert,\n';
const READ = [
  [2, 'ada@example.com', 'Ünal, Ada', { stadt: 'Köln' }],
  [3, 'bert@example.com', 'Bert', undefined],
];

describe('a CSV file', () => {
  it.each<[string, string | Buffer]>([
    ['UTF-8', TABLE],
    ['UTF-8 with a mark', `\uFEFF${TABLE}`],
    ['UTF-16, little end first', utf16(TABLE, 'le')],
    ['UTF-16, big end first', utf16(TABLE, 'be')],
    ['UTF-16 without a mark', utf16(TABLE, 'le', false)],
    ['UTF-16, big end first, without a mark', utf16(TABLE, 'be', false)],
    ['CRLF', TABLE.replaceAll('\n', '\r\n')],
    ['CR', TABLE.replaceAll('\n', '\r')],
    ['no line end at its end', TABLE.trimEnd()],
    ['semicolons', TABLE.replaceAll(/,(?! )/g, ';')],
    ['tabs', TABLE.replaceAll(/,(?! )/g, '\t')],
    ['bars', TABLE.replaceAll(/,(?! )/g, '|')],
    ['spaces around its cells', TABLE.replaceAll(/,(?! )/g, ' , ')],
    ['everything in quotation marks', TABLE.replaceAll(/(?<=^|,)(?! )([^",\n]+)(?=,|$)/gm, '"$1"')],
    ['names in capitals', TABLE.replace('email,name', 'E-Mail Address,FULL_NAME')],
    ['attributes that are named as such', TABLE.replace('stadt', 'attributes.stadt')],
    ['rows that end early', TABLE.replace('Bert,', 'Bert')],
    ['empty cells behind the last column', TABLE.replace('Köln', 'Köln,,')],
  ])('is read with %s', async (_what, file) => {
    expect(told(await read(file))).toEqual(READ);
    expect(told(await read(file, { size: 64 * 1024 }))).toEqual(READ);
  });

  it('has its lines counted through blank ones and cells of several lines', async () => {
    const rows = await read(
      '\n\nemail,note\n\na@example.com,"1\r\n2\n3"\n\n\nb@example.com,x\nno,"1\n2"\nc@example.com,y\n',
    );

    expect(rows.map(({ line }) => line)).toEqual([5, 10, 11, 13]);
  });

  it('may be one column of addresses without a header', async () => {
    expect(told(await read('a@example.com\r\nb@example.com\r\n'))).toEqual([
      [1, 'a@example.com', undefined, undefined],
      [2, 'b@example.com', undefined, undefined],
    ]);
  });

  it('has attributes as JSON beside those of columns', async () => {
    const [row] = await read('email,attributes,n\na@example.com,"{""n"":1,""m"":[true]}",2\n');

    expect(told(row ? [row] : [])).toEqual([[2, 'a@example.com', undefined, { n: '2', m: [true] }]]);
  });

  it.each([
    ['no column of addresses', 'name,city\nAda,London\n', /names no column email/],
    ['two of them', 'email,e-mail\n', /columns 1 and 2 are both email/],
    [
      '1,000 columns',
      `email,${Array.from({ length: 999 }, (_, n) => `c${n}`).join(',')}\n`,
      /1000 columns; at most 200/,
    ],
    ['a column without a name', 'email,,city\n', /column 2: its name cannot be used/],
    ['a column that is named __proto__', 'email,__proto__\n', /column 2.*__proto__/],
    ['nothing in it', '', /no rows/],
    ['a header that is broken', 'email,"na"me\n', /Line 1, column 2/],
    ['a ZIP archive in it', 'PK\u0003\u0004abc', /spreadsheet/],
    [
      'a cell of 10 MB',
      `email,note\na@example.com,${'x'.repeat(10 * MIB)}\n`,
      /Line 2, column 2, note: the row has more than/,
    ],
  ])('with %s cannot be read, and says why', async (_what, file, reason) => {
    const reading = read(file, { size: 64 * 1024 });

    await expect(reading).rejects.toThrow(ImportUnreadableError);
    await expect(reading).rejects.toThrow(reason);
  });

  it.each([
    ['NUL', 'a@example.com,A\0\n', [[2, '/name It has a NUL character.']]],
    [
      'a surplus cell',
      'a@example.com,A,B,C\n',
      [[2, expect.stringMatching(/^ Column 3 has something in it/)]],
    ],
    [
      'text behind a quotation mark',
      '"a@example.com"x,"A"\n',
      [[2, expect.stringMatching(/^ Line 2, column 1, email: something follows/)]],
    ],
    [
      'a quotation mark within a cell',
      'a@example.com,5" pipe\n',
      [[2, expect.stringMatching(/^ Line 2, column 2, name: a quotation mark within/)]],
    ],
    [
      'a line break in a name',
      'a@example.com,"A\nB"\n',
      [[2, '/name It has a line break; one line is needed.']],
    ],
    ['no address', ',A\n', [[2, '/email It is empty.']]],
    ['nothing but delimiters', ',,,\n', [[2, '/email It is empty.']]],
  ])('loses a row with %s, with its line, and none else', async (_what, row, rejected) => {
    const rows = told(await read(`email,name\n${row}b@example.com,B\n`));

    expect(rows.slice(0, -1)).toEqual(rejected);
    expect(rows.at(-1)).toEqual([expect.any(Number), 'b@example.com', 'B', undefined]);
  });

  it('gives the same rows where a space in its header has csv-parse read all of it', async () => {
    const cell = fc.constantFrom(
      '',
      'a@example.com',
      'B',
      'é B',
      ' B',
      'B\t',
      '\u00A0',
      '"B"',
      '" B, ""b"""',
      '"1\r\n2"',
      '"" ',
    );
    const line = fc.tuple(fc.array(cell, { maxLength: 3 }), fc.constantFrom('\n', '\r\n', '\n\n', '\r'));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 5 }),
        fc.integer({ min: 1, max: 60 }),
        async (lines, size) => {
          const text = lines.map(([cells, end]) => `a@example.com,${cells.join(',')}${end}`).join('');

          const plain = await outcome(`email,name\n${text}`, size);

          expect(plain).toEqual(await outcome(`"email" ,name\n${text}`, size));
        },
      ),
    );
  });

  it('says where half a quotation has swallowed the rest', async () => {
    const rows = await read('email,name\na@example.com,A\nb@example.com,"B\nc@example.com,C\n');

    expect(told(rows)).toEqual([
      [2, 'a@example.com', 'A', undefined],
      [4, expect.stringMatching(/a quotation mark is not closed: all that follows/)],
    ]);
  });

  it('loses rows in which another program has lost a character', async () => {
    const rows = told(await read('email,name\na@example.com,\uFFFDnal\nb@example.com,B\n'));

    expect(rows[0]).toEqual([2, expect.stringMatching(/Column 2 has bytes .*, or U\+FFFD, which stands/)]);
  });

  it('loses rows with bytes that are no UTF-8', async () => {
    const file = Buffer.concat([
      Buffer.from('email,name\na@example.com,'),
      Buffer.from([0xdc]),
      Buffer.from('nal\nb@example.com,B\n'),
    ]);

    expect(told(await read(file))).toEqual([
      [2, expect.stringMatching(/Column 2 has bytes that are no characters/)],
      [3, 'b@example.com', 'B', undefined],
    ]);
  });
});

describe('a file of one JSON object a line', () => {
  it.each([
    ['as it is', (text: string): Buffer => Buffer.from(text)],
    ['with a mark', (text: string): Buffer => Buffer.from(`\uFEFF${text}`)],
    ['in UTF-16', (text: string): Buffer => utf16(text, 'le')],
    ['with CRLF', (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'))],
  ])('is read %s', async (_what, encode) => {
    const file = encode(
      '{"email":"a@example.com","name":"Ä"}\n\n{"email":"b@example.com","attributes":{"n":1}}',
    );

    expect(told(await read(file, { format: 'ndjson' }))).toEqual([
      [1, 'a@example.com', 'Ä', undefined],
      [3, 'b@example.com', undefined, { n: 1 }],
    ]);
  });

  it('loses lines that are too long, and finds back', async () => {
    const rows = await read(`{"email":"${'x'.repeat(10 * MIB)}"}\n{"email":"b@example.com"}\n`, {
      format: 'ndjson',
      size: 64 * 1024,
    });

    expect(told(rows)).toEqual([
      [1, ' The line has more than 131072 characters.'],
      [2, 'b@example.com', undefined, undefined],
    ]);
  });
});

describe('a row', () => {
  const long = 'x'.repeat(9_000);
  it.each<Record<string, unknown>>([
    { email: 'ada@example.com' },
    { email: 'Ada@BÜCHER.example', name: 'Ada', attributes: { a: 1 }, time_zone: 'Europe/Paris' },
    { email: '' },
    { email: 5 },
    { email: 'no' },
    { email: 'a b@example.com' },
    { email: `${'x'.repeat(5_000)}@example.com` },
    { email: 'a@example.com\n' },
    { email: 'a@example.com', name: '' },
    { email: 'a@example.com', name: null, attributes: null, time_zone: null },
    { email: 'a@example.com', name: 'A\tB' },
    { email: 'a@example.com', name: 'A\0' },
    { email: 'a@example.com', name: '\uD800' },
    { email: 'a@example.com', name: 'x'.repeat(257) },
    { email: 'a@example.com', name: 7 },
    { email: 'a@example.com', attributes: [] },
    { email: 'a@example.com', attributes: 'x' },
    { email: 'a@example.com', attributes: { long } },
    { email: 'a@example.com', attributes: { a: { b: { c: { d: { e: { f: 1 } } } } } } },
    { email: 'a@example.com', attributes: { '': 1 } },
    { email: 'a@example.com', time_zone: 'Mars/Olympus' },
    { email: 'a@example.com', time_zone: 5 },
    { email: 'no', name: '', time_zone: '' },
  ])('is judged as POST …/subscribers judges it: %j', async (fields) => {
    const judged = await judge(fields);

    const row = checkRow({ email: undefined, ...fields }, 1);

    expect(row.kind === 'row' ? 'valid' : row.faults.map(({ pointer }) => pointer).toSorted()).toEqual(
      judged,
    );
  });

  async function judge(fields: Record<string, unknown>): Promise<unknown> {
    try {
      const body: unknown = await new RequestPipe().transform(fields, {
        type: 'body',
        metatype: NewSubscriber,
      });
      readNewcomer(body instanceof NewSubscriber ? body : new NewSubscriber());
      return 'valid';
    } catch (error) {
      if (!(error instanceof InvalidInputError)) {
        throw error;
      }
      // The API looks at the address itself only where all the rest is right.
      const own = error.faults.map(({ pointer }) => pointer);
      return fields['email'] === 'no' && !own.includes('/email')
        ? ['/email', ...own].toSorted()
        : own.toSorted();
    }
  }
});

describe('a cell of an export', () => {
  it('is no formula, and comes back as it was', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("'", '=', '+', '-', '@', '\t', '\r', 'a', '"', ',') }),
        (cell) => {
          const guarded = guardCell(cell);

          expect(guarded).not.toMatch(/^[=+\-@\t\r]/);
          expect(unguardCell(guarded)).toBe(cell);
        },
      ),
    );
  });

  it('is read back by the import, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
          .filter((note) => !note.includes('\uFFFD')),
        async (note) => {
          const [row] = await read(`email,note\n${csvLine(['a@example.com', note])}`, { size: 64 * 1024 });

          expect(row).toMatchObject({ row: { attributes: { note } } });
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('addresses that were seen', () => {
  it('are known again, and no others', () => {
    const seen = new SeenAddresses();
    const keys = Array.from({ length: 50_000 }, (_, index) => aKey(`s${index}@example.com`));

    expect(keys.filter((key) => seen.add(key))).toEqual([]);
    expect(keys.filter((key) => !seen.add(key))).toEqual([]);
  });
});

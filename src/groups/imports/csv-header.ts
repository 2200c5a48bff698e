import { attributeNameFault } from '../attributes.ts';
import { parseEmail } from '../subscriber.ts';
import { ImportUnreadableError } from './import-job.ts';

// More than a subscriber can have attributes for; a file of which the rows were taken for columns has more.
const COLUMNS_MAX = 200;
const ATTRIBUTE_PREFIX = /^attributes?\./i;
const SHOWN_LENGTH = 60;

/** What a column says. */
export type Column =
  | { readonly kind: 'email' | 'name' | 'time_zone' | 'status' | 'attributes' | 'ignored' }
  | { readonly kind: 'attribute'; readonly name: string };

type FieldKind = Exclude<Column['kind'], 'attribute'>;

/** Names as other programs write them, in lower case and with one space for each of ` `, `_` and `-`. */
const FIELD_OF: ReadonlyMap<string, FieldKind> = new Map([
  ...(['email', 'e mail', 'email address', 'e mail address', 'mail', 'subscriber'] as const).map(
    (name) => [name, 'email'] as const,
  ),
  ...(['name', 'full name', 'display name'] as const).map((name) => [name, 'name'] as const),
  ...(['time zone', 'timezone', 'tz'] as const).map((name) => [name, 'time_zone'] as const),
  ['status', 'status'] as const,
  ['attributes', 'attributes'] as const,
  // An export has them; they are about another membership.
  ['date joined', 'ignored'] as const,
  ['group name', 'ignored'] as const,
]);

export interface CsvHeader {
  readonly columns: readonly Column[];
  /** False where the first record is a row already. */
  readonly isInFile: boolean;
}

/**
 * What the columns are, by the first record: a header with one column of addresses, or the first of a single column of addresses.
 * @throws {ImportUnreadableError} where it is neither.
 */
export function readHeader(cells: readonly string[]): CsvHeader {
  if (cells.length > COLUMNS_MAX) {
    throw new ImportUnreadableError(
      `Line 1 has ${cells.length} columns; at most ${COLUMNS_MAX} are read. Is another character meant to part them?`,
    );
  }
  const columns = cells.map(columnOf);
  const emails = columns.filter(({ kind }) => kind === 'email').length;
  if (emails === 0 && cells.length === 1 && parseEmail((cells[0] ?? '').trim()).kind === 'email') {
    return { columns: [{ kind: 'email' }], isInFile: false };
  }
  if (emails === 0) {
    throw new ImportUnreadableError(
      `Line 1 names no column email: it has ${cells.map((cell) => JSON.stringify(cell.slice(0, SHOWN_LENGTH))).join(', ')}. The first line must name the columns, unless the file is one column of addresses.`,
    );
  }
  requireDistinct(columns);
  return { columns, isInFile: true };
}

function columnOf(cell: string, index: number): Column {
  const name = cell.trim();
  const kind = FIELD_OF.get(name.toLowerCase().replaceAll(/[\s_-]+/g, ' '));
  if (kind !== undefined) {
    return { kind };
  }
  const attribute = name.replace(ATTRIBUTE_PREFIX, '');
  const fault = attributeNameFault(attribute);
  if (fault !== undefined) {
    throw new ImportUnreadableError(`Line 1, column ${index + 1}: its name cannot be used. ${fault}`);
  }
  return { kind: 'attribute', name: attribute };
}

/** Of two columns for one thing, nobody knows which is meant. */
function requireDistinct(columns: readonly Column[]): void {
  const seen = new Map<string, number>();
  for (const [index, column] of columns.entries()) {
    const id = column.kind === 'attribute' ? `attributes.${column.name}` : column.kind;
    const before = seen.get(id);
    if (before !== undefined && column.kind !== 'ignored') {
      throw new ImportUnreadableError(
        `Line 1: columns ${before + 1} and ${index + 1} are both ${id}. Leave one of them out, or name it otherwise.`,
      );
    }
    seen.set(id, index);
  }
}

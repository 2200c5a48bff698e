import type { Row } from './sqlite-database.ts';

/*
 * Reads columns by name and type. A column that is not what it must be is a defect of the schema or a damaged file,
 * so these throw plain errors.
 */

export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== 'string') {
    throw new Error(`Column ${column} holds no text.`);
  }
  return value;
}

export function optionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') {
    throw new Error(`Column ${column} holds no number.`);
  }
  return value;
}

export function number(row: Row, column: string): number {
  return integer(row, column); // SQLite's two kinds of number are one here
}

export function optionalNumber(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : number(row, column);
}

export function bytes(row: Row, column: string): Buffer {
  const value = row[column];
  if (!(value instanceof Uint8Array)) {
    throw new Error(`Column ${column} holds no bytes.`);
  }
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Instants are stored as integers of epoch milliseconds. */
export function instant(row: Row, column: string): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(integer(row, column));
}

export function optionalInstant(row: Row, column: string): Temporal.Instant | undefined {
  return row[column] === null ? undefined : instant(row, column);
}

/** One of a union of literals. */
export function oneOf<Literal extends string>(
  row: Row,
  column: string,
  literals: readonly Literal[],
): Literal {
  const value = text(row, column);
  const literal = literals.find((candidate) => candidate === value);
  if (literal === undefined) {
    throw new Error(`Column ${column} holds '${value}', which is none of ${literals.join(', ')}.`);
  }
  return literal;
}

export function optionalOneOf<Literal extends string>(
  row: Row,
  column: string,
  literals: readonly Literal[],
): Literal | undefined {
  return row[column] === null ? undefined : oneOf(row, column, literals);
}

/** Text of a branded type, checked again: a damaged row must not turn into mail. */
export function branded<Branded extends string>(
  row: Row,
  column: string,
  isBranded: (text: string) => text is Branded,
): Branded {
  const value = text(row, column);
  if (!isBranded(value)) {
    throw new Error(`Column ${column} holds a value of another form.`);
  }
  return value;
}

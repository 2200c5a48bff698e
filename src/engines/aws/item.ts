/** An item as the document client answers it. */
export type Item = Readonly<Record<string, unknown>>;

/*
 * Reads attributes by name and type. What is absent was not stored. An attribute that is not what it must be is a defect
 * or a damaged item, so these throw plain errors.
 */

export function text(item: Item, attribute: string): string {
  const value = item[attribute];
  if (typeof value !== 'string') {
    throw new Error(`Attribute ${attribute} holds no text.`);
  }
  return value;
}

export function optionalText(item: Item, attribute: string): string | undefined {
  return item[attribute] === undefined ? undefined : text(item, attribute);
}

export function integer(item: Item, attribute: string): number {
  const value = item[attribute];
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw new Error(`Attribute ${attribute} holds no whole number.`);
  }
  return value;
}

export function optionalInteger(item: Item, attribute: string): number | undefined {
  return item[attribute] === undefined ? undefined : integer(item, attribute);
}

export function number(item: Item, attribute: string): number {
  const value = item[attribute];
  if (typeof value !== 'number') {
    throw new Error(`Attribute ${attribute} holds no number.`);
  }
  return value;
}

export function optionalNumber(item: Item, attribute: string): number | undefined {
  return item[attribute] === undefined ? undefined : number(item, attribute);
}

export function flag(item: Item, attribute: string): boolean {
  const value = item[attribute];
  if (typeof value !== 'boolean') {
    throw new Error(`Attribute ${attribute} is neither true nor false.`);
  }
  return value;
}

/** Instants are stored as numbers of epoch milliseconds. */
export function instant(item: Item, attribute: string): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(integer(item, attribute));
}

export function optionalInstant(item: Item, attribute: string): Temporal.Instant | undefined {
  return item[attribute] === undefined ? undefined : instant(item, attribute);
}

/** One of a union of literals. */
export function oneOf<Literal extends string>(
  item: Item,
  attribute: string,
  literals: readonly Literal[],
): Literal {
  const value = text(item, attribute);
  const literal = literals.find((candidate) => candidate === value);
  if (literal === undefined) {
    throw new Error(`Attribute ${attribute} holds '${value}', which is none of ${literals.join(', ')}.`);
  }
  return literal;
}

export function optionalOneOf<Literal extends string>(
  item: Item,
  attribute: string,
  literals: readonly Literal[],
): Literal | undefined {
  return item[attribute] === undefined ? undefined : oneOf(item, attribute, literals);
}

/** A list of maps. */
export function items(item: Item, attribute: string): readonly Item[] {
  const value = item[attribute];
  if (!Array.isArray(value)) {
    throw new TypeError(`Attribute ${attribute} holds no list.`);
  }
  return value.map((entry: unknown) => {
    if (typeof entry !== 'object' || entry === null) {
      throw new Error(`Attribute ${attribute} holds something else than maps.`);
    }
    return { ...entry };
  });
}

/** Text of a branded type, checked again: a damaged item must not turn into mail. */
export function branded<Branded extends string>(
  item: Item,
  attribute: string,
  isBranded: (value: string) => value is Branded,
): Branded {
  const value = text(item, attribute);
  if (!isBranded(value)) {
    throw new Error(`Attribute ${attribute} holds a value of another form.`);
  }
  return value;
}

export function optionalBranded<Branded extends string>(
  item: Item,
  attribute: string,
  isBranded: (value: string) => value is Branded,
): Branded | undefined {
  return item[attribute] === undefined ? undefined : branded(item, attribute, isBranded);
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** What stands at a path of member names and positions; `undefined` where the path leads nowhere. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let found = value;
  for (const step of path) {
    found =
      typeof found === 'object' && found !== null
        ? Object.getOwnPropertyDescriptor(found, step)?.value
        : undefined;
  }
  return found;
}

export function textAt(value: unknown, ...path: readonly (string | number)[]): string {
  const found = at(value, ...path);
  if (typeof found !== 'string') {
    throw new TypeError(`No text at ${path.join('/')} of ${JSON.stringify(value)}`);
  }
  return found;
}

export function numberAt(value: unknown, ...path: readonly (string | number)[]): number {
  const found = at(value, ...path);
  if (typeof found !== 'number') {
    throw new TypeError(`No number at ${path.join('/')} of ${JSON.stringify(value)}`);
  }
  return found;
}

export function objectsAt(value: unknown, ...path: readonly (string | number)[]): readonly JsonObject[] {
  const found = at(value, ...path);
  if (!Array.isArray(found) || !found.every(isObject)) {
    throw new TypeError(`No list of objects at ${path.join('/')} of ${JSON.stringify(value)}`);
  }
  return found;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseObject(text: string): JsonObject {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) {
    throw new TypeError(`Not a JSON object: ${text.slice(0, 200)}`);
  }
  return value;
}

/** The object that a line is; `undefined` where it is something else, such as a line for people. */
export function objectIn(line: string): JsonObject | undefined {
  return line.startsWith('{') ? parseObject(line) : undefined;
}

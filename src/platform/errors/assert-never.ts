/** Ends an exhaustive switch: does not compile while a case is missing, and throws on a value that came past the types. */
export function assertNever(value: never): never {
  throw new Error(`Unexpected value: ${JSON.stringify(value)}`);
}

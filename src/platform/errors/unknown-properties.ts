import type { Fault } from './domain-error.ts';

// Enough to mend a request by; thousands would make an answer larger than the request.
const MAX_FAULTS = 10;

/**
 * A fault for each of the first properties of an object that it may not have.
 * @param pointer where the object stands.
 */
export function unknownProperties(
  object: object,
  known: readonly string[],
  pointer: string,
): readonly Fault[] {
  return Object.keys(object)
    .filter((name) => !known.includes(name))
    .slice(0, MAX_FAULTS)
    .map((name) => ({
      pointer: `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      detail: 'This is an unknown property.',
    }));
}

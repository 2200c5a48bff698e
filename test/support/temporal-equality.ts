import { expect } from 'vitest';

/*
 * The values of Temporal have no properties of their own, so `toMatchObject` takes any two of a kind for the same, and anything for one of
 * them. These are compared by what they print, which says all that they are.
 */

const KINDS = [
  Temporal.Instant,
  Temporal.ZonedDateTime,
  Temporal.PlainDateTime,
  Temporal.PlainDate,
  Temporal.PlainTime,
  Temporal.Duration,
] as const;

expect.addEqualityTesters([
  (left: unknown, right: unknown): boolean | undefined => {
    const kind = KINDS.find((each) => left instanceof each || right instanceof each);
    if (!kind) {
      return undefined;
    }
    return left instanceof kind && right instanceof kind && String(left) === String(right);
  },
]);

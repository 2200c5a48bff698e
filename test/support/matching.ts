import { expect } from 'vitest';

/** Stands for any text that the pattern fits, in an object that is expected; vitest's own matchers are of type `any`. */
export function matching(pattern: RegExp): unknown {
  return expect.stringMatching(pattern);
}

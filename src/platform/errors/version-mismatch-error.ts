import { DomainError } from './domain-error.ts';

/** The version that the caller saw; `any` where there only has to be one. */
export type ExpectedVersion = number | 'any';

/** What was to be changed has another version than the caller saw; nothing was changed. */
export class VersionMismatchError extends DomainError {
  readonly kind = 'precondition-failed';
  readonly code = 'version-mismatch';

  constructor(expected: ExpectedVersion, actual: number | undefined, options?: ErrorOptions) {
    const asked = expected === 'any' ? 'Any version' : `Version ${expected}`;
    super(
      actual === undefined
        ? `${asked} was asked for, but there is nothing here yet.`
        : `${asked} was asked for, but it is at version ${actual} now. Read it again, then decide.`,
      options,
    );
  }
}

/** @throws {VersionMismatchError} where a version was asked for and another one, or none, is stored. */
export function requireVersion(expected: ExpectedVersion | undefined, actual: number | undefined): void {
  const isAsExpected = expected === 'any' ? actual !== undefined : expected === actual;
  if (expected !== undefined && !isAsExpected) {
    throw new VersionMismatchError(expected, actual);
  }
}

import { DomainError } from './domain-error.ts';

/** What was to be changed has another version than the caller saw; nothing was changed. */
export class VersionMismatchError extends DomainError {
  readonly kind = 'precondition-failed';
  readonly code = 'version-mismatch';

  constructor(expected: number, actual: number | undefined, options?: ErrorOptions) {
    super(
      actual === undefined
        ? `Version ${expected} was asked for, but there is nothing here yet.`
        : `Version ${expected} was asked for, but it is at version ${actual} now. Read it again, then decide.`,
      options,
    );
  }
}

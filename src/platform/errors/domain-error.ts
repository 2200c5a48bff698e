/** What kind of failure it is; the problem-details filter maps each kind to one HTTP status. */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'precondition-failed'
  | 'too-large'
  | 'unsupported-media-type'
  | 'unprocessable'
  | 'unavailable';

/** One thing that is wrong with an input. `pointer` is an RFC 6901 JSON pointer into the body, or the name of a parameter. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/**
 * A failure that callers are expected to meet. Everything else that is thrown is a defect.
 * The text may be shown to the client, so it carries no address and no content.
 */
export abstract class DomainError extends Error {
  abstract readonly kind: ErrorKind;
  /** Stable and kebab-case; clients branch on it, so it never changes once released. */
  abstract readonly code: string;
  readonly faults: readonly Fault[] = [];

  override get name(): string {
    return this.constructor.name;
  }
}

/** Input that breaks a rule that no DTO decorator can state; lists every fault found, not only the first. */
export class InvalidInputError extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'invalid-input';
  override readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[], options?: ErrorOptions) {
    super(faults.map((fault) => `${fault.pointer}: ${fault.detail}`).join('; '), options);
    this.faults = faults;
  }
}

/** The state cannot be reached or written just now; nothing was acknowledged, and trying again is safe. */
export class StoreUnavailableError extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'store-unavailable';

  constructor(options?: ErrorOptions) {
    super('The store cannot be reached or written just now. Nothing was changed; try again.', options);
  }
}

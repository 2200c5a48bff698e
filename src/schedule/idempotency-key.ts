import { InvalidInputError } from '../platform/errors/domain-error.ts';

// draft-ietf-httpapi-idempotency-key-header leaves the form to the server; Stripe takes up to 255 characters.
const IDEMPOTENCY_KEY_PATTERN = /^[\x21-\x7e]{1,255}$/;

/**
 * The key of an Idempotency-Key header; absent where there is none.
 * @throws {InvalidInputError}
 */
export function readIdempotencyKey(header: string | undefined): string | undefined {
  if (header !== undefined && !IDEMPOTENCY_KEY_PATTERN.test(header)) {
    throw new InvalidInputError([
      { pointer: 'Idempotency-Key', detail: '1 to 255 visible ASCII characters are needed, without spaces.' },
    ]);
  }
  return header;
}

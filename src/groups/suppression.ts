import { DomainError } from '../platform/errors/domain-error.ts';
import type { SubscriberKey } from './subscriber.ts';

export const ERASED_FAULT =
  'Whoever had this address was erased. To write to them again, add them with "resubscribe": true and a "reason", and only if they asked for it.';

/** What a caller may give. */
export const GIVEN_REASONS = ['unsubscribed', 'bounced', 'complained', 'manual'] as const;
export const SUPPRESSION_REASONS = [...GIVEN_REASONS, 'erased'] as const;

/**
 * - `unsubscribed`: the person wants no mail of any group.
 * - `bounced`: a mail server said for good that there is no such mailbox.
 * - `complained`: the person marked a mail as unwanted.
 * - `manual`: somebody put it on the list by hand.
 * - `erased`: the person was erased.
 */
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

/** An address to which nothing is sent, whatever group it is in. */
export interface Suppression {
  /** Of a person who was erased, a keyed hash in the form of an address. */
  readonly subscriber: SubscriberKey;
  readonly reason: SuppressionReason;
  /** What a mail server said, or why somebody did it. */
  readonly detail: string | undefined;
  readonly addedAt: Temporal.Instant;
}

/** Thrown on adding somebody who was erased, without saying that this is meant. */
export class AddressErasedError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'address-erased';

  constructor(options?: ErrorOptions) {
    super(ERASED_FAULT, options);
  }
}

export class SuppressionNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'suppression-not-found';

  constructor(options?: ErrorOptions) {
    super('This address is not suppressed.', options);
  }
}

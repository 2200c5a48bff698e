import { DomainError } from '../platform/errors/domain-error.ts';
import type { SubscriberKey } from './subscriber.ts';

export const SUPPRESSION_REASONS = ['unsubscribed', 'bounced', 'complained', 'manual'] as const;

/**
 * - `unsubscribed`: the person wants no mail of any group.
 * - `bounced`: a mail server said for good that there is no such mailbox.
 * - `complained`: the person marked a mail as unwanted.
 * - `manual`: somebody put it on the list by hand.
 */
export type SuppressionReason = (typeof SUPPRESSION_REASONS)[number];

/** An address to which nothing is sent, whatever group it is in. */
export interface Suppression {
  readonly subscriber: SubscriberKey;
  readonly reason: SuppressionReason;
  /** What a mail server said, or why somebody did it. */
  readonly detail: string | undefined;
  readonly addedAt: Temporal.Instant;
}

export class SuppressionNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'suppression-not-found';

  constructor(options?: ErrorOptions) {
    super('This address is not suppressed.', options);
  }
}

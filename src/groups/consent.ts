import { DomainError } from '../platform/errors/domain-error.ts';
import type { GroupName } from './group.ts';
import type { SubscriberKey, SubscriberStatus } from './subscriber.ts';

export const CONSENT_EVENTS = [
  'subscribed',
  'pending',
  'confirmed',
  'unsubscribed',
  'resubscribed',
  'bounced',
  'complained',
  'suppressed',
  'expired',
  'removed',
] as const;

/**
 * - `subscribed`: was added, and receives from then on.
 * - `pending`: was added, or put back, and has to confirm first. `expired`: did not, and was removed.
 * - `confirmed`: said that the address is theirs.
 * - `unsubscribed`, `bounced`, `complained`: receives no more. `suppressed`: nothing of any group.
 * - `resubscribed`: receives again, for the reason that is given.
 * - `removed`: was taken out of the group.
 */
export type ConsentEvent = (typeof CONSENT_EVENTS)[number];

export const CONSENT_WAYS = ['api', 'import', 'page', 'one-click', 'feedback', 'expiry'] as const;
/** Through what it happened: a call of the API, an import, a page of ours, a provider's button, what a mail server said, or time. */
export type ConsentWay = (typeof CONSENT_WAYS)[number];

/** How it came about, as far as that is known. */
export interface ConsentOrigin {
  readonly how: ConsentWay;
  /** Of the person, not of a server that asks for them. */
  readonly ip: string | undefined;
  /** What they were shown when they agreed. */
  readonly wording: string | undefined;
  readonly reason: string | undefined;
  /** Of the message whose link was used, or which came back. */
  readonly messageKey: string | undefined;
}

/** One thing that became of a subscription. */
export interface ConsentEntry extends ConsentOrigin {
  readonly what: ConsentEvent;
  readonly at: Temporal.Instant;
}

/** Everything that became of one address in one group, in the order in which it was recorded. */
export interface ConsentRecord {
  readonly group: GroupName;
  readonly subscriber: SubscriberKey;
  readonly entries: readonly ConsentEntry[];
}

export class ConsentNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'consent-not-found';

  constructor(group: GroupName, options?: ErrorOptions) {
    super(`Nothing is recorded of this address in the group '${group}'.`, options);
  }
}

/** An origin of which no more is known than this. */
export function originOf(how: ConsentWay, known: Partial<Omit<ConsentOrigin, 'how'>> = {}): ConsentOrigin {
  return { how, ip: undefined, wording: undefined, reason: undefined, messageKey: undefined, ...known };
}

/** What a change of the status means; absent where it is none. */
export function consentEvent(before: SubscriberStatus, after: SubscriberStatus): ConsentEvent | undefined {
  if (before === after) {
    return undefined;
  }
  if (after !== 'active') {
    return after;
  }
  return before === 'pending' ? 'confirmed' : 'resubscribed';
}

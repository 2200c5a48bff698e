import type { SubscriberEmail } from '../../groups/subscriber.ts';

/** How a delivery leaves. */
export type ChannelName = 'smtp' | 'outbox';

/** One mail to one subscriber, ready to go: a complete MIME message and its envelope. */
export interface Mail {
  /** The bare address that bounces go to. */
  readonly envelopeFrom: string;
  readonly to: SubscriberEmail;
  /** In angle brackets; the same at every attempt of the same delivery, so that a receiver can tell a repeat. */
  readonly messageId: string;
  readonly mime: Buffer;
}

/**
 * What became of one mail.
 * - `accepted`: the provider has taken the responsibility for it.
 * - `rejected`: permanent for this address; never tried again.
 * - `deferred`: certainly not taken; trying later may help.
 * - `unknown`: it may or may not have been taken (the connection broke after the content went out).
 * - `refused`: the fault is in the sender or its account, so every other mail would fare the same; certainly not taken.
 */
export type SendResult =
  | { readonly kind: 'accepted'; readonly providerId: string }
  | { readonly kind: 'rejected'; readonly reason: string }
  | { readonly kind: 'deferred'; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** A way out. It returns what the provider said, and throws only for what it did not foresee. */
export abstract class Channel {
  abstract readonly name: ChannelName;

  /** How many mails it takes in one call at most. All of them are in doubt when the process dies during the call. */
  abstract readonly window: number;

  /**
   * Hands over every mail, side by side, and answers for each in the order given. A second call sends again.
   * Once `signal` has aborted, nothing that has not begun begins, and what can be broken off is: the right to send is another's.
   */
  abstract send(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]>;

  /** Ends connections; called once, when nothing is being sent any more. */
  abstract close(): Promise<void>;
}

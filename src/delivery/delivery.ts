import type { SubscriberEmail, SubscriberKey } from '../groups/subscriber.ts';
import type { Heard } from './feedback.ts';

export const OUTCOMES = ['sent', 'failed', 'skipped', 'unknown'] as const;

/**
 * - `sent`: the channel accepted it.
 * - `failed`: the channel rejected it, or it was deferred too often.
 * - `skipped`: not handed to the channel, on purpose; the reason says why.
 * - `unknown`: it may or may not have gone out, and nobody will try again.
 */
export type Outcome = (typeof OUTCOMES)[number];

/** One message to one subscriber, as the ledger has it. */
export interface Delivery {
  readonly key: SubscriberKey;
  readonly email: SubscriberEmail;
  /** Absent while it is pending: deferred, or in doubt and to be sent again. */
  readonly outcome: Outcome | undefined;
  /** When it got the outcome, or when the last attempt ended. */
  readonly at: Temporal.Instant;
  /** How often it was handed to the channel. */
  readonly attempt: number;
  /** How many of those attempts may have gone out without the channel saying so: more than 0 means that it may have arrived more than once. */
  readonly unknownAttempts: number;
  /** What the provider calls it. */
  readonly providerId: string | undefined;
  /** What the provider said, or why it was skipped. */
  readonly reason: string | undefined;
  readonly heard: Heard;
}

import type { Feedback } from '../delivery/feedback.ts';
import type { GroupName } from '../groups/group.ts';
import type { SubscriberKey } from '../groups/subscriber.ts';
import type { MessageKey } from '../schedule/message.ts';

/** Feedback, and the delivery that it is about. */
export interface FeedbackEvent extends Feedback {
  readonly group: GroupName;
  readonly messageKey: MessageKey;
  readonly subscriber: SubscriberKey;
}

/**
 * What became of it.
 * - `recorded`: it is in the ledger, and its effects have come about.
 * - `repeated`: it was there before.
 * - `pending`: the delivery has no outcome yet; it is to come again later.
 * - `unmatched`: there is no such delivery.
 */
export const FEEDBACK_RESULTS = ['recorded', 'repeated', 'pending', 'unmatched'] as const;
export type FeedbackResult = (typeof FEEDBACK_RESULTS)[number];

import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../platform/clock/clock.ts';

/* The queues: the one definition, read by `npm run aws:create`, by the tests and by infra/. Standard queues: order means nothing to them. */

// Belfry says with each receive for how long (LEASE); this is for whoever else looks into the queue.
export const WORK_QUEUE_VISIBILITY_SECONDS = (2 * MINUTE_MS) / SECOND_MS;

// Belfry says with each receive for how long; this is for whoever else looks into the queue of SES's events.
export const FEEDBACK_QUEUE_VISIBILITY_SECONDS = MINUTE_MS / SECOND_MS;

// What was taken so often and never acknowledged is set aside, to be seen. A batch is found by its message's wake all the same.
export const MAX_RECEIVES = 5;

// As long as SQS keeps anything, so that somebody can look.
export const DEAD_LETTER_RETENTION_SECONDS = (14 * DAY_MS) / SECOND_MS;

/** Where goes what was set aside. */
export function deadLetterQueueName(queueName: string): string {
  return `${queueName}-dead`;
}

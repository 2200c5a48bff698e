import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../platform/clock/clock.ts';

/* The work queue: the one definition, read by `npm run aws:create`, by the tests and by infra/. A standard queue: order means nothing to it. */

// Belfry says with each receive for how long (LEASE); this is for whoever else looks into the queue.
export const WORK_QUEUE_VISIBILITY_SECONDS = (2 * MINUTE_MS) / SECOND_MS;

// What was taken so often and never acknowledged is set aside, to be seen; its batch is found by its message's wake all the same.
export const WORK_QUEUE_MAX_RECEIVES = 5;

// As long as SQS keeps anything, so that somebody can look.
export const DEAD_LETTER_RETENTION_SECONDS = (14 * DAY_MS) / SECOND_MS;

/** Where pointers go that were set aside. */
export function deadLetterQueueName(workQueueName: string): string {
  return `${workQueueName}-dead`;
}

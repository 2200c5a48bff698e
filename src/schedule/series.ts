import type { GroupName } from '../groups/group.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import type { ContentSeal, MessageKey, OnMissed, OnUnknown } from './message.ts';
import type { Occurrence, SeriesKey } from './occurrence.ts';
import type { Placed, Recurrence } from './recurrence.ts';

export const SERIES_STATUSES = ['active', 'paused', 'ended'] as const;

/**
 * - `active`: its next occurrence is there as a message; when the time of that has come, the one after it is made.
 * - `paused`: somebody stopped it; there is no next occurrence until it is resumed.
 * - `ended`: somebody ended it, or its last occurrence was made.
 */
export type SeriesStatus = (typeof SERIES_STATUSES)[number];

/** The occurrence that is made, or just being made: always one ahead. */
export interface NextOccurrence extends Placed {
  /** Of its message. */
  readonly message: MessageKey;
  readonly followedAt: Occurrence['followedAt'];
}

/** An occurrence that was made and is not wanted any more; its message is cancelled where it has not begun. */
export interface Retired {
  readonly message: MessageKey;
  readonly local: Temporal.PlainDateTime;
  readonly reason: string;
}

// A list of what is left out is read by people.
export const EXCEPT_MAX = 500;

/** What repeats. */
export interface Series {
  readonly key: SeriesKey;
  readonly group: GroupName;
  readonly status: SeriesStatus;
  /** Why, where that is not plain; for people. */
  readonly reason: string | undefined;
  readonly recurrence: Recurrence;
  /** Rises whenever the next occurrence is made anew, so that its message is another. */
  readonly revision: number;
  readonly subject: string;
  readonly from: string | undefined;
  readonly replyTo: string | undefined;
  readonly content: ContentSeal;
  readonly onMissed: OnMissed;
  readonly onUnknown: OnUnknown;
  readonly next: NextOccurrence | undefined;
  /** What is still to be cancelled. */
  readonly retired: readonly Retired[];
  readonly addedAt: Temporal.Instant;
  /** Rises with every change, and with every occurrence. */
  readonly version: number;
  /** When it next needs attention; absent where it needs none. */
  readonly wakeAt: Temporal.Instant | undefined;
}

export class SeriesNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'series-not-found';

  constructor(group: GroupName, options?: ErrorOptions) {
    super(`The group '${group}' has no such series.`, options);
  }
}

/** Thrown on asking of a series what its status does not allow any more. */
export class SeriesStatusConflictError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'series-status-conflict';

  constructor(status: SeriesStatus, wanted: string, options?: ErrorOptions) {
    super(`This series is ${status}, so it cannot be ${wanted}.`, options);
  }
}

/** Thrown on skipping what a series will not have. */
export class OccurrenceNotFoundError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'occurrence-not-found';

  constructor(options?: ErrorOptions) {
    super(
      'The series has no such occurrence to come. POST …/schedule/preview-times shows those it has.',
      options,
    );
  }
}

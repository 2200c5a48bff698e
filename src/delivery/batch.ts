import type { GroupName } from '../groups/group.ts';
import type { SubscriberKey } from '../groups/subscriber.ts';
import type { Member, SubscriberRange } from '../groups/subscriber-store.ts';
import type { Lease, MessageKey } from '../schedule/message.ts';

/** At most this many subscribers in a batch: SES takes 50 destinations in one SendBulkEmail (SES API reference, SendBulkEmail). */
export const BATCH_SIZE = 50;

/** Names a batch; what travels on the work queue. */
export interface BatchPointer {
  readonly group: GroupName;
  readonly messageKey: MessageKey;
  readonly first: SubscriberKey;
}

/** A contiguous range of a group's subscribers, for one message. Unit of work, of lease and of retry. */
export interface Batch extends BatchPointer, SubscriberRange {
  /** Subscribers in the range when it was cut. */
  readonly count: number;
  /** Whoever joined after this moment is not in it; never earlier than anybody in it joined, whatever clocks say. */
  readonly cutAt: Temporal.Instant;
}

export const BATCH_STATES = ['open', 'settled', 'set_aside'] as const;

/**
 * - `open`: some of its deliveries have no outcome yet.
 * - `settled`: all of them have.
 * - `set_aside`: it failed again and again for a reason nobody foresaw; it is worked no more until somebody says so.
 */
export type BatchState = (typeof BATCH_STATES)[number];

/** A batch as the ledger has it. */
export interface BatchRecord extends Batch {
  readonly state: BatchState;
  /** How often it was claimed since it last got on. */
  readonly tries: number;
  /** What went wrong last, unless it has got on since. */
  readonly error: string | undefined;
}

/** A batch that somebody works on, and what is known of it from before. */
export interface ClaimedBatch extends Batch {
  readonly lease: Lease;
  /** How often it was claimed, this time included, since it last got on: an outcome was recorded, or it was settled or given back. */
  readonly tries: number;
  /** How many of those tries ended with a mishap that nobody foresaw; the others with the loss of the worker. */
  readonly mishaps: number;
  /** The subscribers who were being handed to the channel when the last worker was heard of: whoever of them has no outcome is in doubt. */
  readonly inFlight: InFlight | undefined;
}

/** Those of a range who were being handed to the channel: that many of its subscribers, all without an outcome. */
export interface InFlight extends SubscriberRange {
  readonly count: number;
}

/** A range that a cut makes out of consecutive members. */
export interface CutRange extends SubscriberRange {
  readonly count: number;
  /** When the last of them joined. */
  readonly lastJoinedAt: Temporal.Instant;
}

/** Cuts consecutive members of a group into contiguous ranges of at most `size`; each of them is in exactly one. */
export function cutRanges(members: readonly Member[], size: number): readonly CutRange[] {
  const ranges: CutRange[] = [];
  for (let start = 0; start < members.length; start += size) {
    const slice = members.slice(start, start + size);
    const first = slice.at(0);
    const last = slice.at(-1);
    if (first && last) {
      const lastJoinedAtMs = slice.reduce(
        (latest, { joinedAtMs }) => Math.max(latest, joinedAtMs),
        first.joinedAtMs,
      );
      ranges.push({
        first: first.key,
        last: last.key,
        count: slice.length,
        lastJoinedAt: Temporal.Instant.fromEpochMilliseconds(lastJoinedAtMs),
      });
    }
  }
  return ranges;
}

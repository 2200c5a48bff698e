import { createHash } from 'node:crypto';
import type { Brand } from '../platform/ids/brand.ts';
import { isMessageKey, type MessageKey, newMessageKey } from './message.ts';

/** A UUIDv7, lower case, as that of a message. */
export type SeriesKey = Brand<string, 'SeriesKey'>;

/** Which of a series a message is. */
export interface Occurrence {
  readonly series: SeriesKey;
  /** The local time at which the series has it; a change of the clocks, or of the message, may send it at another. */
  readonly local: Temporal.PlainDateTime;
  /** When the one after it comes, from which on nobody waits for this any more; absent where it is the last, or its time was changed. */
  readonly followedAt: Temporal.Instant | undefined;
}

export function isSeriesKey(text: string): text is SeriesKey {
  return isMessageKey(text);
}

// RFC 9562, 5.7: the part of a UUIDv7 that is its millisecond, with a hyphen in it; the rest here is a hash.
const MILLISECOND_LENGTH = 13;

/**
 * A key for the message of an occurrence: it sorts behind the messages that were made before, as any new one does, and within a millisecond
 * is the same whoever makes it. The series notes it before the message is made, and so it is made once.
 */
export function occurrenceKey(
  series: SeriesKey,
  revision: number,
  local: Temporal.PlainDateTime,
  fresh = newMessageKey(),
): MessageKey {
  const hash = createHash('sha256').update(`${series} ${revision} ${local.toString()}`).digest('hex');
  const variant = ((Number.parseInt(hash.charAt(3), 16) & 0x3) | 0x8).toString(16);
  const millisecond = fresh.slice(0, MILLISECOND_LENGTH);
  const key = `${millisecond}-7${hash.slice(0, 3)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
  if (!isMessageKey(key)) {
    throw new Error('The key of an occurrence is no UUIDv7.');
  }
  return key;
}

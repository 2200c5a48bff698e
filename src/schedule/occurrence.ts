import { createHash } from 'node:crypto';
import type { Brand } from '../platform/ids/brand.ts';
import { isMessageKey, type MessageKey } from './message.ts';

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

// RFC 9562, 5.7: 48 bits of milliseconds, the version, 12 bits, the variant, 62 bits.
const MILLISECONDS_LENGTH = 12;

/**
 * The key of the message of an occurrence: the same wherever and however often it is made, so that it is made once. It sorts by
 * `madeAt`, the moment that the series notes when it comes to this occurrence; the rest is a hash.
 */
export function occurrenceKey(
  series: SeriesKey,
  revision: number,
  local: Temporal.PlainDateTime,
  madeAt: Temporal.Instant,
): MessageKey {
  const milliseconds = madeAt.epochMilliseconds.toString(16).padStart(MILLISECONDS_LENGTH, '0');
  const hash = createHash('sha256').update(`${series} ${revision} ${local.toString()}`).digest('hex');
  const variant = ((Number.parseInt(hash.charAt(3), 16) & 0x3) | 0x8).toString(16);
  const key = `${milliseconds.slice(0, 8)}-${milliseconds.slice(8)}-7${hash.slice(0, 3)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
  if (!isMessageKey(key)) {
    throw new Error('The key of an occurrence is no UUIDv7.');
  }
  return key;
}

import { crc32 } from 'node:zlib';
import { HOUR_MS, isReached, later, MINUTE_MS, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import type { Waking } from '../../schedule/message-store.ts';

/*
 * The rules of the due index, without its reading and writing.
 *
 * A message that wakes is in the partition of an hour and a shard, in order of its wake; one that does not wake is in none. The hour is
 * that of its wake or, where that has passed, of the moment of writing: so nothing is ever written into an hour that is over, and an hour
 * that is over and empty stays empty. The low-water mark is the oldest hour that may still hold something; scanners ask from there on.
 */

/**
 * By a hash of the message's key, so that nobody has to agree on who is next. One key of an index takes 1,000 writes a second (Amazon
 * DynamoDB Developer Guide, "Best practices for designing and using partition keys effectively"), and each move of a message, by a claim,
 * a cut or a rest, writes twice: four shards let some 500 messages a second be claimed, cut and finished in one hour. Each further
 * shard would cost every scan one more query for each hour that it asks.
 */
export const SHARDS = 4;

/** Two machines' clocks may differ by this much. */
const CLOCK_SKEW_MS = 5 * SECOND_MS;

/**
 * So long after its end an hour may still gain something: what was written in its last moment by a clock that is behind, by a write that
 * was tried again for half a minute, and is in the index only when that has caught up (mostly within a second; nothing promises it).
 */
const SETTLE_MS = 15 * MINUTE_MS;

/** Imports wake by the same index, in a partition of their own: they are few. */
export const IMPORTS_PARTITION = '#imports';

/** One key of the index. Hours are counted in UTC, from 1970 on. */
export interface DuePartition {
  readonly hour: number;
  readonly shard: number;
}

/** The partition in which a message that wakes at `wakeAt` is found, when that is written at `now`. */
export function duePartition(
  key: Waking['key'],
  wakeAt: Temporal.Instant,
  now: Temporal.Instant,
): DuePartition {
  return { hour: hourOf(later(wakeAt, now)), shard: crc32(key) % SHARDS };
}

/** A number that no other partition has. */
export function idOf({ hour, shard }: DuePartition): number {
  return hour * SHARDS + shard;
}

/** The partition as its key is stored: `2026_11_23_14#2`, month, day and hour without zeros before them. */
export function nameOf({ hour, shard }: DuePartition): string {
  const start = new Date(hour * HOUR_MS); // each message that is stored asks: a zoned time takes twenty times as long
  const date = `${start.getUTCFullYear()}_${start.getUTCMonth() + 1}_${start.getUTCDate()}`;
  return `${date}_${start.getUTCHours()}#${shard}`;
}

const NAME_PATTERN = /^(?<year>\d+)_(?<month>\d+)_(?<day>\d+)_(?<hourOfDay>\d+)#(?<shard>\d+)$/;

/** Reads what `nameOf` made; throws on anything else, which is a defect or a damaged item. */
export function parseName(name: string): DuePartition {
  const groups = NAME_PATTERN.exec(name)?.groups;
  if (!groups) {
    throw new Error(`'${name}' is no partition of the due index.`);
  }
  const part = (field: string): number => Number(groups[field]);
  const start = Temporal.ZonedDateTime.from(
    {
      timeZone: 'UTC',
      year: part('year'),
      month: part('month'),
      day: part('day'),
      hour: part('hourOfDay'),
    },
    { overflow: 'reject' },
  );
  return { hour: hourOf(start.toInstant()), shard: part('shard') };
}

/**
 * Every partition that may hold something that wakes at `until` or before: from the oldest hour on, to that of `until` and to that of
 * `now` on the clock that is furthest ahead, where whatever woke in the past is written.
 */
export function partitionsToAsk(
  oldestHour: number,
  until: Temporal.Instant,
  now: Temporal.Instant,
): readonly DuePartition[] {
  const partitions: DuePartition[] = [];
  const lastHour = hourOf(later(until, plusMs(now, CLOCK_SKEW_MS)));
  for (let hour = oldestHour; hour <= lastHour; hour += 1) {
    partitions.push(...shardsOf(hour));
  }
  return partitions;
}

export function shardsOf(hour: number): readonly DuePartition[] {
  return Array.from({ length: SHARDS }, (_, shard) => ({ hour, shard }));
}

/** True once nothing can come into the hour any more. */
export function isSettled(hour: number, now: Temporal.Instant): boolean {
  return isReached(plusMs(endOf(hour), SETTLE_MS), now);
}

/** True where whatever the hour holds wakes at `until` or before: a query until then that finds nothing has found the hour empty. */
export function isCoveredBy(hour: number, until: Temporal.Instant): boolean {
  return isReached(endOf(hour), until);
}

/** At `now`, the oldest hour into which anything may still be written. */
export function oldestUnsettledHour(now: Temporal.Instant): number {
  return hourOf(plusMs(now, -SETTLE_MS));
}

/** The first hour from `oldestHour` on that is not known to be empty in all its shards. */
export function firstHourNotEmpty(
  oldestHour: number,
  isKnownEmpty: (partition: DuePartition) => boolean,
): number {
  let hour = oldestHour;
  while (shardsOf(hour).every(isKnownEmpty)) {
    hour += 1;
  }
  return hour;
}

/** The first `limit` in order of wake. A message that moves while its partitions are read may be found in two of them: the earlier counts. */
export function soonest(found: readonly Waking[], limit: number): readonly Waking[] {
  const inOrder = found.toSorted(
    (a, b) => Temporal.Instant.compare(a.wakeAt, b.wakeAt) || (a.key < b.key ? -1 : 1),
  );
  const firstOfEach = new Map<Waking['key'], Waking>();
  for (const waking of inOrder) {
    if (!firstOfEach.has(waking.key)) {
      firstOfEach.set(waking.key, waking);
    }
  }
  return [...firstOfEach.values()].slice(0, limit);
}

export function hourOf(at: Temporal.Instant): number {
  return Math.floor(at.epochMilliseconds / HOUR_MS);
}

export function startOf(hour: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(hour * HOUR_MS);
}

function endOf(hour: number): Temporal.Instant {
  return startOf(hour + 1);
}

import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import type { Group, GroupName } from '../groups/group.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import { Clock, DAY_MS, isReached, later, plusMs } from '../platform/clock/clock.ts';
import { type MessagePage, MessageStore } from './message-store.ts';
import type { Message, MessageKey, MessageStatus } from './message.ts';
import type { SeriesKey } from './occurrence.ts';
import { type Audience, planOf } from './planner.ts';
import { occurrences, type Placed, positionBefore } from './recurrence.ts';
import { SeriesStore } from './series-store.ts';
import type { Series } from './series.ts';
import { ZoneRules } from './zone-rules.ts';

/** Of a message that has not ended: it goes out, or would if somebody let it. */
export const PLANNED_STATUSES = [
  'scheduled',
  'held',
  'paused',
  'sending',
] as const satisfies readonly MessageStatus[];

/** One moment at which something goes out. */
export type CalendarEntry = { readonly at: Temporal.Instant; readonly group: GroupName } & (
  | { readonly kind: 'message'; readonly message: Message }
  /** Of a message with a local time for each; as things are now. */
  | { readonly kind: 'wave'; readonly message: Message; readonly subscribers: number }
  /** Of a series, and not made yet. */
  | { readonly kind: 'occurrence'; readonly series: Series; readonly local: Temporal.PlainDateTime }
);

/** Where a calendar goes on: behind the entry of this moment, group and key. */
export interface CalendarPosition {
  readonly at: Temporal.Instant;
  readonly group: GroupName;
  readonly key: MessageKey | SeriesKey;
}

export interface CalendarRange {
  /** Included. */
  readonly from: Temporal.Instant;
  /** Not included. */
  readonly to: Temporal.Instant;
  readonly after: CalendarPosition | undefined;
  readonly limit: number;
  readonly statuses: readonly MessageStatus[];
}

const GROUPS_PER_PAGE = 1_000;
const SERIES_PER_PAGE = 100;
// Each is a few queries; so many keep both engines busy and leave room for others.
const GROUPS_AT_ONCE = 8;
// The waves of one message lie within the 26 hours between the zones, and the day that a zone may skip.
const WAVES_SPAN_MS = 3 * DAY_MS;

/**
 * What will go out, and when: messages, waves, and the occurrences of series, which are expanded and not made. In order of time, then group,
 * then key. Reads a page of messages and the series of each group, so its cost rises with the number of groups.
 */
@Injectable()
export class Calendar {
  constructor(
    private readonly groups: GroupStore,
    private readonly subscribers: SubscriberStore,
    private readonly messages: MessageStore,
    private readonly series: SeriesStore,
    private readonly rules: ZoneRules,
    private readonly clock: Clock,
  ) {}

  /** Over all groups; at most `limit` entries. */
  async list(range: CalendarRange): Promise<readonly CalendarEntry[]> {
    let first: readonly CalendarEntry[] = [];
    let groups: readonly Group[];
    let after: GroupName | undefined;
    do {
      groups = await this.groups.list({ after, limit: GROUPS_PER_PAGE });
      for (let begin = 0; begin < groups.length; begin += GROUPS_AT_ONCE) {
        const some = groups.slice(begin, begin + GROUPS_AT_ONCE);
        const found = await Promise.all(some.map((group) => this.listGroup(group, range)));
        first = inOrder([...first, ...found.flat()]).slice(0, range.limit);
      }
      after = groups.at(-1)?.name;
    } while (groups.length === GROUPS_PER_PAGE);
    return first;
  }

  /** Of one group; at most `limit` entries. */
  async listGroup(group: Group, range: CalendarRange): Promise<readonly CalendarEntry[]> {
    const isAsked = (entry: CalendarEntry): boolean =>
      isReached(range.from, entry.at) &&
      !isReached(range.to, entry.at) &&
      (!range.after || compare(positionOf(entry), range.after) > 0);
    const ofMessages = await this.#ofMessages(group, range, isAsked);
    const ofSeries = await this.#ofSeries(group.name, range, isAsked);
    return inOrder([...ofMessages, ...ofSeries]).slice(0, range.limit);
  }

  async #ofMessages(
    group: Group,
    range: CalendarRange,
    isAsked: (entry: CalendarEntry) => boolean,
  ): Promise<readonly CalendarEntry[]> {
    const from = plusMs(beginOf(range), -WAVES_SPAN_MS);
    const { to, statuses } = range;
    const limit = range.limit + 1;
    const entries: CalendarEntry[] = [];
    let audience: Audience | undefined;
    let last: Message | undefined;
    for (;;) {
      const page = await this.messages.list(group.name, {
        after: last && keyOf(last),
        limit,
        statuses,
        from,
        to,
      });
      for (const message of page) {
        if (message.localDelivery) {
          audience ??= { group, zones: await this.subscribers.countZones(group.name) };
        }
        const found = audience && message.localDelivery ? wavesOf(message, audience) : [entryOf(message)];
        entries.push(...found.filter(isAsked));
      }
      last = page.at(-1);
      // What is not read yet goes out no earlier than the last that is.
      const isKnown = ({ at }: CalendarEntry): boolean =>
        last !== undefined && !isReached(last.scheduleOn, at);
      if (page.length < limit || entries.filter(isKnown).length >= range.limit) {
        return entries;
      }
    }
  }

  async #ofSeries(
    group: GroupName,
    range: CalendarRange,
    isAsked: (entry: CalendarEntry) => boolean,
  ): Promise<readonly CalendarEntry[]> {
    const entries: CalendarEntry[] = [];
    let after: SeriesKey | undefined;
    let page: readonly Series[];
    do {
      page = await this.series.list(group, { after, limit: SERIES_PER_PAGE });
      entries.push(...page.flatMap((series) => this.#occurrencesOf(series, range, isAsked)));
      after = page.at(-1)?.key;
    } while (page.length === SERIES_PER_PAGE);
    return entries;
  }

  /** Those behind the next one, which is a message already. */
  #occurrencesOf(
    series: Series,
    range: CalendarRange,
    isAsked: (entry: CalendarEntry) => boolean,
  ): readonly CalendarEntry[] {
    const { recurrence, next, status } = series;
    if (status !== 'active' || !next) {
      return [];
    }
    const start = later(later(next.at, this.clock.now()), beginOf(range));
    const near = positionBefore(recurrence, start);
    const position = near && isReached(next.at, near.at) ? near : next;
    return before(range.to, occurrences(recurrence, this.rules, position))
      .filter(({ at }) => isReached(start, at) && !isReached(at, next.at) && !isReached(at, this.clock.now()))
      .map(({ at, local }): CalendarEntry => ({ kind: 'occurrence', at, group: series.group, series, local }))
      .filter(isAsked)
      .take(range.limit)
      .toArray();
  }
}

/** Where an entry stands among the others. */
export function positionOf(entry: CalendarEntry): CalendarPosition {
  return {
    at: entry.at,
    group: entry.group,
    key: entry.kind === 'occurrence' ? entry.series.key : entry.message.key,
  };
}

/** No entry that is asked for lies before it. */
function beginOf({ from, after }: CalendarRange): Temporal.Instant {
  return after ? later(from, after.at) : from;
}

function entryOf(message: Message): CalendarEntry {
  return { kind: 'message', at: message.scheduleOn, group: message.group, message };
}

/** One for each moment at which some of its waves go; the message itself where nobody is there to be in a wave. */
function wavesOf(message: Message, audience: Audience): readonly CalendarEntry[] {
  const { waves } = planOf(message, audience);
  if (waves.length === 0) {
    return [entryOf(message)];
  }
  const { passed, missedBefore } = message.localDelivery ?? {};
  const subscribersAt = new Map<number, number>();
  for (const wave of waves) {
    const isLeftOut = missedBefore !== undefined && !isReached(missedBefore, wave.at);
    if (isLeftOut || (wave.isPassed && passed === 'skip')) {
      continue;
    }
    const { epochMilliseconds } = wave.isPassed ? later(wave.at, message.scheduleOn) : wave.at;
    subscribersAt.set(epochMilliseconds, (subscribersAt.get(epochMilliseconds) ?? 0) + wave.subscribers);
  }
  return [...subscribersAt].map(([ms, subscribers]) => ({
    kind: 'wave',
    at: Temporal.Instant.fromEpochMilliseconds(ms),
    group: message.group,
    message,
    subscribers,
  }));
}

function keyOf({ scheduleOn, key }: Message): MessagePage['after'] {
  return { scheduleOn, key };
}

function* before(to: Temporal.Instant, placed: Iterable<Placed>): Generator<Placed, void> {
  for (const one of placed) {
    if (isReached(to, one.at)) {
      return;
    }
    yield one;
  }
}

function inOrder(entries: readonly CalendarEntry[]): readonly CalendarEntry[] {
  return entries.toSorted((a, b) => compare(positionOf(a), positionOf(b)));
}

function compare(a: CalendarPosition, b: CalendarPosition): number {
  return Temporal.Instant.compare(a.at, b.at) || compareText(a.group, b.group) || compareText(a.key, b.key);
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

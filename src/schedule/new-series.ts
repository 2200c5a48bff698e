import type { GroupName } from '../groups/group.ts';
import { isReached, MINUTE_MS, plusMs } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { type ContentSeal, type Message, newMessageKey, type OnMissed, type OnUnknown } from './message.ts';
import { newMessage } from './new-message.ts';
import { isSeriesKey, occurrenceKey, type SeriesKey } from './occurrence.ts';
import { firstAfter, occurrences, type Placed, type Position, type Recurrence } from './recurrence.ts';
import type { NextOccurrence, Series } from './series.ts';
import type { WakeSignal } from './wake-signal.ts';
import type { ZoneRules } from './zone-rules.ts';

// Whoever lets a series begin now means now, though that is over when the request arrives.
const BEGINS_WITHIN_MS = MINUTE_MS;

interface SeriesDraft {
  readonly subject: string;
  readonly from: string | undefined;
  readonly replyTo: string | undefined;
  readonly onMissed: OnMissed;
  readonly onUnknown: OnUnknown;
}

interface Circumstances {
  readonly seal: ContentSeal;
  readonly rules: ZoneRules;
  readonly now: Temporal.Instant;
}

/**
 * A series whose first occurrence is the first that is still to come: of what would have been before, nothing is made.
 * @throws {InvalidInputError} where there is none.
 */
export function newSeries(
  group: GroupName,
  draft: SeriesDraft,
  recurrence: Recurrence,
  { seal, rules, now }: Circumstances,
): Series {
  const key = newSeriesKey();
  const revision = 1;
  const first = firstAfter(recurrence, rules, plusMs(now, -BEGINS_WITHIN_MS));
  if (!first) {
    throw noOccurrence(recurrence);
  }
  const next = nextOccurrence({ key, revision, recurrence }, first, rules);
  const { subject, from, replyTo, onMissed, onUnknown } = draft;
  return {
    key,
    group,
    status: 'active',
    reason: undefined,
    recurrence,
    revision,
    subject,
    from,
    replyTo,
    content: seal,
    onMissed,
    onUnknown,
    next,
    retired: [],
    addedAt: now,
    version: 1,
    wakeAt: next.at,
  };
}

export function noOccurrence({ rule }: Recurrence): InvalidInputError {
  return new InvalidInputError([
    {
      pointer: `/repeat/${rule.kind}`,
      detail: 'There is no occurrence to come: it never occurs, or has ended.',
    },
  ]);
}

/** `placed` as the occurrence that is made next, with its message's key and the moment of the one after it. */
export function nextOccurrence(
  { key, revision, recurrence }: Pick<Series, 'key' | 'revision' | 'recurrence'>,
  placed: Placed,
  rules: ZoneRules,
): NextOccurrence {
  const follower = occurrences(recurrence, rules, placed).next();
  return {
    ...placed,
    message: occurrenceKey(key, revision, placed.local),
    followedAt: follower.done === true ? undefined : follower.value.at,
  };
}

/** The occurrence to make behind `after`: the newest whose time has come, else the first that is to come. */
export function newestDue(
  recurrence: Recurrence,
  after: Position,
  rules: ZoneRules,
  now: Temporal.Instant,
): Placed | undefined {
  let newest: Placed | undefined;
  for (const occurrence of occurrences(recurrence, rules, after)) {
    if (!isReached(occurrence.at, now)) {
      return newest ?? occurrence;
    }
    newest = occurrence;
  }
  return newest;
}

/** The message of the next occurrence; made again, it is the same but for the moment. */
export function occurrenceMessage(
  series: Series,
  rules: ZoneRules,
  now: Temporal.Instant,
  graceMs: number,
): Message {
  const { key, group, subject, from, replyTo, content, onMissed, onUnknown, recurrence, next } = series;
  if (!next) {
    throw new Error(`The series ${key} has no next occurrence.`);
  }
  const { local, at, followedAt, message } = next;
  const time = {
    local,
    timeZone: recurrence.timeZone,
    dst: 'series',
    tzdata: rules.tzdata,
    moved: [],
  } as const;
  const occurrence = { series: key, local, followedAt };
  const origin = { key: message, group, subject, from, replyTo, onMissed, onUnknown, time, occurrence };
  return newMessage({ ...origin, scheduleOn: at, expiresAt: undefined }, content, now, graceMs);
}

export function announceSeries(wakes: WakeSignal, { group, key, wakeAt }: Series): void {
  if (wakeAt) {
    wakes.announce({ kind: 'series', group, key, wakeAt });
  }
}

function newSeriesKey(): SeriesKey {
  const key: string = newMessageKey();
  if (!isSeriesKey(key)) {
    throw new Error(`${key} is no key of a series.`);
  }
  return key;
}

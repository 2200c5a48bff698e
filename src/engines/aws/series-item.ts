import type { GroupName } from '../../groups/group.ts';
import { isSeriesKey, type SeriesKey } from '../../schedule/occurrence.ts';
import { decodeSeries, encodeSeries } from '../../schedule/series-record.ts';
import type { Series } from '../../schedule/series.ts';
import { type Item, text } from './item.ts';
import { wakeAttributes } from './message-item.ts';

/*
 * A series as an item of the table `messages`: `record` is all of it as JSON; beside it its version, and its wake as a message has one,
 * so that the same index finds both. It has no schedule_on, and so is not among the messages by time.
 */

// `#` sorts before every digit: a group's series lie before its messages.
const PREFIX = '#series#';

export type SeriesItemKey = { readonly group_name: GroupName; readonly message_key: string };

export function seriesItemKey(group: GroupName, key: SeriesKey): SeriesItemKey {
  return { group_name: group, message_key: `${PREFIX}${key}` };
}

/** The series of an item's key; absent where it is that of something else. */
export function parseSeriesItemKey(messageKey: string): SeriesKey | undefined {
  const key = messageKey.slice(PREFIX.length);
  return messageKey.startsWith(PREFIX) && isSeriesKey(key) ? key : undefined;
}

/** The bounds of all of a group behind `after`, both included. */
export function seriesItemRange(after: SeriesKey | undefined): {
  readonly first: string;
  readonly last: string;
} {
  return { first: after === undefined ? PREFIX : `${PREFIX}${after}~`, last: `${PREFIX}~` };
}

/** `now` as for `wakeAttributes`; `token` tells the writer that it was this one. */
export function toSeriesItem(series: Series, now: Temporal.Instant, token: string): Item {
  return {
    ...seriesItemKey(series.group, series.key),
    record: encodeSeries(series),
    version: series.version,
    written_by: token,
    ...(series.wakeAt && wakeAttributes(series.key, series.wakeAt, now)),
  };
}

export function toSeries(item: Item): Series {
  return decodeSeries(text(item, 'record'));
}

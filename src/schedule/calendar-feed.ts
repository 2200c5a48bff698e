import ical, { ICalEventStatus, ICalEventTransparency } from 'ical-generator';
import { Injectable } from '@nestjs/common';
import type { Group } from '../groups/group.ts';
import { Clock, DAY_MS, HOUR_MS, plusMs, SECOND_MS } from '../platform/clock/clock.ts';
import { Calendar, type CalendarEntry, PLANNED_STATUSES } from './calendar.ts';
import type { Occurrence, SeriesKey } from './occurrence.ts';
import { nameOf } from './series.service.ts';

// What went out lately stays, so that a calendar that is looked at on Monday still has Friday.
const BACK_MS = 30 * DAY_MS;
const AHEAD_MS = 366 * DAY_MS;
// A calendar of more is read by nobody, and programs that subscribe to one give up on large files.
const EVENTS_MAX = 1_000;
const READ_AGAIN_MS = HOUR_MS;

/** The calendar of a group as an iCalendar object (RFC 5545) that calendar programs subscribe to. */
@Injectable()
export class CalendarFeed {
  constructor(
    private readonly calendar: Calendar,
    private readonly clock: Clock,
  ) {}

  /** From 30 days ago to a year ahead, at most 1,000 events, the earliest first. */
  async write(group: Group): Promise<string> {
    const now = this.clock.now();
    const entries = await this.calendar.listGroup(group, {
      from: plusMs(now, -BACK_MS),
      to: plusMs(now, AHEAD_MS),
      after: undefined,
      limit: EVENTS_MAX,
      statuses: [...PLANNED_STATUSES, 'sent'],
    });
    const calendar = ical({
      name: escapeText(group.displayName ?? group.name),
      prodId: { company: 'Belfry', product: 'Belfry', language: 'EN' },
      ttl: READ_AGAIN_MS / SECOND_MS,
    });
    for (const entry of entries) {
      calendar.createEvent({
        id: uidOf(entry),
        // RFC 5545, 3.8.7.2: when what is said of it was last another; nothing else is kept of that.
        stamp: new Date(sourceOf(entry).addedAt.epochMilliseconds),
        start: new Date(entry.at.epochMilliseconds),
        summary: sourceOf(entry).subject,
        description: describe(entry),
        status: isCertain(entry) ? ICalEventStatus.CONFIRMED : ICalEventStatus.TENTATIVE,
        transparency: ICalEventTransparency.TRANSPARENT, // nobody is busy because of it
      });
    }
    return `${calendar.toString()}\r\n`; // RFC 5545, 3.1: each line ends in one
  }
}

/** RFC 5545, 3.3.11: as the library writes every text but the name of the calendar. */
function escapeText(text: string): string {
  return text.replaceAll(/[\\;,]/g, String.raw`\$&`);
}

/** The same before and after an occurrence is made. */
function uidOf(entry: CalendarEntry): string {
  if (entry.kind === 'occurrence') {
    return uidOfOccurrence(entry.series.key, entry.local);
  }
  const { key, occurrence } = entry.message;
  if (entry.kind === 'wave') {
    return `${key}-${entry.at.epochMilliseconds}`;
  }
  return occurrence ? uidOfOccurrence(occurrence.series, occurrence.local) : key;
}

function uidOfOccurrence(series: SeriesKey, local: Occurrence['local']): string {
  return `${series}-${nameOf(local)}`;
}

function sourceOf(entry: CalendarEntry): { readonly subject: string; readonly addedAt: Temporal.Instant } {
  return entry.kind === 'occurrence' ? entry.series : entry.message;
}

function isCertain(entry: CalendarEntry): boolean {
  return entry.kind === 'occurrence' || !['held', 'paused'].includes(entry.message.status);
}

function describe(entry: CalendarEntry): string {
  switch (entry.kind) {
    case 'occurrence':
      return 'To come, of a series.';
    case 'wave':
      return `Message ${entry.message.key}, ${entry.message.status}: ${entry.subscribers} subscribers whose time it is then.`;
    default:
      return `Message ${entry.message.key}, ${entry.message.status}.`;
  }
}

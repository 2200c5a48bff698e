import { ApiProperty } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { formatInstant, plusMs, DAY_MS } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import { ListQuery } from '../platform/http/list-query.ts';
import type { CalendarEntry, CalendarRange } from './calendar.ts';
import { IsScheduleTime } from './is-schedule-time.ts';
import { readNumericTime } from './message.dto.ts';
import { MESSAGE_STATUSES, type MessageStatus } from './message.ts';
import { parseScheduleTime } from './schedule-time.ts';
import { nameOf } from './series.service.ts';

// A year, and the leap day.
const RANGE_MAX_DAYS = 366;

export class CalendarQuery extends ListQuery {
  @ApiProperty({
    type: String,
    description: 'What goes out at this time and later.',
    example: '2030-01-01T00:00:00Z',
  })
  @Transform(readNumericTime)
  @IsScheduleTime()
  readonly from!: unknown;

  @ApiProperty({
    type: String,
    description: `What goes out before this time, which is at most ${RANGE_MAX_DAYS} days after the other.`,
    example: '2030-04-01T00:00:00Z',
  })
  @Transform(readNumericTime)
  @IsScheduleTime()
  readonly to!: unknown;
}

const KINDS = ['message', 'wave', 'occurrence'] as const;

/** A moment at which something goes out. */
export class CalendarEntryView {
  @ApiProperty({ type: 'integer', description: 'Epoch milliseconds.', example: 1893484800000 })
  readonly schedule_on!: number;

  @ApiProperty({ format: 'date-time', example: '2030-01-01T08:00:00.000Z' })
  readonly scheduled_at!: string;

  @ApiProperty({
    enum: KINDS,
    description:
      'message: to all of the group. wave: of a message with local_delivery, to those whose time it is then. occurrence: of a series, and not made yet.',
    example: 'message',
  })
  readonly kind!: (typeof KINDS)[number];

  @ApiProperty({ example: 'serverless' })
  readonly group!: string;

  @ApiProperty({ example: 'Hello SLS workshop!' })
  readonly subject!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The key of the message; null of an occurrence, which has none yet.',
    example: '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d47',
  })
  readonly key!: string | null;

  @ApiProperty({
    enum: [...MESSAGE_STATUSES, null],
    type: String,
    nullable: true,
    description: 'Of the message: what is held or paused goes out only where somebody lets it.',
    example: 'scheduled',
  })
  readonly status!: MessageStatus | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The key of the series; null of what is of none.',
    example: null,
  })
  readonly series!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'The local time that was meant; null of an instant.',
    example: '2030-01-01T09:00:00',
  })
  readonly local!: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'In which zone; null of an instant, and of a wave, which is that of several.',
    example: 'Europe/Paris',
  })
  readonly time_zone!: string | null;

  @ApiProperty({
    type: 'integer',
    nullable: true,
    description: 'In the wave, as of now; null of anything else, which goes to all that are active then.',
    example: null,
  })
  readonly subscribers!: number | null;
}

/**
 * @throws {InvalidInputError} where it ends before it begins, or is longer than a year.
 */
export function readCalendarRange(query: CalendarQuery): Pick<CalendarRange, 'from' | 'to'> {
  const from = parseScheduleTime(query.from, 'from');
  const to = parseScheduleTime(query.to, 'to');
  if (Temporal.Instant.compare(from, to) >= 0) {
    throw new InvalidInputError([
      { pointer: 'to', detail: `It must be later than from, ${formatInstant(from)}.` },
    ]);
  }
  const last = plusMs(from, RANGE_MAX_DAYS * DAY_MS);
  if (Temporal.Instant.compare(to, last) > 0) {
    throw new InvalidInputError([
      {
        pointer: 'to',
        detail: `At most ${RANGE_MAX_DAYS} days are shown at once: it ends at ${formatInstant(last)}.`,
      },
    ]);
  }
  return { from, to };
}

export function viewCalendarEntry(entry: CalendarEntry): CalendarEntryView {
  return {
    schedule_on: entry.at.epochMilliseconds,
    scheduled_at: formatInstant(entry.at),
    ...viewWhat(entry),
  };
}

function viewWhat(entry: CalendarEntry): Omit<CalendarEntryView, 'schedule_on' | 'scheduled_at'> {
  const { kind, group } = entry;
  if (kind === 'occurrence') {
    const { subject, key, recurrence } = entry.series;
    const local = nameOf(entry.local);
    const nothing = { key: null, status: null, subscribers: null };
    return { kind, group, subject, ...nothing, series: key, local, time_zone: recurrence.timeZone };
  }
  const { subject, key, status, occurrence, time, localDelivery } = entry.message;
  const local = time?.local ?? localDelivery?.date.toPlainDateTime(localDelivery.time);
  return {
    kind,
    group,
    subject,
    key,
    status,
    series: occurrence?.series ?? null,
    local: local ? nameOf(local) : null,
    time_zone: time?.timeZone ?? null,
    subscribers: kind === 'wave' ? entry.subscribers : null,
  };
}

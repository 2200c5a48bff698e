import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { isGroupName } from '../groups/group.ts';
import { Needs } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { CalendarEntryView, CalendarQuery, readCalendarRange, viewCalendarEntry } from './calendar.dto.ts';
import {
  Calendar,
  type CalendarEntry,
  type CalendarPosition,
  PLANNED_STATUSES,
  positionOf,
} from './calendar.ts';
import { isMessageKey } from './message.ts';

const CURSOR_PURPOSE = 'calendar';

@ApiTags('messages')
@Controller('v1/calendar')
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class CalendarController {
  constructor(
    private readonly calendar: Calendar,
    private readonly cursors: PageCursors,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'See what goes out',
    description:
      'Of all groups, between two times: messages, waves, and the occurrences of series that are to come, none of which is made for it. In order of time. Where deliveries wait for a send window, they go later than is shown.',
  })
  @ApiList(CalendarEntryView)
  async list(@Query() query: CalendarQuery): Promise<Page<CalendarEntryView>> {
    const found = await this.calendar.list({
      ...readCalendarRange(query),
      after:
        query.cursor === undefined
          ? undefined
          : readPosition(this.cursors.open(CURSOR_PURPOSE, query.cursor)),
      limit: query.limit + 1,
      statuses: PLANNED_STATUSES,
    });
    return pageOf(found, query.limit, viewCalendarEntry, (last) =>
      this.cursors.seal(CURSOR_PURPOSE, sealed(last)),
    );
  }
}

function sealed(entry: CalendarEntry): readonly [number, string, string] {
  const { at, group, key } = positionOf(entry);
  return [at.epochMilliseconds, group, key];
}

/** Cursors are signed, so another position is a defect. */
function readPosition(position: unknown): CalendarPosition {
  const parts: readonly unknown[] = Array.isArray(position) ? position : [];
  const [ms, group, key] = parts;
  if (
    typeof ms !== 'number' ||
    typeof group !== 'string' ||
    !isGroupName(group) ||
    typeof key !== 'string' ||
    !isMessageKey(key)
  ) {
    throw new Error('A signed cursor of a calendar has no position in it.');
  }
  return { at: Temporal.Instant.fromEpochMilliseconds(ms), group, key };
}

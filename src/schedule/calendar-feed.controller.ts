import { Controller, Get, Header, Query } from '@nestjs/common';
import {
  ApiExcludeEndpoint,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiProperty,
  ApiTags,
} from '@nestjs/swagger';
import { GroupStore } from '../groups/group-store.ts';
import { type GroupName, GroupNotFoundError, parseGroupName } from '../groups/group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from '../groups/params.ts';
import { HasLink, Needs } from '../platform/auth/roles.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { CalendarFeed } from './calendar-feed.ts';
import { CalendarLinks } from './calendar-links.ts';

/** Whatever is wrong with the address of a feed: whoever guesses learns nothing of what there is. */
export class CalendarNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'calendar-not-found';

  constructor() {
    super('There is no such calendar. GET …/calendar-link tells the address of that of a group.');
  }
}

export class CalendarLinkView {
  @ApiProperty({
    description: 'Whoever has it can read the calendar, so it is as good as a key to it.',
    example: 'http://localhost:3000/v1/groups/serverless/calendar.ics?token=Qm2v0l3kXf0h1o8Jp6n5Ag',
  })
  readonly calendar_url!: string;
}

@ApiTags('groups')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group', ':group'])
export class CalendarFeedController {
  constructor(
    private readonly feed: CalendarFeed,
    private readonly links: CalendarLinks,
    private readonly groups: GroupStore,
  ) {}

  @Get('calendar-link')
  @Needs('reader')
  @ApiOperation({
    summary: 'Where the calendar of a group is',
    description:
      'The address of an iCalendar feed (RFC 5545) of what goes out to the group, for calendar programs to subscribe to; it needs no key beside its token.',
  })
  @ApiOkResponse({ type: CalendarLinkView })
  @ApiProblems(400, 401, 403, 503, new GroupNotFoundError(parseGroupName('serverless')))
  async readLink(@GroupParam() group: GroupName): Promise<CalendarLinkView> {
    if (!(await this.groups.find(group))) {
      throw new GroupNotFoundError(group);
    }
    return { calendar_url: this.links.urlOf(group) };
  }

  @Get('calendar.ics')
  @HasLink()
  @ApiExcludeEndpoint()
  @Header('content-type', 'text/calendar; charset=utf-8')
  @Header('cache-control', 'private, max-age=300')
  @Header('x-robots-tag', 'noindex, nofollow')
  async read(@GroupParam() name: GroupName, @Query('token') token: unknown): Promise<string> {
    const group = this.links.opens(name, token) ? await this.groups.find(name) : undefined;
    if (!group) {
      throw new CalendarNotFoundError();
    }
    return this.feed.write(group);
  }
}

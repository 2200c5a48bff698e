import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { GroupStore } from '../groups/group-store.ts';
import { type GroupName, GroupNotFoundError, parseGroupName } from '../groups/group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from '../groups/params.ts';
import { Needs } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ETAG_DOCS, etagOf, IF_MATCH_DOCS, IfMatch } from '../platform/http/etag.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { ListQuery, type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { isSeriesKey, type SeriesKey } from './occurrence.ts';
import { SERIES_PARAM_DOCS, SeriesParam } from './params.ts';
import { SeriesStore } from './series-store.ts';
import {
  readOccurrence,
  readSeriesRedraft,
  SERIES_PATCH_EXAMPLES,
  SeriesPatch,
  SeriesView,
  SKIP_EXAMPLES,
  SkipBody,
  viewSeries,
} from './series.dto.ts';
import { SeriesService } from './series.service.ts';
import {
  OccurrenceNotFoundError,
  type Series,
  SeriesNotFoundError,
  SeriesStatusConflictError,
} from './series.ts';
import { TimeReader } from './time-reader.ts';

const EXAMPLE = parseGroupName('serverless');

@ApiTags('series')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group/series', ':group/series'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class SeriesController {
  constructor(
    private readonly service: SeriesService,
    private readonly series: SeriesStore,
    private readonly groups: GroupStore,
    private readonly times: TimeReader,
    private readonly cursors: PageCursors,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List the series',
    description: 'In the order in which they were added; those that ended too.',
  })
  @ApiList(SeriesView)
  @ApiProblems(new GroupNotFoundError(EXAMPLE))
  async list(@GroupParam() group: GroupName, @Query() query: ListQuery): Promise<Page<SeriesView>> {
    const purpose = `series/${group}`;
    const found = await this.series.list(group, {
      after: query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor)),
      limit: query.limit + 1,
    });
    if (found.length === 0 && !(await this.groups.find(group))) {
      throw new GroupNotFoundError(group);
    }
    return pageOf(found, query.limit, viewSeries, (last) => this.cursors.seal(purpose, last.key));
  }

  @Get(':series')
  @ApiOperation({ summary: 'Read a series', description: 'With the occurrence that is made ahead.' })
  @ApiParam(SERIES_PARAM_DOCS)
  @ApiOkResponse({ type: SeriesView, headers: ETAG_DOCS })
  @ApiProblems(new SeriesNotFoundError(EXAMPLE))
  async read(
    @GroupParam() group: GroupName,
    @SeriesParam() key: SeriesKey | 'latest',
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SeriesView> {
    return this.#answer(reply, await this.service.get(group, key));
  }

  @Patch(':series')
  @Needs('sender')
  @ApiOperation({
    summary: 'Change a series',
    description:
      'From the next occurrence on: its message is cancelled and another made, unless it is being sent already. What was changed of that message alone is lost.',
  })
  @ApiBody({ type: SeriesPatch, examples: SERIES_PATCH_EXAMPLES })
  @ApiParam(SERIES_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: SeriesView, headers: ETAG_DOCS })
  @ApiProblems(
    new SeriesNotFoundError(EXAMPLE),
    new SeriesStatusConflictError('ended', 'changed'),
    412,
    413,
    415,
  )
  async change(
    @GroupParam() group: GroupName,
    @SeriesParam() key: SeriesKey | 'latest',
    @Body() patch: SeriesPatch,
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SeriesView> {
    const before = await this.service.get(group, key);
    const recurrence = await this.times.changeRecurrence(before, patch);
    const redraft = { ...readSeriesRedraft(patch), ...(recurrence && { recurrence }) };
    return this.#answer(reply, await this.service.change(group, before.key, redraft, ifVersion));
  }

  @Delete(':series')
  @Needs('sender')
  @ApiOperation({
    summary: 'End a series',
    description:
      'The message of its next occurrence is cancelled, unless it is being sent already; those before it stay.',
  })
  @ApiParam(SERIES_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: SeriesView, headers: ETAG_DOCS })
  @ApiProblems(new SeriesNotFoundError(EXAMPLE), 412)
  async end(
    @GroupParam() group: GroupName,
    @SeriesParam() key: SeriesKey | 'latest',
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SeriesView> {
    return this.#answer(reply, await this.service.end(group, key, ifVersion));
  }

  @Post(':series/pause')
  @Needs('sender')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Pause a series',
    description:
      'The message of its next occurrence is cancelled, unless it is being sent already, and none is made.',
  })
  @ApiParam(SERIES_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: SeriesView, headers: ETAG_DOCS })
  @ApiProblems(new SeriesNotFoundError(EXAMPLE), new SeriesStatusConflictError('ended', 'paused'), 412)
  async pause(
    @GroupParam() group: GroupName,
    @SeriesParam() key: SeriesKey | 'latest',
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SeriesView> {
    return this.#answer(reply, await this.service.pause(group, key, ifVersion));
  }

  @Post(':series/resume')
  @Needs('sender')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Resume a series',
    description:
      'With the first occurrence that is still to come, as a new message; what was missed meanwhile is not made.',
  })
  @ApiParam(SERIES_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: SeriesView, headers: ETAG_DOCS })
  @ApiProblems(new SeriesNotFoundError(EXAMPLE), new SeriesStatusConflictError('ended', 'resumed'), 412)
  async resume(
    @GroupParam() group: GroupName,
    @SeriesParam() key: SeriesKey | 'latest',
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SeriesView> {
    return this.#answer(reply, await this.service.resume(group, key, ifVersion));
  }

  @Post(':series/skip')
  @Needs('sender')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Skip an occurrence',
    description:
      'The next one, whose message is cancelled and that of the one after it made; or one that is named, which is never made. It joins the exceptions.',
  })
  @ApiBody({ type: SkipBody, examples: SKIP_EXAMPLES })
  @ApiParam(SERIES_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: SeriesView, headers: ETAG_DOCS })
  @ApiProblems(
    new SeriesNotFoundError(EXAMPLE),
    new SeriesStatusConflictError('ended', 'skipped'),
    new OccurrenceNotFoundError(),
    412,
    413,
    415,
  )
  async skip(
    @GroupParam() group: GroupName,
    @SeriesParam() key: SeriesKey | 'latest',
    @Body() body: SkipBody,
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SeriesView> {
    return this.#answer(reply, await this.service.skip(group, key, readOccurrence(body), ifVersion));
  }

  #answer(reply: FastifyReply, series: Series): SeriesView {
    reply.header('etag', etagOf(series.version));
    return viewSeries(series);
  }
}

/** Cursors are signed, so another position is a defect. */
function readPosition(position: unknown): SeriesKey {
  if (typeof position !== 'string' || !isSeriesKey(position)) {
    throw new Error('A signed cursor of a list of series has no position in it.');
  }
  return position;
}

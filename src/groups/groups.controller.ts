import { Body, Controller, Delete, Get, HttpCode, Put, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Needs } from '../platform/auth/roles.ts';
import type { ExpectedVersion } from '../platform/errors/version-mismatch-error.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ETAG_DOCS, etagOf, IF_MATCH_DOCS, IfMatch, IfMatchOrMake } from '../platform/http/etag.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { ListQuery, type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { GroupStore } from './group-store.ts';
import { GroupBody, GroupView, readGroupSettings, viewGroup } from './group.dto.ts';
import { GroupInUseError, type GroupName, GroupNotFoundError, parseGroupName } from './group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from './params.ts';

const CURSOR_PURPOSE = 'groups';
const EXAMPLE = parseGroupName('serverless');

@ApiTags('groups')
@Controller('v1/groups')
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class GroupsController {
  constructor(
    private readonly groups: GroupStore,
    private readonly cursors: PageCursors,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List the groups', description: 'In order of name.' })
  @ApiList(GroupView)
  async list(@Query() query: ListQuery): Promise<Page<GroupView>> {
    const after =
      query.cursor === undefined
        ? undefined
        : parseGroupName(String(this.cursors.open(CURSOR_PURPOSE, query.cursor)));
    const found = await this.groups.list({ after, limit: query.limit + 1 });
    return pageOf(found, query.limit, viewGroup, (last) => this.cursors.seal(CURSOR_PURPOSE, last.name));
  }

  @Get(':group')
  @ApiOperation({ summary: 'Read a group', description: 'With the number of its subscribers by status.' })
  @ApiParam(GROUP_PARAM_DOCS)
  @ApiOkResponse({ type: GroupView, headers: ETAG_DOCS })
  @ApiProblems(new GroupNotFoundError(EXAMPLE))
  async read(
    @GroupParam() name: GroupName,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<GroupView> {
    const group = await this.groups.find(name);
    if (!group) {
      throw new GroupNotFoundError(name);
    }
    reply.header('etag', etagOf(group.version));
    return viewGroup(group);
  }

  @Put(':group')
  @Needs('admin')
  @ApiOperation({ summary: 'Make a group, or replace its settings', description: '201 where it is new.' })
  @ApiParam(GROUP_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiCreatedResponse({ description: 'The group is new.', type: GroupView, headers: ETAG_DOCS })
  @ApiOkResponse({ description: 'The settings are replaced.', type: GroupView, headers: ETAG_DOCS })
  @ApiProblems(412, 413, 415)
  async put(
    @GroupParam() name: GroupName,
    @Body() body: GroupBody,
    @IfMatchOrMake() ifVersion: ExpectedVersion | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<GroupView> {
    const { group, created } = await this.groups.put(name, readGroupSettings(body), ifVersion);
    reply.status(created ? 201 : 200).header('etag', etagOf(group.version));
    return viewGroup(group);
  }

  @Delete(':group')
  @Needs('admin')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Remove a group and its subscribers',
    description:
      'Refused while a message of it is not finished. Finished messages and their outcomes stay readable.',
  })
  @ApiParam(GROUP_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiNoContentResponse()
  @ApiProblems(new GroupNotFoundError(EXAMPLE), new GroupInUseError(EXAMPLE), 412)
  async remove(@GroupParam() name: GroupName, @IfMatch() ifVersion: number | undefined): Promise<void> {
    await this.groups.remove(name, ifVersion);
  }
}

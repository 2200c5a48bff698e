import { Body, Controller, Delete, Get, HttpCode, Put, Query, Res } from '@nestjs/common';
import {
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Needs } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { etagOf, IfMatch } from '../platform/http/etag.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { ListQuery, type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { GroupStore } from './group-store.ts';
import { GroupBody, GroupView, readGroupSettings, viewGroup } from './group.dto.ts';
import { type GroupName, GroupNotFoundError, parseGroupName } from './group.ts';
import { GroupParam } from './params.ts';

const CURSOR_PURPOSE = 'groups';

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
  @ApiParam({ name: 'group', example: 'serverless' })
  @ApiOkResponse({ type: GroupView })
  @ApiProblems(404)
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
  @ApiParam({ name: 'group', example: 'serverless' })
  @ApiHeader({ name: 'If-Match', required: false, description: 'The ETag that was read.' })
  @ApiOkResponse({ type: GroupView })
  @ApiProblems(412)
  async put(
    @GroupParam() name: GroupName,
    @Body() body: GroupBody,
    @IfMatch() ifVersion: number | undefined,
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
  @ApiParam({ name: 'group', example: 'serverless' })
  @ApiHeader({ name: 'If-Match', required: false, description: 'The ETag that was read.' })
  @ApiNoContentResponse()
  @ApiProblems(404, 409, 412)
  async remove(@GroupParam() name: GroupName, @IfMatch() ifVersion: number | undefined): Promise<void> {
    await this.groups.remove(name, ifVersion);
  }
}

import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { type GroupName, parseGroupName } from '../groups/group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from '../groups/params.ts';
import { Needs } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { type MessageKey, MessageNotFoundError } from '../schedule/message.ts';
import { MESSAGE_PARAM_DOCS, MessageParam } from '../schedule/params.ts';
import { ScheduleService } from '../schedule/schedule.service.ts';
import { BatchListQuery, BatchView, viewBatch } from './batch.dto.ts';
import { DeliveryStore } from './delivery-store.ts';
import { readPosition } from './deliveries.controller.ts';

@ApiTags('deliveries')
@ApiParam(GROUP_PARAM_DOCS)
@ApiParam(MESSAGE_PARAM_DOCS)
@Controller(['v1/groups/:group/schedule/:key/batches', ':group/schedule/:key/batches'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class BatchesController {
  constructor(
    private readonly schedule: ScheduleService,
    private readonly deliveries: DeliveryStore,
    private readonly cursors: PageCursors,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List the batches of a message',
    description:
      'In order of address. Those that are set_aside failed again and again for a reason nobody foresaw; POST …/retry tries them again.',
  })
  @ApiList(BatchView)
  @ApiProblems(new MessageNotFoundError(parseGroupName('serverless')))
  async list(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @Query() query: BatchListQuery,
  ): Promise<Page<BatchView>> {
    const message = await this.schedule.get(group, key);
    const purpose = `batches/${message.key}`;
    const found = await this.deliveries.listBatches(message.key, {
      after: query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor)),
      limit: query.limit + 1,
      state: query.state,
    });
    return pageOf(found, query.limit, viewBatch, (last) => this.cursors.seal(purpose, last.first));
  }
}

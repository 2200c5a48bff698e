import { Body, Controller, Delete, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Needs } from '../platform/auth/roles.ts';
import { Clock } from '../platform/clock/clock.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { ListQuery, type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { readPosition, SubscriberParam, SUPPRESSED_PARAM_DOCS } from './params.ts';
import type { SubscriberKey } from './subscriber.ts';
import { SuppressionStore } from './suppression-store.ts';
import { NewSuppression, readSuppression, SuppressionView, viewSuppression } from './suppression.dto.ts';
import { AddressErasedError, SuppressionNotFoundError } from './suppression.ts';
import { Suppressions } from './suppressions.ts';

const CURSOR_PURPOSE = 'suppressions';

@ApiTags('suppressions')
@Controller('v1/suppressions')
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class SuppressionsController {
  constructor(
    private readonly suppressions: Suppressions,
    private readonly store: SuppressionStore,
    private readonly cursors: PageCursors,
    private readonly clock: Clock,
  ) {}

  @Post()
  @Needs('sender')
  @ApiOperation({
    summary: 'Suppress an address',
    description:
      'Nothing is sent to it any more, whatever group it is in: its deliveries are skipped, with this reason. Of an address that is suppressed already, the first reason stays.',
  })
  @ApiCreatedResponse({ description: 'The address is suppressed from now on.', type: SuppressionView })
  @ApiOkResponse({ description: 'It was suppressed already.', type: SuppressionView })
  @ApiProblems(413, 415)
  async add(
    @Body() body: NewSuppression,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SuppressionView> {
    const suppression = readSuppression(body, this.clock.now());
    const wasNew = await this.suppressions.add(suppression);
    reply.status(wasNew ? 201 : 200);
    const kept = wasNew ? undefined : await this.suppressions.find(suppression.subscriber);
    return viewSuppression(kept ?? suppression);
  }

  @Get()
  @ApiOperation({
    summary: 'List the suppressed addresses',
    description: 'In order of address. Of a person who was erased, there is a keyed hash in its place.',
  })
  @ApiList(SuppressionView)
  async list(@Query() query: ListQuery): Promise<Page<SuppressionView>> {
    const after =
      query.cursor === undefined ? undefined : readPosition(this.cursors.open(CURSOR_PURPOSE, query.cursor));
    const found = await this.store.list({ after, limit: query.limit + 1 });
    return pageOf(found, query.limit, viewSuppression, (last) =>
      this.cursors.seal(CURSOR_PURPOSE, last.subscriber),
    );
  }

  @Get(':email')
  @ApiOperation({ summary: 'Say whether and why an address is suppressed' })
  @ApiParam(SUPPRESSED_PARAM_DOCS)
  @ApiOkResponse({ type: SuppressionView })
  @ApiProblems(new SuppressionNotFoundError())
  async read(@SubscriberParam() key: SubscriberKey): Promise<SuppressionView> {
    const suppression = await this.suppressions.find(key);
    if (!suppression) {
      throw new SuppressionNotFoundError();
    }
    return viewSuppression(suppression);
  }

  @Delete(':email')
  @Needs('admin')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Suppress an address no longer',
    description:
      'Its groups are as they were: who is unsubscribed, bounced or complained in one of them stays so.',
  })
  @ApiParam(SUPPRESSED_PARAM_DOCS)
  @ApiNoContentResponse()
  @ApiProblems(new SuppressionNotFoundError(), new AddressErasedError())
  async remove(@SubscriberParam() key: SubscriberKey): Promise<void> {
    if ((await this.suppressions.find(key))?.reason === 'erased') {
      throw new AddressErasedError();
    }
    if (!(await this.store.remove(key))) {
      throw new SuppressionNotFoundError();
    }
  }
}

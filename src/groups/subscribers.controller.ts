import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBody,
  ApiCreatedResponse,
  ApiExtraModels,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
  getSchemaPath,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Needs } from '../platform/auth/roles.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ETAG_DOCS, etagOf, IF_MATCH_DOCS, IfMatch } from '../platform/http/etag.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { Confirmations, NotPendingError } from './confirmations.ts';
import { GroupStore } from './group-store.ts';
import { type GroupName, GroupNotFoundError, parseGroupName } from './group.ts';
import { OneOrManyPipe } from './one-or-many.pipe.ts';
import {
  GROUP_PARAM_DOCS,
  GroupParam,
  readPosition,
  SUBSCRIBER_PARAM_DOCS,
  SubscriberParam,
} from './params.ts';
import { SubscriberStore } from './subscriber-store.ts';
import {
  AddedManyView,
  AddedView,
  NewSubscriber,
  NewSubscribers,
  SUBSCRIBER_PATCH_EXAMPLES,
  SubscriberListQuery,
  SubscriberPatch,
  SubscriberView,
  viewAdded,
  viewAddedMany,
  viewSubscriber,
} from './subscriber.dto.ts';
import { ResubscribeRefusedError, type SubscriberKey, SubscriberNotFoundError } from './subscriber.ts';
import { SubscribersService } from './subscribers.service.ts';
import { AddressErasedError } from './suppression.ts';

const EXAMPLE = parseGroupName('serverless');

@ApiTags('subscribers')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group/subscribers', ':group/subscribers'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
@ApiExtraModels(NewSubscriber, NewSubscribers, AddedView, AddedManyView)
export class SubscribersController {
  constructor(
    private readonly service: SubscribersService,
    private readonly confirmations: Confirmations,
    private readonly subscribers: SubscriberStore,
    private readonly groups: GroupStore,
    private readonly cursors: PageCursors,
  ) {}

  @Post()
  @Needs('sender')
  @ApiOperation({
    summary: 'Add one subscriber, or up to 1,000',
    description:
      'Makes the group where there is none. Adding an address again changes nothing: result is exists, and an unsubscribed address stays unsubscribed. Of many, each is answered for itself, in the order given. Who was erased is refused without "resubscribe": true and a reason.',
  })
  @ApiBody({
    schema: { oneOf: [{ $ref: getSchemaPath(NewSubscriber) }, { $ref: getSchemaPath(NewSubscribers) }] },
    examples: {
      one: { summary: 'One', value: { email: 'ada@example.com' } },
      full: {
        summary: 'One, with everything',
        value: {
          email: 'grace@example.com',
          name: 'Grace Hopper',
          attributes: { city: 'New York' },
          time_zone: 'America/New_York',
        },
      },
      many: {
        summary: 'Many',
        value: {
          subscribers: [{ email: 'ada@example.com', name: 'Ada Lovelace' }, { email: 'alan@example.com' }],
        },
      },
    },
  })
  @ApiCreatedResponse({
    description: 'The subscriber was added.',
    type: AddedView,
    headers: ETAG_DOCS,
  })
  @ApiOkResponse({
    description: 'The address was there already; or the answers for many.',
    schema: { oneOf: [{ $ref: getSchemaPath(AddedView) }, { $ref: getSchemaPath(AddedManyView) }] },
  })
  @ApiProblems(413, 415, new AddressErasedError())
  async add(
    @GroupParam() group: GroupName,
    @Body(OneOrManyPipe) body: NewSubscriber | NewSubscribers,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AddedView | AddedManyView> {
    if (body instanceof NewSubscribers) {
      reply.status(200);
      return viewAddedMany(await this.service.addMany(group, body.subscribers));
    }
    const added = await this.service.add(group, body);
    reply.status(added.kind === 'added' ? 201 : 200).header('etag', etagOf(added.subscriber.version));
    return viewAdded(added);
  }

  @Get()
  @ApiOperation({ summary: 'List the subscribers', description: 'In order of address.' })
  @ApiList(SubscriberView)
  @ApiProblems(new GroupNotFoundError(EXAMPLE))
  async list(
    @GroupParam() group: GroupName,
    @Query() query: SubscriberListQuery,
  ): Promise<Page<SubscriberView>> {
    const purpose = `subscribers/${group}`;
    const found = await this.subscribers.list(group, {
      after: query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor)),
      limit: query.limit + 1,
      status: query.status,
    });
    if (found.length === 0 && !(await this.groups.find(group))) {
      throw new GroupNotFoundError(group);
    }
    return pageOf(found, query.limit, viewSubscriber, (last) => this.cursors.seal(purpose, last.key));
  }

  @Get(':email')
  @ApiOperation({ summary: 'Read a subscriber' })
  @ApiParam(SUBSCRIBER_PARAM_DOCS)
  @ApiOkResponse({ type: SubscriberView, headers: ETAG_DOCS })
  @ApiProblems(new SubscriberNotFoundError(EXAMPLE))
  async read(
    @GroupParam() group: GroupName,
    @SubscriberParam() key: SubscriberKey,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubscriberView> {
    const subscriber = await this.service.get(group, key);
    reply.header('etag', etagOf(subscriber.version));
    return viewSubscriber(subscriber);
  }

  @Patch(':email')
  @Needs('sender')
  @ApiOperation({
    summary: 'Change a subscriber',
    description:
      'What is left out stays, null empties. Making active again who is unsubscribed, bounced or complained needs "resubscribe": true and a reason. Every change of the status is kept in the consent record.',
  })
  @ApiParam(SUBSCRIBER_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiBody({ type: SubscriberPatch, examples: SUBSCRIBER_PATCH_EXAMPLES })
  @ApiOkResponse({ type: SubscriberView, headers: ETAG_DOCS })
  @ApiProblems(
    new SubscriberNotFoundError(EXAMPLE),
    new ResubscribeRefusedError('unsubscribed'),
    412,
    413,
    415,
  )
  async change(
    @GroupParam() group: GroupName,
    @SubscriberParam() key: SubscriberKey,
    @Body() patch: SubscriberPatch,
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubscriberView> {
    const subscriber = await this.service.change(group, key, patch, ifVersion);
    reply.header('etag', etagOf(subscriber.version));
    return viewSubscriber(subscriber);
  }

  @Post(':email/confirmation')
  @Needs('sender')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Ask a pending subscriber once more to confirm',
    description:
      'Of a group with "opt_in": "double", whoever is added gets one such mail by itself. At most three are sent, ten minutes apart; who does not confirm within CONFIRM_WITHIN (7 days) is taken out of the group.',
  })
  @ApiParam(SUBSCRIBER_PARAM_DOCS)
  @ApiAcceptedResponse({ description: 'The mail is sent by a worker.', type: SubscriberView })
  @ApiProblems(new SubscriberNotFoundError(EXAMPLE), new NotPendingError())
  async confirmAgain(
    @GroupParam() group: GroupName,
    @SubscriberParam() key: SubscriberKey,
  ): Promise<SubscriberView> {
    await this.confirmations.requestAgain(group, key);
    return viewSubscriber(await this.service.get(group, key));
  }

  @Delete(':email')
  @Needs('sender')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Remove a subscriber',
    description:
      'Takes them out of the group; the consent record stays. To keep somebody from being written to, set the status to unsubscribed instead.',
  })
  @ApiParam(SUBSCRIBER_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiNoContentResponse()
  @ApiProblems(new SubscriberNotFoundError(EXAMPLE), 412)
  async remove(
    @GroupParam() group: GroupName,
    @SubscriberParam() key: SubscriberKey,
    @IfMatch() ifVersion: number | undefined,
  ): Promise<void> {
    await this.service.remove(group, key, ifVersion);
  }
}

import { Body, Controller, Delete, Get, Headers, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import {
  ApiBody,
  ApiCreatedResponse,
  ApiHeader,
  ApiOkResponse,
  ApiOperation,
  ApiParam,
  ApiTags,
} from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { GroupStore } from '../groups/group-store.ts';
import { type GroupName, GroupNotFoundError, parseGroupName } from '../groups/group.ts';
import { GROUP_PARAM_DOCS, GroupParam } from '../groups/params.ts';
import { Needs } from '../platform/auth/roles.ts';
import { Clock } from '../platform/clock/clock.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ETAG_DOCS, etagOf, IF_MATCH_DOCS, IfMatch } from '../platform/http/etag.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { type MessagePage, MessageStore } from './message-store.ts';
import {
  MESSAGE_BODY_EXAMPLES,
  MESSAGE_PATCH_EXAMPLES,
  MessageBody,
  MessageListQuery,
  MessagePatch,
  readDraft,
  readRedraft,
  type ReadTime,
  readTimeRange,
  RetryQuery,
} from './message.dto.ts';
import {
  isMessageKey,
  type Message,
  type MessageKey,
  MessageExpiredError,
  MessageNotFoundError,
  MessageStatusConflictError,
} from './message.ts';
import { MessageView, ScheduledView, viewMessage } from './message-view.ts';
import { MESSAGE_PARAM_DOCS, MessageParam } from './params.ts';
import { Planner } from './planner.ts';
import { PlanView, viewPlan } from './plan-view.ts';
import { IdempotencyKeyReusedError, ScheduleService } from './schedule.service.ts';
import { PREVIEW_EXAMPLES, PreviewBody, PreviewView } from './series.dto.ts';
import { TimePreview } from './time-preview.ts';
import { TimeReader } from './time-reader.ts';
import { readIdempotencyKey } from './idempotency-key.ts';

const EXAMPLE = parseGroupName('serverless');

@ApiTags('messages')
@ApiParam(GROUP_PARAM_DOCS)
@Controller(['v1/groups/:group/schedule', ':group/schedule'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class ScheduleController {
  constructor(
    private readonly service: ScheduleService,
    private readonly messages: MessageStore,
    private readonly groups: GroupStore,
    private readonly times: TimeReader,
    private readonly preview: TimePreview,
    private readonly planner: Planner,
    private readonly cursors: PageCursors,
    private readonly clock: Clock,
  ) {}

  @Post()
  @Needs('sender')
  @ApiOperation({
    summary: 'Schedule a message',
    description:
      'Durable once it is answered. What lies further in the past than the grace allows is stored and held, unless on_missed says otherwise; nothing stale goes out by surprise.',
  })
  @ApiHeader({
    name: 'Idempotency-Key',
    required: false,
    description: 'The same key and message again within a day: the same answer, and nothing is stored twice.',
    schema: { type: 'string', pattern: '^[!-~]{1,255}$' },
  })
  @ApiBody({ type: MessageBody, examples: MESSAGE_BODY_EXAMPLES })
  @ApiCreatedResponse({
    description: 'The message is stored.',
    type: ScheduledView,
    headers: {
      ...ETAG_DOCS,
      Location: { description: 'The path of the message.', schema: { type: 'string' } },
    },
  })
  @ApiProblems(413, 415, new IdempotencyKeyReusedError())
  async schedule(
    @GroupParam() group: GroupName,
    @Body() body: MessageBody,
    @Headers('idempotency-key') idempotencyKey: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const { key, answer } = await this.service.schedule(
      group,
      await readDraft(body, this.#timesIn(group), (scheduleOn, repeat) =>
        this.times.readRecurrence(group, scheduleOn, repeat),
      ),
      readIdempotencyKey(idempotencyKey),
    );
    reply
      .header('location', `/v1/groups/${group}/schedule/${key}`)
      .header('etag', etagOf(1))
      .type('application/json');
    return answer; // as it was stored for repetitions
  }

  @Post('preview-times')
  @HttpCode(200)
  @ApiOperation({
    summary: 'See when it would go out',
    description:
      'The next times of a schedule_on, repeated or not, or the waves of a local_delivery, with the reason where a change of the clocks bends one. Nothing is stored.',
  })
  @ApiBody({ type: PreviewBody, examples: PREVIEW_EXAMPLES })
  @ApiOkResponse({ type: PreviewView })
  @ApiProblems(413, 415)
  async previewTimes(@GroupParam() group: GroupName, @Body() body: PreviewBody): Promise<PreviewView> {
    return this.preview.preview(group, body);
  }

  @Get()
  @ApiOperation({ summary: 'List the messages', description: 'In order of time.' })
  @ApiList(MessageView)
  @ApiProblems(new GroupNotFoundError(EXAMPLE))
  async list(@GroupParam() group: GroupName, @Query() query: MessageListQuery): Promise<Page<MessageView>> {
    const purpose = `schedule/${group}`;
    const found = await this.messages.list(group, {
      ...readTimeRange(query),
      after: query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor)),
      limit: query.limit + 1,
      statuses: query.status,
    });
    if (found.length === 0 && !(await this.groups.find(group))) {
      throw new GroupNotFoundError(group);
    }
    const now = this.clock.now();
    const waits = new Map<MessageKey, Temporal.Instant | undefined>();
    for (const message of found) {
      waits.set(message.key, await this.#waitingUntil(message));
    }
    const show = (message: Message): MessageView => viewMessage(message, now, waits.get(message.key));
    return pageOf(found, query.limit, show, (last) => this.cursors.seal(purpose, positionOf(last)));
  }

  @Get(':key')
  @ApiOperation({ summary: 'Read a message', description: 'With its counts and latencies.' })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiOkResponse({ type: MessageView, headers: ETAG_DOCS })
  @ApiProblems(new MessageNotFoundError(EXAMPLE))
  async read(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<MessageView> {
    return this.#answer(reply, await this.service.get(group, key));
  }

  @Get(':key/plan')
  @ApiOperation({
    summary: 'When a message goes to whom',
    description:
      'Computed anew from the zones of the active subscribers and the send window of the group, so it changes with them.',
  })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiOkResponse({ type: PlanView })
  @ApiProblems(new MessageNotFoundError(EXAMPLE))
  async readPlan(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
  ): Promise<PlanView> {
    return viewPlan(await this.planner.plan(await this.service.get(group, key)));
  }

  @Get(':key/content')
  @ApiOperation({
    summary: 'Read the content of a message',
    description: "Exactly the bytes that are stored: their SHA-256 is the message's content.sha256.",
  })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiOkResponse({
    content: {
      'application/json': {
        schema: { type: 'object' },
        example: {
          subject: 'Hello SLS workshop!',
          body: 'The workshop is not recorded.<h1>Welcome dear friends</h1>',
          text: null,
          template: 'none',
          from: null,
          reply_to: null,
        },
      },
    },
  })
  @ApiProblems(new MessageNotFoundError(EXAMPLE))
  async readContent(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const message = await this.service.get(group, key);
    const content = await this.messages.readContent(message);
    await reply
      .header('content-type', 'application/json')
      .header('etag', `"${message.content.sha256}"`)
      .send(content);
  }

  @Patch(':key')
  @Needs('sender')
  @ApiOperation({ summary: 'Change a message', description: 'Until it begins to be sent.' })
  @ApiBody({ type: MessagePatch, examples: MESSAGE_PATCH_EXAMPLES })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: MessageView, headers: ETAG_DOCS })
  @ApiProblems(
    new MessageNotFoundError(EXAMPLE),
    new MessageStatusConflictError('cancelled', 'changed'),
    412,
    413,
    415,
  )
  async change(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @Body() patch: MessagePatch,
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<MessageView> {
    return this.#answer(
      reply,
      await this.service.change(group, key, await readRedraft(patch, this.#timesIn(group)), ifVersion),
    );
  }

  @Delete(':key')
  @Needs('sender')
  @ApiOperation({
    summary: 'Cancel a message',
    description: 'What has not been handed over by now is not sent; the counts say what had gone.',
  })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: MessageView, headers: ETAG_DOCS })
  @ApiProblems(new MessageNotFoundError(EXAMPLE), new MessageStatusConflictError('sent', 'cancelled'), 412)
  async cancel(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<MessageView> {
    return this.#answer(reply, await this.service.cancel(group, key, ifVersion));
  }

  @Post(':key/pause')
  @Needs('sender')
  @HttpCode(200)
  @ApiOperation({ summary: 'Pause a message', description: 'Before it is sent, or in the middle.' })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: MessageView, headers: ETAG_DOCS })
  @ApiProblems(new MessageNotFoundError(EXAMPLE), new MessageStatusConflictError('cancelled', 'paused'), 412)
  async pause(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<MessageView> {
    return this.#answer(reply, await this.service.pause(group, key, ifVersion));
  }

  @Post(':key/resume')
  @Needs('sender')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Resume a message that is paused, held or failed',
    description: 'It goes on from where it was; where its time has passed, at once.',
  })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: MessageView, headers: ETAG_DOCS })
  @ApiProblems(new MessageNotFoundError(EXAMPLE), new MessageStatusConflictError('cancelled', 'resumed'), 412)
  async resume(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<MessageView> {
    return this.#answer(reply, await this.service.resume(group, key, ifVersion));
  }

  @Post(':key/retry')
  @Needs('sender')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Try again what failed',
    description:
      'The deliveries of this outcome, and batches that were set aside; nobody else is written to. Those that are unknown may arrive twice.',
  })
  @ApiParam(MESSAGE_PARAM_DOCS)
  @ApiHeader(IF_MATCH_DOCS)
  @ApiOkResponse({ type: MessageView, headers: ETAG_DOCS })
  @ApiProblems(
    new MessageNotFoundError(EXAMPLE),
    new MessageStatusConflictError('cancelled', 'retried'),
    new MessageExpiredError(Temporal.Instant.from('2026-11-24T14:10:00Z')),
    412,
  )
  async retry(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @Query() { outcome }: RetryQuery,
    @IfMatch() ifVersion: number | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<MessageView> {
    return this.#answer(reply, await this.service.retry(group, key, outcome, ifVersion));
  }

  #timesIn(group: GroupName): ReadTime {
    return (input, pointer, dst) => this.times.read(group, input, pointer, dst);
  }

  async #answer(reply: FastifyReply, message: Message): Promise<MessageView> {
    reply.header('etag', etagOf(message.version));
    return viewMessage(message, this.clock.now(), await this.#waitingUntil(message));
  }

  async #waitingUntil(message: Message): Promise<Temporal.Instant | undefined> {
    return message.status === 'sending' ? this.planner.waitingUntil(message, this.clock.now()) : undefined;
  }
}

function positionOf(message: Message): readonly [number, MessageKey] {
  return [message.scheduleOn.epochMilliseconds, message.key];
}

/** Cursors are signed, so another position is a defect. */
function readPosition(position: unknown): MessagePage['after'] {
  const pair: readonly unknown[] = Array.isArray(position) ? position : [];
  const ms = pair[0];
  const key = pair[1];
  if (typeof ms !== 'number' || typeof key !== 'string' || !isMessageKey(key)) {
    throw new Error('A signed cursor of a list of messages has no position in it.');
  }
  return { scheduleOn: Temporal.Instant.fromEpochMilliseconds(ms), key };
}

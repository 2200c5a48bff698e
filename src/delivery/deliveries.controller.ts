import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiTags } from '@nestjs/swagger';
import { type GroupName, parseGroupName } from '../groups/group.ts';
import { GROUP_PARAM_DOCS, GroupParam, SUBSCRIBER_PARAM_DOCS, SubscriberParam } from '../groups/params.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import { isSubscriberKey, type SubscriberKey } from '../groups/subscriber.ts';
import { Needs } from '../platform/auth/roles.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import { ApiProblems } from '../platform/http/api-problems.ts';
import { ApiList } from '../platform/http/list-docs.ts';
import { type Page, pageOf } from '../platform/http/list-query.ts';
import { PageCursors } from '../platform/http/page-cursor.ts';
import { type MessageKey, MessageNotFoundError } from '../schedule/message.ts';
import { MESSAGE_PARAM_DOCS, MessageParam } from '../schedule/params.ts';
import { ScheduleService } from '../schedule/schedule.service.ts';
import { DeliveryListQuery, DeliveryView, viewDelivery } from './delivery.dto.ts';
import { DeliveryStore } from './delivery-store.ts';

export class DeliveryNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'delivery-not-found';

  constructor(options?: ErrorOptions) {
    super('This message has no delivery to this subscriber.', options);
  }
}

@ApiTags('deliveries')
@ApiParam(GROUP_PARAM_DOCS)
@ApiParam(MESSAGE_PARAM_DOCS)
@Controller(['v1/groups/:group/schedule/:key/deliveries', ':group/schedule/:key/deliveries'])
@Needs('reader')
@ApiProblems(400, 401, 403, 503)
export class DeliveriesController {
  constructor(
    private readonly schedule: ScheduleService,
    private readonly deliveries: DeliveryStore,
    private readonly subscribers: SubscriberStore,
    private readonly cursors: PageCursors,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List the deliveries of a message',
    description:
      'Who got it, when, and what the provider calls it; in order of address. Those not worked yet are not in it.',
  })
  @ApiList(DeliveryView)
  @ApiProblems(new MessageNotFoundError(parseGroupName('serverless')))
  async list(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @Query() query: DeliveryListQuery,
  ): Promise<Page<DeliveryView>> {
    const message = await this.schedule.get(group, key);
    const purpose = `deliveries/${message.key}`;
    const found = await this.deliveries.listDeliveries(message.key, {
      after: query.cursor === undefined ? undefined : readPosition(this.cursors.open(purpose, query.cursor)),
      limit: query.limit + 1,
      outcome: query.outcome,
    });
    return pageOf(found, query.limit, viewDelivery, (last) => this.cursors.seal(purpose, last.key));
  }

  @Get(':email')
  @ApiOperation({ summary: 'Read one delivery', description: 'Did this subscriber get it?' })
  @ApiParam(SUBSCRIBER_PARAM_DOCS)
  @ApiOkResponse({ type: DeliveryView })
  @ApiProblems(new DeliveryNotFoundError())
  async read(
    @GroupParam() group: GroupName,
    @MessageParam() key: MessageKey | 'latest',
    @SubscriberParam() subscriberKey: SubscriberKey,
  ): Promise<DeliveryView> {
    const message = await this.schedule.get(group, key);
    const delivery = await this.deliveries.findDelivery(message.key, subscriberKey);
    return delivery ? viewDelivery(delivery) : this.#viewPending(group, message.key, subscriberKey);
  }

  /** Whoever is in a batch that has not come to them yet. */
  async #viewPending(group: GroupName, messageKey: MessageKey, key: SubscriberKey): Promise<DeliveryView> {
    const batch = await this.deliveries.findBatch(messageKey, key);
    const subscriber = await this.subscribers.find(group, key);
    if (!batch || !subscriber || Temporal.Instant.compare(subscriber.joinedAt, batch.cutAt) > 0) {
      throw new DeliveryNotFoundError();
    }
    return {
      subscriber: subscriber.email,
      outcome: null,
      at: null,
      attempt: 0,
      unknown_attempts: 0,
      provider_id: null,
      reason: null,
      delivered_at: null,
      feedback: [],
    };
  }
}

/** Cursors are signed, so another position is a defect. */
export function readPosition(position: unknown): SubscriberKey {
  if (typeof position !== 'string' || !isSubscriberKey(position)) {
    throw new Error('A signed cursor of a list of deliveries has no address in it.');
  }
  return position;
}

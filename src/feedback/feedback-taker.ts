import { Injectable } from '@nestjs/common';
import { Brake } from '../delivery/brake.ts';
import { DeliveryStore } from '../delivery/delivery-store.ts';
import { afterFeedback } from '../delivery/feedback.ts';
import { originOf } from '../groups/consent.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import { SubscriberNotFoundError, type SubscriberStatus } from '../groups/subscriber.ts';
import { Suppressions } from '../groups/suppressions.ts';
import { Clock } from '../platform/clock/clock.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { Log } from '../platform/logging/log.ts';
import { MessageStore } from '../schedule/message-store.ts';
import type { FeedbackEvent, FeedbackResult } from './feedback-event.ts';
import { FeedbackMetrics } from './feedback-metrics.ts';

type Ending = Extract<SubscriberStatus, 'bounced' | 'complained'>;

// Who stands further behind has more reason not to be written to: no event puts anybody back.
const RANKS: readonly SubscriberStatus[] = ['pending', 'active', 'bounced', 'unsubscribed', 'complained'];

/** Does what follows from feedback: to the subscriber, to the list of those who get nothing, to the ledger, and to the message. */
@Injectable()
export class FeedbackTaker {
  constructor(
    private readonly messages: MessageStore,
    private readonly deliveries: DeliveryStore,
    private readonly subscribers: SubscriberStore,
    private readonly suppressions: Suppressions,
    private readonly brake: Brake,
    private readonly metrics: FeedbackMetrics,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Events may come in any order, more than once and side by side: the state is the same in the end. The ledger comes last, so that an
   * event that is taken again after a crash still has its effects; one that the ledger has is known by that, and does nothing to whoever
   * was made active again since.
   */
  async take(event: FeedbackEvent): Promise<FeedbackResult> {
    const { group, messageKey } = event;
    const result = await this.#take(event);
    if (result === 'recorded') {
      this.metrics.count(event.kind);
      this.log.info('feedback.recorded', { message_key: messageKey, group, kind: event.kind });
    }
    if ((result === 'recorded' || result === 'repeated') && isAgainstSender(event.kind)) {
      await this.brake.check({ group, key: messageKey });
    }
    return result;
  }

  async #take(event: FeedbackEvent): Promise<FeedbackResult> {
    const { group, messageKey, subscriber, kind } = event;
    if (!(await this.messages.find(group, messageKey))) {
      return 'unmatched';
    }
    const delivery = await this.deliveries.findDelivery(messageKey, subscriber);
    if (!delivery?.outcome) {
      return delivery || (await this.deliveries.findBatch(messageKey, subscriber)) ? 'pending' : 'unmatched';
    }
    if (afterFeedback(delivery, event) === delivery) {
      return 'repeated';
    }
    if (isAgainstSender(kind)) {
      await this.#end(event, kind);
    }
    return this.deliveries.recordFeedback({ group, messageKey }, subscriber, event);
  }

  /** Nothing more is sent to this address. A second run changes nothing. */
  async #end(event: FeedbackEvent, ending: Ending): Promise<void> {
    const { subscriber, detail } = event;
    await this.#markSubscriber(event, ending);
    await this.suppressions.add({ subscriber, reason: ending, detail, addedAt: this.clock.now() });
  }

  /** Does nothing where they have left the group. */
  async #markSubscriber(
    { group, messageKey, subscriber: key, detail }: FeedbackEvent,
    ending: Ending,
  ): Promise<void> {
    for (;;) {
      const subscriber = await this.subscribers.find(group, key);
      if (!subscriber || RANKS.indexOf(subscriber.status) >= RANKS.indexOf(ending)) {
        return;
      }
      try {
        const origin = originOf('feedback', { reason: detail, messageKey });
        const consent = { ...origin, what: ending, at: this.clock.now() };
        await this.subscribers.change(group, key, { status: ending, consent }, subscriber.version);
        return;
      } catch (error) {
        if (!(error instanceof VersionMismatchError) && !(error instanceof SubscriberNotFoundError)) {
          throw error;
        }
      }
    }
  }
}

function isAgainstSender(kind: FeedbackEvent['kind']): kind is Ending {
  return kind === 'bounced' || kind === 'complained';
}

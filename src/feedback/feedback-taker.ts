import { Injectable } from '@nestjs/common';
import { Brake } from '../delivery/brake.ts';
import { DeliveryMetrics } from '../delivery/delivery-metrics.ts';
import { DeliveryStore } from '../delivery/delivery-store.ts';
import { afterFeedback } from '../delivery/feedback.ts';
import { type Ending, Suppressor } from '../groups/suppressor.ts';
import { Log } from '../platform/logging/log.ts';
import { MessageStore } from '../schedule/message-store.ts';
import type { FeedbackEvent, FeedbackResult } from './feedback-event.ts';

/** Does what follows from feedback: to the subscriber, to the list of those who get nothing, to the ledger, and to the message. */
@Injectable()
export class FeedbackTaker {
  constructor(
    private readonly messages: MessageStore,
    private readonly deliveries: DeliveryStore,
    private readonly suppressor: Suppressor,
    private readonly brake: Brake,
    private readonly metrics: DeliveryMetrics,
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
      this.metrics.countFeedback(event.kind);
      this.log.info('feedback.recorded', { message_key: messageKey, group, kind: event.kind });
    }
    if ((result === 'recorded' || result === 'repeated') && isAgainstSender(event.kind)) {
      await this.brake.check({ group, key: messageKey });
    }
    return result;
  }

  async #take(event: FeedbackEvent): Promise<FeedbackResult> {
    const { group, messageKey, subscriber, kind, detail } = event;
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
      await this.suppressor.end({ group, subscriber, ending: kind, detail, messageKey });
    }
    return this.deliveries.recordFeedback({ group, messageKey }, subscriber, event);
  }
}

function isAgainstSender(kind: FeedbackEvent['kind']): kind is Ending {
  return kind === 'bounced' || kind === 'complained';
}

import { Injectable } from '@nestjs/common';
import { DeliveryStore } from '../delivery/delivery-store.ts';
import { justBefore, type ReturnPath, ReturnPaths } from '../delivery/return-paths.ts';
import { isSubscriberKey, type SubscriberKey } from '../groups/subscriber.ts';
import type { FeedbackEvent, FeedbackResult } from './feedback-event.ts';

// Of deliveries whose addresses begin with the same seven characters, looked at together.
const PAGE = 500;

/** Finds the delivery that a return path is of, among those whose addresses begin as it says. */
@Injectable()
export class ReturnPathReader {
  constructor(
    private readonly returnPaths: ReturnPaths,
    private readonly deliveries: DeliveryStore,
  ) {}

  /** `unmatched` where Belfry has not made it; `pending` where it has, and the ledger does not have the delivery yet. */
  async find(
    address: string,
  ): Promise<
    | Pick<FeedbackEvent, 'group' | 'messageKey' | 'subscriber'>
    | Extract<FeedbackResult, 'unmatched' | 'pending'>
  > {
    const path = this.returnPaths.read(address);
    if (!path) {
      return 'unmatched';
    }
    const { messageKey } = path;
    const page = { after: undefined, limit: 1, state: undefined };
    const [batch] = await this.deliveries.listBatches(messageKey, page);
    if (!batch) {
      return 'unmatched'; // the ledger is kept for a year
    }
    const subscriber = await this.#findSubscriber(path);
    return subscriber === undefined ? 'pending' : { group: batch.group, messageKey, subscriber };
  }

  async #findSubscriber(path: ReturnPath): Promise<SubscriberKey | undefined> {
    const { messageKey, beginning } = path;
    if (isSubscriberKey(beginning) && path.isOf(beginning)) {
      return beginning;
    }
    let after = justBefore(beginning);
    for (;;) {
      const found = await this.deliveries.listDeliveries(messageKey, {
        after,
        limit: PAGE,
        outcome: undefined,
      });
      const keys = found.map(({ key }) => key).filter((key) => key.startsWith(beginning));
      const match = keys.find((key) => path.isOf(key));
      const last = keys.at(-1);
      if (match !== undefined || last === undefined || keys.length < PAGE) {
        return match;
      }
      after = last;
    }
  }
}

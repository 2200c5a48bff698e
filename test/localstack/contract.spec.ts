import { describe } from 'vitest';
import { describeDeliveryStore } from '../contract/delivery-store.contract.ts';
import { describeGroupStore } from '../contract/group-store.contract.ts';
import { describeMessageStore } from '../contract/message-store.contract.ts';
import { openAws } from '../contract/open-aws.ts';
import { describeRetry } from '../contract/retry.contract.ts';
import { describeSubscriberStore } from '../contract/subscriber-store.contract.ts';
import { describeWorkQueue } from '../contract/work-queue.contract.ts';

describe('the engine aws', () => {
  describeGroupStore(openAws);
  describeSubscriberStore(openAws);
  describeMessageStore(openAws);
  describeDeliveryStore(openAws);
  describeRetry(openAws);
  describeWorkQueue(openAws);
});

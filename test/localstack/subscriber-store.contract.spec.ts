import { describe } from 'vitest';
import { describeSubscriberStore } from '../contract/subscriber-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeSubscriberStore(openAwsStores);
});

import { describe } from 'vitest';
import { describeSubscriberStore } from '../contract/subscriber-store.contract.ts';
import { openAws } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeSubscriberStore(openAws);
});

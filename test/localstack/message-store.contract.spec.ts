import { describe } from 'vitest';
import { describeMessageStore } from '../contract/message-store.contract.ts';
import { openAws } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeMessageStore(openAws);
});

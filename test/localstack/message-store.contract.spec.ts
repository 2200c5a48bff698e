import { describe } from 'vitest';
import { describeMessageStore } from '../contract/message-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeMessageStore(openAwsStores);
});

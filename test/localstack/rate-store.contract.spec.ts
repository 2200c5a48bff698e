import { describe } from 'vitest';
import { openAws } from '../contract/open-aws.ts';
import { describeRateStore } from '../contract/rate-store.contract.ts';

describe('the engine aws', () => {
  describeRateStore(openAws);
});

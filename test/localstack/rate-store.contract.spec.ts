import { describe } from 'vitest';
import { openAwsStores } from '../contract/open-aws.ts';
import { describeRateStore } from '../contract/rate-store.contract.ts';

describe('the engine aws', () => {
  describeRateStore(openAwsStores);
});

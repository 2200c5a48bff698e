import { describe } from 'vitest';
import { openAwsStores } from '../contract/open-aws.ts';
import { describeRetry } from '../contract/retry.contract.ts';

describe('the engine aws', () => {
  describeRetry(openAwsStores);
});

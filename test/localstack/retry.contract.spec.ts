import { describe } from 'vitest';
import { openAws } from '../contract/open-aws.ts';
import { describeRetry } from '../contract/retry.contract.ts';

describe('the engine aws', () => {
  describeRetry(openAws);
});

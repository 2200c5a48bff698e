import { describe } from 'vitest';
import { describeWorkQueue } from '../contract/work-queue.contract.ts';
import { openAws } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeWorkQueue(openAws);
});

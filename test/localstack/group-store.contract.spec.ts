import { describe } from 'vitest';
import { describeGroupStore } from '../contract/group-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeGroupStore(openAwsStores);
});

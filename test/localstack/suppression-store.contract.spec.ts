import { describe } from 'vitest';
import { describeSuppressionStore } from '../contract/suppression-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeSuppressionStore(openAwsStores);
});

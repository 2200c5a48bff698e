import { describe } from 'vitest';
import { describeDeliveryStore } from '../contract/delivery-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeDeliveryStore(openAwsStores);
});

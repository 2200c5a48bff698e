import { describe } from 'vitest';
import { openAws } from '../contract/open-aws.ts';
import { describeDeliveryFlow } from '../flow/delivery.flow.ts';

describe('the engine aws', () => {
  describeDeliveryFlow(openAws);
});

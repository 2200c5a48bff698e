import { describe } from 'vitest';
import { describeConfirmationStore } from '../contract/confirmation-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeConfirmationStore(openAwsStores);
});

import { describe } from 'vitest';
import { describeConfirmationStore } from '../contract/confirmation-store.contract.ts';
import { openAws } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeConfirmationStore(openAws);
});

import { describe } from 'vitest';
import { describeConsentStore } from '../contract/consent-store.contract.ts';
import { openAws } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeConsentStore(openAws);
});

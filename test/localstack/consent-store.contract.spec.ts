import { describe } from 'vitest';
import { describeConsentStore } from '../contract/consent-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeConsentStore(openAwsStores);
});

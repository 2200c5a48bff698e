import { describe } from 'vitest';
import { describeImportStore } from '../contract/import-store.contract.ts';
import { openAwsStores } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeImportStore(openAwsStores);
});

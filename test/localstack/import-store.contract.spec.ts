import { describe } from 'vitest';
import { describeImportStore } from '../contract/import-store.contract.ts';
import { openAws } from '../contract/open-aws.ts';

describe('the engine aws', () => {
  describeImportStore(openAws);
});

import { describe } from 'vitest';
import { openAwsStores } from '../contract/open-aws.ts';
import { describeSeriesStore } from '../contract/series-store.contract.ts';

describe('the engine aws', () => {
  describeSeriesStore(openAwsStores);
});

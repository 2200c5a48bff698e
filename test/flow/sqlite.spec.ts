import { describe } from 'vitest';
import { openSqlite } from '../contract/open-sqlite.ts';
import { describeDeliveryFlow } from './delivery.flow.ts';
import { describeWaves } from './waves.flow.ts';

describe('the embedded engine', () => {
  describeDeliveryFlow(openSqlite);
  describeWaves(openSqlite);
});

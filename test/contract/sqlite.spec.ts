import { describe } from 'vitest';
import { describeConfirmationStore } from './confirmation-store.contract.ts';
import { describeConsentStore } from './consent-store.contract.ts';
import { describeDeliveryStore } from './delivery-store.contract.ts';
import { describeGroupStore } from './group-store.contract.ts';
import { describeImportStore } from './import-store.contract.ts';
import { describeMessageStore } from './message-store.contract.ts';
import { openSqlite } from './open-sqlite.ts';
import { describeRateStore } from './rate-store.contract.ts';
import { describeRetry } from './retry.contract.ts';
import { describeSeriesStore } from './series-store.contract.ts';
import { describeSubscriberStore } from './subscriber-store.contract.ts';
import { describeSuppressionStore } from './suppression-store.contract.ts';
import { describeWorkQueue } from './work-queue.contract.ts';

describe('the embedded engine', () => {
  describeGroupStore(openSqlite);
  describeSubscriberStore(openSqlite);
  describeSuppressionStore(openSqlite);
  describeConsentStore(openSqlite);
  describeConfirmationStore(openSqlite);
  describeImportStore(openSqlite);
  describeMessageStore(openSqlite);
  describeSeriesStore(openSqlite);
  describeDeliveryStore(openSqlite);
  describeRateStore(openSqlite);
  describeRetry(openSqlite);
  describeWorkQueue(openSqlite);
});

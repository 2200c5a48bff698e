import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SqliteConfirmationStore } from '../../src/engines/sqlite/confirmation-store.ts';
import { SqliteConsentStore } from '../../src/engines/sqlite/consent-store.ts';
import { SqliteDeliveryStore } from '../../src/engines/sqlite/delivery-store.ts';
import { SqliteGroupStore } from '../../src/engines/sqlite/group-store.ts';
import { SqliteImportStore } from '../../src/engines/sqlite/import-store.ts';
import { SqliteMessageStore } from '../../src/engines/sqlite/message-store.ts';
import { SqliteRateStore } from '../../src/engines/sqlite/rate-store.ts';
import { SqliteDatabase } from '../../src/engines/sqlite/sqlite-database.ts';
import { SqliteSeriesStore } from '../../src/engines/sqlite/series-store.ts';
import { SqliteSubscriberStore } from '../../src/engines/sqlite/subscriber-store.ts';
import { SqliteSuppressionStore } from '../../src/engines/sqlite/suppression-store.ts';
import { SqliteWorkQueue } from '../../src/engines/sqlite/work-queue.ts';
import { anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { Engine } from './engine.ts';

export interface SqliteEngine extends Engine {
  /** For what a test must do to the file itself. */
  readonly database: SqliteDatabase;
}

/** The embedded engine, on a file of its own. */
export async function openSqlite(): Promise<SqliteEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-engine-'));
  const database = new SqliteDatabase(join(folder, 'belfry.db'));
  const clock = new ManualClock(anInstant());
  return {
    groups: new SqliteGroupStore(database, clock),
    subscribers: new SqliteSubscriberStore(database),
    suppressions: new SqliteSuppressionStore(database),
    consents: new SqliteConsentStore(database),
    confirmations: new SqliteConfirmationStore(database),
    imports: new SqliteImportStore(database, join(folder, 'imports')),
    messages: new SqliteMessageStore(database),
    series: new SqliteSeriesStore(database),
    deliveries: new SqliteDeliveryStore(database),
    queue: new SqliteWorkQueue(database, clock),
    rates: new SqliteRateStore(database),
    clock,
    database,
    close: async () => {
      database.close();
      await rm(folder, { recursive: true });
    },
  };
}

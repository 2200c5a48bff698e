import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Global, Module, type OnApplicationShutdown } from '@nestjs/common';
import { DeliveryStore } from '../../delivery/delivery-store.ts';
import { RateStore } from '../../delivery/rate/rate-store.ts';
import { WorkQueue } from '../../delivery/work-queue.ts';
import { ConfirmationStore } from '../../groups/confirmation-store.ts';
import { ConsentStore } from '../../groups/consent-store.ts';
import { GroupStore } from '../../groups/group-store.ts';
import { ImportStore } from '../../groups/imports/import-store.ts';
import { SubscriberStore } from '../../groups/subscriber-store.ts';
import { SuppressionStore } from '../../groups/suppression-store.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { Metrics } from '../../platform/metrics/metrics.ts';
import { Readiness } from '../../platform/health/readiness.ts';
import { MessageStore } from '../../schedule/message-store.ts';
import { SeriesStore } from '../../schedule/series-store.ts';
import { DataLock } from './data-lock.ts';
import { endLeases } from './end-leases.ts';
import { SqliteDeliveryStore } from './delivery-store.ts';
import { SqliteConfirmationStore } from './confirmation-store.ts';
import { SqliteConsentStore } from './consent-store.ts';
import { SqliteGroupStore } from './group-store.ts';
import { SqliteImportStore } from './import-store.ts';
import { SqliteMessageStore } from './message-store.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { SqliteRateStore } from './rate-store.ts';
import { SqliteSeriesStore } from './series-store.ts';
import { SqliteSubscriberStore } from './subscriber-store.ts';
import { SqliteSuppressionStore } from './suppression-store.ts';
import { SqliteWorkQueue } from './work-queue.ts';

/** The file and the right to it, for as long as the application runs. */
class SqliteEngine implements OnApplicationShutdown {
  readonly database: SqliteDatabase;
  readonly #lock: DataLock;

  constructor(dataDir: string, now: Temporal.Instant, metrics: Metrics) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.#lock = new DataLock(join(dataDir, 'belfry.lock'), now);
    this.database = new SqliteDatabase(join(dataDir, 'belfry.db'), metrics);
  }

  onApplicationShutdown(): void {
    this.database.close();
    this.#lock.release();
  }
}

/** The embedded engine: every store in one file under DATA_DIR. */
@Global()
@Module({
  providers: [
    {
      provide: SqliteEngine,
      useFactory: async (settings: Settings, clock: Clock, metrics: Metrics): Promise<SqliteEngine> => {
        const engine = new SqliteEngine(settings.dataDir, clock.now(), metrics);
        await endLeases(engine.database, clock.now());
        return engine;
      },
      inject: [Settings, Clock, Metrics],
    },
    {
      provide: SqliteDatabase,
      useFactory: (engine: SqliteEngine): SqliteDatabase => engine.database,
      inject: [SqliteEngine],
    },
    { provide: GroupStore, useClass: SqliteGroupStore },
    { provide: ConfirmationStore, useClass: SqliteConfirmationStore },
    { provide: ConsentStore, useClass: SqliteConsentStore },
    { provide: SubscriberStore, useClass: SqliteSubscriberStore },
    { provide: SuppressionStore, useClass: SqliteSuppressionStore },
    { provide: MessageStore, useClass: SqliteMessageStore },
    { provide: SeriesStore, useClass: SqliteSeriesStore },
    { provide: DeliveryStore, useClass: SqliteDeliveryStore },
    { provide: RateStore, useClass: SqliteRateStore },
    { provide: WorkQueue, useClass: SqliteWorkQueue },
    {
      provide: ImportStore,
      useFactory: (database: SqliteDatabase, settings: Settings): ImportStore =>
        new SqliteImportStore(database, join(settings.dataDir, 'imports')),
      inject: [SqliteDatabase, Settings],
    },
  ],
  exports: [
    GroupStore,
    ConfirmationStore,
    ConsentStore,
    SubscriberStore,
    ImportStore,
    SuppressionStore,
    MessageStore,
    SeriesStore,
    DeliveryStore,
    RateStore,
    WorkQueue,
  ],
})
export class SqliteEngineModule {
  constructor(readiness: Readiness, database: SqliteDatabase) {
    readiness.register({
      name: 'database',
      check: async () => {
        database.get('SELECT 1');
      },
    });
  }
}

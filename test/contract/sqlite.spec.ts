import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { SqliteDeliveryStore } from '../../src/engines/sqlite/delivery-store.ts';
import { SqliteGroupStore } from '../../src/engines/sqlite/group-store.ts';
import { SqliteMessageStore } from '../../src/engines/sqlite/message-store.ts';
import { SqliteDatabase } from '../../src/engines/sqlite/sqlite-database.ts';
import { SqliteSubscriberStore } from '../../src/engines/sqlite/subscriber-store.ts';
import { SqliteWorkQueue } from '../../src/engines/sqlite/work-queue.ts';
import { anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { describeDeliveryStore } from './delivery-store.contract.ts';
import type { Engine } from './engine.ts';
import { describeGroupStore } from './group-store.contract.ts';
import { describeMessageStore } from './message-store.contract.ts';
import { describeSubscriberStore } from './subscriber-store.contract.ts';
import { describeWorkQueue } from './work-queue.contract.ts';

async function openSqlite(): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-contract-'));
  const database = new SqliteDatabase(join(folder, 'belfry.db'));
  const clock = new ManualClock(anInstant());
  return {
    groups: new SqliteGroupStore(database, clock),
    subscribers: new SqliteSubscriberStore(database),
    messages: new SqliteMessageStore(database),
    deliveries: new SqliteDeliveryStore(database),
    queue: new SqliteWorkQueue(database, clock),
    clock,
    close: async () => {
      database.close();
      await rm(folder, { recursive: true });
    },
  };
}

describe('the embedded engine', () => {
  describeGroupStore(openSqlite);
  describeSubscriberStore(openSqlite);
  describeMessageStore(openSqlite);
  describeDeliveryStore(openSqlite);
  describeWorkQueue(openSqlite);
});

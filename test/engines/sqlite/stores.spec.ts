import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { endLeases } from '../../../src/engines/sqlite/end-leases.ts';
import { SqliteDatabase } from '../../../src/engines/sqlite/sqlite-database.ts';
import { DAY_MS, MINUTE_MS, plusMs, SECOND_MS } from '../../../src/platform/clock/clock.ts';
import { ContentDamagedError, type MessageKey } from '../../../src/schedule/message.ts';
import { openSqlite, type SqliteEngine } from '../../contract/open-sqlite.ts';
import {
  aProgress,
  aSettlement,
  at,
  claimBatch,
  claimMessage,
  dispatch,
  dispatchOne,
  LEASE_MS,
  read,
  schedule,
  startSending,
  termsOf,
} from '../../contract/steps.ts';
import { addresses, aGroupName, anInstant, aSealedContent } from '../../support/builders.ts';

/* What is SQLite's own, beyond the contract that every engine keeps. */

let engine: SqliteEngine;

beforeEach(async () => {
  engine = await openSqlite();
});
afterEach(async () => {
  await engine.close();
});

describe('readContent', () => {
  it.each([
    [
      'a bit of it has changed',
      `UPDATE contents SET content = CAST(replace(CAST(content AS TEXT), 'Hello', 'hello') AS BLOB)`,
    ],
    ['it was cut off', `UPDATE contents SET content = CAST(substr(CAST(content AS TEXT), 1, 10) AS BLOB)`],
    ['it is empty', `UPDATE contents SET content = x''`],
    ['it is missing', 'DELETE FROM contents'],
  ])('refuses content of which %s', async (_, damage) => {
    const message = await schedule(engine);
    await engine.database.write(() => engine.database.run(damage));

    const reading = engine.messages.readContent(message);

    await expect(reading).rejects.toThrow(ContentDamagedError);
  });

  it('does not take the content of one message for another\u2019s damage', async () => {
    const message = await schedule(engine);
    const damaged = await schedule(engine);
    await engine.database.write(() =>
      engine.database.run(`DELETE FROM contents WHERE message_key = :key`, { key: damaged.key }),
    );

    expect(await engine.messages.readContent(message)).toEqual(aSealedContent().bytes);
  });
});

describe('endLeases', () => {
  it('lets what a process held that is gone be claimed at once, and tells what was in flight', async () => {
    const { message, batch } = await dispatchOne(engine);
    await engine.deliveries.advance(await claimBatch(engine, batch), aProgress(engine, { next: batch }));
    engine.clock.advance(SECOND_MS);

    await endLeases(engine.database, engine.clock.now());

    expect((await claimMessage(engine, message, 'another')).lease?.token).toBe('another');
    expect((await claimBatch(engine, batch, 'another')).inFlight).toEqual({
      first: batch.first,
      last: batch.last,
      count: 3,
    });
  });

  it('wakes a message at work now that would have woken later', async () => {
    const { message } = await dispatchOne(engine);
    await engine.messages.rest(message.group, message.key, {
      token: 'dispatcher',
      wakeAt: plusMs(engine.clock.now(), MINUTE_MS),
      lookedAt: undefined,
    });

    await endLeases(engine.database, engine.clock.now());

    expect((await read(engine, message)).wakeAt).toEqual(engine.clock.now());
  });

  it('leaves a wake that came while nobody was there, so that it tells for how long', async () => {
    const { message } = await dispatchOne(engine);
    const wakeAt = plusMs(engine.clock.now(), MINUTE_MS);
    await engine.messages.rest(message.group, message.key, {
      token: 'dispatcher',
      wakeAt,
      lookedAt: undefined,
    });
    engine.clock.advance(2 * DAY_MS);

    await endLeases(engine.database, engine.clock.now());

    expect((await read(engine, message)).wakeAt).toEqual(wakeAt);
  });

  it('does nothing when it runs twice', async () => {
    const { message, batch } = await dispatchOne(engine);
    await claimBatch(engine, batch);
    await endLeases(engine.database, engine.clock.now());
    const before = await read(engine, message);

    await endLeases(engine.database, engine.clock.now());

    expect(await read(engine, message)).toEqual(before);
  });

  it.each(['scheduled', 'held', 'paused', 'failed', 'sent', 'cancelled', 'skipped'] as const)(
    'leaves a message alone that is %s and was not at work',
    async (status) => {
      const message = await schedule(engine, { status, scheduleOn: plusMs(anInstant(), DAY_MS) });

      await endLeases(engine.database, engine.clock.now());

      expect(await read(engine, message)).toEqual(message);
    },
  );

  it('wakes no message that was paused at work', async () => {
    const claimed = await startSending(engine);
    await engine.messages.change(claimed.group, claimed.key, claimed.version, {
      status: 'paused',
      wakeAt: undefined,
    });

    await endLeases(engine.database, engine.clock.now());

    expect((await read(engine, claimed)).wakeAt).toBeUndefined();
  });

  it('lets a batch that waits for its retry wait on', async () => {
    const { batch } = await dispatchOne(engine);
    const retryAt = plusMs(engine.clock.now(), MINUTE_MS);
    await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { retryAt }));

    await endLeases(engine.database, engine.clock.now());

    expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeUndefined();
  });
});

/** How SQLite goes about the queries that `call` makes. */
async function plansOf(call: () => Promise<unknown>): Promise<readonly string[]> {
  const all = vi.spyOn(SqliteDatabase.prototype, 'all');
  await call();
  const queries = all.mock.calls;
  all.mockRestore();
  return queries.flatMap(([sql, parameters]) =>
    engine.database.all(`EXPLAIN QUERY PLAN ${sql}`, parameters).map((step) => String(step['detail'])),
  );
}

describe('the cost of a scan', () => {
  it('does not depend on how many messages are stored: findWaking goes by the index of wakes', async () => {
    const plans = await plansOf(() => engine.messages.findWaking(anInstant(), 10));

    expect(plans).toEqual([
      'MERGE (UNION ALL)',
      'LEFT',
      'SEARCH messages USING INDEX messages_due (wake_at<?)',
      'RIGHT',
      'SEARCH series USING INDEX series_due (wake_at<?)',
    ]);
  });

  it('does not depend on how many batches are settled: findClaimable goes by the index of open ones', async () => {
    const { message } = await dispatchOne(engine);

    const plans = await plansOf(() =>
      engine.deliveries.findClaimable(message.key, anInstant(), {
        after: undefined,
        limit: 10,
        since: undefined,
      }),
    );

    expect(plans).toContain('SEARCH batches USING INDEX batches_open (message_key=? AND first_subscriber>?)');
    expect(plans.filter((plan) => plan.includes('SCAN'))).toEqual([]);
  });

  it('does not depend on how many messages or batches are stored: the work queue goes by both indexes', async () => {
    await dispatchOne(engine);

    const plans = await plansOf(() => engine.queue.pull(1, AbortSignal.abort()));

    expect(plans).toContain('SEARCH batches USING INDEX batches_open (message_key=? AND first_subscriber>?)');
    // Of an index that holds nothing but the messages at work.
    expect(plans.filter((plan) => plan.includes('USING INDEX messages_at_work'))).not.toEqual([]);
    expect(plans.filter((plan) => /SCAN|TEMP B-TREE/.test(plan))).toEqual([]);
  });

  const READINGS: readonly (readonly [string, () => Promise<unknown>])[] = [
    [
      'list',
      () =>
        engine.messages.list(aGroupName(), {
          after: undefined,
          limit: 10,
          statuses: undefined,
          from: undefined,
          to: undefined,
        }),
    ],
    ['findLatest', () => engine.messages.findLatest(aGroupName())],
    ['pageMembers', () => engine.subscribers.pageMembers(aGroupName(), undefined, 10)],
  ];

  it.each(READINGS)('does not depend on other groups: %s searches and sorts by an index', async (_, call) => {
    await schedule(engine);

    const plans = await plansOf(call);

    expect(plans.filter((plan) => /SCAN (?!json_each)|TEMP B-TREE/.test(plan))).toEqual([]);
  });
});

describe('SqliteWorkQueue', () => {
  const now = AbortSignal.abort(); // a pull that answers what there is, without waiting

  async function pullKeys(count: number): Promise<readonly MessageKey[]> {
    const keys: MessageKey[] = [];
    for (let pull = 0; pull < count; pull += 1) {
      keys.push(...(await engine.queue.pull(1, now)).map(({ pointer }) => pointer.messageKey));
    }
    return keys;
  }

  it.each([1, 2, 3])(
    'lets messages take turns when tasks are pulled %d at a time, so that a large one holds up no small one',
    async (limit) => {
      const large = await dispatch(engine, addresses(20), 1);
      const small = await dispatch(engine, addresses(2), 1, { dueAt: plusMs(anInstant(), SECOND_MS) });
      const pulled: MessageKey[] = [];

      while (pulled.length < 6) {
        pulled.push(...(await engine.queue.pull(limit, now)).map(({ pointer }) => pointer.messageKey));
      }

      expect(pulled.slice(0, 4).filter((key) => key === small.message.key)).toHaveLength(2);
      expect(pulled.slice(0, 4).filter((key) => key === large.message.key)).toHaveLength(2);
    },
  );

  it('goes on with the others when one has nothing left', async () => {
    const large = await dispatch(engine, addresses(4), 1);
    const small = await dispatch(engine, addresses(1), 1, { dueAt: plusMs(anInstant(), SECOND_MS) });

    const keys = await pullKeys(5);

    expect(keys.toSorted()).toEqual(
      [...Array.from({ length: 4 }, () => large.message.key), small.message.key].toSorted(),
    );
  });

  it('goes through more messages than it reads at a time, in order of their time, and begins again at the first', async () => {
    const messages: MessageKey[] = [];
    for (let number = 0; number < 20; number += 1) {
      const dueAt = plusMs(anInstant(), number * SECOND_MS);
      messages.push((await dispatch(engine, addresses(2), 1, { dueAt })).message.key);
    }

    const keys = await pullKeys(2 * messages.length);

    expect(keys).toEqual([...messages, ...messages]);
  });

  it('says how many subscribers are in a batch, so that a worker can take more of small ones', async () => {
    await dispatch(engine, addresses(5), 3);

    const tasks = await engine.queue.pull(10, now);

    expect(tasks.map(({ count }) => count)).toEqual([3, 2]);
  });

  it.each([
    { size: 1, limit: 1, most: 8, expected: 8 },
    { size: 1, limit: 2, most: 5, expected: 5 },
    { size: 50, limit: 1, most: 8, expected: 1 },
    { size: 20, limit: 2, most: 16, expected: 5 },
  ])(
    'gives out as many batches of $size as make $limit whole ones, and $most at most: $expected',
    async ({ size, limit, most, expected }) => {
      await dispatch(engine, addresses(10 * size), size);

      expect(await engine.queue.pull(limit, now, most)).toHaveLength(expected);
    },
  );

  it('gives out small batches of one message after the other at once, and a whole one when it has room', async () => {
    const large = await dispatch(engine, addresses(50), 50);
    const small: MessageKey[] = [];
    for (let number = 1; number <= 6; number += 1) {
      const dueAt = plusMs(anInstant(), number * SECOND_MS);
      small.push((await dispatch(engine, addresses(1), 1, { dueAt })).message.key);
    }

    const tasks = await engine.queue.pull(2, now, 16);

    expect(tasks.map(({ pointer }) => pointer.messageKey)).toEqual([large.message.key, ...small]);
  });

  it('finds batches that nobody pushed, because the table is the queue', async () => {
    const { batch } = await dispatchOne(engine);

    const tasks = await engine.queue.pull(10, now);

    expect(tasks.map(({ pointer }) => pointer.first)).toEqual([batch.first]);
  });

  it('gives out a task again that its worker has neither claimed nor done for a minute', async () => {
    const { batch } = await dispatchOne(engine);
    await engine.queue.pull(1, now);

    engine.clock.advance(MINUTE_MS - 1);
    expect(await engine.queue.pull(1, now)).toEqual([]);

    engine.clock.advance(1);
    expect(at(await engine.queue.pull(1, now), 0).pointer.first).toBe(batch.first);
  });

  it('leaves a task alone that another worker was given since, when the first says that it is through', async () => {
    await dispatchOne(engine);
    const first = at(await engine.queue.pull(1, now), 0);
    engine.clock.advance(MINUTE_MS);
    await engine.queue.pull(1, now);

    await first.done();

    expect(await engine.queue.pull(1, now)).toEqual([]);
  });

  it('ends a wait by itself, with the batch whose retry has come', async () => {
    const { batch } = await dispatchOne(engine);
    const retryAt = plusMs(engine.clock.now(), SECOND_MS / 2);
    await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { retryAt }));
    const pull = engine.queue.pull(1, new AbortController().signal);

    engine.clock.advance(SECOND_MS);

    expect((await pull).map(({ pointer }) => pointer.first)).toEqual([batch.first]);
  });

  it('gives out nothing of a message that is paused or stopped', async () => {
    for (const status of ['paused', 'failed'] as const) {
      const { message } = await dispatchOne(engine);
      await engine.messages.change(message.group, message.key, message.version, {
        status,
        wakeAt: undefined,
      });
    }

    expect(await engine.queue.pull(10, now)).toEqual([]);
  });

  it('gives out what is open of a cancelled message, so that every delivery gets its outcome', async () => {
    const { message, batch } = await dispatchOne(engine);
    const wakeAt = engine.clock.now();
    await engine.messages.change(message.group, message.key, message.version, {
      status: 'cancelled',
      wakeAt,
    });

    const tasks = await engine.queue.pull(10, now);

    expect(tasks.map(({ pointer }) => pointer.first)).toEqual([batch.first]);
  });

  it('gives out nothing that a worker holds, until its lease has ended', async () => {
    const { batch } = await dispatchOne(engine);
    await claimBatch(engine, batch);

    engine.clock.advance(LEASE_MS - 1);
    expect(await engine.queue.pull(10, now)).toEqual([]);

    engine.clock.advance(1);
    expect(await engine.queue.pull(10, now)).toHaveLength(1);
  });
});

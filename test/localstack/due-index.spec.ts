import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DueFinder } from '../../src/engines/aws/due-finder.ts';
import { hourOf, SHARDS } from '../../src/engines/aws/due-index.ts';
import { type QueryDue, queryDue } from '../../src/engines/aws/due-query.ts';
import type { Item } from '../../src/engines/aws/item.ts';
import { LowWaterMark } from '../../src/engines/aws/low-water-mark.ts';
import { messageItemKey } from '../../src/engines/aws/message-item.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import {
  Clock,
  DAY_MS,
  type Disarm,
  HOUR_MS,
  isReached,
  MINUTE_MS,
  plusMs,
  SECOND_MS,
} from '../../src/platform/clock/clock.ts';
import type { Message, MessageKey } from '../../src/schedule/message.ts';
import { aMessage, anInstant, aSealedContent } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type AwsGround, openAwsGround } from './aws-ground.ts';

const LOOK_AHEAD_MS = 5 * SECOND_MS;
const LEASE_MS = MINUTE_MS;

describe('the due index of the engine aws', () => {
  let ground: AwsGround;
  let clock: ManualClock;

  /** A worker of its own, whose clock differs from the true one. */
  function aStore(skewMs = 0): AwsMessageStore {
    return new AwsMessageStore(ground.clients, ground.names, skewedClock(skewMs));
  }

  function skewedClock(skewMs: number): Clock {
    return new SkewedClock(clock, skewMs);
  }

  function aFinder(query: QueryDue = queryDue(ground.clients, ground.names), skewMs = 0): DueFinder {
    return new DueFinder(query, aMark(), skewedClock(skewMs));
  }

  function aMark(): LowWaterMark {
    return new LowWaterMark(ground.clients, ground.names);
  }

  /** The index itself, seen through a lag: whatever was created or moved less than `lagMs` ago is not there yet. */
  function laggingQuery(writtenAt: ReadonlyMap<string, Temporal.Instant>, lagMs: number): QueryDue {
    const query = queryDue(ground.clients, ground.names);
    return async (partition, until, limit) =>
      (await query(partition, until, limit)).filter(({ key }) =>
        isReached(plusMs(writtenAt.get(key) ?? anInstant('2000-01-01T00:00:00Z'), lagMs), clock.now()),
      );
  }

  async function schedule(overrides: Partial<Message>, store = aStore()): Promise<Message> {
    const message = aMessage(overrides);
    await store.create(message, aSealedContent());
    return message;
  }

  async function scan(finder: Pick<DueFinder, 'find'>, skewMs = 0): Promise<readonly string[]> {
    const found = await finder.find(plusMs(clock.now(), LOOK_AHEAD_MS + skewMs), 1_000);
    return found.map(({ key }) => key);
  }

  async function readItemOf({ group, key }: Message): Promise<Item> {
    const { Item: item } = await ground.clients.dynamo.send(
      new GetCommand({ TableName: ground.names.tables.messages, Key: messageItemKey(group, key) }),
    );
    return item ?? {};
  }

  beforeEach(async () => {
    ground = await openAwsGround();
    clock = new ManualClock(anInstant());
  });
  afterEach(async () => {
    await ground.close();
  });

  describe('what is written', () => {
    it('is the UTC hour of the wake, in one of the shards', async () => {
      const message = await schedule({ scheduleOn: anInstant('2027-01-02T03:04:05+01:00') });

      const item = await readItemOf(message);

      expect(item['scheduled_date']).toMatch(/^2027_1_2_2#[0-3]$/);
      expect(item['wake_at']).toBe(anInstant('2027-01-02T02:04:05Z').epochMilliseconds);
    });

    it('is the present hour where the wake lies in the past', async () => {
      const message = await schedule({ scheduleOn: anInstant('2026-11-01T00:00:00Z') });

      expect((await readItemOf(message))['scheduled_date']).toMatch(/^2026_11_23_14#/);
    });

    it('goes from the record together with the wake, and comes back together', async () => {
      const store = aStore();
      const { group, key } = await schedule({});
      await store.change(group, key, 1, { status: 'paused', wakeAt: undefined });
      const paused = await readItemOf(aMessage({ group, key }));
      await store.change(group, key, 2, { status: 'scheduled', wakeAt: anInstant('2026-11-24T00:00:00Z') });
      const resumed = await readItemOf(aMessage({ group, key }));

      expect(paused).not.toHaveProperty('wake_at');
      expect(paused).not.toHaveProperty('scheduled_date');
      expect(resumed['scheduled_date']).toMatch(/^2026_11_24_0#/);
    });
  });

  describe('an outage', () => {
    it.each([
      ['an hour', HOUR_MS],
      ['a week', 7 * DAY_MS],
    ])(
      'of %s loses nothing that fell due in it, was scheduled in it, or was late before it',
      async (_, outageMs) => {
        const before = aFinder();
        const late = await schedule({ scheduleOn: anInstant('2026-10-01T00:00:00Z') });
        await scan(before);
        const dueInIt = await schedule({ scheduleOn: plusMs(clock.now(), outageMs / 2) });
        clock.advance(outageMs / 3);
        const scheduledInIt = await schedule({ scheduleOn: plusMs(clock.now(), MINUTE_MS) });
        const afterIt = await schedule({ scheduleOn: plusMs(clock.now(), outageMs) });
        clock.advance((outageMs * 2) / 3);

        const found = await scan(aFinder());

        expect(found).toEqual([late.key, scheduledInIt.key, dueInIt.key]);
        expect(found).not.toContain(afterIt.key);
      },
    );

    it('is found by the first scanner of all too, who comes a week after the first message', async () => {
      const message = await schedule({ scheduleOn: plusMs(clock.now(), DAY_MS) });
      clock.advance(7 * DAY_MS);

      const found = await scan(aFinder());

      expect(found).toEqual([message.key]);
    });

    it('is walked through once: from then on a scan asks the present hour alone', async () => {
      clock.set(anInstant('2026-11-23T14:20:00Z'));
      await scan(aFinder());
      clock.advance(2 * DAY_MS);
      const asked: string[] = [];
      const query = queryDue(ground.clients, ground.names);
      const finder = aFinder(async (partition, ...rest) => {
        asked.push(partition);
        return query(partition, ...rest);
      });

      await scan(finder);
      const first = asked.splice(0).length;
      await scan(finder);

      expect(first).toBe((2 * 24 + 1) * SHARDS);
      expect(asked).toHaveLength(SHARDS);
      expect(await aMark().get(clock.now())).toBe(hourOf(clock.now()));
    });
  });

  describe('the hour\u2019s turn', () => {
    it.each([
      ['just before it', '14:59:59.999'],
      ['at it', '15:00:00'],
      ['just after it', '15:00:00.001'],
    ])('hides no message that is due %s, from nobody whose clock is 5 s ahead or behind', async (_, time) => {
      const wakeAt = anInstant(`2026-11-23T${time}Z`);
      const message = await schedule({ scheduleOn: wakeAt });
      const scanners = [-5, 0, 5].map((seconds) => ({
        skewMs: seconds * SECOND_MS,
        finder: aFinder(undefined, seconds * SECOND_MS),
      }));

      for (const at of ['14:59:55', '15:00:00', '15:00:05', '15:20:00', '16:30:00']) {
        clock.set(anInstant(`2026-11-23T${at}Z`));
        for (const { finder, skewMs } of scanners) {
          const isNear = isReached(wakeAt, plusMs(clock.now(), LOOK_AHEAD_MS + skewMs));
          expect(await scan(finder, skewMs)).toEqual(isNear ? [message.key] : []);
        }
      }
    });

    it('hides nothing that a clock 5 s ahead has put into the next hour already', async () => {
      clock.set(anInstant('2026-11-23T14:59:57Z'));
      const late = await schedule({ scheduleOn: anInstant('2026-11-23T14:30:00Z') }, aStore(5 * SECOND_MS));

      const found = await aFinder().find(clock.now(), 10);

      expect((await readItemOf(late))['scheduled_date']).toMatch(/^2026_11_23_15#/);
      expect(found.map(({ key }) => key)).toEqual([late.key]);
    });

    it('hides nothing that a clock 5 s behind has put into the hour before', async () => {
      clock.set(anInstant('2026-11-23T15:00:03Z'));
      const finder = aFinder();
      await scan(finder);
      const late = await schedule({ scheduleOn: anInstant('2026-11-23T14:30:00Z') }, aStore(-5 * SECOND_MS));

      expect((await readItemOf(late))['scheduled_date']).toMatch(/^2026_11_23_14#/);
      expect(await scan(finder)).toEqual([late.key]);
    });

    it('gives a message that falls due there to one of two scanners whose clocks are 5 s apart', async () => {
      const message = await schedule({ scheduleOn: anInstant('2026-11-23T15:00:00Z') });
      const ahead = aStore(5 * SECOND_MS);
      const behind = aStore();
      clock.set(anInstant('2026-11-23T14:59:55Z'));
      const claim = async (store: AwsMessageStore, token: string): Promise<Message | undefined> => {
        const now = token === 'ahead' ? plusMs(clock.now(), 5 * SECOND_MS) : clock.now();
        return store.claim(message.group, message.key, { token, now, until: plusMs(now, LEASE_MS) });
      };

      const first = await claim(ahead, 'ahead');
      clock.advance(5 * SECOND_MS);
      const second = await claim(behind, 'behind');

      expect(first?.lease?.token).toBe('ahead');
      expect(second).toBeUndefined();
      expect(await scan(aFinder())).toEqual([]);
      clock.advance(LEASE_MS);
      expect(await scan(aFinder())).toEqual([message.key]);
    });
  });

  describe('a lagging index', () => {
    it('hides for its lag, and no longer, what was written into an hour in its last moment', async () => {
      const writtenAt = new Map<MessageKey, Temporal.Instant>();
      const finder = aFinder(laggingQuery(writtenAt, 14 * MINUTE_MS));
      clock.set(anInstant('2026-11-23T14:59:59Z'));
      await scan(finder);
      const late = await schedule({ scheduleOn: anInstant('2026-11-23T14:00:00Z') });
      writtenAt.set(late.key, clock.now());

      const seen: (readonly string[])[] = [];
      for (let minute = 0; minute < 20; minute += 1) {
        seen.push(await scan(finder));
        clock.advance(MINUTE_MS);
      }

      expect(seen.slice(0, 14).flat()).toEqual([]);
      expect(seen.slice(14)).toEqual(Array.from({ length: 6 }, () => [late.key]));
      expect(await scan(aFinder())).toEqual([late.key]);
    });

    it('makes nobody send what was claimed or cancelled meanwhile: the record decides', async () => {
      const store = aStore();
      const message = await schedule({ scheduleOn: clock.now() });
      const stale = await store.findWaking(clock.now(), 10);
      await store.change(message.group, message.key, 1, { status: 'cancelled', wakeAt: undefined });

      const claimed = await store.claim(message.group, message.key, {
        token: 'scanner',
        now: clock.now(),
        until: plusMs(clock.now(), LEASE_MS),
      });

      expect(stale).toHaveLength(1);
      expect(claimed).toBeUndefined();
    });
  });

  describe('the low-water mark', () => {
    const hour = hourOf(anInstant());

    it('begins at the oldest hour that may still gain something', async () => {
      expect(await aMark().get(anInstant('2026-11-23T14:10:00Z'))).toBe(hour - 1);
    });

    it('stays where it is for whoever comes later', async () => {
      await aMark().get(anInstant());

      expect(await aMark().get(anInstant('2026-12-23T14:10:00Z'))).toBe(hour - 1);
    });

    it('is moved by one of two scanners who have seen the same, and by no one back', async () => {
      await aMark().get(anInstant());

      const moved = await Promise.all([aMark().move(hour - 1, hour + 5), aMark().move(hour - 1, hour + 3)]);
      const back = await aMark().move(hour - 1, hour);

      expect(new Set(moved).size).toBe(1);
      expect(back).toBe(moved[0]);
      expect(await aMark().get(anInstant())).toBe(back);
    });

    it('is not moved past an hour in which something is left', async () => {
      const finder = aFinder();
      const stuck = await schedule({ scheduleOn: clock.now() });
      clock.advance(30 * HOUR_MS);

      await scan(finder);
      const while30 = await aMark().get(clock.now());
      await aStore().change(stuck.group, stuck.key, 1, { status: 'cancelled', wakeAt: undefined });
      await scan(finder);

      expect(while30).toBe(hour);
      expect(await aMark().get(clock.now())).toBeGreaterThan(hour + 28);
    });
  });
});

/** A clock that differs from another. */
class SkewedClock extends Clock {
  constructor(
    private readonly clock: Clock,
    private readonly skewMs: number,
  ) {
    super();
  }

  override now(): Temporal.Instant {
    return plusMs(this.clock.now(), this.skewMs);
  }

  override arm(at: Temporal.Instant, task: () => void): Disarm {
    return this.clock.arm(plusMs(at, -this.skewMs), task);
  }
}

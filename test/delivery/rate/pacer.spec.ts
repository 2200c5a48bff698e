import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SendQuota } from '../../../src/delivery/channels/channel.ts';
import { type PacedBatch, Pacer } from '../../../src/delivery/rate/pacer.ts';
import { MINUTE_MS, msBetween, SECOND_MS } from '../../../src/platform/clock/clock.ts';
import { type Environment, parseSettings } from '../../../src/platform/config/settings.ts';
import { Shutdown } from '../../../src/platform/lifecycle/shutdown.ts';
import { Log } from '../../../src/platform/logging/log.ts';
import type { Engine } from '../../contract/engine.ts';
import { openSqlite } from '../../contract/open-sqlite.ts';
import { FakeChannel } from '../../flow/belfry.ts';
import { aGroupName, aMessage, anInstant, groupSettings } from '../../support/builders.ts';
import { until } from '../../support/until.ts';

const LIMIT_MS = 10_000;

const GROUP = aGroupName();

/** A provider that is asked what it allows. */
class QuotaChannel extends FakeChannel {
  asked = 0;

  constructor(public answer: SendQuota | Error) {
    super();
  }

  override readQuota(): Promise<SendQuota> {
    this.asked += 1;
    return this.answer instanceof Error ? Promise.reject(this.answer) : Promise.resolve(this.answer);
  }
}

let engine: Engine;
beforeEach(async () => {
  engine = await openSqlite();
});
afterEach(async () => {
  await engine.close();
});

function aPacer({
  channel = new FakeChannel(),
  env = {},
}: { channel?: FakeChannel; env?: Environment } = {}): Pacer {
  const settings = parseSettings(env);
  const log = new Log(pino({ level: 'silent' }));
  const { rates, groups, clock } = engine;
  return new Pacer(rates, groups, channel, new Shutdown(clock, settings, log), clock, settings, log);
}

function aBatch(group = GROUP, subscribers = 50): PacedBatch {
  return {
    message: aMessage({ group, counts: { ...aMessage().counts, subscribers } }),
    lease: { signal: new AbortController().signal },
  };
}

async function take(pacer: Pacer, batch: PacedBatch, wanted: number): Promise<unknown> {
  return pacer.take(batch, wanted, () => Promise.resolve());
}

/** Sends `count` mails of each batch as fast as it may, while time goes on; answers when each window went. */
async function run(
  pacers: readonly Pacer[],
  count: number,
): Promise<readonly { atMs: number; count: number }[]> {
  const windows: { atMs: number; count: number }[] = [];
  const working = pacers.map(async (pacer) => {
    const batch = aBatch();
    for (let left = count; left > 0;) {
      const turn = await pacer.take(batch, Math.min(left, 50), () => Promise.resolve());
      if (turn.kind !== 'go') {
        throw new Error(`It was told ${turn.kind}.`);
      }
      windows.push({ atMs: msBetween(anInstant(), engine.clock.now()), count: turn.count });
      left -= turn.count;
    }
    pacer.leave(batch);
  });
  while (windows.reduce((sum, window) => sum + window.count, 0) < pacers.length * count) {
    await new Promise(setImmediate);
    engine.clock.advance(10);
  }
  await Promise.all(working);
  return windows;
}

function mostWithin(windows: readonly { atMs: number; count: number }[], spanMs: number): number {
  return Math.max(
    ...windows.map(({ atMs }) =>
      windows
        .filter((other) => other.atMs >= atMs && other.atMs < atMs + spanMs)
        .reduce((sum, other) => sum + other.count, 0),
    ),
  );
}

describe('the pacer', () => {
  it('lets everything go at once where nothing limits it, without a word to the store', async () => {
    const pacer = aPacer();
    let hasWaited = false;

    const turn = await pacer.take(aBatch(), 50, async () => {
      hasWaited = true;
    });

    expect(turn).toEqual({ kind: 'go', count: 50 });
    expect(hasWaited).toBe(false);
  });

  it('keeps to MAX_SEND_RATE, together with every other worker', async () => {
    const env = { MAX_SEND_RATE: '20' };

    const windows = await run([aPacer({ env }), aPacer({ env }), aPacer({ env })], 60);

    expect(windows.reduce((sum, { count }) => sum + count, 0)).toBe(180);
    expect(mostWithin(windows, SECOND_MS)).toBeLessThanOrEqual(30);
    expect(Math.max(...windows.map(({ atMs }) => atMs))).toBeGreaterThanOrEqual(8 * SECOND_MS);
    expect(Math.max(...windows.map(({ atMs }) => atMs))).toBeLessThan(10 * SECOND_MS);
  });

  it('lets mails that are of no message take turns with one, so that neither waits for all of the other', async () => {
    const pacer = aPacer({ env: { MAX_SEND_RATE: '1' } });
    const batch = aBatch();
    const singles = Array.from({ length: 4 }, () => aBatch());
    const key = aMessage().key;
    const order: string[] = [];
    const working = [
      ...singles.map(async ({ lease }) => {
        await pacer.takeOne({ message: { key }, lease });
        order.push('single');
      }),
      (async (): Promise<void> => {
        for (let left = 4; left > 0; left -= 1) {
          await take(pacer, batch, 1);
          order.push('batch');
        }
      })(),
    ];

    while (order.length < 8) {
      await new Promise(setImmediate);
      engine.clock.advance(100);
    }
    await Promise.all(working);

    expect(order.join()).toMatch(/^(?:(?:batch,single|single,batch),?)+$/);
    expect(msBetween(anInstant(), engine.clock.now())).toBeGreaterThanOrEqual(7 * SECOND_MS);
  });

  it('has what is known recorded before it waits', async () => {
    const pacer = aPacer({ env: { MAX_SEND_RATE: '1' } });
    const order: string[] = [];

    await pacer.take(aBatch(), 1, async () => {
      order.push('recorded');
    });
    order.push('went');

    expect(order).toEqual(['recorded', 'went']);
  });

  describe('with a quota of the provider', () => {
    it.each([
      ['the quota where that is less', { rate: 4, left: undefined }, '100', 2],
      ['MAX_SEND_RATE where that is less', { rate: 100, left: undefined }, '6', 3],
      ['the quota alone', { rate: 10, left: undefined }, '', 5],
    ])('goes by %s', async (_what, answer, maxSendRate, count) => {
      const pacer = aPacer({ channel: new QuotaChannel(answer), env: { MAX_SEND_RATE: maxSendRate } });

      expect(await take(pacer, aBatch(), 50)).toEqual({ kind: 'go', count });
    });

    it('waits for the first answer, and holds nobody up for those that follow', async () => {
      const channel = new QuotaChannel({ rate: 2, left: undefined });
      const pacer = aPacer({ channel });

      const turns = await Promise.all([take(pacer, aBatch(), 50), pacer.start()]);
      channel.readQuota = (): Promise<SendQuota> => new Promise(() => undefined);
      engine.clock.advance(6 * MINUTE_MS);

      expect(turns[0]).toEqual({ kind: 'go', count: 1 });
      expect(await take(pacer, aBatch(), 50)).toEqual({ kind: 'go', count: 1 });
    });

    it('is asked for by one worker for all, and again after some minutes', async () => {
      const channel = new QuotaChannel({ rate: 14, left: undefined });
      const pacers = [aPacer({ channel }), aPacer({ channel })];
      for (const pacer of pacers) {
        await pacer.start();
      }
      const askedAtFirst = channel.asked;

      engine.clock.advance(5 * MINUTE_MS);
      for (const pacer of pacers) {
        await pacer.start();
        await until('The answer is in the store', LIMIT_MS, async () => {
          const { quota } = (await engine.rates.find(`channel/${channel.name}`)) ?? {};
          return quota?.readAt.equals(engine.clock.now()) === true || undefined;
        });
      }
      await take(aPacer({ env: { MAX_SEND_RATE: '1' } }), aBatch(), 1); // behind whatever they wrote

      expect([askedAtFirst, channel.asked]).toEqual([1, 2]);
    });

    it.each([
      ['carefully where it cannot be read', '', 7],
      ['as MAX_SEND_RATE says where it cannot be read', '80', 40],
    ])('goes %s', async (_how, maxSendRate, count) => {
      const channel = new QuotaChannel(new Error('AccessDenied'));
      const pacer = aPacer({ channel, env: { MAX_SEND_RATE: maxSendRate } });

      expect(await take(pacer, aBatch(), 50)).toEqual({ kind: 'go', count });
    });

    it('says so when the mails of 24 hours are used up, after it has asked again', async () => {
      const channel = new QuotaChannel({ rate: 14, left: 3 });
      const pacer = aPacer({ channel });
      const batch = aBatch();
      const first = await take(pacer, batch, 50);
      engine.clock.advance(11 * SECOND_MS);

      channel.answer = { rate: 14, left: 2 };
      const second = await take(pacer, batch, 50);
      engine.clock.advance(11 * SECOND_MS);
      channel.answer = { rate: 14, left: 0 };
      const third = await take(pacer, batch, 50);

      expect([first, second, third]).toEqual([
        { kind: 'go', count: 3 },
        { kind: 'go', count: 2 },
        { kind: 'used-up' },
      ]);
    });
  });

  it('goes at half the rate at once when the provider wants it slower, for every worker', async () => {
    const channel = new QuotaChannel({ rate: 40, left: undefined });
    const [pacer, other] = [aPacer({ channel }), aPacer({ channel })];
    await take(pacer, aBatch(), 1);

    await pacer.slowDown();
    const turns = Promise.all([take(pacer, aBatch(), 50), take(other, aBatch(), 50)]);
    for (let step = 0; step < 30; step += 1) {
      await new Promise(setImmediate);
      engine.clock.advance(100);
    }

    expect(await turns).toEqual([
      { kind: 'go', count: 10 },
      { kind: 'go', count: 10 },
    ]);
  });

  describe('with a rate of the group', () => {
    async function limit(maxSendRate: number | undefined, group = GROUP): Promise<void> {
      await engine.groups.put(group, groupSettings({ maxSendRate }));
    }

    it('keeps to it, and lets other groups go', async () => {
      await limit(10);
      const pacer = aPacer();

      const turns = [await take(pacer, aBatch(), 50), await take(pacer, aBatch(aGroupName('other')), 50)];

      expect(turns).toEqual([
        { kind: 'go', count: 5 },
        { kind: 'go', count: 50 },
      ]);
    });

    it('keeps to that of the channel too', async () => {
      await limit(100);
      const pacer = aPacer({ env: { MAX_SEND_RATE: '6' } });

      expect(await take(pacer, aBatch(), 50)).toEqual({ kind: 'go', count: 3 });
    });

    it('notices within seconds that it was changed', async () => {
      await limit(10);
      const pacer = aPacer();
      const batch = aBatch();
      const before = await take(pacer, batch, 50);

      await limit(undefined);
      engine.clock.advance(10 * SECOND_MS);

      expect([before, await take(pacer, batch, 50)]).toEqual([
        { kind: 'go', count: 5 },
        { kind: 'go', count: 50 },
      ]);
    });

    it('takes one batch of a slow group in hand, and tells the others to come again on a tenth second', async () => {
      await limit(1);
      const pacer = aPacer();
      const first = aBatch(GROUP, 600);
      await take(pacer, first, 1);

      const denied = await pacer.take(aBatch(GROUP, 600), 1, () => Promise.resolve());
      pacer.leave(first);
      const later = take(pacer, aBatch(GROUP, 600), 1);
      for (let step = 0; step < 20; step += 1) {
        await new Promise(setImmediate);
        engine.clock.advance(100);
      }

      const waitMs = denied.kind === 'later' ? msBetween(anInstant(), denied.at) : undefined;
      expect(waitMs).toBeGreaterThan(0);
      expect(waitMs).toBeLessThanOrEqual(11 * MINUTE_MS);
      expect((waitMs ?? 1) % (10 * SECOND_MS)).toBe(0);
      expect(await later).toEqual({ kind: 'go', count: 1 });
    });

    it('takes as many of a fast group in hand as are soon through', async () => {
      await limit(40);
      const pacer = aPacer();

      const turns = [];
      for (let index = 0; index < 14; index += 1) {
        turns.push(await take(pacer, aBatch(), 1));
      }

      expect(turns.slice(0, 13)).toEqual(Array.from({ length: 13 }, () => ({ kind: 'go', count: 1 })));
      expect(turns[13]).toMatchObject({ kind: 'later' });
    });
  });
});

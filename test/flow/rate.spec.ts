import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MINUTE_MS, msBetween, SECOND_MS } from '../../src/platform/clock/clock.ts';
import type { Environment } from '../../src/platform/config/settings.ts';
import type { GroupName } from '../../src/groups/group.ts';
import type { MessageKey } from '../../src/schedule/message.ts';
import type { Engine } from '../contract/engine.ts';
import { openSqlite } from '../contract/open-sqlite.ts';
import { addresses, aContent, aGroupName, anInstant, aNewcomer, groupSettings } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Belfry, FakeChannel } from './belfry.ts';

const LARGE = aGroupName('large');
const SMALL = aGroupName('small');
// So far the clock goes on in one step of a test.
const STEP_MS = 20;

describe('mails that may not go as fast as they could', () => {
  let engine: Engine;
  let belfry: Belfry;
  /** To whom, and how long after the beginning. */
  let sent: { readonly to: string; readonly atMs: number }[];

  beforeEach(async () => {
    engine = await openSqlite();
    sent = [];
  });

  afterEach(async () => {
    await stop();
    await engine.close();
  });

  /** The whole of it runs, as in a process; only the time is driven. */
  function start(env: Environment, clock = engine.clock): void {
    const channel = new FakeChannel();
    channel.answerWith(({ to }) => {
      sent.push({ to, atMs: sinceBeginningMs() });
      return { kind: 'accepted', providerId: '1' };
    });
    belfry = new Belfry({ ...engine, clock }, channel, env);
    belfry.scanner.start();
    belfry.worker.start();
  }

  async function stop(stopping = belfry): Promise<void> {
    stopping.shutdown.begin();
    await Promise.all([stopping.scanner.stop(), stopping.worker.stopped()]);
  }

  function sinceBeginningMs(): number {
    return msBetween(anInstant(), engine.clock.now());
  }

  async function letTimePass(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += STEP_MS) {
      engine.clock.advance(STEP_MS);
      await settled();
    }
  }

  async function aMessageTo(group: GroupName, count: number): Promise<MessageKey> {
    const newcomers = addresses(count).map((address) => aNewcomer(address.replace('@', `@${group}.`)));
    await engine.subscribers.add(group, newcomers, engine.clock.now());
    const draft = {
      ...aContent(),
      scheduleOn: engine.clock.now(),
      time: undefined,
      expiresAt: undefined,
    } as const;
    const { key } = await belfry.schedule.schedule(
      group,
      { ...draft, onMissed: 'hold', onUnknown: 'resend', repeat: undefined },
      undefined,
    );
    return key;
  }

  async function limit(group: GroupName, maxSendRate: number): Promise<void> {
    await engine.groups.put(group, groupSettings({ maxSendRate }));
  }

  function sentTo(group: GroupName): readonly { readonly to: string; readonly atMs: number }[] {
    return sent.filter(({ to }) => to.endsWith(`@${group}.example.com`));
  }

  it('go at MAX_SEND_RATE, each once', async () => {
    start({ MAX_SEND_RATE: '20' });
    await aMessageTo(LARGE, 200);

    await letTimePass(12 * SECOND_MS);

    expect(sent).toHaveLength(200);
    expect(new Set(sent.map(({ to }) => to)).size).toBe(200);
    expect(sent.filter(({ atMs }) => atMs <= 5_000).length).toBeLessThanOrEqual(110);
    expect(sent.at(-1)?.atMs).toBeGreaterThan(9_000);
  });

  it('to many do not hold up those to a few', async () => {
    start({ MAX_SEND_RATE: '20' });
    await aMessageTo(LARGE, 1_000);
    await letTimePass(5 * SECOND_MS);
    const beganAtMs = sinceBeginningMs();

    await aMessageTo(SMALL, 10);
    await letTimePass(6 * SECOND_MS);

    // The rest of one batch of the large one, at 20 a second, and then by turns.
    expect(sentTo(SMALL)).toHaveLength(10);
    expect((sentTo(SMALL).at(-1)?.atMs ?? 0) - beganAtMs).toBeLessThan(5_000);
    expect(sentTo(LARGE).length).toBeLessThan(300);
  });

  it('to a slow group do not hold up those to another, and all arrive, each once', async () => {
    start({});
    await limit(LARGE, 2);
    await aMessageTo(LARGE, 200);
    await letTimePass(3 * SECOND_MS);
    const beganAtMs = sinceBeginningMs();

    await aMessageTo(SMALL, 100);
    await letTimePass(2 * SECOND_MS);
    const small = sentTo(SMALL);
    await letTimePass(4 * MINUTE_MS);

    expect(small).toHaveLength(100);
    expect((small.at(-1)?.atMs ?? 0) - beganAtMs).toBeLessThan(2_000);
    expect(new Set(sentTo(LARGE).map(({ to }) => to)).size).toBe(200);
    expect(sentTo(LARGE)).toHaveLength(200);
    expect(sentTo(LARGE).at(-1)?.atMs).toBeGreaterThan(95_000);
  });

  it('leave nobody in doubt when the worker is lost while it waits', async () => {
    const itsClock = new ManualClock(anInstant());
    start({ MAX_SEND_RATE: '2' }, itsClock);
    const key = await aMessageTo(LARGE, 20);
    for (let passedMs = 0; passedMs < 3_200; passedMs += STEP_MS) {
      itsClock.advance(STEP_MS);
      await letTimePass(STEP_MS);
    }
    const sentBefore = sent.length;
    const lost = belfry;

    start({ MAX_SEND_RATE: '2' }); // the one before does nothing more: its time stands still
    await letTimePass(2 * MINUTE_MS);

    const page = { after: undefined, limit: 100, outcome: undefined };
    const deliveries = await engine.deliveries.listDeliveries(key, page);
    expect(sentBefore).toBeGreaterThan(3);
    expect(sentBefore).toBeLessThan(20);
    expect(sent).toHaveLength(20);
    expect(deliveries).toHaveLength(20);
    expect(deliveries.filter(({ attempt, unknownAttempts }) => attempt !== 1 || unknownAttempts > 0)).toEqual(
      [],
    );
    await stop(lost);
  });
});

/** Whatever goes on without time passing has happened, as far as the store allows in a few turns. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) {
    await new Promise(setImmediate);
  }
}

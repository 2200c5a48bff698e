import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChannelName } from '../../src/delivery/channels/channel.ts';
import { DomainRecords, type Records } from '../../src/delivery/preflight/domain-records.ts';
import { HOUR_MS, MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import type { Engine } from '../contract/engine.ts';
import { openSqlite } from '../contract/open-sqlite.ts';
import { anInstant } from '../support/builders.ts';
import { Belfry, FakeChannel } from './belfry.ts';

class LeavingChannel extends FakeChannel {
  override readonly name: ChannelName = 'smtp';
}

/** DNS as a test wants it. */
class FakeRecords extends DomainRecords {
  answer: Promise<Records> = Promise.resolve({ kind: 'none' });
  asked = 0;

  override texts(): Promise<Records> {
    this.asked += 1;
    return this.answer;
  }
}

describe('the preflight beside the delivery', () => {
  let engine: Engine;
  let belfry: Belfry;
  let records: FakeRecords;

  beforeEach(async () => {
    engine = await openSqlite();
    belfry = new Belfry(engine, new LeavingChannel(), { MAIL_FROM: 'news@example.com' });
    records = new FakeRecords();
    await belfry.subscribe('ada@example.com');
  });
  afterEach(async () => {
    await engine.close();
  });

  it('keeps no message waiting: one goes out though DNS never answers, and so the process stops', async () => {
    records.answer = new Promise(() => undefined);
    const watch = belfry.watch(records);
    watch.start();
    const key = await belfry.scheduleMessage();

    await belfry.runOnce();
    await watch.stop();

    expect(records.asked).toBeGreaterThan(0);
    expect(belfry.channel.recipients).toEqual(['ada@example.com']);
    expect(await belfry.message(key)).toMatchObject({ status: 'sent', sendingFindings: [] });
  });

  it('asks DNS once for all messages of a sender, and writes nothing where nothing new is found', async () => {
    const watch = belfry.watch(records);
    const at = plusMs(anInstant(), 10 * MINUTE_MS);
    const keys = [
      await belfry.scheduleMessage({ scheduleOn: at }),
      await belfry.scheduleMessage({ scheduleOn: at }),
    ];
    const later = await belfry.scheduleMessage({ scheduleOn: plusMs(anInstant(), HOUR_MS) });

    await watch.runOnce();
    const { asked } = records;
    await watch.runOnce();

    const rules = (await Promise.all([...keys, later].map((key) => belfry.message(key)))).map(
      ({ sendingFindings }) => sendingFindings.map(({ rule }) => rule),
    );
    const found = ['spf', 'dkim', 'dmarc', 'unsubscribe', 'postal-address'];
    expect(rules).toEqual([found, found, []]);
    expect(records.asked).toBe(asked);
  });
});

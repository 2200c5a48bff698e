import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plusMs } from '../../src/platform/clock/clock.ts';
import type { MessageKey } from '../../src/schedule/message.ts';
import { type Placement, systemZoneRules, ZoneRules } from '../../src/schedule/zone-rules.ts';
import { openSqlite, type SqliteEngine } from '../contract/open-sqlite.ts';
import { anInstant } from '../support/builders.ts';
import { Belfry } from './belfry.ts';

const LOCAL = Temporal.PlainDateTime.from('2027-03-29T09:00');
const BY_OLD_RULES = '2027-03-29T07:00:00Z';

/** As if a country had changed its offset: everything there comes so many hours later. */
class NewerRules extends ZoneRules {
  override readonly tzdata = '2027a';

  constructor(private readonly hours: number) {
    super();
  }

  override place(local: Temporal.PlainDateTime, timeZone: string): Placement {
    const placement = systemZoneRules.place(local, timeZone);
    if (placement.kind !== 'once') {
      throw new Error('These rules know no gaps.');
    }
    return { kind: 'once', at: placement.at.add({ hours: this.hours }) };
  }
}

describe('a message whose zone gets other rules before it is due', () => {
  let engine: SqliteEngine;
  let belfry: Belfry;
  let key: MessageKey;

  beforeEach(async () => {
    engine = await openSqlite();
    belfry = new Belfry(engine);
    await belfry.subscribe('ada@example.com');
    key = await belfry.scheduleMessage({
      scheduleOn: anInstant(BY_OLD_RULES),
      time: {
        local: LOCAL,
        timeZone: 'Europe/Paris',
        dst: undefined,
        tzdata: systemZoneRules.tzdata,
        moved: [],
      },
    });
  });
  afterEach(async () => {
    await engine.close();
  });

  function restartWith(rules: ZoneRules): void {
    belfry = new Belfry(engine, belfry.channel, {}, rules);
  }

  async function runAt(instant: string, earlierMs = 0): Promise<void> {
    engine.clock.set(plusMs(anInstant(instant), -earlierMs));
    await belfry.runOnce();
  }

  it('goes when it was meant to where they bring it forward, and says so', async () => {
    restartWith(new NewerRules(-1));

    await runAt('2027-03-28T07:00:00Z'); // a day before
    expect(await belfry.message(key)).toMatchObject({
      scheduleOn: anInstant('2027-03-29T06:00:00Z'),
      status: 'scheduled',
      time: {
        tzdata: '2027a',
        moved: [
          {
            from: anInstant(BY_OLD_RULES),
            to: anInstant('2027-03-29T06:00:00Z'),
            tzdata: '2027a',
            at: anInstant('2027-03-28T07:00:00Z'),
          },
        ],
      },
    });
    await runAt('2027-03-29T06:00:00Z', 1);
    expect(belfry.channel.taken).toEqual([]);
    await runAt('2027-03-29T06:00:00Z');

    expect(belfry.channel.taken).toHaveLength(1);
  });

  it('waits where they move it back, though they come in the last moment', async () => {
    await runAt('2027-03-28T07:00:00Z');
    restartWith(new NewerRules(2));

    await runAt(BY_OLD_RULES);
    await runAt('2027-03-29T09:00:00Z', 1);
    expect(belfry.channel.taken).toEqual([]);
    await runAt('2027-03-29T09:00:00Z');

    expect(belfry.channel.taken).toHaveLength(1);
    expect((await belfry.message(key)).time?.moved).toHaveLength(1);
  });

  it('stays where it was where they change nothing for it, and shows by which it was resolved', async () => {
    restartWith(new NewerRules(0));

    await runAt('2027-03-28T07:00:00Z');
    expect((await belfry.message(key)).time).toMatchObject({ tzdata: '2027a', moved: [] });
    await runAt(BY_OLD_RULES, 1);
    expect(belfry.channel.taken).toEqual([]);
    await runAt(BY_OLD_RULES);

    expect(belfry.channel.taken).toHaveLength(1);
  });

  it('is resolved by them when it is resumed', async () => {
    await belfry.schedule.pause(belfry.group, key);
    restartWith(new NewerRules(1));

    await belfry.schedule.resume(belfry.group, key);

    expect((await belfry.message(key)).scheduleOn).toEqual(anInstant('2027-03-29T08:00:00Z'));
  });
});

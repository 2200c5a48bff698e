import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY_MS, isReached, MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { StoreUnavailableError } from '../../src/platform/errors/domain-error.ts';
import type { Message } from '../../src/schedule/message.ts';
import type { SeriesKey } from '../../src/schedule/occurrence.ts';
import type { Recurrence } from '../../src/schedule/recurrence.ts';
import type { Series } from '../../src/schedule/series.ts';
import { openSqlite, type SqliteEngine } from '../contract/open-sqlite.ts';
import { anInstant } from '../support/builders.ts';
import { Random } from '../support/random.ts';
import { Belfry } from './belfry.ts';

const NINE_IN_PARIS = '2026-11-23T09:00';

describe('a series', () => {
  let engine: SqliteEngine;
  let belfry: Belfry;
  let revive: () => void;

  beforeEach(async () => {
    engine = await openSqlite();
    belfry = new Belfry(engine);
    revive = (): void => undefined;
    engine.clock.set(anInstant('2026-11-23T07:00:00Z'));
    await belfry.subscribe('ada@example.com');
  });
  afterEach(async () => {
    await engine.close();
  });

  /** A process that starts where the last one was lost: the same state and channel, nothing in memory. */
  function restart(): void {
    revive();
    belfry = new Belfry(engine, belfry.channel);
  }

  async function begin(overrides: Partial<Recurrence> = {}): Promise<SeriesKey> {
    const key = await belfry.scheduleMessage({
      scheduleOn: anInstant('2026-11-23T08:00:00Z'),
      repeat: {
        rule: { kind: 'rrule', text: 'FREQ=WEEKLY' },
        start: Temporal.PlainDateTime.from(NINE_IN_PARIS),
        timeZone: 'Europe/Paris',
        until: undefined,
        count: undefined,
        except: [],
        dstGap: 'shift',
        ...overrides,
      },
    });
    const { occurrence } = await belfry.message(key);
    if (!occurrence) {
      throw new Error('The message is of no series.');
    }
    return occurrence.series;
  }

  async function read(key: SeriesKey): Promise<Series> {
    return belfry.series.get(belfry.group, key);
  }

  async function messages(): Promise<readonly Message[]> {
    return engine.messages.list(belfry.group, {
      after: undefined,
      limit: 1_000,
      statuses: undefined,
      from: undefined,
      to: undefined,
    });
  }

  async function shown(): Promise<readonly string[]> {
    return (await messages()).map(
      ({ scheduleOn, status }) =>
        `${scheduleOn.toZonedDateTimeISO('Europe/Paris').toString({ smallestUnit: 'minute', timeZoneName: 'never' })} ${status}`,
    );
  }

  /** Goes on until nothing is due any more. */
  async function work(): Promise<void> {
    while ((await engine.messages.findWaking(engine.clock.now(), 1)).length > 0) {
      await belfry.runOnce();
    }
  }

  async function workAt(instant: string): Promise<void> {
    engine.clock.set(anInstant(instant));
    await work();
  }

  it('is made one ahead, each occurrence as a message of its own', async () => {
    await begin();
    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 scheduled']);

    await workAt('2026-11-23T08:00:00Z');

    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 sent', '2026-11-30T09:00+01:00 scheduled']);
    expect(belfry.channel.recipients).toEqual(['ada@example.com']);
  });

  it('has 53 messages in a year of a week, at nine by the clock, though the process is killed at each', async () => {
    const random = new Random(7);
    const key = await begin();
    const end = anInstant('2027-11-23T07:00:00Z');

    for (let { next } = await read(key); next && !isReached(end, next.at); { next } = await read(key)) {
      engine.clock.set(next.at);
      killWithin(random.integer(0, 7));
      await Promise.allSettled([belfry.runOnce()]);
      restart();
      await work();
      engine.clock.advance(2 * MINUTE_MS); // by then the leases of whoever was killed have ended
      await work();
    }

    const sent = (await messages()).filter(({ status }) => status === 'sent');
    expect(sent).toHaveLength(53);
    expect(await shown()).toHaveLength(54);
    expect(belfry.channel.taken).toHaveLength(53);
    expect(new Set(sent.map(({ key: messageKey }) => messageKey)).size).toBe(53);
    for (const [week, { scheduleOn, time }] of sent.entries()) {
      const local = Temporal.PlainDateTime.from(NINE_IN_PARIS).add({ weeks: week });
      expect(scheduleOn.toZonedDateTimeISO('Europe/Paris').toPlainDateTime().equals(local)).toBe(true);
      expect(time).toMatchObject({ timeZone: 'Europe/Paris', dst: 'series' });
    }
    expect(
      new Set(sent.map(({ scheduleOn }) => scheduleOn.toZonedDateTimeISO('Europe/Paris').offset)),
    ).toEqual(new Set(['+01:00', '+02:00']));
  });

  /** From the `count`th write on the store is gone, before or after having written, until `restart`. */
  function killWithin(count: number): void {
    let left = count;
    const dying =
      <Arguments extends readonly unknown[], Answer>(
        call: (...args: Arguments) => Promise<Answer>,
      ): ((...args: Arguments) => Promise<Answer>) =>
      async (...args): Promise<Answer> => {
        if (left > 0) {
          left -= 1;
          const answer = await call(...args);
          if (left > 0) {
            return answer;
          }
        }
        throw new StoreUnavailableError();
      };
    const { series, messages: store } = engine;
    const whole = {
      replace: series.replace.bind(series),
      create: store.create.bind(store),
      claim: store.claim.bind(store),
    };
    series.replace = dying(whole.replace);
    store.create = dying(whole.create);
    store.claim = dying(whole.claim);
    revive = (): void => {
      series.replace = whole.replace;
      store.create = whole.create;
      store.claim = whole.claim;
    };
  }

  it('is made once by two workers who attend to it at the same time', async () => {
    const key = await begin();
    const other = new Belfry(engine, belfry.channel);
    engine.clock.set(anInstant('2026-11-23T08:00:00Z'));

    await Promise.all([
      belfry.series.attend(belfry.group, key),
      other.series.attend(belfry.group, key),
      belfry.series.attend(belfry.group, key),
    ]);

    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 scheduled', '2026-11-30T09:00+01:00 scheduled']);
  });

  it('makes nothing twice when the clock jumps back an hour', async () => {
    await begin();
    await workAt('2026-11-23T08:00:00Z');

    await workAt('2026-11-23T07:00:00Z');
    await workAt('2026-11-23T08:00:00Z');
    await workAt('2026-11-23T08:00:01Z');

    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 sent', '2026-11-30T09:00+01:00 scheduled']);
    expect(belfry.channel.taken).toHaveLength(1);
  });

  it('goes on by its rule when the clock jumps a day forward', async () => {
    await begin({ rule: { kind: 'cron', text: '0 */6 * * *' } });
    await workAt('2026-11-23T11:00:00Z');

    await workAt('2026-11-24T11:30:00Z');

    expect(await shown()).toEqual([
      '2026-11-23T12:00+01:00 sent',
      '2026-11-23T18:00+01:00 skipped',
      '2026-11-24T12:00+01:00 sent',
      '2026-11-24T18:00+01:00 scheduled',
    ]);
  });

  it('sends only the newest of what an outage made it miss', async () => {
    await begin();

    await workAt('2026-12-21T09:00:00Z');

    expect(await shown()).toEqual([
      '2026-11-23T09:00+01:00 skipped',
      '2026-12-21T09:00+01:00 sent',
      '2026-12-28T09:00+01:00 scheduled',
    ]);
  });

  it('leaves the newest that was missed to on_missed where it is too late', async () => {
    await begin();

    await workAt('2026-12-23T09:00:00Z');

    expect(await shown()).toEqual([
      '2026-11-23T09:00+01:00 skipped',
      '2026-12-21T09:00+01:00 held',
      '2026-12-28T09:00+01:00 scheduled',
    ]);
  });

  it('ends with its last occurrence', async () => {
    const key = await begin({ count: 2 });

    await workAt('2026-11-23T08:00:00Z');
    await workAt('2026-11-30T08:00:00Z');

    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 sent', '2026-11-30T09:00+01:00 sent']);
    expect(await read(key)).toMatchObject({ status: 'ended', next: undefined, wakeAt: undefined });
  });

  it('cancels the next occurrence when it is paused, and makes it anew when it is resumed in time', async () => {
    const key = await begin();

    await belfry.series.pause(belfry.group, key);
    await workAt('2026-11-23T07:30:00Z');
    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 cancelled']);
    await belfry.series.resume(belfry.group, key);
    await workAt('2026-11-23T08:00:00Z');

    expect((await shown()).toSorted()).toEqual([
      '2026-11-23T09:00+01:00 cancelled',
      '2026-11-23T09:00+01:00 sent',
      '2026-11-30T09:00+01:00 scheduled',
    ]);
  });

  it('makes nothing of what it missed while it was paused', async () => {
    const key = await begin();
    await belfry.series.pause(belfry.group, key);
    await workAt('2026-12-09T08:00:00Z');

    await belfry.series.resume(belfry.group, key);
    await work();

    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 cancelled', '2026-12-14T09:00+01:00 scheduled']);
  });

  it('ends at once, and leaves alone what is being sent', async () => {
    const key = await begin();
    engine.clock.set(anInstant('2026-11-23T08:00:00Z'));
    await belfry.scanner.runOnce(); // dispatched, and the next one made

    await belfry.series.end(belfry.group, key);
    await work();
    await workAt('2027-01-01T00:00:00Z');

    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 sent', '2026-11-30T09:00+01:00 cancelled']);
  });

  it('skips the next occurrence, and one that is named', async () => {
    const key = await begin();

    await belfry.series.skip(belfry.group, key, undefined);
    await belfry.series.skip(belfry.group, key, Temporal.PlainDateTime.from('2026-12-07T09:00'));
    await workAt('2026-11-30T08:00:00Z');

    expect(await shown()).toEqual([
      '2026-11-23T09:00+01:00 cancelled',
      '2026-11-30T09:00+01:00 sent',
      '2026-12-14T09:00+01:00 scheduled',
    ]);
  });

  it('does not make the occurrence anew that began before the change could cancel it', async () => {
    const key = await begin();
    const { next, version } = await read(key);
    const message = next && (await belfry.message(next.message));
    // Its claim comes between the record of the change and the cancelling.
    const change = engine.messages.change.bind(engine.messages);
    engine.messages.change = async (...args): Promise<Message> => {
      engine.messages.change = change;
      const now = anInstant('2026-11-23T08:00:00Z');
      engine.clock.set(now);
      await engine.messages.claim(belfry.group, args[1], {
        token: 'claimer',
        now,
        until: plusMs(now, 1_000),
      });
      return change(...args);
    };

    engine.clock.set(plusMs(anInstant('2026-11-23T08:00:00Z'), -1));
    await belfry.series.change(belfry.group, key, { subject: 'Changed' }, version);
    engine.clock.advance(MINUTE_MS);
    await work();

    expect(message?.status).toBe('scheduled');
    expect(await shown()).toEqual(['2026-11-23T09:00+01:00 sent', '2026-11-30T09:00+01:00 scheduled']);
    expect((await messages()).map(({ subject }) => subject)).toEqual(['Hello SLS workshop!', 'Changed']);
  });

  it('goes on with what was changed, from the next occurrence on', async () => {
    const key = await begin();

    const { recurrence } = await read(key);
    await belfry.series.change(belfry.group, key, {
      body: 'Changed',
      recurrence: { ...recurrence, start: Temporal.PlainDateTime.from('2026-11-23T10:30') },
    });
    await workAt('2026-11-23T09:30:00Z');

    expect((await shown()).toSorted()).toEqual([
      '2026-11-23T09:00+01:00 cancelled',
      '2026-11-23T10:30+01:00 sent',
      '2026-11-30T10:30+01:00 scheduled',
    ]);
    expect(belfry.channel.taken.map(({ html }) => html.startsWith('Changed'))).toEqual([true]);
  });

  it('goes to the first moment after a gap, and once where the hour comes twice', async () => {
    await begin({
      rule: { kind: 'rrule', text: 'FREQ=DAILY' },
      start: Temporal.PlainDateTime.from('2027-03-27T02:30'),
    });
    const changes = ['2027-03-27', '2027-10-30'].map((day) => anInstant(`${day}T00:00:00Z`));
    for (const from of changes) {
      for (let passed = 0; passed < 3 * DAY_MS; passed += 30 * MINUTE_MS) {
        engine.clock.set(plusMs(from, passed));
        await work();
      }
    }

    const sent = (await shown()).filter((line) => line.endsWith('sent'));
    expect(sent).toEqual(
      expect.arrayContaining([
        '2027-03-28T03:00+02:00 sent',
        '2027-10-31T02:30+02:00 sent',
        '2027-11-01T02:30+01:00 sent',
      ]),
    );
    expect(sent.filter((line) => /2027-(03-28|10-31)/.test(line))).toHaveLength(2);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Mail, SendResult } from '../../src/delivery/channels/channel.ts';
import { parseSendWindow } from '../../src/groups/send-window.ts';
import { DAY_MS, HOUR_MS, isReached, MINUTE_MS, msBetween, plusMs } from '../../src/platform/clock/clock.ts';
import { type LocalTime, parseLocalTime, waveIn } from '../../src/schedule/local-delivery.ts';
import type { MessageKey } from '../../src/schedule/message.ts';
import type { Draft } from '../../src/schedule/schedule.service.ts';
import type { Engine, OpenEngine } from '../contract/engine.ts';
import { addresses, aKey, aNewcomer, anInstant, groupSettings } from '../support/builders.ts';
import { Belfry } from './belfry.ts';

const ADA = 'ada@example.com';
const BOB = 'bob@example.com';
const CYD = 'cyd@example.com';
// Tests begin on 2026-11-23, a Monday, at 14:10 UTC. On the next day it is nine o'clock in Tokyo at 00:00 UTC, in Paris at 08:00, in
// New York at 14:00, in Los Angeles at 17:00.
const NINE = { time: '09:00', date: '2026-11-24' };
const IN_TOKYO = Temporal.Instant.from('2026-11-24T00:00:00Z');
const IN_PARIS = Temporal.Instant.from('2026-11-24T08:00:00Z');
const IN_NEW_YORK = Temporal.Instant.from('2026-11-24T14:00:00Z');
// More than there are looks and waves in the time of any test.
const MOST_WAKES = 2_000;

/**
 * Deliveries that wait for the time of their subscriber, or for the send window of their group, whatever the engine.
 * @param scope `stores`: only what the stores have a part in; each wake is some twenty requests to them.
 */
export function describeWaves(openEngine: OpenEngine, scope: 'everything' | 'stores' = 'everything'): void {
  const inDetail = scope === 'everything' ? it : it.skip;

  describe('waves', () => {
    let engine: Engine;
    let belfry: Belfry;
    /** To whom it was sent, and when, in order of time. */
    let sent: { readonly to: string; readonly at: Temporal.Instant }[];

    beforeEach(async () => {
      engine = await openEngine();
      belfry = new Belfry(engine);
      sent = [];
      belfry.channel.answerWith(take);
    });

    afterEach(async () => {
      await engine.close();
    });

    function take({ to }: Mail): SendResult {
      sent.push({ to, at: engine.clock.now() });
      return { kind: 'accepted', providerId: '1' };
    }

    /** A process that starts where the last one was lost. */
    function restart(env = {}): void {
      belfry = new Belfry(engine, belfry.channel, env);
    }

    async function subscribe(zones: Readonly<Record<string, string | undefined>>): Promise<void> {
      const newcomers = Object.entries(zones).map(([email, timeZone]) => aNewcomer(email, { timeZone }));
      await engine.subscribers.add(belfry.group, newcomers, engine.clock.now());
    }

    async function moveTo(email: string, timeZone: string): Promise<void> {
      const before = await engine.subscribers.find(belfry.group, aKey(email));
      await engine.subscribers.change(belfry.group, aKey(email), { timeZone }, before?.version ?? 0);
    }

    async function scheduleLocal(fields: object = {}, overrides: Partial<Draft> = {}): Promise<MessageKey> {
      const localDelivery: LocalTime = parseLocalTime({ ...NINE, ...fields }, '');
      return belfry.scheduleMessage({ scheduleOn: undefined, localDelivery, ...overrides });
    }

    async function putWindow(fields: object, timeZone?: string): Promise<void> {
      await engine.groups.put(
        belfry.group,
        groupSettings({ timeZone, sendWindow: parseSendWindow(fields, '') }),
      );
    }

    /** Goes from wake to wake, as the scanner's timers do, until the message is at rest or `end` is reached. */
    async function drive(key: MessageKey, end = plusMs(anInstant(), 30 * DAY_MS)): Promise<void> {
      for (let wakes = 0; wakes < MOST_WAKES; wakes += 1) {
        await belfry.runOnce();
        const { wakeAt } = await belfry.message(key);
        if (!wakeAt) {
          return;
        }
        if (isReached(end, wakeAt)) {
          engine.clock.set(end);
          return;
        }
        engine.clock.set(isReached(wakeAt, engine.clock.now()) ? plusMs(engine.clock.now(), 1) : wakeAt);
      }
      throw new Error('The message does not come to an end.');
    }

    function timesOf(email: string): readonly string[] {
      return sent.filter(({ to }) => to === email).map(({ at }) => at.toString());
    }

    describe("nine o'clock for everyone", () => {
      inDetail('reaches each subscriber once, at that moment where they are', async () => {
        const zones = Intl.supportedValuesOf('timeZone').filter((_zone, index) => index % 3 === 0);
        const everybody = addresses(zones.length);
        await subscribe(Object.fromEntries(everybody.map((email, index) => [email, zones[index]])));
        const key = await scheduleLocal();

        await drive(key);

        const local = parseLocalTime(NINE, '');
        const lateMs = sent.map(({ to, at }) =>
          msBetween(waveIn(local, zones[everybody.indexOf(to)] ?? '').at, at),
        );
        expect(sent.map(({ to }) => to).toSorted()).toEqual(everybody);
        expect(new Set(lateMs)).toEqual(new Set([0]));
        expect(await belfry.message(key)).toMatchObject({
          status: 'sent',
          wakeAt: undefined,
          counts: { subscribers: zones.length, sent: zones.length, skipped: 0, failed: 0, unknown: 0 },
        });
      });

      inDetail(
        'goes by the zone of the group for whoever has none, and by UTC where that has none either',
        async () => {
          await subscribe({ [ADA]: undefined, [BOB]: 'Asia/Tokyo' });
          await putWindow({ from: '00:01', to: '00:00' }, 'Europe/Paris');

          await drive(await scheduleLocal());

          expect(timesOf(BOB)).toEqual([IN_TOKYO.toString()]);
          expect(timesOf(ADA)).toEqual([IN_PARIS.toString()]);
        },
      );

      inDetail('begins with the first wave, and counts no wait for a later one as lateness', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/New_York' });
        const key = await scheduleLocal();

        await drive(key);

        const { scheduleOn, dueAt, attempts } = await belfry.message(key);
        expect({ scheduleOn, dueAt, attempts }).toEqual({
          scheduleOn: IN_TOKYO,
          dueAt: IN_TOKYO,
          attempts: {
            firstAt: IN_TOKYO,
            lastAt: IN_NEW_YORK,
            lastAcceptedAt: IN_NEW_YORK,
            lastDueAt: IN_NEW_YORK,
          },
        });
      });

      it('begins earlier where somebody has come whose wave is earlier, and later where they have left', async () => {
        await subscribe({ [ADA]: 'Europe/Paris' });
        const key = await scheduleLocal();
        expect((await belfry.message(key)).scheduleOn).toEqual(IN_PARIS);
        await subscribe({ [BOB]: 'Asia/Tokyo', [CYD]: 'Pacific/Auckland' });
        await engine.subscribers.remove(belfry.group, aKey(CYD));

        await drive(key);

        expect(timesOf(BOB)).toEqual([IN_TOKYO.toString()]);
        expect(timesOf(ADA)).toEqual([IN_PARIS.toString()]);
        expect((await belfry.message(key)).scheduleOn).toEqual(IN_TOKYO);
      });

      inDetail.each([
        ['a later zone', 'America/Los_Angeles', '2026-11-24T17:00:00Z'],
        ['an earlier zone whose wave is still to come', 'Africa/Cairo', '2026-11-24T07:00:00Z'],
      ])('reaches whoever moves to %s in between once, at the time there', async (_what, zone, at) => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/New_York' });
        const key = await scheduleLocal();
        await drive(key, plusMs(IN_TOKYO, HOUR_MS));

        await moveTo(BOB, zone);
        await drive(key);

        expect(timesOf(BOB)).toEqual([at]);
        expect((await belfry.message(key)).counts).toMatchObject({ subscribers: 2, sent: 2 });
      });

      it('reaches whoever moves to a zone whose wave has come within an hour and a half, and nobody twice', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/Los_Angeles' });
        const key = await scheduleLocal();
        const movedAt = plusMs(IN_TOKYO, HOUR_MS);
        await drive(key, movedAt);

        await moveTo(ADA, 'America/Los_Angeles');
        await moveTo(BOB, 'Asia/Tokyo');
        await drive(key);

        expect(timesOf(ADA)).toEqual([IN_TOKYO.toString()]);
        expect(timesOf(BOB)).toHaveLength(1);
        expect(msBetween(movedAt, sent.at(-1)?.at ?? movedAt)).toBeLessThanOrEqual(1.75 * HOUR_MS);
      });

      inDetail('sends at once to those whose time had passed, unless it is told to skip them', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/New_York' });
        engine.clock.set(IN_PARIS);
        const sending = await scheduleLocal({ passed: 'send' });
        const skipping = await scheduleLocal({ passed: 'skip' });

        await belfry.runOnce();
        await drive(sending);
        await drive(skipping);

        expect(timesOf(ADA)).toEqual([IN_PARIS.toString()]);
        expect(timesOf(BOB)).toEqual([IN_NEW_YORK.toString(), IN_NEW_YORK.toString()]);
        expect(await belfry.deliveries(skipping)).toMatchObject([
          {
            email: ADA,
            outcome: 'skipped',
            reason: 'Its time in Asia/Tokyo, 2026-11-24T00:00:00.000Z, had passed.',
          },
          { email: BOB, outcome: 'sent' },
        ]);
        expect((await belfry.message(skipping)).counts).toMatchObject({ sent: 1, skipped: 1 });
      });

      inDetail('does not take for passed what a worker came late to', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/New_York' });
        const key = await scheduleLocal({ passed: 'skip' });
        engine.clock.set(plusMs(IN_TOKYO, 3 * HOUR_MS));

        await drive(key);

        expect(timesOf(ADA)).toEqual([plusMs(IN_TOKYO, 3 * HOUR_MS).toString()]);
        expect((await belfry.message(key)).counts).toMatchObject({ sent: 2, skipped: 0 });
      });

      it('can be paused between waves, and resumed: what had passed by then goes at once, the rest at its time', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris', [CYD]: 'America/New_York' });
        const key = await scheduleLocal();
        await drive(key, plusMs(IN_TOKYO, HOUR_MS));
        await belfry.schedule.pause(belfry.group, key);
        await drive(key);
        const resumedAt = plusMs(IN_PARIS, HOUR_MS);
        engine.clock.set(resumedAt);
        await belfry.runOnce();
        expect(sent).toHaveLength(1);

        await belfry.schedule.resume(belfry.group, key);
        await drive(key);

        expect(timesOf(BOB)).toEqual([resumedAt.toString()]);
        expect(timesOf(CYD)).toEqual([IN_NEW_YORK.toString()]);
        expect(await belfry.message(key)).toMatchObject({ status: 'sent', counts: { sent: 3 } });
      });

      it('can be cancelled between waves: nobody gets it any more, and everybody has an outcome at once', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/New_York', [CYD]: 'America/Los_Angeles' });
        const key = await scheduleLocal();
        const cancelledAt = plusMs(IN_TOKYO, HOUR_MS);
        await drive(key, cancelledAt);

        await belfry.schedule.cancel(belfry.group, key);
        await drive(key);

        expect(engine.clock.now()).toEqual(cancelledAt);
        expect(await belfry.message(key)).toMatchObject({
          status: 'cancelled',
          wakeAt: undefined,
          counts: { subscribers: 3, sent: 1, skipped: 2 },
        });
      });

      it('goes on where a worker was lost in a wave, and says who may have got it twice', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris', [CYD]: 'America/New_York' });
        const key = await scheduleLocal();
        await drive(key, plusMs(IN_TOKYO, HOUR_MS));
        engine.clock.set(IN_PARIS);
        belfry.channel.answerWith(() => {
          throw new Error('The process has died.');
        });
        Object.defineProperty(engine.deliveries, 'putBack', {
          configurable: true,
          value: async () => Promise.reject(new Error('It can write nothing any more.')),
        });
        await expect(belfry.runOnce()).rejects.toThrow('It can write nothing any more.');

        Reflect.deleteProperty(engine.deliveries, 'putBack');
        belfry.channel.answerWith(take);
        restart();
        await drive(key);

        expect(timesOf(ADA)).toEqual([IN_TOKYO.toString()]);
        expect(timesOf(BOB)).toHaveLength(1);
        expect(timesOf(CYD)).toEqual([IN_NEW_YORK.toString()]);
        expect(await belfry.deliveries(key)).toMatchObject([
          { email: ADA, outcome: 'sent', unknownAttempts: 0 },
          { email: BOB, outcome: 'sent', unknownAttempts: 1 },
          { email: CYD, outcome: 'sent', unknownAttempts: 0 },
        ]);
      });

      inDetail(
        'tries what was deferred again without waiting for the next wave, and does not hold a wave up for it',
        async () => {
          await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris' });
          belfry.channel.answerWith((mail) =>
            mail.to === ADA && sent.length < 1 && !isReached(plusMs(IN_TOKYO, 1), engine.clock.now())
              ? { kind: 'deferred', reason: '450 later' }
              : take(mail),
          );
          const key = await scheduleLocal();

          await drive(key);

          expect(isReached(plusMs(IN_TOKYO, HOUR_MS), sent.at(0)?.at ?? IN_PARIS)).toBe(false);
          expect(sent.map(({ to }) => to)).toEqual([ADA, BOB]);
          expect(timesOf(BOB)).toEqual([IN_PARIS.toString()]);
        },
      );

      inDetail('expires between waves: whose time comes later is skipped then', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'America/New_York' });
        const expiresAt = plusMs(IN_PARIS, 1);
        const key = await scheduleLocal({}, { expiresAt });

        await drive(key);

        expect(engine.clock.now()).toEqual(expiresAt);
        expect((await belfry.message(key)).counts).toMatchObject({ sent: 1, skipped: 1 });
      });

      inDetail('sleeps while nobody has anything to do, but never longer than an hour', async () => {
        await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris' });
        const key = await scheduleLocal();
        await drive(key, plusMs(IN_TOKYO, 2 * HOUR_MS));

        const wakes: number[] = [];
        let before = engine.clock.now();
        while (!isReached(IN_PARIS, before)) {
          await belfry.runOnce();
          const { wakeAt } = await belfry.message(key);
          before = wakeAt ?? IN_PARIS;
          wakes.push(msBetween(engine.clock.now(), before));
          engine.clock.set(before);
        }

        expect(wakes.length).toBeLessThan(30);
        expect(Math.max(...wakes)).toBeLessThanOrEqual(HOUR_MS);
        expect(before).toEqual(IN_PARIS);
      });

      describe('after an outage longer than the grace', () => {
        it.each([
          { onMissed: 'hold', status: 'held', sentCount: 1, skippedCount: 0 },
          { onMissed: 'skip', status: 'sent', sentCount: 2, skippedCount: 1 },
          { onMissed: 'send', status: 'sent', sentCount: 3, skippedCount: 0 },
        ] as const)('between two waves, a message is $status that says $onMissed', async (expected) => {
          const { onMissed, status, sentCount, skippedCount } = expected;
          await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris', [CYD]: 'Pacific/Honolulu' });
          restart({ MISSED_GRACE: '6h' });
          const key = await scheduleLocal({}, { onMissed });
          await drive(key, plusMs(IN_TOKYO, HOUR_MS));
          engine.clock.set(plusMs(IN_PARIS, 12 * HOUR_MS)); // 10:00 in Honolulu, an hour after its wave

          await belfry.worker.runOnce(); // before anybody has attended to the message
          expect(sent).toHaveLength(1);
          await drive(key);

          expect(await belfry.message(key)).toMatchObject({
            status,
            counts: { sent: sentCount, skipped: skippedCount },
          });
          expect(timesOf(CYD)).toHaveLength(status === 'held' ? 0 : 1);
        });

        inDetail('goes on with everybody when it is resumed', async () => {
          await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris' });
          const key = await scheduleLocal();
          await drive(key, plusMs(IN_TOKYO, HOUR_MS));
          engine.clock.set(plusMs(IN_PARIS, 2 * DAY_MS));
          await belfry.runOnce();
          expect(await belfry.message(key)).toMatchObject({ status: 'held' });

          await belfry.schedule.resume(belfry.group, key);
          await drive(key);

          expect(await belfry.message(key)).toMatchObject({ status: 'sent', counts: { sent: 2 } });
        });

        inDetail(
          'before its first wave, leaves out the waves that were missed and sends the others, where it says skip',
          async () => {
            await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Pacific/Honolulu' });
            restart({ MISSED_GRACE: '6h' });
            const key = await scheduleLocal({}, { onMissed: 'skip' });
            engine.clock.set(plusMs(IN_PARIS, 12 * HOUR_MS));

            await drive(key);

            expect(sent.map(({ to }) => to)).toEqual([BOB]);
            expect(await belfry.message(key)).toMatchObject({
              status: 'sent',
              counts: { sent: 1, skipped: 1 },
            });
          },
        );
      });

      describe('changed before it begins', () => {
        inDetail('goes at the new local time', async () => {
          await subscribe({ [ADA]: 'Europe/Paris' });
          const key = await scheduleLocal();

          await belfry.schedule.change(belfry.group, key, {
            localDelivery: parseLocalTime({ ...NINE, time: '10:30' }, ''),
          });
          await drive(key);

          expect(timesOf(ADA)).toEqual(['2026-11-24T09:30:00Z']);
        });

        inDetail('goes to everybody at one time instead, and the other way round', async () => {
          await subscribe({ [ADA]: 'Europe/Paris', [BOB]: 'Asia/Tokyo' });
          const toOne = await scheduleLocal();
          const toLocal = await belfry.scheduleMessage({ scheduleOn: plusMs(anInstant(), DAY_MS) });

          await belfry.schedule.change(belfry.group, toOne, { scheduleOn: plusMs(anInstant(), HOUR_MS) });
          await belfry.schedule.change(belfry.group, toLocal, { localDelivery: parseLocalTime(NINE, '') });
          await drive(toOne);
          await drive(toLocal);

          const anHourLater = plusMs(anInstant(), HOUR_MS).toString();
          expect(timesOf(ADA)).toEqual([anHourLater, IN_PARIS.toString()]);
          expect(timesOf(BOB)).toEqual([anHourLater, IN_TOKYO.toString()]);
        });
      });
    });

    describe('a send window', () => {
      inDetail(
        'holds up what falls outside it until it starts, and says since when that is late',
        async () => {
          await subscribe({ [ADA]: undefined });
          await putWindow({ from: '08:00', to: '20:00', days: ['we'] }, 'Europe/Paris');
          const key = await belfry.scheduleMessage();

          await drive(key);

          expect(timesOf(ADA)).toEqual(['2026-11-25T07:00:00Z']);
          expect((await belfry.message(key)).attempts.lastDueAt?.toString()).toBe('2026-11-25T07:00:00Z');
        },
      );

      inDetail('goes by the clock of each subscriber, where it says so', async () => {
        await subscribe({ [ADA]: 'Europe/Paris', [BOB]: 'America/New_York', [CYD]: undefined });
        await putWindow({ from: '08:00', to: '12:00', zone: 'subscriber' }, 'Asia/Tokyo');

        await drive(await belfry.scheduleMessage());

        expect(timesOf(BOB)).toEqual([anInstant().toString()]);
        expect(timesOf(CYD)).toEqual(['2026-11-23T23:00:00Z']);
        expect(timesOf(ADA)).toEqual(['2026-11-24T07:00:00Z']);
      });

      inDetail('lets nothing go that has its turn only after the end', async () => {
        await subscribe({ [ADA]: undefined });
        await putWindow({ from: '08:00', to: '20:00' });
        const end = Temporal.Instant.from('2026-11-23T20:00:00Z');
        restart({ MAX_SEND_RATE: '100' });
        const takeTurn = engine.rates.change.bind(engine.rates);
        Object.defineProperty(engine.rates, 'change', {
          configurable: true,
          value: async (...args: Parameters<typeof takeTurn>) => {
            const turn = await takeTurn(...args);
            engine.clock.set(end);
            return turn;
          },
        });
        const key = await belfry.scheduleMessage({ scheduleOn: plusMs(end, -1) });
        engine.clock.set(plusMs(end, -1));

        await belfry.runOnce();
        expect(sent).toEqual([]);
        Reflect.deleteProperty(engine.rates, 'change');
        await drive(key);

        expect(timesOf(ADA)).toEqual(['2026-11-24T08:00:00Z']);
      });

      it('ends in the middle of a message, which goes on at its next start, once to each', async () => {
        const everybody = addresses(130);
        await subscribe(Object.fromEntries(everybody.map((email) => [email, undefined])));
        await putWindow({ from: '08:00', to: '20:00' });
        const end = Temporal.Instant.from('2026-11-23T20:00:00Z');
        const start = Temporal.Instant.from('2026-11-24T08:00:00Z');
        belfry.channel.answerWith((mail) => {
          engine.clock.advance(1_000); // so each window of ten takes ten seconds
          return take(mail);
        });
        const key = await belfry.scheduleMessage({ scheduleOn: plusMs(end, -MINUTE_MS) });

        await drive(key);

        const onMonday = sent.filter(({ at }) => isReached(at, plusMs(end, 10_000)));
        const onTuesday = sent.filter(({ at }) => isReached(start, at));
        expect(onMonday).toHaveLength(60);
        expect(onTuesday).toHaveLength(70);
        expect(sent.map(({ to }) => to).toSorted()).toEqual(everybody);
        expect(await belfry.message(key)).toMatchObject({ status: 'sent', counts: { sent: 130 } });
      });

      inDetail('that is taken away lets go what waits for it, within an hour and a half', async () => {
        await subscribe({ [ADA]: undefined });
        await putWindow({ from: '08:00', to: '09:00' });
        const key = await belfry.scheduleMessage();
        await belfry.runOnce();

        await engine.groups.put(belfry.group, groupSettings());
        await drive(key);

        expect(msBetween(anInstant(), sent.at(0)?.at ?? anInstant())).toBeLessThanOrEqual(1.75 * HOUR_MS);
        expect(sent).toHaveLength(1);
      });

      inDetail('and a local time: the later of both counts', async () => {
        await subscribe({ [ADA]: 'Europe/Paris', [BOB]: 'America/New_York' });
        await putWindow({ from: '10:00', to: '12:00', zone: 'subscriber' });

        await drive(await scheduleLocal({ time: '11:00' }));
        await drive(await scheduleLocal({ date: '2026-11-26', time: '09:00' }));

        expect(timesOf(ADA)).toEqual(['2026-11-24T10:00:00Z', '2026-11-26T09:00:00Z']);
        expect(timesOf(BOB)).toEqual(['2026-11-24T16:00:00Z', '2026-11-26T15:00:00Z']);
      });

      inDetail(
        'does not hold up who is only told that they get nothing: a cancelled message ends',
        async () => {
          await subscribe({ [ADA]: undefined });
          await putWindow({ from: '08:00', to: '09:00' });
          const key = await belfry.scheduleMessage();
          await belfry.runOnce();

          await belfry.schedule.cancel(belfry.group, key);
          await drive(key);

          expect(await belfry.message(key)).toMatchObject({ counts: { skipped: 1 }, wakeAt: undefined });
          expect(sent).toEqual([]);
        },
      );
    });

    inDetail('of two messages keep apart, and each reaches everybody', async () => {
      await subscribe({ [ADA]: 'Asia/Tokyo', [BOB]: 'Europe/Paris' });
      const first = await scheduleLocal();
      const second = await scheduleLocal({ time: '09:30' });

      await drive(first, plusMs(IN_TOKYO, 20 * MINUTE_MS));
      await drive(second, plusMs(IN_TOKYO, HOUR_MS));
      await drive(first);
      await drive(second);

      expect(timesOf(ADA)).toEqual(['2026-11-24T00:00:00Z', '2026-11-24T00:30:00Z']);
      expect(timesOf(BOB)).toEqual(['2026-11-24T08:00:00Z', '2026-11-24T08:30:00Z']);
    });
  });
}

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DAY_MS, HOUR_MS, isReached, MINUTE_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { ContentDamagedError, isFinished, type MessageKey } from '../../src/schedule/message.ts';
import { CLOCK_SKEW_MS } from '../../src/delivery/lease.ts';
import { StoreUnavailableError } from '../../src/platform/errors/domain-error.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import type { Engine, OpenEngine } from '../contract/engine.ts';
import { addresses, aKey, anInstant } from '../support/builders.ts';
import { until } from '../support/until.ts';
import { Belfry, FakeChannel } from './belfry.ts';

const LEASE_MS = parseSettings({}).leaseMs;
// SQS gives out again after five seconds of its own clock what was given back.
const GIVEN_BACK_LIMIT_MS = 15 * SECOND_MS;

/** What Belfry does with a message from its time to its last delivery, whatever the engine. */
export function describeDeliveryFlow(openEngine: OpenEngine): void {
  describe('delivery', () => {
    let engine: Engine;
    let belfry: Belfry;

    beforeEach(async () => {
      engine = await openEngine();
      belfry = new Belfry(engine);
    });

    afterEach(async () => {
      await engine.close();
    });

    /** A process that starts where the last one was lost: the same state and channel, nothing in memory. */
    function restart(env = {}): void {
      belfry = new Belfry(engine, belfry.channel, env);
    }

    /** Passes so long at one stroke: a process that was lost has left its timers behind, and would renew what it holds all the time. */
    function jump(ms: number): void {
      engine.clock.set(plusMs(engine.clock.now(), ms));
    }

    describe('a message that is due', () => {
      it('reaches every subscriber of the group once, in batches of fifty', async () => {
        const everybody = addresses(120);
        await belfry.subscribe(...everybody);
        const key = await belfry.scheduleMessage();

        await belfry.runOnce();

        expect(belfry.channel.recipients).toEqual(everybody);
        const message = await belfry.message(key);
        expect(message.status).toBe('sent');
        expect(message.wakeAt).toBeUndefined();
        expect(message.dispatch).toMatchObject({ complete: true, batchesCut: 3, batchesSettled: 3 });
        expect(message.counts).toEqual({ subscribers: 120, sent: 120, failed: 0, skipped: 0, unknown: 0 });
      });

      it('is not sent a millisecond before its time', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage({ scheduleOn: plusMs(anInstant(), 1) });

        await belfry.runOnce();

        expect(belfry.channel.taken).toEqual([]);
        expect((await belfry.message(key)).status).toBe('scheduled');
      });

      it('is finished at once where the group has nobody', async () => {
        const key = await belfry.scheduleMessage();

        await belfry.runOnce();

        expect(await belfry.message(key)).toMatchObject({ status: 'sent', wakeAt: undefined });
      });

      it('says how late it was', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        engine.clock.advance(1_500);

        await belfry.runOnce();

        const { attempts } = await belfry.message(key);
        expect(attempts).toEqual({
          firstAt: plusMs(anInstant(), 1_500),
          lastAt: plusMs(anInstant(), 1_500),
          lastAcceptedAt: plusMs(anInstant(), 1_500),
          lastDueAt: anInstant(),
        });
      });

      it('goes to nobody who joins after the dispatch', async () => {
        await belfry.subscribe('ada@example.com', 'zoe@example.com');
        const key = await belfry.scheduleMessage();
        await belfry.scanner.runOnce();
        engine.clock.advance(1);
        await belfry.subscribe('mia@example.com');

        await belfry.worker.runOnce();

        expect(belfry.channel.recipients).toEqual(['ada@example.com', 'zoe@example.com']);
        expect((await belfry.message(key)).counts).toMatchObject({ subscribers: 2, sent: 2 });
      });

      it('skips whose address is suppressed, with the reason, and nobody else', async () => {
        await belfry.subscribe(...addresses(12));
        const key = await belfry.scheduleMessage();
        const addedAt = anInstant();
        await engine.suppressions.add({
          subscriber: aKey('s00003@example.com'),
          reason: 'bounced',
          detail: '550 5.1.1 No such user',
          addedAt,
        });
        await engine.suppressions.add({
          subscriber: aKey('s00011@example.com'),
          reason: 'manual',
          detail: undefined,
          addedAt,
        });
        await belfry.suppressions.erase(aKey('s00007@example.com'), addedAt);

        await belfry.runOnce();

        const skipped = (await belfry.deliveries(key)).filter(({ outcome }) => outcome === 'skipped');
        expect(skipped.map(({ email, attempt, reason }) => ({ email, attempt, reason }))).toEqual([
          {
            email: 's00003@example.com',
            attempt: 0,
            reason:
              'The address is suppressed (bounced) since 2026-11-23T14:10:00.000Z: 550 5.1.1 No such user',
          },
          {
            email: 's00007@example.com',
            attempt: 0,
            reason: 'The address is suppressed (erased) since 2026-11-23T14:10:00.000Z.',
          },
          {
            email: 's00011@example.com',
            attempt: 0,
            reason: 'The address is suppressed (manual) since 2026-11-23T14:10:00.000Z.',
          },
        ]);
        expect(belfry.channel.taken).toHaveLength(9);
      });

      it('skips who unsubscribed or left after the dispatch, and says so', async () => {
        await belfry.subscribe('ada@example.com', 'bob@example.com', 'cyd@example.com');
        const key = await belfry.scheduleMessage();
        await belfry.scanner.runOnce();
        await engine.subscribers.change(belfry.group, aKey('bob@example.com'), { status: 'unsubscribed' }, 1);
        await engine.subscribers.remove(belfry.group, aKey('cyd@example.com'));

        await belfry.worker.runOnce();

        expect(belfry.channel.recipients).toEqual(['ada@example.com']);
        expect((await belfry.message(key)).counts).toEqual({
          subscribers: 3,
          sent: 1,
          skipped: 2,
          failed: 0,
          unknown: 0,
        });
        expect(await belfry.deliveries(key)).toMatchObject([
          { email: 'ada@example.com', outcome: 'sent' },
          { email: 'bob@example.com', outcome: 'skipped', reason: 'The subscriber is unsubscribed.' },
        ]);
      });

      it('fails for one subscriber whose data the template cannot take, and for nobody else', async () => {
        await belfry.subscribe('ada@example.com', 'bob@example.com');
        await engine.subscribers.change(
          belfry.group,
          aKey('bob@example.com'),
          { attributes: { bomb: true } },
          1,
        );
        const key = await belfry.scheduleMessage({
          template: 'liquid',
          body: '{% if attributes.bomb %}{% for i in (1..100000000) %}x{% endfor %}{% endif %}Hello {{ email }}',
        });

        await belfry.runOnce();

        expect(await belfry.deliveries(key)).toMatchObject([
          { email: 'ada@example.com', outcome: 'sent' },
          { email: 'bob@example.com', outcome: 'failed' },
        ]);
        expect((await belfry.message(key)).status).toBe('sent');
      });
    });

    describe('a message that is found too late', () => {
      it.each([
        { onMissed: 'hold', status: 'held', sentCount: 0 },
        { onMissed: 'skip', status: 'skipped', sentCount: 0 },
        { onMissed: 'send', status: 'sent', sentCount: 1 },
      ] as const)('is $status where it says $onMissed', async ({ onMissed, status, sentCount }) => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage({ onMissed });
        engine.clock.advance(DAY_MS + 1);

        await belfry.runOnce();

        expect((await belfry.message(key)).status).toBe(status);
        expect(belfry.channel.taken).toHaveLength(sentCount);
      });

      it('goes out at once within the grace', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        engine.clock.advance(DAY_MS);

        await belfry.runOnce();

        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('goes out once it is resumed, and its lateness counts from then', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage({ scheduleOn: plusMs(anInstant(), -400 * DAY_MS) });
        expect((await belfry.message(key)).status).toBe('held');

        await belfry.schedule.resume(belfry.group, key);
        await belfry.runOnce();

        const message = await belfry.message(key);
        expect(message.status).toBe('sent');
        expect(message.dueAt).toEqual(anInstant());
        expect(message.scheduleOn).toEqual(plusMs(anInstant(), -400 * DAY_MS));
      });

      it('can have its subject mended though it has expired, but no new time behind the expiry', async () => {
        const expiresAt = plusMs(anInstant(), HOUR_MS);
        const key = await belfry.scheduleMessage({ expiresAt });
        await belfry.schedule.pause(belfry.group, key);
        engine.clock.advance(2 * HOUR_MS);

        const mended = await belfry.schedule.change(belfry.group, key, { subject: 'Mended' });
        const moving = belfry.schedule.change(belfry.group, key, { scheduleOn: plusMs(expiresAt, DAY_MS) });

        expect(mended.subject).toBe('Mended');
        await expect(moving).rejects.toMatchObject({ code: 'invalid-input' });
      });

      it('is never sent once it has expired', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage({
          expiresAt: plusMs(anInstant(), HOUR_MS),
          onMissed: 'send',
        });
        engine.clock.advance(HOUR_MS);

        await belfry.runOnce();

        expect((await belfry.message(key)).status).toBe('skipped');
        expect(belfry.channel.taken).toEqual([]);
      });
    });

    describe('what the channel says', () => {
      /** Runs every ten minutes until the message is finished, and once more at the end of the day: nothing may come after that. */
      async function runDay(key: MessageKey): Promise<void> {
        const end = plusMs(engine.clock.now(), DAY_MS);
        while (!isFinished((await belfry.message(key)).status) && !isReached(end, engine.clock.now())) {
          await belfry.runOnce();
          engine.clock.advance(10 * MINUTE_MS);
        }
        engine.clock.set(end);
        await belfry.runOnce();
      }

      it('is an outcome for a rejected address, at once and for it alone', async () => {
        await belfry.subscribe('ada@example.com', 'bob@example.com');
        belfry.channel.answerWith((mail) =>
          mail.to === 'bob@example.com'
            ? { kind: 'rejected', reason: '550 5.1.1 No such user' }
            : { kind: 'accepted', providerId: '1' },
        );
        const key = await belfry.scheduleMessage();

        await belfry.runOnce();

        expect(await belfry.deliveries(key)).toMatchObject([
          { outcome: 'sent', attempt: 1, providerId: '1' },
          { outcome: 'failed', attempt: 1, reason: '550 5.1.1 No such user' },
        ]);
      });

      it('spends no attempt on what was throttled, and tries it again within seconds', async () => {
        restart({ MAX_ATTEMPTS: '1' });
        await belfry.subscribe('ada@example.com', 'bob@example.com');
        let isThrottled = true;
        belfry.channel.answerWith((mail) =>
          mail.to === 'bob@example.com' && isThrottled
            ? { kind: 'throttled', reason: 'Maximum sending rate exceeded.' }
            : { kind: 'accepted', providerId: '1' },
        );
        const key = await belfry.scheduleMessage();
        await belfry.runOnce();
        engine.clock.advance(4 * SECOND_MS);
        await belfry.runOnce();
        expect(await belfry.message(key)).toMatchObject({
          status: 'sending',
          counts: { sent: 1, failed: 0 },
        });
        expect((await belfry.deliveries(key)).at(1)).toMatchObject({
          outcome: undefined,
          attempt: 0,
          reason: 'Maximum sending rate exceeded.',
        });

        isThrottled = false;
        engine.clock.advance(4 * SECOND_MS);
        await belfry.runOnce();

        expect(belfry.channel.recipients).toEqual(['ada@example.com', 'bob@example.com']);
        expect((await belfry.deliveries(key)).at(1)).toMatchObject({ outcome: 'sent', attempt: 1 });
      });

      it('is no attempt where everything was throttled: the first attempt is the one that the channel made', async () => {
        await belfry.subscribe('ada@example.com');
        belfry.channel.answerWith(() => ({ kind: 'throttled', reason: 'slower' }));
        const key = await belfry.scheduleMessage();
        await belfry.runOnce();
        expect((await belfry.message(key)).attempts.firstAt).toBeUndefined();

        belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: '1' }));
        engine.clock.advance(4 * SECOND_MS);
        await belfry.runOnce();

        expect((await belfry.message(key)).attempts.firstAt).toEqual(plusMs(anInstant(), 4 * SECOND_MS));
      });

      it('brings a deferred delivery back later, and only that', async () => {
        await belfry.subscribe('ada@example.com', 'bob@example.com');
        let isGreylisted = true;
        belfry.channel.answerWith((mail) =>
          mail.to === 'bob@example.com' && isGreylisted
            ? { kind: 'deferred', reason: '451 4.7.1 Greylisted' }
            : { kind: 'accepted', providerId: '1' },
        );
        const key = await belfry.scheduleMessage();
        await belfry.runOnce();
        expect(await belfry.message(key)).toMatchObject({
          status: 'sending',
          counts: { sent: 1, subscribers: 2 },
        });
        expect((await belfry.deliveries(key)).at(1)).toMatchObject({ outcome: undefined, attempt: 1 });

        isGreylisted = false;
        await belfry.runOnce();
        expect(belfry.channel.recipients).toEqual(['ada@example.com']);
        engine.clock.advance(MINUTE_MS);
        await belfry.runOnce();

        expect(belfry.channel.recipients).toEqual(['ada@example.com', 'bob@example.com']);
        expect((await belfry.deliveries(key)).at(1)).toMatchObject({ outcome: 'sent', attempt: 2 });
        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('brings a deferred delivery back within RETRY_BASE', async () => {
        restart({ RETRY_BASE: '2s' });
        await belfry.subscribe('ada@example.com');
        belfry.channel.answerWith(() => ({ kind: 'deferred', reason: '451 Later' }));
        const key = await belfry.scheduleMessage();
        await belfry.runOnce();

        engine.clock.advance(2 * SECOND_MS);
        await belfry.runOnce();

        expect(await belfry.deliveries(key)).toMatchObject([{ attempt: 2 }]);
      });

      it('ends as failed, with the last reason, what is deferred at every attempt', async () => {
        restart({ MAX_ATTEMPTS: '3' });
        await belfry.subscribe('ada@example.com');
        let tries = 0;
        belfry.channel.answerWith(() => ({ kind: 'deferred', reason: `451 try ${(tries += 1)}` }));
        const key = await belfry.scheduleMessage();

        await runDay(key);

        expect(tries).toBe(3);
        expect(await belfry.deliveries(key)).toMatchObject([
          { outcome: 'failed', attempt: 3, reason: '451 try 3 (attempt 3 was the last)' },
        ]);
        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('ends as failed what is deferred until the message expires', async () => {
        await belfry.subscribe('ada@example.com');
        belfry.channel.answerWith(() => ({ kind: 'deferred', reason: '451 Later' }));
        const key = await belfry.scheduleMessage({ expiresAt: plusMs(anInstant(), HOUR_MS) });

        await runDay(key);

        const [delivery] = await belfry.deliveries(key);
        expect(delivery).toMatchObject({ outcome: 'failed' });
        expect(delivery?.reason).toContain('451 Later The message expired');
      });

      it('stops the message where every mail would be refused, and lets it go on from there', async () => {
        await belfry.subscribe(...addresses(30));
        let isMended = false;
        belfry.channel.answerWith(() =>
          isMended || belfry.channel.taken.length < 10
            ? { kind: 'accepted', providerId: '1' }
            : { kind: 'refused', reason: '535 5.7.8 Authentication failed' },
        );
        const key = await belfry.scheduleMessage();
        await belfry.runOnce();
        expect(await belfry.message(key)).toMatchObject({
          status: 'failed',
          reason: '535 5.7.8 Authentication failed',
          wakeAt: undefined,
          counts: { sent: 10, subscribers: 30 },
        });

        isMended = true;
        await belfry.schedule.resume(belfry.group, key);
        await belfry.runOnce();

        expect(belfry.channel.recipients).toEqual(addresses(30));
        expect(await belfry.message(key)).toMatchObject({
          status: 'sent',
          reason: undefined,
          counts: { sent: 30 },
        });
      });

      it.each([
        { onUnknown: 'resend', outcome: 'sent', unknownAttempts: 1, attempt: 2, mails: 2 },
        { onUnknown: 'leave', outcome: 'unknown', unknownAttempts: 1, attempt: 1, mails: 1 },
      ] as const)(
        'follows on_unknown: $onUnknown where it may or may not have been taken',
        async ({ onUnknown, outcome, unknownAttempts, attempt, mails }) => {
          await belfry.subscribe('ada@example.com');
          let handedOver = 0;
          belfry.channel.answerWith(() => {
            handedOver += 1;
            return handedOver === 1
              ? { kind: 'unknown', reason: 'The connection broke.' }
              : { kind: 'accepted', providerId: '2' };
          });
          const key = await belfry.scheduleMessage({ onUnknown });

          await runDay(key);

          expect(handedOver).toBe(mails);
          expect(await belfry.deliveries(key)).toMatchObject([{ outcome, unknownAttempts, attempt }]);
        },
      );
    });

    describe('in the middle', () => {
      /** Runs `act` when the channel has taken `count` mails. */
      function when(count: number, act: () => Promise<unknown>): void {
        let hasActed = false;
        belfry.channel.answerWith(async () => {
          if (!hasActed && belfry.channel.taken.length >= count) {
            hasActed = true;
            await act();
          }
          return { kind: 'accepted', providerId: '1' };
        });
      }

      it('a cancelled message stops before the next window, and every delivery has its outcome', async () => {
        await belfry.subscribe(...addresses(120));
        const key = await belfry.scheduleMessage();
        when(10, () => belfry.schedule.cancel(belfry.group, key));

        await belfry.runOnce();
        await belfry.runOnce();

        const message = await belfry.message(key);
        expect(belfry.channel.taken).toHaveLength(20);
        expect(message).toMatchObject({ status: 'cancelled', wakeAt: undefined });
        expect(message.counts).toEqual({ subscribers: 120, sent: 20, skipped: 100, failed: 0, unknown: 0 });
      });

      it('a paused message stops before the next window, and goes on from there', async () => {
        await belfry.subscribe(...addresses(120));
        const key = await belfry.scheduleMessage();
        when(10, () => belfry.schedule.pause(belfry.group, key));
        await belfry.runOnce();
        expect(belfry.channel.taken).toHaveLength(20);
        expect(await belfry.message(key)).toMatchObject({ status: 'paused', counts: { sent: 20 } });

        await belfry.schedule.resume(belfry.group, key);
        await belfry.runOnce();

        expect(belfry.channel.recipients).toEqual(addresses(120));
        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('a cancelled message is closed though its content is damaged', async () => {
        await belfry.subscribe(...addresses(60));
        const key = await belfry.scheduleMessage();
        await belfry.scanner.runOnce();
        await belfry.schedule.cancel(belfry.group, key);
        Object.defineProperty(engine.messages, 'readContent', {
          value: () => Promise.reject(new ContentDamagedError(key, 'is missing')),
        });

        await belfry.runOnce();

        const message = await belfry.message(key);
        expect(message).toMatchObject({ status: 'cancelled', wakeAt: undefined });
        expect(message.counts).toMatchObject({ subscribers: 60, skipped: 60 });
      });

      it('a message whose content is damaged stops, says so, and sends nothing', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        Object.defineProperty(engine.messages, 'readContent', {
          value: () => Promise.reject(new ContentDamagedError(key, 'is missing')),
        });

        await belfry.runOnce();

        const message = await belfry.message(key);
        expect(message.status).toBe('failed');
        expect(message.reason).toContain('is missing');
        expect(belfry.channel.taken).toEqual([]);
      });

      it('a message that was cancelled before its time sends nothing', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        await belfry.schedule.cancel(belfry.group, key);

        await belfry.runOnce();

        expect(belfry.channel.taken).toEqual([]);
        expect((await belfry.message(key)).wakeAt).toBeUndefined();
      });

      it('work in hand is given back when the process stops, and nobody gets it twice', async () => {
        await belfry.subscribe(...addresses(30));
        const key = await belfry.scheduleMessage();
        when(0, async () => belfry.shutdown.begin());
        await belfry.runOnce();
        expect(belfry.channel.taken).toHaveLength(10);

        restart();
        await belfry.runOnce();

        expect(belfry.channel.recipients).toEqual(addresses(30));
        expect((await belfry.deliveries(key)).map((delivery) => delivery.unknownAttempts)).not.toContain(1);
      });
    });

    describe('a store that is away for a moment', () => {
      it('costs a batch that could not be claimed some seconds, and not its pointer', async () => {
        await belfry.subscribe('ada@example.com');
        await belfry.scheduleMessage();
        const claim = engine.deliveries.claim.bind(engine.deliveries);
        let claims = 0;
        Object.defineProperty(engine.deliveries, 'claim', {
          configurable: true,
          value: async (...args: Parameters<typeof claim>) => {
            claims += 1;
            if (claims === 1) {
              throw new StoreUnavailableError();
            }
            return claim(...args);
          },
        });
        await belfry.scanner.runOnce();

        belfry.worker.start();

        await expect.poll(() => claims, { timeout: 10_000 }).toBe(1);
        engine.clock.advance(10 * SECOND_MS);
        await expect.poll(() => belfry.channel.recipients, { timeout: 15_000 }).toEqual(['ada@example.com']);
        belfry.shutdown.begin();
        await belfry.worker.stopped();
      });
    });

    describe('a batch that fails for a reason nobody foresaw', () => {
      class Unforeseen extends Error {
        override readonly name = 'Unforeseen';
      }

      /** Lets the batch be tried until nobody tries it any more. */
      async function runForADay(): Promise<void> {
        for (let hour = 0; hour < 24; hour += 1) {
          await belfry.runOnce();
          jump(HOUR_MS);
        }
      }

      it('is tried again later, and what was in flight is said to be in doubt', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        belfry.channel.answerWith(() => {
          throw new Unforeseen('no channel does this');
        });
        await belfry.runOnce();
        belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: 'later' }));

        await runForADay();

        expect(belfry.channel.recipients).toEqual(['ada@example.com']);
        expect(await belfry.deliveries(key)).toMatchObject([
          { outcome: 'sent', attempt: 2, unknownAttempts: 1 },
        ]);
      });

      it('is set aside after eight mishaps, while the others go out, and is tried again on request', async () => {
        const everybody = addresses(120);
        await belfry.subscribe(...everybody);
        const key = await belfry.scheduleMessage();
        const readRange = engine.subscribers.readRange.bind(engine.subscribers);
        Object.defineProperty(engine.subscribers, 'readRange', {
          configurable: true,
          value: async (...args: Parameters<typeof readRange>) => {
            if (args[1].first === everybody[50]) {
              throw new Unforeseen('this range cannot be read');
            }
            return readRange(...args);
          },
        });

        await runForADay();

        const failed = await belfry.message(key);
        expect(failed.status).toBe('failed');
        expect(failed.reason).toContain('One batch');
        expect(failed.counts).toMatchObject({ subscribers: 120, sent: 70 });
        const page = { after: undefined, limit: 10, state: 'set_aside' } as const;
        expect(await engine.deliveries.listBatches(key, page)).toMatchObject([
          { first: everybody[50], tries: 8, error: 'Unforeseen: this range cannot be read' },
        ]);

        Reflect.deleteProperty(engine.subscribers, 'readRange');
        await belfry.schedule.retry(belfry.group, key, 'failed');
        await belfry.runOnce();
        expect(belfry.channel.recipients).toEqual(everybody);
        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('keeps what was known before the mishap, so that nobody gets it again', async () => {
        await belfry.subscribe(...addresses(20));
        const key = await belfry.scheduleMessage();
        const advance = engine.deliveries.advance.bind(engine.deliveries);
        let calls = 0;
        Object.defineProperty(engine.deliveries, 'advance', {
          configurable: true,
          value: async (...args: Parameters<typeof advance>) => {
            calls += 1;
            if (calls === 2) {
              throw new Unforeseen('between two windows');
            }
            return advance(...args);
          },
        });

        await runForADay();

        expect(belfry.channel.recipients).toEqual(addresses(20));
        expect((await belfry.deliveries(key)).every(({ unknownAttempts }) => unknownAttempts === 0)).toBe(
          true,
        );
      });

      it('is resumed with its message', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        belfry.channel.answerWith(() => {
          throw new Unforeseen('no channel does this');
        });
        await runForADay();
        expect((await belfry.message(key)).status).toBe('failed');
        belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: 'later' }));

        await belfry.schedule.resume(belfry.group, key);
        await belfry.runOnce();

        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('leaves no delivery without an outcome where the message is cancelled then', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        const readRange = engine.subscribers.readRange.bind(engine.subscribers);
        Object.defineProperty(engine.subscribers, 'readRange', {
          configurable: true,
          value: () => Promise.reject(new Unforeseen('this range cannot be read')),
        });
        await runForADay();
        Object.defineProperty(engine.subscribers, 'readRange', { configurable: true, value: readRange });

        await belfry.schedule.cancel(belfry.group, key);
        await belfry.runOnce();

        expect(await belfry.message(key)).toMatchObject({
          status: 'cancelled',
          counts: { subscribers: 1, skipped: 1 },
        });
        expect(belfry.channel.taken).toEqual([]);
      });

      it('is set aside when its worker is lost again and again', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        await belfry.scanner.runOnce();
        const [pointer] = await engine.deliveries.findClaimable(key, engine.clock.now(), {
          after: undefined,
          limit: 1,
          since: undefined,
        });
        for (let loss = 0; loss < 50; loss += 1) {
          if (!pointer) {
            throw new Error('There is no batch.');
          }
          const now = engine.clock.now();
          await engine.deliveries.claim(pointer, { token: `${loss}`, now, until: plusMs(now, LEASE_MS) });
          engine.clock.advance(LEASE_MS);
        }

        await belfry.runOnce();

        expect(await belfry.message(key)).toMatchObject({
          status: 'failed',
          dispatch: { batchesSetAside: 1 },
        });
        expect(belfry.channel.taken).toEqual([]);
      });
    });

    describe('a retry on request', () => {
      it('tries those that failed again, and nobody else', async () => {
        await belfry.subscribe(...addresses(120));
        const key = await belfry.scheduleMessage();
        belfry.channel.answerWith(({ to }) =>
          /s0000\d/.test(to)
            ? { kind: 'rejected', reason: '550 no such user' }
            : { kind: 'accepted', providerId: 'first' },
        );
        await belfry.runOnce();
        expect((await belfry.message(key)).counts).toMatchObject({ sent: 110, failed: 10 });
        belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: 'second' }));

        const retried = await belfry.schedule.retry(belfry.group, key, 'failed');
        await belfry.runOnce();

        expect(retried.status).toBe('sending');
        expect(belfry.channel.recipients).toEqual(addresses(120));
        expect(await belfry.message(key)).toMatchObject({ status: 'sent', counts: { sent: 120, failed: 0 } });
        expect(await belfry.deliveries(key)).toMatchObject(
          addresses(120).map((_, index) => ({ outcome: 'sent', attempt: index < 10 ? 2 : 1 })),
        );
      });

      it('tries the unknown only where it is asked to, and the record says that they may have it twice', async () => {
        await belfry.subscribe('ada@example.com', 'bob@example.com');
        const key = await belfry.scheduleMessage({ onUnknown: 'leave' });
        belfry.channel.answerWith(({ to }) =>
          to.startsWith('ada') ? { kind: 'unknown', reason: 'cut' } : { kind: 'rejected', reason: '550 no' },
        );
        await belfry.runOnce();
        belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: 'second' }));

        await belfry.schedule.retry(belfry.group, key, 'failed');
        await belfry.runOnce();
        const untouched = await belfry.deliveries(key);
        await belfry.schedule.retry(belfry.group, key, 'unknown');
        await belfry.runOnce();

        expect(untouched).toMatchObject([{ outcome: 'unknown' }, { outcome: 'sent' }]);
        expect(await belfry.deliveries(key)).toMatchObject([
          { outcome: 'sent', attempt: 2, unknownAttempts: 1 },
          { outcome: 'sent', attempt: 2, unknownAttempts: 0 },
        ]);
      });

      it('gives a delivery whose attempts were used up as many again', async () => {
        belfry = new Belfry(engine, belfry.channel, { MAX_ATTEMPTS: '2' });
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        belfry.channel.answerWith(() => ({ kind: 'deferred', reason: '451 later' }));
        for (let hour = 0; hour < 5; hour += 1) {
          await belfry.runOnce();
          engine.clock.advance(HOUR_MS);
        }
        expect(await belfry.deliveries(key)).toMatchObject([{ outcome: 'failed', attempt: 2 }]);

        await belfry.schedule.retry(belfry.group, key, 'failed');
        await belfry.runOnce();
        const pending = await belfry.deliveries(key);
        engine.clock.advance(HOUR_MS);
        await belfry.runOnce();

        expect(pending).toMatchObject([{ outcome: undefined, attempt: 3 }]);
        expect(await belfry.deliveries(key)).toMatchObject([{ outcome: 'failed', attempt: 4 }]);
      });

      it('changes nothing where nothing failed, and is refused before it begins and after its expiry', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage({ expiresAt: plusMs(anInstant(), DAY_MS) });
        await expect(belfry.schedule.retry(belfry.group, key, 'failed')).rejects.toMatchObject({
          code: 'message-status-conflict',
        });
        await belfry.runOnce();
        const sent = await belfry.message(key);

        expect(await belfry.schedule.retry(belfry.group, key, 'failed')).toEqual(sent);

        engine.clock.advance(DAY_MS);
        await expect(belfry.schedule.retry(belfry.group, key, 'failed')).rejects.toMatchObject({
          code: 'message-expired',
        });
      });
    });

    describe('a process that dies', () => {
      class Died extends Error {}

      // What a worker that lives would still write.
      const WRITES = ['advance', 'settle', 'putBack', 'setAside', 'release'] as const;

      /** Makes a method of a store throw at its `nth` call, before or after it did its work, and all that comes after it: the process has ended there. */
      function dieAt(store: object, method: string, where: 'before' | 'after', nth = 1): () => void {
        const original: unknown = Reflect.get(store, method);
        if (typeof original !== 'function') {
          throw new Error(`${method} is no method.`);
        }
        let calls = 0;
        const die = (): never => {
          for (const name of WRITES) {
            Object.defineProperty(engine.deliveries, name, { configurable: true, value: refuse });
          }
          throw new Died();
        };
        const refuse = async (): Promise<never> => {
          throw new Died();
        };
        const dying = async (...args: unknown[]): Promise<unknown> => {
          calls += 1;
          if (calls === nth && where === 'before') {
            die();
          }
          const result: unknown = await Reflect.apply(original, store, args);
          if (calls === nth) {
            die();
          }
          return result;
        };
        Object.defineProperty(store, method, { configurable: true, value: dying });
        return () => {
          Reflect.deleteProperty(store, method);
          for (const name of WRITES) {
            Reflect.deleteProperty(engine.deliveries, name);
          }
        };
      }

      /** Runs until it dies, then as a new process until all leases have ended and nothing is left to do. */
      async function dieAndRecover(revive: () => void): Promise<void> {
        await expect(belfry.runOnce()).rejects.toBeInstanceOf(Died);
        revive();
        restart();
        for (let round = 0; round < 4; round += 1) {
          jump(LEASE_MS + SECOND_MS);
          await belfry.runOnce();
        }
        // A pointer that was taken and not worked comes out of the queue again by the queue's own clock; by this one, within the hour.
        jump(HOUR_MS);
        await belfry.runOnce();
      }

      async function expectEverybodyOnce(key: MessageKey, everybody: readonly string[]): Promise<void> {
        expect(belfry.channel.recipients).toEqual(everybody);
        const message = await belfry.message(key);
        expect(message.status).toBe('sent');
        expect(message.counts).toEqual({
          subscribers: everybody.length,
          sent: everybody.length,
          failed: 0,
          skipped: 0,
          unknown: 0,
        });
      }

      it.each([
        { step: 'claiming the message', store: 'messages', method: 'claim', where: 'after' },
        { step: 'cutting', store: 'deliveries', method: 'cut', where: 'before' },
        { step: 'cutting', store: 'deliveries', method: 'cut', where: 'after' },
        { step: 'pushing pointers', store: 'queue', method: 'push', where: 'before' },
        { step: 'resting', store: 'messages', method: 'rest', where: 'before' },
        { step: 'claiming a batch', store: 'deliveries', method: 'claim', where: 'after' },
        { step: 'marking a window as in flight', store: 'deliveries', method: 'advance', where: 'before' },
        { step: 'settling', store: 'deliveries', method: 'settle', where: 'after' },
      ] as const)('$where $step reaches everybody once all the same', async ({ store, method, where }) => {
        const everybody = addresses(120);
        await belfry.subscribe(...everybody);
        const key = await belfry.scheduleMessage();
        const revive = dieAt(engine[store], method, where);

        await dieAndRecover(revive);

        await expectEverybodyOnce(key, everybody);
      });

      it.each([
        { moment: 'before the channel was asked', method: 'advance', where: 'after', twice: 0 },
        { moment: 'after the channel had accepted', method: 'settle', where: 'before', twice: 20 },
      ] as const)('$moment leaves in doubt exactly what was in flight', async ({ method, where, twice }) => {
        await belfry.subscribe(...addresses(20));
        belfry = new Belfry(engine, new FakeChannel(20));
        const key = await belfry.scheduleMessage();
        const revive = dieAt(engine.deliveries, method, where);

        await dieAndRecover(revive);

        expect(belfry.channel.taken).toHaveLength(20 + twice);
        expect(new Set(belfry.channel.recipients)).toEqual(new Set(addresses(20)));
        const deliveries = await belfry.deliveries(key);
        expect(deliveries.map(({ email }) => email)).toEqual(addresses(20));
        expect(new Set(deliveries.map(({ outcome }) => outcome))).toEqual(new Set(['sent']));
        expect(new Set(deliveries.map(({ attempt }) => attempt))).toEqual(new Set([2]));
        expect(new Set(deliveries.map(({ unknownAttempts }) => unknownAttempts))).toEqual(new Set([1]));
      });

      it('does not put in doubt the windows before the one in flight, nor those after it', async () => {
        await belfry.subscribe(...addresses(50));
        const key = await belfry.scheduleMessage();
        const revive = dieAt(engine.deliveries, 'advance', 'before', 4); // three windows of ten are out, two are recorded

        await dieAndRecover(revive);

        const inDoubt = (await belfry.deliveries(key)).filter((delivery) => delivery.unknownAttempts > 0);
        expect(inDoubt.map((delivery) => delivery.email)).toEqual(addresses(50).slice(20, 30));
        expect(belfry.channel.taken).toHaveLength(60);
      });

      it('leaves as unknown what was in flight where the message says so, and sends the rest', async () => {
        await belfry.subscribe(...addresses(50));
        const key = await belfry.scheduleMessage({ onUnknown: 'leave' });
        const revive = dieAt(engine.deliveries, 'advance', 'before', 4);

        await dieAndRecover(revive);

        expect(belfry.channel.recipients).toEqual(addresses(50));
        expect((await belfry.message(key)).counts).toMatchObject({ subscribers: 50, sent: 40, unknown: 10 });
      });

      it("hands nothing over when it was stopped between the record and the channel until its lease may be another's", async () => {
        await belfry.subscribe(...addresses(20));
        const key = await belfry.scheduleMessage();
        const advance = engine.deliveries.advance.bind(engine.deliveries);
        Object.defineProperty(engine.deliveries, 'advance', {
          configurable: true,
          value: async (...args: Parameters<typeof advance>) => {
            const status = await advance(...args);
            Reflect.deleteProperty(engine.deliveries, 'advance');
            Object.defineProperty(engine.clock, 'now', { configurable: true, value: () => wokeAt });
            return status;
          },
        });
        // Not quite at its end: somebody's clock may be ahead.
        const wokeAt = plusMs(engine.clock.now(), LEASE_MS - CLOCK_SKEW_MS);

        await belfry.runOnce();

        expect(belfry.channel.taken).toEqual([]);
        Reflect.deleteProperty(engine.clock, 'now');
        engine.clock.advance(LEASE_MS + SECOND_MS);
        await belfry.runOnce();
        expect(belfry.channel.recipients).toEqual(addresses(20));
        expect((await belfry.message(key)).status).toBe('sent');
      });

      it('keeps its pointer when its claim arrives so late that the lease has ended', async () => {
        await belfry.subscribe(...addresses(3));
        const key = await belfry.scheduleMessage();
        const claim = engine.deliveries.claim.bind(engine.deliveries);
        Object.defineProperty(engine.deliveries, 'claim', {
          configurable: true,
          value: async (...args: Parameters<typeof claim>) => {
            Reflect.deleteProperty(engine.deliveries, 'claim');
            engine.clock.advance(LEASE_MS + SECOND_MS);
            await belfry.scanner.runOnce(); // it looks for what was left behind, and this claim is not there yet
            return claim(...args);
          },
        });

        await belfry.runOnce();

        expect(belfry.channel.taken).toEqual([]);
        const message = await until('the message is sent', GIVEN_BACK_LIMIT_MS, async () => {
          engine.clock.advance(SECOND_MS);
          await belfry.worker.runOnce();
          const found = await belfry.message(key);
          return found.status === 'sent' ? found : undefined;
        });
        expect(message.counts).toMatchObject({ subscribers: 3, sent: 3 });
      });

      it("is told to break off what it is sending once its lease may be another's", async () => {
        await belfry.subscribe('ada@example.com');
        await belfry.scheduleMessage();
        Object.defineProperty(engine.deliveries, 'renew', {
          configurable: true,
          value: () => Promise.reject(new StoreUnavailableError()),
        });
        const hasAborted: boolean[] = [];
        belfry.channel.answerWith((_mail, signal) => {
          belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: 'later' }));
          hasAborted.push(signal.aborted);
          engine.clock.advance(LEASE_MS);
          hasAborted.push(signal.aborted);
          return { kind: 'deferred', reason: 'broken off' };
        });

        await belfry.runOnce();

        expect(hasAborted).toEqual([false, true]);
      });

      it('leaves in doubt whoever was removed from the group while their mail was on its way', async () => {
        await belfry.subscribe(...addresses(20));
        const key = await belfry.scheduleMessage();
        const revive = dieAt(engine.deliveries, 'advance', 'before', 2); // the first window is out, and not recorded

        await expect(belfry.runOnce()).rejects.toBeInstanceOf(Died);
        revive();
        await engine.subscribers.remove(belfry.group, aKey('s00003@example.com'));
        await engine.subscribers.remove(belfry.group, aKey('s00015@example.com'));
        restart();
        engine.clock.advance(LEASE_MS + SECOND_MS);
        await belfry.runOnce();

        expect(await belfry.message(key)).toMatchObject({
          status: 'sent',
          counts: { subscribers: 20, sent: 18, skipped: 1, unknown: 1 },
        });
      });

      it('leaves in doubt whoever was removed while they were tried once more', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        belfry.channel.answerWith(() => ({ kind: 'deferred', reason: '451 later' }));
        await belfry.runOnce();
        belfry.channel.answerWith(() => ({ kind: 'accepted', providerId: 'lost' }));
        engine.clock.advance(HOUR_MS);
        const revive = dieAt(engine.deliveries, 'settle', 'before');
        await expect(belfry.runOnce()).rejects.toBeInstanceOf(Died);
        revive();
        await engine.subscribers.remove(belfry.group, aKey('ada@example.com'));

        restart();
        engine.clock.advance(LEASE_MS + SECOND_MS);
        await belfry.runOnce();

        expect(await belfry.deliveries(key)).toMatchObject([
          { outcome: 'unknown', attempt: 2, unknownAttempts: 1 },
        ]);
        expect((await belfry.message(key)).counts).toMatchObject({ skipped: 0, unknown: 1 });
      });

      it('keeps its lease for as long as a window takes', async () => {
        await belfry.subscribe('ada@example.com');
        const key = await belfry.scheduleMessage();
        const renew = engine.deliveries.renew.bind(engine.deliveries);
        const renewals: Promise<void>[] = [];
        Object.defineProperty(engine.deliveries, 'renew', {
          configurable: true,
          value: (...args: Parameters<typeof renew>) => renewals.push(renew(...args)) && renewals.at(-1),
        });
        belfry.channel.answerWith(async () => {
          for (let step = 0; step < 12; step += 1) {
            engine.clock.advance(LEASE_MS / 4);
            await Promise.all(renewals);
          }
          return { kind: 'accepted', providerId: 'slow' };
        });

        await belfry.runOnce();

        expect((await belfry.deliveries(key)).map((delivery) => delivery.unknownAttempts)).not.toContain(1);
        expect((await belfry.message(key)).counts.sent).toBe(1);
      });

      it('gives its place to another dispatcher, and can then write nothing more', async () => {
        await belfry.subscribe(...addresses(20));
        const key = await belfry.scheduleMessage();
        const terms = { token: 'paused', now: anInstant(), until: plusMs(anInstant(), LEASE_MS) };
        const claimed = await engine.messages.claim(belfry.group, key, terms);
        engine.clock.advance(LEASE_MS);
        await belfry.runOnce();

        const cutting = engine.deliveries.cut({
          group: belfry.group,
          messageKey: key,
          token: 'paused',
          after: claimed?.dispatch.through,
          batches: [],
          complete: true,
          now: engine.clock.now(),
          leaseUntil: plusMs(engine.clock.now(), LEASE_MS),
        });

        await expect(cutting).rejects.toMatchObject({ code: 'lease-lost' });
        expect(belfry.channel.recipients).toEqual(addresses(20));
      });
    });
  });
}

import * as fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Feedback, FEEDBACK_KINDS } from '../../src/delivery/feedback.ts';
import { FeedbackTaker } from '../../src/feedback/feedback-taker.ts';
import { HOUR_MS } from '../../src/platform/clock/clock.ts';
import { StoreUnavailableError } from '../../src/platform/errors/domain-error.ts';
import { Log } from '../../src/platform/logging/log.ts';
import type { MessageKey } from '../../src/schedule/message.ts';
import type { Engine } from '../contract/engine.ts';
import { openSqlite } from '../contract/open-sqlite.ts';
import { addresses, aFeedback, aKey } from '../support/builders.ts';
import { matching } from '../support/matching.ts';
import { Belfry, FakeChannel } from './belfry.ts';

const BRAKE = { BRAKE_MINIMUM: '50' };

describe('feedback', () => {
  let engine: Engine;

  beforeEach(async () => {
    engine = await openSqlite();
  });
  afterEach(async () => {
    await engine.close();
  });

  function takerOf(belfry: Belfry): FeedbackTaker {
    const { messages, deliveries } = engine;
    const log = new Log(pino({ level: 'silent' }));
    return new FeedbackTaker(messages, deliveries, belfry.suppressor, belfry.brake, belfry.metrics, log);
  }

  async function take(
    belfry: Belfry,
    key: MessageKey,
    email: string,
    feedback: Partial<Feedback>,
  ): Promise<string> {
    const event = { ...aFeedback(feedback), group: belfry.group, messageKey: key, subscriber: aKey(email) };
    return takerOf(belfry).take(event);
  }

  describe('the brake', () => {
    it('stops a message while mail servers refuse too many; resumed, it goes on and is not stopped for the same', async () => {
      const belfry = new Belfry(engine, new FakeChannel(), BRAKE);
      await belfry.subscribe(...addresses(200));
      const key = await belfry.scheduleMessage();
      const countHeld = vi.spyOn(belfry.metrics, 'countHeld');
      belfry.channel.answerWith(({ to }) =>
        /^s000[0-4]/.test(to)
          ? { kind: 'rejected', reason: '550 5.1.1 No such user', bounced: true }
          : { kind: 'accepted', providerId: 'taken' },
      );

      await belfry.runOnce();

      const held = await belfry.message(key);
      const handedOver = held.counts.sent + held.counts.failed;
      expect(held).toMatchObject({
        status: 'held',
        reason: matching(/bounced .* more than 4 %/),
      });
      expect(handedOver).toBeGreaterThanOrEqual(50);
      expect(handedOver).toBeLessThan(200);
      expect(held.feedback.bounced).toBe(held.counts.failed);
      expect(await takenLater(belfry)).toBe(0);
      expect(countHeld).toHaveBeenCalledTimes(1);

      await belfry.schedule.resume(belfry.group, key);
      await belfry.runOnce();

      const { status, counts, feedback } = await belfry.message(key);
      expect({ status, feedback }).toEqual({
        status: 'sent',
        feedback: { delivered: 0, bounced: 50, complained: 0 },
      });
      expect(counts).toMatchObject({ sent: 150, failed: 50 });
    });

    it('stops a message that is still going out when complaints come in, and no other', async () => {
      const belfry = new Belfry(engine, new FakeChannel(), BRAKE);
      await belfry.subscribe(...addresses(120));
      const key = await belfry.scheduleMessage();
      belfry.channel.answerWith(({ to }) =>
        to < 's00060' ? { kind: 'accepted', providerId: to } : { kind: 'deferred', reason: '451 later' },
      );
      await belfry.runOnce();

      await take(belfry, key, 's00001@example.com', { kind: 'delayed' });
      const going = await belfry.message(key);
      const result = await take(belfry, key, 's00001@example.com', { kind: 'complained' });

      expect(going.status).toBe('sending');
      expect(result).toBe('recorded');
      expect(await belfry.message(key)).toMatchObject({
        status: 'held',
        reason:
          '1 of 60 deliveries were complained about (1.67 %), more than 0.08 %. Find out why before you resume it.',
      });

      await belfry.schedule.resume(belfry.group, key);
      expect(await take(belfry, key, 's00001@example.com', { kind: 'complained' })).toBe('repeated');
      expect((await belfry.message(key)).status).toBe('sending');
      expect((await belfry.schedule.cancel(belfry.group, key)).status).toBe('cancelled');
    });

    async function takenLater(belfry: Belfry): Promise<number> {
      const before = belfry.channel.taken.length;
      engine.clock.advance(3_600_000);
      await belfry.runOnce();
      return belfry.channel.taken.length - before;
    }
  });

  describe('an address that a mail server says is dead', () => {
    const ADA = 'ada@example.com';

    function deadChannel(belfry: Belfry): void {
      belfry.channel.answerWith(({ to }) =>
        to === ADA
          ? { kind: 'rejected', reason: '550 5.1.1 No such user', bounced: true, isDead: true }
          : { kind: 'accepted', providerId: to },
      );
    }

    async function stateOf(belfry: Belfry): Promise<unknown> {
      const { status } = (await engine.subscribers.find(belfry.group, aKey(ADA))) ?? {};
      return [status, (await belfry.suppressions.find(aKey(ADA)))?.reason];
    }

    it('is told so once more where that could not be recorded, with no doubt about the others', async () => {
      const belfry = new Belfry(engine);
      await belfry.subscribe(ADA, 'bo@example.com');
      deadChannel(belfry);
      const end = vi.spyOn(belfry.suppressor, 'end').mockRejectedValueOnce(new StoreUnavailableError());
      const key = await belfry.scheduleMessage();

      await belfry.runOnce();
      const { counts: meanwhile } = await belfry.message(key);
      const before = await stateOf(belfry);
      engine.clock.advance(HOUR_MS);
      await belfry.runOnce();

      expect(meanwhile).toMatchObject({ sent: 1, failed: 0, unknown: 0 });
      expect(before).toEqual(['active', undefined]);
      expect(end).toHaveBeenCalledTimes(2);
      expect(await stateOf(belfry)).toEqual(['bounced', 'bounced']);
      expect(await belfry.message(key)).toMatchObject({
        status: 'sent',
        counts: { sent: 1, failed: 1 },
        feedback: { bounced: 1 },
      });
    });

    it('is suppressed though the worker is lost before the ledger has it', async () => {
      const belfry = new Belfry(engine);
      await belfry.subscribe(ADA, 'bo@example.com');
      deadChannel(belfry);
      const lost = vi.spyOn(engine.deliveries, 'settle').mockRejectedValueOnce(new StoreUnavailableError());
      const key = await belfry.scheduleMessage();

      await expect(belfry.runOnce()).rejects.toThrow(StoreUnavailableError);
      const state = await stateOf(belfry);
      lost.mockRestore();
      engine.clock.advance(HOUR_MS);
      await belfry.runOnce();

      expect(state).toEqual(['bounced', 'bounced']);
      expect(await belfry.message(key)).toMatchObject({ status: 'sent', counts: { sent: 1, unknown: 1 } });
    });
  });

  it('leads to the same state in whatever order it comes, and however often', async () => {
    const belfry = new Belfry(engine);
    const people = addresses(3);
    await belfry.subscribe(...people);
    belfry.channel.answerWith(() => ({ kind: 'unknown', reason: 'cut' }));
    const events = fc.array(
      fc.record({ email: fc.constantFrom(...people), kind: fc.constantFrom(...FEEDBACK_KINDS) }),
      { maxLength: 6 },
    );

    async function stateAfter(
      order: readonly { readonly email: string; readonly kind: Feedback['kind'] }[],
    ): Promise<unknown> {
      await makeWhole(belfry, people);
      const key = await belfry.scheduleMessage({ onUnknown: 'leave', scheduleOn: engine.clock.now() });
      await belfry.runOnce();
      for (const { email, kind } of order) {
        await take(belfry, key, email, { kind });
      }
      const { counts, feedback } = await belfry.message(key);
      const deliveries = (await belfry.deliveries(key)).map(({ outcome, heard }) => ({ outcome, heard }));
      const keys = people.map(aKey);
      const subscribers = await Promise.all(keys.map((one) => engine.subscribers.find(belfry.group, one)));
      const suppressed = await engine.suppressions.findAmong(keys);
      return {
        counts,
        feedback,
        deliveries,
        statuses: subscribers.map((one) => one?.status),
        suppressed: [...suppressed.keys()].toSorted(),
      };
    }

    await fc.assert(
      fc.asyncProperty(
        events.chain((heard) =>
          fc.tuple(
            fc.constant(heard),
            fc.shuffledSubarray([...heard, ...heard], { minLength: heard.length * 2 }),
          ),
        ),
        async ([once, again]) => {
          expect(await stateAfter(again)).toEqual(await stateAfter(once));
        },
      ),
      { numRuns: 25 },
    );
  });

  /** Everybody is active, and nobody suppressed. */
  async function makeWhole(belfry: Belfry, people: readonly string[]): Promise<void> {
    for (const key of people.map(aKey)) {
      await engine.suppressions.remove(key);
      const version = (await engine.subscribers.find(belfry.group, key))?.version ?? 0;
      await engine.subscribers.change(belfry.group, key, { status: 'active' }, version);
    }
  }
});

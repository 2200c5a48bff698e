import * as fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Feedback, FEEDBACK_KINDS } from '../../src/delivery/feedback.ts';
import { FeedbackMetrics } from '../../src/feedback/feedback-metrics.ts';
import { FeedbackTaker } from '../../src/feedback/feedback-taker.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { Metrics } from '../../src/platform/metrics/metrics.ts';
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
    const { messages, deliveries, subscribers, clock } = engine;
    const metrics = new FeedbackMetrics(new Metrics());
    const log = new Log(pino({ level: 'silent' }));
    return new FeedbackTaker(
      messages,
      deliveries,
      subscribers,
      belfry.suppressions,
      belfry.brake,
      metrics,
      clock,
      log,
    );
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

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BatchState, ClaimedBatch } from '../../src/delivery/batch.ts';
import { LeaseLostError, type Mishap } from '../../src/delivery/delivery-store.ts';
import { MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import type { Message, RetryableOutcome } from '../../src/schedule/message.ts';
import { addresses, aDelivery, aKey } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import {
  answersOf,
  aProgress,
  aSettlement,
  at,
  atOnce,
  claimBatch,
  claimMessage,
  DISPATCHER,
  dispatch,
  type Dispatched,
  dispatchOne,
  faultsOf,
  LEASE_MS,
  read,
  termsOf,
} from './steps.ts';

const ADA = 'ada@example.com';
const BOB = 'bob@example.com';
const CYD = 'cyd@example.com';
const EVERYBODY = { first: aKey(ADA), last: aKey(CYD), count: 3 };

/** What a ledger does with batches that fail, and with deliveries that somebody wants tried again. */
export function describeRetry(openEngine: OpenEngine): void {
  describe('DeliveryStore, after a mishap', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });

    afterEach(async () => {
      await engine.close();
    });

    function aMishap(error = 'TypeError: x is undefined'): Mishap {
      return { error, now: engine.clock.now() };
    }

    async function statesOf(message: Message, state?: BatchState): Promise<readonly object[]> {
      const page = { after: undefined, limit: 100, state };
      return (await engine.deliveries.listBatches(message.key, page)).map(
        ({ first, state: found, error }) => ({
          first,
          state: found,
          error,
        }),
      );
    }

    /** Settles it with these outcomes, in the order of `emails`. */
    async function settle(
      batch: ClaimedBatch,
      results: Readonly<Record<string, 'sent' | 'failed' | 'unknown'>>,
    ): Promise<void> {
      const deliveries = Object.entries(results).map(([email, outcome]) => aDelivery(email, { outcome }));
      await engine.deliveries.settle(batch, aSettlement(engine, { results: deliveries }));
    }

    /** Asks for a retry as the schedule does, and claims the message as the dispatcher does. */
    async function askForRetry(message: Message, ...outcomes: readonly RetryableOutcome[]): Promise<Message> {
      const { version } = await read(engine, message);
      await engine.messages.change(message.group, message.key, version, {
        status: 'sending',
        reason: undefined,
        wakeAt: engine.clock.now(),
        retry: { outcomes, through: undefined },
      });
      return claimMessage(engine, message);
    }

    async function reopen(
      message: Message,
      limit = 100,
      token = DISPATCHER,
    ): ReturnType<Engine['deliveries']['reopen']> {
      const { retry } = await read(engine, message);
      const { now, until } = termsOf(engine, token);
      return engine.deliveries.reopen({
        group: message.group,
        messageKey: message.key,
        token,
        outcomes: retry?.outcomes ?? [],
        after: retry?.through,
        limit,
        now,
        leaseUntil: until,
      });
    }

    /** Three batches of one, all of which failed. */
    async function allFailed(): Promise<Dispatched> {
      const dispatched = await dispatch(engine, [ADA, BOB, CYD], 1);
      for (const [index, email] of [ADA, BOB, CYD].entries()) {
        await settle(await claimBatch(engine, at(dispatched.batches, index)), { [email]: 'failed' });
      }
      return dispatched;
    }

    describe('claim', () => {
      it('counts the tries until something is recorded', async () => {
        const { batch } = await dispatchOne(engine);
        const tries: number[] = [];
        for (let claim = 0; claim < 3; claim += 1) {
          tries.push((await claimBatch(engine, batch)).tries);
          engine.clock.advance(LEASE_MS);
        }
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.advance(claimed, aProgress(engine, { next: EVERYBODY }));
        await engine.deliveries.advance(claimed, aProgress(engine, { results: [aDelivery(ADA)] }));
        engine.clock.advance(LEASE_MS);

        const next = await claimBatch(engine, batch);

        expect([...tries, claimed.tries, next.tries]).toEqual([1, 2, 3, 4, 1]);
      });

      it('counts anew after the batch was given back', async () => {
        const { batch } = await dispatchOne(engine);
        await engine.deliveries.release(await claimBatch(engine, batch), engine.clock.now());

        expect((await claimBatch(engine, batch)).tries).toBe(1);
      });
    });

    describe('putBack', () => {
      it('lets the batch wait until its time, says what went wrong, and keeps who was in flight', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.advance(claimed, aProgress(engine, { next: EVERYBODY }));
        const retryAt = plusMs(engine.clock.now(), MINUTE_MS);

        await engine.deliveries.putBack(claimed, aMishap(), retryAt);

        expect(await statesOf(message)).toEqual([
          { first: batch.first, state: 'open', error: 'TypeError: x is undefined' },
        ]);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'early'))).toBeUndefined();
        engine.clock.advance(MINUTE_MS);
        const next = await claimBatch(engine, batch, 'in time');
        expect(next.inFlight).toEqual(EVERYBODY);
        expect(next).toMatchObject({ tries: 2, mishaps: 1 });
      });

      it('forgets the mishap once the batch is settled', async () => {
        const { message, batch } = await dispatchOne(engine);
        await engine.deliveries.putBack(await claimBatch(engine, batch), aMishap(), engine.clock.now());

        await settle(await claimBatch(engine, batch), { [ADA]: 'sent', [BOB]: 'sent', [CYD]: 'sent' });

        expect(await statesOf(message)).toEqual([{ first: batch.first, state: 'settled', error: undefined }]);
      });

      it('is refused to whoever lost the lease', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        engine.clock.advance(LEASE_MS);

        const putting = engine.deliveries.putBack(claimed, aMishap(), engine.clock.now());

        await expect(putting).rejects.toThrow(LeaseLostError);
      });
    });

    describe('setAside', () => {
      it('takes the batch out of work, and lets the message go on without it', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB], 1);

        const status = await engine.deliveries.setAside(await claimBatch(engine, at(batches, 0)), aMishap());

        expect(status).toBe('sending');
        expect(await statesOf(message, 'set_aside')).toEqual([
          { first: aKey(ADA), state: 'set_aside', error: 'TypeError: x is undefined' },
        ]);
        expect(await engine.deliveries.claim(at(batches, 0), termsOf(engine, 'another'))).toBeUndefined();
        expect((await read(engine, message)).dispatch.batchesSetAside).toBe(1);
      });

      it('makes a message fail of which nothing else is left, whichever comes last', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB], 1);
        await engine.deliveries.setAside(await claimBatch(engine, at(batches, 0)), aMishap());
        await settle(await claimBatch(engine, at(batches, 1)), { [BOB]: 'sent' });

        const stored = await read(engine, message);

        expect(stored.status).toBe('failed');
        expect(stored.reason).toBe('One batch was set aside after failing again and again.');
        expect(stored.version).toBe(message.version + 1);
        expect(stored.wakeAt).toBeUndefined();
        expect(stored.counts).toMatchObject({ subscribers: 2, sent: 1 });
      });

      it('is refused to whoever lost the lease, and counts nothing then', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        engine.clock.advance(LEASE_MS);

        await expect(engine.deliveries.setAside(claimed, aMishap())).rejects.toThrow(LeaseLostError);

        expect((await read(engine, message)).dispatch.batchesSetAside).toBe(0);
      });
    });

    describe('listBatches', () => {
      it('answers page by page, in order, those of one state where asked', async () => {
        const { message, batches } = await dispatch(engine, addresses(5), 1);
        await settle(await claimBatch(engine, at(batches, 1)), { [at(addresses(5), 1)]: 'sent' });
        const list = async (after: number | undefined, state?: BatchState): Promise<readonly string[]> => {
          const page = { after: after === undefined ? undefined : at(batches, after).first, limit: 2, state };
          return (await engine.deliveries.listBatches(message.key, page)).map(({ first }) => first);
        };

        const pages = [await list(undefined), await list(1), await list(3), await list(undefined, 'open')];

        const firsts = batches.map(({ first }) => first);
        expect(pages).toEqual([
          firsts.slice(0, 2),
          firsts.slice(2, 4),
          firsts.slice(4),
          [firsts[0], firsts[2]],
        ]);
      });
    });

    describe('reopen', () => {
      it('makes deliveries of the outcome pending again, and touches no other', async () => {
        const { message, batch } = await dispatchOne(engine);
        await settle(await claimBatch(engine, batch), { [ADA]: 'sent', [BOB]: 'failed', [CYD]: 'unknown' });
        await askForRetry(message, 'failed');

        const { pointers, complete } = await reopen(message);

        expect(complete).toBe(true);
        expect(pointers).toMatchObject([{ messageKey: message.key, first: batch.first }]);
        const outcomes = (await engine.deliveries.readDeliveries(batch)).map(({ outcome }) => outcome);
        expect(outcomes).toEqual(['sent', undefined, 'unknown']);
        const stored = await read(engine, message);
        expect(stored.retry).toBeUndefined();
        expect(stored.counts).toEqual({ subscribers: 3, sent: 1, failed: 0, skipped: 0, unknown: 1 });
        expect(stored.dispatch).toMatchObject({ batchesCut: 1, batchesSettled: 0 });
        expect(stored.status).toBe('sending');
      });

      it('lets the message finish once more', async () => {
        const { message, batch } = await dispatchOne(engine);
        await settle(await claimBatch(engine, batch), { [ADA]: 'sent', [BOB]: 'failed', [CYD]: 'failed' });
        await askForRetry(message, 'failed');
        await reopen(message);

        await settle(await claimBatch(engine, batch), { [BOB]: 'sent', [CYD]: 'failed' });

        const stored = await read(engine, message);
        expect(stored.status).toBe('sent');
        expect(stored.counts).toEqual({ subscribers: 3, sent: 2, failed: 1, skipped: 0, unknown: 0 });
        const deliveries = await engine.deliveries.readDeliveries(batch);
        expect(deliveries.map(({ outcome }) => outcome)).toEqual(['sent', 'sent', 'failed']);
      });

      it('opens what was set aside, whatever the outcomes, with those in flight in doubt', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.advance(claimed, aProgress(engine, { next: EVERYBODY }));
        await engine.deliveries.setAside(claimed, aMishap());
        await askForRetry(message);

        await reopen(message);

        const again = await claimBatch(engine, batch);
        expect(again.inFlight).toEqual(EVERYBODY);
        expect(again.tries).toBe(1);
        expect((await read(engine, message)).dispatch.batchesSetAside).toBe(0);
      });

      it('passes over batches that have nothing to retry', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB, CYD], 1);
        await settle(await claimBatch(engine, at(batches, 0)), { [ADA]: 'sent' });
        await settle(await claimBatch(engine, at(batches, 1)), { [BOB]: 'failed' });
        await settle(await claimBatch(engine, at(batches, 2)), { [CYD]: 'unknown' });
        await askForRetry(message, 'failed');

        expect((await reopen(message)).pointers.map(({ first }) => first)).toEqual([aKey(BOB)]);
      });

      it('goes on behind its position, and does not finish the message before its end', async () => {
        const { message, batches } = await allFailed();
        await askForRetry(message, 'failed');

        const first = await reopen(message, 2);

        expect(first.complete).toBe(false);
        expect((await read(engine, message)).retry).toEqual({ outcomes: ['failed'], through: aKey(BOB) });
        // Both are through before the dispatcher goes on: neither is opened a second time, nor is the message finished.
        await settle(await claimBatch(engine, at(batches, 0)), { [ADA]: 'failed' });
        await settle(await claimBatch(engine, at(batches, 1)), { [BOB]: 'sent' });
        expect((await read(engine, message)).status).toBe('sending');
        const second = await reopen(message, 2);
        expect(second.pointers.map(({ first: key }) => key)).toEqual([aKey(CYD)]);
        expect(second.complete).toBe(true);
        await settle(await claimBatch(engine, at(batches, 2)), { [CYD]: 'sent' });
        const stored = await read(engine, message);
        expect(stored.status).toBe('sent');
        expect(stored.counts).toMatchObject({ sent: 2, failed: 1 });
      });

      it('is refused where another dispatcher has the message, and where the position is another', async () => {
        const { message } = await allFailed();
        await askForRetry(message, 'failed');

        await expect(reopen(message, 2, 'another')).rejects.toThrow(LeaseLostError);

        expect((await read(engine, message)).counts).toMatchObject({ failed: 3 });
      });

      it('opens each batch once when it runs many times at once', async () => {
        const { message } = await allFailed();
        await askForRetry(message, 'failed');

        const runs = await atOnce(4, async () => reopen(message, 2));

        expect(answersOf(runs)).toHaveLength(1);
        expect(faultsOf(runs).every((fault) => fault instanceof LeaseLostError)).toBe(true);
        expect((await read(engine, message)).counts).toMatchObject({ subscribers: 3, failed: 1 });
      });

      it('keeps its position when the message is paused meanwhile, and goes on from there', async () => {
        const { message } = await allFailed();
        await askForRetry(message, 'failed');
        await reopen(message, 2);
        const { version } = await read(engine, message);

        await engine.messages.change(message.group, message.key, version, {
          status: 'paused',
          wakeAt: undefined,
        });

        expect((await read(engine, message)).retry).toEqual({ outcomes: ['failed'], through: aKey(BOB) });
        await expect(reopen(message, 2)).rejects.toThrow(LeaseLostError);
      });

      it('counts once who left the group, however often the batch is opened', async () => {
        const { message, batch } = await dispatchOne(engine);
        await engine.subscribers.remove(message.group, aKey(BOB));
        await settle(await claimBatch(engine, batch), { [ADA]: 'sent', [CYD]: 'failed' });
        expect((await read(engine, message)).counts).toMatchObject({ sent: 1, failed: 1, skipped: 1 });
        await askForRetry(message, 'failed');
        await reopen(message);

        await settle(await claimBatch(engine, batch), { [CYD]: 'sent' });

        expect((await read(engine, message)).counts).toEqual({
          subscribers: 3,
          sent: 2,
          failed: 0,
          skipped: 1,
          unknown: 0,
        });
      });
    });
  });
}

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch, ClaimedBatch } from '../../src/delivery/batch.ts';
import { type Cut, LeaseLostError, type Report } from '../../src/delivery/delivery-store.ts';
import { type Delivery, type Outcome, OUTCOMES } from '../../src/delivery/delivery.ts';
import type { Feedback } from '../../src/delivery/feedback.ts';
import type { SubscriberKey } from '../../src/groups/subscriber.ts';
import { MINUTE_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { assertNever } from '../../src/platform/errors/assert-never.ts';
import type { Counts, Message, MessageStatus } from '../../src/schedule/message.ts';
import { newMessageKey } from '../../src/schedule/message.ts';
import {
  aBatch,
  addresses,
  aDelivery,
  aFeedback,
  aGroupName,
  aKey,
  aMessage,
  aNewcomer,
} from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import {
  aCut,
  answersOf,
  aProgress,
  aSettlement,
  at,
  atOnce,
  batchesOf,
  claimBatch,
  claimMessage,
  DISPATCHER,
  dispatch,
  dispatchOne,
  faultsOf,
  LEASE_MS,
  read,
  readPages,
  schedule,
  startSending,
  termsOf,
  wakingKeys,
  WORKER,
} from './steps.ts';

const ADA = 'ada@example.com';
const BOB = 'bob@example.com';
const CYD = 'cyd@example.com';
const NONE: Counts = { subscribers: 0, sent: 0, failed: 0, skipped: 0, unknown: 0 };
// A status that somebody gives a message while its batches are worked.
const STOPPED = ['paused', 'cancelled', 'failed'] as const satisfies readonly MessageStatus[];
// What may become of a worker and its batch.
const ENDINGS = ['disappears', 'gives back', 'comes too late', 'waits', 'settles'] as const;
type Ending = (typeof ENDINGS)[number];
const STILL_AT_WORK = ['sending', ...STOPPED] as const;

export function describeDeliveryStore(openEngine: OpenEngine): void {
  describe('DeliveryStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    async function claimableFirsts(
      message: Message,
      limit = 100,
      since?: Temporal.Instant,
    ): Promise<readonly SubscriberKey[]> {
      const pointers = await readPages(limit, async (last: { readonly first: SubscriberKey } | undefined) =>
        engine.deliveries.findClaimable(message.key, engine.clock.now(), {
          after: last?.first,
          limit,
          since,
        }),
      );
      return pointers.map(({ first }) => first);
    }

    async function listAll(message: Message, outcome?: Outcome, limit = 100): Promise<readonly Delivery[]> {
      return readPages<Delivery>(limit, async (last) =>
        engine.deliveries.listDeliveries(message.key, { after: last?.key, limit, outcome }),
      );
    }

    /** Everything that a write may change. */
    async function snapshot(message: Message): Promise<unknown> {
      return {
        message: await read(engine, message),
        deliveries: await listAll(message),
        claimable: await claimableFirsts(message),
      };
    }

    async function setStatus(message: Message, status: MessageStatus): Promise<void> {
      const { version } = await read(engine, message);
      // What is cancelled wakes once more, so that every delivery gets its outcome; the others rest.
      const wakeAt = status === 'cancelled' || status === 'sending' ? engine.clock.now() : undefined;
      await engine.messages.change(message.group, message.key, version, { status, wakeAt });
    }

    /** Whether it has a wake, in its record or in the index, which may lag behind: for `expect.poll`. */
    function isAwake(message: Message): () => Promise<boolean> {
      return async () => {
        const { wakeAt } = await read(engine, message);
        const keys = await wakingKeys(engine, plusMs(engine.clock.now(), 60 * MINUTE_MS));
        return wakeAt !== undefined || keys.includes(message.key);
      };
    }

    describe('cut', () => {
      it('writes the batches, the position, the counters and a new lease', async () => {
        const message = await startSending(engine);
        const batches = batchesOf(engine, message, addresses(5), 2);
        engine.clock.advance(SECOND_MS);
        const leaseUntil = plusMs(engine.clock.now(), LEASE_MS);

        await engine.deliveries.cut(aCut(engine, message, batches, { complete: false }));

        expect(await read(engine, message)).toEqual({
          ...message,
          lease: { token: DISPATCHER, until: leaseUntil },
          wakeAt: leaseUntil,
          dispatch: {
            ...message.dispatch,
            through: aKey('s00004@example.com'),
            complete: false,
            batchesCut: 3,
            batchesSettled: 0,
          },
          counts: { ...NONE, subscribers: 5 },
        });
        for (const batch of batches) {
          expect(await engine.deliveries.findBatch(message.key, batch.first)).toEqual(batch);
        }
      });

      it('goes on from the position, cut by cut, until it is complete', async () => {
        const message = await startSending(engine);
        const batches = batchesOf(engine, message, addresses(6), 2);

        await engine.deliveries.cut(aCut(engine, message, batches.slice(0, 2), { complete: false }));
        await engine.deliveries.cut(aCut(engine, message, batches.slice(2), { after: at(batches, 1).last }));

        const stored = await read(engine, message);
        expect(stored.dispatch).toEqual({
          begunAt: message.dispatch.begunAt,
          through: aKey('s00005@example.com'),
          complete: true,
          batchesCut: 3,
          batchesSettled: 0,
          batchesSetAside: 0,
        });
        expect(stored.counts).toEqual({ ...NONE, subscribers: 6 });
        expect(stored.status).toBe('sending');
      });

      it('takes 99 batches of 50 at once', async () => {
        const message = await startSending(engine);
        const batches = batchesOf(engine, message, addresses(99 * 50), 50);

        await engine.deliveries.cut(aCut(engine, message, batches));

        expect(await claimableFirsts(message)).toEqual(batches.map(({ first }) => first));
        expect((await read(engine, message)).counts.subscribers).toBe(99 * 50);
      });

      it.each<readonly [string, Partial<Cut>]>([
        ['under another token', { token: 'another' }],
        ['from a position that lies before the message\u2019s', { after: undefined }],
        ['from a position that lies behind it', { after: aKey('s00003@example.com') }],
      ])('is refused %s, and writes nothing', async (_, overrides) => {
        const message = await startSending(engine);
        const [first, second] = pair(batchesOf(engine, message, addresses(4), 2));
        await engine.deliveries.cut(aCut(engine, message, [first], { complete: false }));
        const before = await snapshot(message);

        const cut = engine.deliveries.cut(
          aCut(engine, message, [second], { after: first.last, ...overrides }),
        );

        await expect(cut).rejects.toThrow(LeaseLostError);
        expect(await snapshot(message)).toEqual(before);
      });

      it('is possible until the lease ends, and refused from that moment on', async () => {
        const message = await startSending(engine);
        const [first, second] = pair(batchesOf(engine, message, addresses(2), 1));
        engine.clock.advance(LEASE_MS - 1);
        await engine.deliveries.cut(
          aCut(engine, message, [first], {
            complete: false,
            leaseUntil: plusMs(engine.clock.now(), 1),
          }),
        );
        engine.clock.advance(1);
        const before = await snapshot(message);

        const cut = engine.deliveries.cut(aCut(engine, message, [second], { after: first.last }));

        await expect(cut).rejects.toThrow(LeaseLostError);
        expect(await snapshot(message)).toEqual(before);
      });

      it('is refused to a dispatcher whose message another one has claimed', async () => {
        const message = await startSending(engine);
        engine.clock.advance(LEASE_MS);
        await claimMessage(engine, message, 'another');
        const before = await snapshot(message);

        const cut = engine.deliveries.cut(aCut(engine, message, batchesOf(engine, message, [ADA], 1)));

        await expect(cut).rejects.toThrow(LeaseLostError);
        expect(await snapshot(message)).toEqual(before);
      });

      it.each(STOPPED)('is refused once the message is %s', async (status) => {
        const message = await startSending(engine);
        await setStatus(message, status);
        const before = await snapshot(message);

        const cut = engine.deliveries.cut(aCut(engine, message, batchesOf(engine, message, [ADA], 1)));

        await expect(cut).rejects.toThrow(LeaseLostError);
        expect(await snapshot(message)).toEqual(before);
      });

      it('is refused where there is no such message', async () => {
        const message = aMessage();

        const cut = engine.deliveries.cut(aCut(engine, message, batchesOf(engine, message, [ADA], 1)));

        await expect(cut).rejects.toThrow(LeaseLostError);
        expect(await claimableFirsts(message)).toEqual([]);
      });

      it.each([true, false])(
        'finds another position when it runs twice, and writes nothing (complete: %s)',
        async (complete) => {
          const message = await startSending(engine);
          const cut = aCut(engine, message, batchesOf(engine, message, addresses(4), 2), { complete });
          await engine.deliveries.cut(cut);
          const before = await snapshot(message);

          const second = engine.deliveries.cut(cut);

          await expect(second).rejects.toThrow(LeaseLostError);
          expect(await snapshot(message)).toEqual(before);
        },
      );

      it('is written once when it comes many times at once', async () => {
        const message = await startSending(engine);
        const cut = aCut(engine, message, batchesOf(engine, message, addresses(4), 2));

        const cuts = await atOnce(5, async () => engine.deliveries.cut(cut));

        expect(answersOf(cuts)).toHaveLength(1);
        for (const fault of faultsOf(cuts)) {
          expect(fault).toBeInstanceOf(LeaseLostError);
        }
        const stored = await read(engine, message);
        expect(stored.dispatch.batchesCut).toBe(2);
        expect(stored.counts.subscribers).toBe(4);
      });

      it('finishes a message to a group without subscribers', async () => {
        const message = await startSending(engine);

        await engine.deliveries.cut(aCut(engine, message, []));

        expect(await read(engine, message)).toEqual({
          ...message,
          status: 'sent',
          version: message.version + 1,
          wakeAt: undefined,
          lease: undefined,
          dispatch: { ...message.dispatch, complete: true },
        });
        await expect.poll(isAwake(message)).toBe(false);
      });

      it('finishes a message whose batches were all settled before the last cut', async () => {
        const message = await startSending(engine);
        const batch = at(batchesOf(engine, message, [ADA], 1), 0);
        await engine.deliveries.cut(aCut(engine, message, [batch], { complete: false }));
        await engine.deliveries.settle(
          await claimBatch(engine, batch),
          aSettlement(engine, { results: [aDelivery(ADA)] }),
        );

        await engine.deliveries.cut(aCut(engine, message, [], { after: batch.last }));

        const stored = await read(engine, message);
        expect(stored.status).toBe('sent');
        expect(stored.dispatch.through).toBe(batch.last);
        await expect.poll(isAwake(message)).toBe(false);
      });

      it('lets a message wake no later than one of its batches is tried again', async () => {
        const message = await startSending(engine);
        const [first, second] = pair(batchesOf(engine, message, [ADA, BOB], 1));
        await engine.deliveries.cut(aCut(engine, message, [first], { complete: false }));
        const retryAt = plusMs(engine.clock.now(), SECOND_MS);
        await engine.deliveries.settle(
          await claimBatch(engine, aBatch(message, [ADA])),
          aSettlement(engine, { retryAt }),
        );

        await engine.deliveries.cut(aCut(engine, message, [second], { after: first.last }));
        await engine.messages.rest(message.group, message.key, {
          token: DISPATCHER,
          wakeAt: plusMs(engine.clock.now(), MINUTE_MS),
          lookedAt: undefined,
        });

        expect((await read(engine, message)).wakeAt).toEqual(retryAt);
        await expect.poll(async () => wakingKeys(engine, retryAt)).toEqual([message.key]);
      });
    });

    describe('findClaimable', () => {
      it.each([1, 2, 3, 5, 10])(
        'finds every batch once, in order of its first subscriber, in pages of %d',
        async (limit) => {
          const { message, batches } = await dispatch(engine, addresses(10), 2);
          await dispatch(engine, addresses(3), 1, { group: aGroupName('other') });

          const firsts = await claimableFirsts(message, limit);

          expect(firsts).toEqual(batches.map(({ first }) => first));
        },
      );

      it('says of each where it belongs', async () => {
        const { message, batch } = await dispatchOne(engine);

        const pointers = await engine.deliveries.findClaimable(message.key, engine.clock.now(), {
          after: undefined,
          limit: 10,
          since: undefined,
        });

        expect(pointers).toEqual([{ group: message.group, messageKey: message.key, first: batch.first }]);
      });

      it('passes over batches that are settled, held or waiting', async () => {
        const { message, batches } = await dispatch(engine, addresses(4), 1);
        const now = engine.clock.now();
        await engine.deliveries.settle(await claimBatch(engine, at(batches, 0)), aSettlement(engine));
        await engine.deliveries.settle(
          await claimBatch(engine, at(batches, 1)),
          aSettlement(engine, { retryAt: plusMs(now, SECOND_MS) }),
        );
        await claimBatch(engine, at(batches, 2));

        expect(await claimableFirsts(message)).toEqual([at(batches, 3).first]);
        engine.clock.advance(SECOND_MS);
        expect(await claimableFirsts(message)).toEqual([at(batches, 1).first, at(batches, 3).first]);
        engine.clock.advance(LEASE_MS - SECOND_MS);
        expect(await claimableFirsts(message)).toEqual([1, 2, 3].map((index) => at(batches, index).first));
      });

      it('finds a batch as soon as it is cut, though somebody in it joined on a clock that runs ahead', async () => {
        const message = await startSending(engine);
        const batch = aBatch(message, [ADA], { cutAt: plusMs(engine.clock.now(), MINUTE_MS) });

        await engine.deliveries.cut(aCut(engine, message, [batch]));

        expect(await claimableFirsts(message)).toEqual([batch.first]);
        expect(await engine.deliveries.claim(batch, termsOf(engine, WORKER))).toBeDefined();
      });

      it('finds since a moment only what waited for its retry or was lost with its worker', async () => {
        const { message, batches } = await dispatch(engine, addresses(4), 1);
        const retryAt = plusMs(engine.clock.now(), SECOND_MS);
        const waiting = await claimBatch(engine, at(batches, 0));
        await engine.deliveries.settle(waiting, aSettlement(engine, { retryAt }));
        await claimBatch(engine, at(batches, 1));
        const returned = await claimBatch(engine, at(batches, 2));
        const looked = engine.clock.now();
        const found = async (since: Temporal.Instant): Promise<readonly string[]> =>
          claimableFirsts(message, 10, since);

        expect(await found(looked)).toEqual([]);
        engine.clock.advance(SECOND_MS);
        await engine.deliveries.release(returned, engine.clock.now());
        expect(await found(looked)).toEqual([at(batches, 0).first, at(batches, 2).first]);
        expect(await found(engine.clock.now())).toEqual([]);
        engine.clock.advance(LEASE_MS);
        expect(await found(retryAt)).toEqual([at(batches, 1).first]);
      });

      it('finds nothing of a message that is not there', async () => {
        expect(await claimableFirsts(aMessage())).toEqual([]);
      });
    });

    describe('findNextAt', () => {
      it('is when the first of the open batches can be claimed, or could be if its worker were lost', async () => {
        const { message, batches } = await dispatch(engine, addresses(3), 1);
        const now = engine.clock.now();
        const at5 = plusMs(now, 5 * MINUTE_MS);
        await engine.deliveries.settle(await claimBatch(engine, at(batches, 0)), aSettlement(engine));
        const waiting = aSettlement(engine, { retryAt: at5 });
        await engine.deliveries.settle(await claimBatch(engine, at(batches, 1)), waiting);
        const free = await engine.deliveries.findNextAt(message.key, now);
        const third = await claimBatch(engine, at(batches, 2));
        const held = await engine.deliveries.findNextAt(message.key, now);
        await engine.deliveries.settle(third, aSettlement(engine));

        expect(free).toEqual(now);
        expect(held).toEqual(plusMs(now, LEASE_MS));
        expect(await engine.deliveries.findNextAt(message.key, now)).toEqual(at5);
      });

      it('is never sooner than it is asked for, and absent where no batch is open', async () => {
        const { message, batch } = await dispatchOne(engine);
        const soon = plusMs(engine.clock.now(), SECOND_MS);
        const before = await engine.deliveries.findNextAt(message.key, soon);
        await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine));

        expect(before).toEqual(soon);
        expect(await engine.deliveries.findNextAt(message.key, soon)).toBeUndefined();
        expect(await engine.deliveries.findNextAt(newMessageKey(), soon)).toBeUndefined();
      });
    });

    describe('hasten', () => {
      it('lets what waits be claimed, and leaves what is held or settled', async () => {
        const { message, batches } = await dispatch(engine, addresses(4), 1);
        const retryAt = plusMs(engine.clock.now(), 60 * MINUTE_MS);
        for (const batch of batches.slice(0, 2)) {
          await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { retryAt }));
        }
        await engine.deliveries.settle(await claimBatch(engine, at(batches, 2)), aSettlement(engine));
        await claimBatch(engine, at(batches, 3));
        const other = await dispatchOne(engine, [ADA], { group: aGroupName('other') });
        await engine.deliveries.settle(
          await claimBatch(engine, other.batch),
          aSettlement(engine, { retryAt }),
        );
        expect(await claimableFirsts(message)).toEqual([]);

        await engine.deliveries.hasten(message.key, engine.clock.now());
        await engine.deliveries.hasten(message.key, engine.clock.now());

        expect(await claimableFirsts(message)).toEqual(batches.slice(0, 2).map(({ first }) => first));
        expect(await claimableFirsts(other.message)).toEqual([]);
      });
    });

    describe('findBatch', () => {
      const RANGES = [
        ['b@example.com', 'd@example.com'],
        ['f@example.com', 'h@example.com'],
      ];

      it.each([
        ['the first of a batch', 'b@example.com', 0],
        ['one in the middle', 'c@example.com', 0],
        ['the last', 'd@example.com', 0],
        ['the first of the next', 'f@example.com', 1],
        ['the last of all', 'h@example.com', 1],
        ['one before all', 'a@example.com', undefined],
        ['one between two batches', 'e@example.com', undefined],
        ['one behind all', 'i@example.com', undefined],
      ])('finds the batch in whose range somebody lies: %s', async (_, email, index) => {
        const message = await startSending(engine);
        const batches = RANGES.map((range) => aBatch(message, range));
        await engine.deliveries.cut(aCut(engine, message, batches));

        const found = await engine.deliveries.findBatch(message.key, aKey(email));

        expect(found).toEqual(index === undefined ? undefined : at(batches, index));
      });

      it('finds no batch of another message', async () => {
        const { batch } = await dispatchOne(engine);

        expect(await engine.deliveries.findBatch(newMessageKey(), batch.first)).toBeUndefined();
      });

      it('finds a batch that is settled, too', async () => {
        const { message, batch } = await dispatchOne(engine);
        await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine));

        expect(await engine.deliveries.findBatch(message.key, batch.last)).toEqual(batch);
      });
    });

    describe('claim', () => {
      it('takes the lease of a batch', async () => {
        const { batch } = await dispatchOne(engine);
        const terms = termsOf(engine, WORKER);

        const claimed = await engine.deliveries.claim(batch, terms);

        expect(claimed).toEqual({
          ...batch,
          lease: { token: WORKER, until: terms.until },
          tries: 1,
          mishaps: 0,
          inFlight: undefined,
        });
      });

      it('gives the batch to one of many who claim it at once', async () => {
        const { batch } = await dispatchOne(engine);

        const claims = await atOnce(20, async (index) =>
          engine.deliveries.claim(batch, termsOf(engine, `worker ${index}`)),
        );

        expect(answersOf(claims)).toHaveLength(20);
        expect(answersOf(claims).filter((claimed) => claimed !== undefined)).toHaveLength(1);
      });

      it('gives each batch of a message to somebody else', async () => {
        const { batches } = await dispatch(engine, addresses(4), 2);

        const claims = await atOnce(2, async (index) =>
          engine.deliveries.claim(at(batches, index), termsOf(engine, `worker ${index}`)),
        );

        expect(answersOf(claims).map((claimed) => claimed?.first)).toEqual(batches.map(({ first }) => first));
      });

      it('is not possible until the lease has ended, and then tells what was in flight', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch, WORKER);
        const next = { first: aKey(ADA), last: aKey(BOB), count: 2 };
        await engine.deliveries.advance(claimed, aProgress(engine, { next }));

        engine.clock.advance(LEASE_MS - 1);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeUndefined();

        engine.clock.advance(1);
        const again = await engine.deliveries.claim(batch, termsOf(engine, 'another'));
        expect(again).toEqual({
          ...batch,
          lease: { token: 'another', until: plusMs(engine.clock.now(), LEASE_MS) },
          tries: 2,
          mishaps: 0,
          inFlight: next,
        });
      });

      it('goes on telling what was in flight while worker after worker is lost', async () => {
        const { batch } = await dispatchOne(engine);
        const next = { first: aKey(ADA), last: aKey(ADA), count: 1 };
        await engine.deliveries.advance(
          await claimBatch(engine, batch, 'first'),
          aProgress(engine, { next }),
        );
        engine.clock.advance(LEASE_MS);
        await claimBatch(engine, batch, 'second');
        engine.clock.advance(LEASE_MS);

        const third = await claimBatch(engine, batch, 'third');

        expect(third.inFlight).toEqual(next);
      });

      it('is not possible of a batch that is settled', async () => {
        const { batch } = await dispatchOne(engine);
        await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine));
        engine.clock.advance(LEASE_MS);

        expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeUndefined();
      });

      it('is not possible of a batch that does not exist', async () => {
        const { message } = await dispatchOne(engine, [ADA, BOB]);

        expect(
          await engine.deliveries.claim(aBatch(message, [BOB]), termsOf(engine, WORKER)),
        ).toBeUndefined();
        expect(
          await engine.deliveries.claim(aBatch(aMessage(), [ADA]), termsOf(engine, WORKER)),
        ).toBeUndefined();
      });

      it('does not touch the message', async () => {
        const { message, batch } = await dispatchOne(engine);
        const before = await read(engine, message);

        await claimBatch(engine, batch);

        expect(await read(engine, message)).toEqual(before);
      });
    });

    /** What `advance` and `settle` have in common. */
    const REPORTERS = [
      [
        'advance',
        (batch: ClaimedBatch, report: Partial<Report>): Promise<MessageStatus> =>
          engine.deliveries.advance(batch, aProgress(engine, report)),
      ],
      [
        'settle',
        (batch: ClaimedBatch, report: Partial<Report>): Promise<MessageStatus> =>
          engine.deliveries.settle(batch, aSettlement(engine, report)),
      ],
      [
        'settle for a retry',
        (batch: ClaimedBatch, report: Partial<Report>): Promise<MessageStatus> =>
          engine.deliveries.settle(
            batch,
            aSettlement(engine, { ...report, retryAt: plusMs(engine.clock.now(), SECOND_MS) }),
          ),
      ],
    ] as const;

    /** How a worker may lose its lease. */
    const LOSSES: readonly (readonly [string, (batch: ClaimedBatch) => Promise<void>])[] = [
      [
        'that has ended',
        async () => {
          engine.clock.advance(LEASE_MS);
        },
      ],
      [
        'that somebody else took when it had ended',
        async (batch) => {
          engine.clock.advance(LEASE_MS);
          await claimBatch(engine, batch, 'another');
        },
      ],
      [
        'that the worker gave back',
        async (batch) => {
          await engine.deliveries.release(batch, engine.clock.now());
        },
      ],
      [
        'whose batch waits for a retry',
        async (batch) => {
          await engine.deliveries.settle(
            batch,
            aSettlement(engine, { retryAt: plusMs(engine.clock.now(), MINUTE_MS) }),
          );
        },
      ],
      [
        'whose batch is settled',
        async (batch) => {
          await engine.deliveries.settle(batch, aSettlement(engine, { results: [aDelivery(BOB)] }));
        },
      ],
    ];

    describe.each(REPORTERS)('%s', (_, write) => {
      it('writes the results with everything that a delivery can have', async () => {
        const { message, batch } = await dispatchOne(engine);
        const results = [
          aDelivery(ADA, {
            outcome: 'unknown',
            at: plusMs(engine.clock.now(), 7),
            attempt: 3,
            unknownAttempts: 2,
            reason: 'Der Server sagte: "Grüße"',
          }),
          { ...aDelivery(BOB, { providerId: '0100018a-…' }), email: aNewcomer('Bob@example.com').email },
          aDelivery(CYD, { outcome: 'skipped', attempt: 0, reason: 'The subscriber is unsubscribed.' }),
        ];

        await write(await claimBatch(engine, batch), { results });

        expect(await listAll(message)).toEqual(results);
      });

      it.each(OUTCOMES)('counts a delivery that is %s at once', async (outcome) => {
        const { message, batch } = await dispatchOne(engine, [ADA]);

        await write(await claimBatch(engine, batch), { results: [aDelivery(ADA, { outcome })] });

        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 1, [outcome]: 1 });
      });

      it('lets the last of several results for one subscriber stand', async () => {
        const { message, batch } = await dispatchOne(engine, [ADA]);
        const inDoubt = aDelivery(ADA, {
          outcome: undefined,
          unknownAttempts: 1,
          reason: 'The worker was lost.',
        });
        const skipped = aDelivery(ADA, {
          outcome: 'unknown',
          unknownAttempts: 1,
          reason: 'The message was cancelled.',
        });

        await write(await claimBatch(engine, batch), { results: [inDoubt, skipped] });

        expect(await listAll(message)).toEqual([skipped]);
        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 1, unknown: 1 });
      });

      it('never writes a second outcome over the first, nor anything that came with it', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB, CYD], 2);
        const claimed = await claimBatch(engine, at(batches, 0));
        await engine.deliveries.advance(claimed, aProgress(engine, { results: [aDelivery(ADA)] }));
        const before = await snapshot(message);

        const results = [aDelivery(BOB), aDelivery(ADA, { outcome: 'failed', attempt: 2 })];
        const writing = write(claimed, {
          results,
          attempts: { at: engine.clock.now(), acceptedAt: undefined },
        });

        await expect(writing).rejects.toBeInstanceOf(Error);
        expect(await snapshot(message)).toEqual(before);
      });

      it.each(LOSSES)('writes nothing at all under a lease %s', async (_lease, lose) => {
        const { message, batches } = await dispatch(engine, [ADA, BOB, CYD], 2);
        const claimed = await claimBatch(engine, at(batches, 0));
        await lose(claimed);
        const before = await snapshot(message);

        const writing = write(claimed, {
          results: [aDelivery(ADA)],
          attempts: { at: engine.clock.now(), acceptedAt: engine.clock.now() },
          now: engine.clock.now(),
        });

        await expect(writing).rejects.toThrow(LeaseLostError);
        expect(await snapshot(message)).toEqual(before);
      });

      it('writes nothing under a token that was made up', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        const before = await snapshot(message);

        const writing = write(
          { ...claimed, lease: { ...claimed.lease, token: 'another' } },
          { results: [aDelivery(ADA)] },
        );

        await expect(writing).rejects.toThrow(LeaseLostError);
        expect(await snapshot(message)).toEqual(before);
      });

      it('is possible until the very end of the lease', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        engine.clock.advance(LEASE_MS - 1);

        await write(claimed, { results: [aDelivery(ADA)] });

        expect((await read(engine, message)).counts.sent).toBe(1);
      });

      it.each(STILL_AT_WORK)(
        'records what went out of a message that is %s, and answers so',
        async (status) => {
          const { message, batches } = await dispatch(engine, [ADA, BOB], 1);
          const claimed = await claimBatch(engine, at(batches, 0));
          await setStatus(message, status);

          const answered = await write(claimed, { results: [aDelivery(ADA)] });

          expect(answered).toBe(status);
          expect((await read(engine, message)).counts.sent).toBe(1);
        },
      );

      it('leaves the version, which is for what its owner may see change', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB], 1);

        await write(await claimBatch(engine, at(batches, 0)), { results: [aDelivery(ADA)] });

        expect((await read(engine, message)).version).toBe(message.version);
      });

      it('records when the channel was first and last asked, and when it last said yes, and what came due last, in whatever order batches report', async () => {
        const { message, batches } = await dispatch(engine, addresses(4), 1);
        const moment = (second: number): Temporal.Instant => plusMs(engine.clock.now(), second * SECOND_MS);
        const reports: Report['attempts'][] = [
          { at: moment(3), acceptedAt: moment(5), dueAt: moment(2) },
          { at: moment(7), acceptedAt: undefined, dueAt: moment(6) },
          { at: moment(1), acceptedAt: moment(2), dueAt: moment(0) },
          undefined,
        ];

        for (const [index, attempts] of reports.entries()) {
          await write(await claimBatch(engine, at(batches, index)), { attempts });
        }

        expect((await read(engine, message)).attempts).toEqual({
          firstAt: moment(1),
          lastAt: moment(7),
          lastAcceptedAt: moment(5),
          lastDueAt: moment(6),
        });
      });

      it('records no attempt where none was made', async () => {
        const { message, batch } = await dispatchOne(engine);

        await write(await claimBatch(engine, batch), {
          results: [aDelivery(ADA, { outcome: 'skipped', attempt: 0 })],
        });

        expect((await read(engine, message)).attempts).toEqual({
          firstAt: undefined,
          lastAt: undefined,
          lastAcceptedAt: undefined,
        });
      });
    });

    describe('advance', () => {
      it('writes a delivery that is still pending, and its outcome later', async () => {
        const { message, batch } = await dispatchOne(engine, [ADA]);
        const claimed = await claimBatch(engine, batch);
        const deferred = aDelivery(ADA, { outcome: undefined, reason: '450 4.2.0 greylisted' });
        const sent = aDelivery(ADA, { attempt: 2, providerId: 'an-id' });

        await engine.deliveries.advance(claimed, aProgress(engine, { results: [deferred] }));
        expect(await engine.deliveries.findDelivery(message.key, aKey(ADA))).toEqual(deferred);
        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 1 });

        await engine.deliveries.advance(claimed, aProgress(engine, { results: [sent] }));
        expect(await engine.deliveries.findDelivery(message.key, aKey(ADA))).toEqual(sent);
        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 1, sent: 1 });
      });

      it('replaces what was in flight by what is next', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        const first = { first: aKey(ADA), last: aKey(BOB), count: 2 };
        const second = { first: aKey(CYD), last: aKey(CYD), count: 1 };
        await engine.deliveries.advance(claimed, aProgress(engine, { next: first }));

        await engine.deliveries.advance(claimed, aProgress(engine, { next: second }));

        engine.clock.advance(LEASE_MS);
        expect((await claimBatch(engine, batch)).inFlight).toEqual(second);
      });

      it('leaves nobody in flight where it only reports', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.advance(claimed, aProgress(engine, { next: batch }));

        await engine.deliveries.advance(claimed, aProgress(engine));

        engine.clock.advance(LEASE_MS);
        expect((await claimBatch(engine, batch)).inFlight).toBeUndefined();
      });

      it.each(STOPPED)('puts nobody in flight of a message that is %s', async (status) => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await setStatus(message, status);

        const answered = await engine.deliveries.advance(claimed, aProgress(engine, { next: batch }));

        expect(answered).toBe(status);
        engine.clock.advance(LEASE_MS);
        expect((await claimBatch(engine, batch)).inFlight).toBeUndefined();
      });

      it('puts somebody in flight again once the message goes on', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await setStatus(message, 'paused');
        await engine.deliveries.advance(claimed, aProgress(engine, { next: batch }));
        await setStatus(message, 'sending');

        const answered = await engine.deliveries.advance(claimed, aProgress(engine, { next: batch }));

        expect(answered).toBe('sending');
        engine.clock.advance(LEASE_MS);
        expect((await claimBatch(engine, batch)).inFlight).toEqual({
          first: batch.first,
          last: batch.last,
          count: 3,
        });
      });

      it('renews the lease, each time', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        for (let renewal = 1; renewal <= 3; renewal += 1) {
          engine.clock.advance(LEASE_MS - 1);
          await engine.deliveries.advance(claimed, aProgress(engine));
        }

        engine.clock.advance(LEASE_MS - 1);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeUndefined();

        engine.clock.advance(1);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeDefined();
      });

      it('leaves what is in flight as it was when it is refused', async () => {
        const { batch } = await dispatchOne(engine);
        const lost = await claimBatch(engine, batch, 'lost');
        await engine.deliveries.advance(
          lost,
          aProgress(engine, { next: { first: aKey(ADA), last: aKey(ADA), count: 1 } }),
        );
        engine.clock.advance(LEASE_MS);
        await claimBatch(engine, batch, 'another');

        const advance = engine.deliveries.advance(
          lost,
          aProgress(engine, { next: { first: aKey(BOB), last: aKey(BOB), count: 1 } }),
        );

        await expect(advance).rejects.toThrow(LeaseLostError);
        engine.clock.advance(LEASE_MS);
        expect((await claimBatch(engine, batch)).inFlight).toEqual({
          first: aKey(ADA),
          last: aKey(ADA),
          count: 1,
        });
      });
    });

    describe('renew', () => {
      it('keeps the batch from others until the new end', async () => {
        const batch = await claimBatch(engine, (await dispatchOne(engine)).batch);
        engine.clock.advance(LEASE_MS / 2);
        const { now, until } = termsOf(engine, WORKER);

        await engine.deliveries.renew(batch, now, until);

        engine.clock.advance(LEASE_MS - 1);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'other'))).toBeUndefined();
        engine.clock.advance(1);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'other'))).toBeDefined();
      });

      it('is refused once the lease has ended, to whoever lost it, and for a batch that is settled', async () => {
        const batch = await claimBatch(engine, (await dispatchOne(engine)).batch);
        const renew = async (token: string): Promise<void> => {
          const { now, until } = termsOf(engine, token);
          await engine.deliveries.renew({ ...batch, lease: { token, until } }, now, until);
        };
        await expect(renew('other')).rejects.toThrow(LeaseLostError);
        engine.clock.advance(LEASE_MS);
        await expect(renew(WORKER)).rejects.toThrow(LeaseLostError);
        const claimed = await claimBatch(engine, batch, 'next');
        await expect(renew(WORKER)).rejects.toThrow(LeaseLostError);
        await engine.deliveries.settle(claimed, aSettlement(engine));

        await expect(renew('next')).rejects.toThrow(LeaseLostError);
      });

      it('leaves what is in flight as it was', async () => {
        const batch = await claimBatch(engine, (await dispatchOne(engine)).batch);
        await engine.deliveries.advance(batch, aProgress(engine, { next: batch }));
        const { now, until } = termsOf(engine, WORKER);

        await engine.deliveries.renew(batch, now, until);

        engine.clock.advance(LEASE_MS);
        const claimed = await engine.deliveries.claim(batch, termsOf(engine, 'other'));
        expect(claimed?.inFlight).toEqual({ first: batch.first, last: batch.last, count: 3 });
      });
    });

    describe('settle with a time for the retry', () => {
      it('lets the batch wait until then, with nobody in flight', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.advance(claimed, aProgress(engine, { next: batch }));

        await engine.deliveries.settle(
          claimed,
          aSettlement(engine, { retryAt: plusMs(engine.clock.now(), 5 * SECOND_MS) }),
        );

        engine.clock.advance(5 * SECOND_MS - 1);
        expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeUndefined();
        engine.clock.advance(1);
        expect((await claimBatch(engine, batch, 'another')).inFlight).toBeUndefined();
      });

      it.each([
        ['sooner, where it would wake later', 5 * SECOND_MS, 5 * SECOND_MS],
        ['as soon as it would anyway, where that is sooner', 5 * MINUTE_MS, LEASE_MS],
      ])('lets the message wake %s', async (_, retryMs, expectedMs) => {
        const { message, batch } = await dispatchOne(engine);
        const now = engine.clock.now();

        await engine.deliveries.settle(
          await claimBatch(engine, batch),
          aSettlement(engine, { retryAt: plusMs(now, retryMs) }),
        );

        const wakeAt = plusMs(now, expectedMs);
        expect((await read(engine, message)).wakeAt).toEqual(wakeAt);
        await expect.poll(async () => wakingKeys(engine, wakeAt)).toEqual([message.key]);
      });

      it('lets the message wake for the soonest of several batches', async () => {
        const { message, batches } = await dispatch(engine, addresses(3), 1);
        const now = engine.clock.now();
        await engine.messages.rest(message.group, message.key, {
          token: DISPATCHER,
          wakeAt: plusMs(now, MINUTE_MS),
          lookedAt: undefined,
        });

        for (const [index, second] of [20, 5, 10].entries()) {
          const retryAt = plusMs(now, second * SECOND_MS);
          await engine.deliveries.settle(
            await claimBatch(engine, at(batches, index)),
            aSettlement(engine, { retryAt }),
          );
        }

        expect((await read(engine, message)).wakeAt).toEqual(plusMs(now, 5 * SECOND_MS));
      });

      it.each(['paused', 'failed'] as const)('wakes no message that is %s', async (status) => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await setStatus(message, status);

        await engine.deliveries.settle(
          claimed,
          aSettlement(engine, { retryAt: plusMs(engine.clock.now(), SECOND_MS) }),
        );

        await expect.poll(isAwake(message)).toBe(false);
      });

      it('settles nothing: the message goes on, and who left is not counted yet', async () => {
        const { message, batch } = await dispatchOne(engine);

        const status = await engine.deliveries.settle(
          await claimBatch(engine, batch),
          aSettlement(engine, { results: [aDelivery(ADA)], retryAt: plusMs(engine.clock.now(), SECOND_MS) }),
        );

        expect(status).toBe('sending');
        const stored = await read(engine, message);
        expect(stored.dispatch.batchesSettled).toBe(0);
        expect(stored.counts).toEqual({ ...NONE, subscribers: 3, sent: 1 });
      });
    });

    describe('settle', () => {
      it('finishes the message with its last batch', async () => {
        const { message, batches } = await dispatch(engine, addresses(3), 1);
        const statuses: MessageStatus[] = [];

        for (const [index, batch] of batches.entries()) {
          const results = [aDelivery(at(addresses(3), index))];
          statuses.push(
            await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { results })),
          );
        }

        expect(statuses).toEqual(['sending', 'sending', 'sent']);
        const stored = await read(engine, message);
        expect(stored).toEqual({
          ...message,
          status: 'sent',
          version: message.version + 1,
          wakeAt: undefined,
          lease: undefined,
          dispatch: {
            ...message.dispatch,
            through: aKey('s00002@example.com'),
            complete: true,
            batchesCut: 3,
            batchesSettled: 3,
          },
          counts: { ...NONE, subscribers: 3, sent: 3 },
        });
        await expect.poll(isAwake(message)).toBe(false);
      });

      it('finishes the message once, whichever of many batches that settle at once is the last', async () => {
        const { message, batches } = await dispatch(engine, addresses(5), 1);
        const claimed = await Promise.all(
          batches.map(async (batch, index) => claimBatch(engine, batch, `worker ${index}`)),
        );

        const settlements = await atOnce(5, async (index) => {
          const results = [aDelivery(at(addresses(5), index))];
          return engine.deliveries.settle(at(claimed, index), aSettlement(engine, { results }));
        });

        expect(answersOf(settlements).filter((status) => status === 'sent').length).toBeGreaterThanOrEqual(1);
        const stored = await read(engine, message);
        expect(stored.status).toBe('sent');
        expect(stored.version).toBe(message.version + 1);
        expect(stored.counts).toEqual({ ...NONE, subscribers: 5, sent: 5 });
      });

      it('does not finish a message of which more is to be cut', async () => {
        const message = await startSending(engine);
        const batch = at(batchesOf(engine, message, [ADA], 1), 0);
        await engine.deliveries.cut(aCut(engine, message, [batch], { complete: false }));

        const status = await engine.deliveries.settle(
          await claimBatch(engine, batch),
          aSettlement(engine, { results: [aDelivery(ADA)] }),
        );

        expect(status).toBe('sending');
        const stored = await read(engine, message);
        expect(stored.wakeAt).toBeDefined();
        expect(stored.dispatch.batchesSettled).toBe(1);
      });

      it('counts as skipped whoever left the group before the batch was worked', async () => {
        const { message, batch } = await dispatchOne(engine);
        await engine.subscribers.remove(message.group, aKey(BOB));

        const results = [aDelivery(ADA), aDelivery(CYD, { outcome: 'failed' })];
        await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { results }));

        expect((await read(engine, message)).counts).toEqual({
          subscribers: 3,
          sent: 1,
          failed: 1,
          skipped: 1,
          unknown: 0,
        });
        expect(await engine.deliveries.findDelivery(message.key, aKey(BOB))).toBeUndefined();
      });

      it('counts as unknown, and not as skipped too, whoever left while being handed over', async () => {
        const { message, batch } = await dispatchOne(engine);
        const next = { first: aKey(ADA), last: aKey(CYD), count: 3 };
        await engine.deliveries.advance(await claimBatch(engine, batch), aProgress(engine, { next }));
        await engine.subscribers.remove(message.group, aKey(BOB));
        engine.clock.advance(LEASE_MS);
        const claimed = await claimBatch(engine, batch, 'second');
        const results = [aDelivery(ADA), aDelivery(CYD)];

        await engine.deliveries.advance(claimed, aProgress(engine, { goneInDoubt: 1 }));
        await engine.deliveries.settle(claimed, aSettlement(engine, { results }));

        expect((await read(engine, message)).counts).toEqual({
          ...NONE,
          subscribers: 3,
          sent: 2,
          unknown: 1,
        });
      });

      it('counts those in doubt who left when they come with the settlement, beside those who left before', async () => {
        const { message, batch } = await dispatchOne(engine);
        await engine.subscribers.remove(message.group, aKey(BOB));
        await engine.subscribers.remove(message.group, aKey(CYD));

        await engine.deliveries.settle(
          await claimBatch(engine, batch),
          aSettlement(engine, { results: [aDelivery(ADA)], goneInDoubt: 1 }),
        );

        expect((await read(engine, message)).counts).toEqual({
          ...NONE,
          subscribers: 3,
          sent: 1,
          skipped: 1,
          unknown: 1,
        });
      });

      it('counts as skipped whoever left, however many claims the batch took', async () => {
        const { message, batch } = await dispatchOne(engine);
        const first = await claimBatch(engine, batch);
        await engine.deliveries.advance(first, aProgress(engine, { results: [aDelivery(ADA)] }));
        const deferred = aDelivery(BOB, { outcome: undefined });
        await engine.deliveries.settle(
          first,
          aSettlement(engine, { results: [deferred], retryAt: engine.clock.now() }),
        );

        await engine.deliveries.settle(
          await claimBatch(engine, batch, 'second'),
          aSettlement(engine, { results: [aDelivery(BOB, { attempt: 2 })] }),
        );

        expect((await read(engine, message)).counts).toEqual({
          ...NONE,
          subscribers: 3,
          sent: 2,
          skipped: 1,
        });
      });

      it('counts nobody of another batch as theirs', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB, CYD], 2);

        await engine.deliveries.settle(
          await claimBatch(engine, at(batches, 1)),
          aSettlement(engine, { results: [aDelivery(CYD)] }),
        );

        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 3, sent: 1 });
      });

      it('lets a cancelled message stay cancelled, and removes its wake with the last batch', async () => {
        const { message, batches } = await dispatch(engine, [ADA, BOB], 1);
        await setStatus(message, 'cancelled');
        const { version } = await read(engine, message);
        const skipped = { outcome: 'skipped', attempt: 0 } as const;

        await engine.deliveries.settle(
          await claimBatch(engine, at(batches, 0)),
          aSettlement(engine, { results: [aDelivery(ADA, skipped)] }),
        );
        expect((await read(engine, message)).wakeAt).toBeDefined();

        const status = await engine.deliveries.settle(
          await claimBatch(engine, at(batches, 1)),
          aSettlement(engine, { results: [aDelivery(BOB, skipped)] }),
        );
        expect(status).toBe('cancelled');
        const stored = await read(engine, message);
        expect(stored.status).toBe('cancelled');
        expect(stored.version).toBe(version);
        expect(stored.counts).toEqual({ ...NONE, subscribers: 2, skipped: 2 });
        await expect.poll(isAwake(message)).toBe(false);
      });

      it('finishes a message that was cancelled before all of it was cut', async () => {
        const message = await startSending(engine);
        const batch = at(batchesOf(engine, message, [ADA], 1), 0);
        await engine.deliveries.cut(aCut(engine, message, [batch], { complete: false }));
        await setStatus(message, 'cancelled');

        await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine));

        expect((await read(engine, message)).status).toBe('cancelled');
        await expect.poll(isAwake(message)).toBe(false);
      });

      it.each(['paused', 'failed'] as const)(
        'lets a message stay %s though its last batch is settled',
        async (status) => {
          const { message, batch } = await dispatchOne(engine, [ADA]);
          const claimed = await claimBatch(engine, batch);
          await setStatus(message, status);

          const answered = await engine.deliveries.settle(
            claimed,
            aSettlement(engine, { results: [aDelivery(ADA)] }),
          );

          expect(answered).toBe(status);
          const stored = await read(engine, message);
          expect(stored.status).toBe(status);
          expect(stored.dispatch.batchesSettled).toBe(1);
        },
      );
    });

    describe('release', () => {
      it('lets the batch be claimed again at once', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);

        await engine.deliveries.release(claimed, engine.clock.now());

        expect(await claimableFirsts(message)).toEqual([batch.first]);
        expect((await claimBatch(engine, batch, 'another')).lease.token).toBe('another');
      });

      it('keeps what was recorded', async () => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.advance(claimed, aProgress(engine, { results: [aDelivery(ADA)] }));

        await engine.deliveries.release(claimed, engine.clock.now());

        expect(await engine.deliveries.readDeliveries(batch)).toEqual([aDelivery(ADA)]);
        expect((await read(engine, message)).counts.sent).toBe(1);
      });

      it('does nothing for whoever lost the lease to another', async () => {
        const { batch } = await dispatchOne(engine);
        const lost = await claimBatch(engine, batch);
        engine.clock.advance(LEASE_MS);
        const holder = await claimBatch(engine, batch, 'another');

        await engine.deliveries.release(lost, engine.clock.now());

        expect(await engine.deliveries.claim(batch, termsOf(engine, 'a third'))).toBeUndefined();
        expect(await engine.deliveries.advance(holder, aProgress(engine))).toBe('sending');
      });

      it.each([
        ['waits', MINUTE_MS],
        ['is settled', undefined],
      ])('does nothing to a batch that %s', async (_, retryMs) => {
        const { message, batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        const retryAt = retryMs === undefined ? undefined : plusMs(engine.clock.now(), retryMs);
        await engine.deliveries.settle(claimed, aSettlement(engine, { retryAt }));

        await engine.deliveries.release(claimed, engine.clock.now());

        expect(await claimableFirsts(message)).toEqual([]);
      });

      it('does nothing when it runs twice', async () => {
        const { batch } = await dispatchOne(engine);
        const claimed = await claimBatch(engine, batch);
        await engine.deliveries.release(claimed, engine.clock.now());
        await claimBatch(engine, batch, 'another');

        await engine.deliveries.release(claimed, engine.clock.now());

        expect(await engine.deliveries.claim(batch, termsOf(engine, 'a third'))).toBeUndefined();
      });
    });

    describe('finish', () => {
      it.each([
        ['that is paused', 'paused'],
        ['that is stopped by a fault', 'failed'],
      ] as const)('finishes a message %s once it goes on and all of it is settled', async (_, status) => {
        const { message, batch } = await dispatchOne(engine, [ADA]);
        const claimed = await claimBatch(engine, batch);
        await setStatus(message, status);
        await engine.deliveries.settle(claimed, aSettlement(engine, { results: [aDelivery(ADA)] }));

        await engine.deliveries.finish(message.group, message.key);
        expect((await read(engine, message)).status).toBe(status);

        await setStatus(message, 'sending');
        const { version } = await read(engine, message);
        await engine.deliveries.finish(message.group, message.key);
        const stored = await read(engine, message);
        expect(stored.status).toBe('sent');
        expect(stored.version).toBe(version + 1);
        await expect.poll(isAwake(message)).toBe(false);
      });

      it('removes the wake of a message that was cancelled before anything of it was cut', async () => {
        const message = await startSending(engine);
        await setStatus(message, 'cancelled');

        await engine.deliveries.finish(message.group, message.key);

        expect((await read(engine, message)).status).toBe('cancelled');
        await expect.poll(isAwake(message)).toBe(false);
      });

      const UNREADY: readonly (readonly [string, () => Promise<Message>])[] = [
        ['with a batch that is open', async () => (await dispatchOne(engine)).message],
        ['that is not all cut', async () => startSending(engine)],
        ['that has not begun', async () => schedule(engine)],
        [
          'that is finished',
          async () => {
            const message = await startSending(engine);
            await engine.deliveries.cut(aCut(engine, message, []));
            return message;
          },
        ],
      ];

      it.each(UNREADY)('does nothing to a message %s', async (_, make) => {
        const message = await make();
        const before = await read(engine, message);

        await engine.deliveries.finish(message.group, message.key);

        expect(await read(engine, message)).toEqual(before);
      });

      it('does nothing where there is no such message', async () => {
        const message = aMessage();

        await engine.deliveries.finish(message.group, message.key);

        expect(await engine.messages.find(message.group, message.key)).toBeUndefined();
      });
    });

    describe('recordFeedback', () => {
      /** A message to Ada, whose delivery has this outcome. */
      async function worked(outcome: Outcome | undefined, bounced = 0): Promise<Message> {
        const { message, batch } = await dispatchOne(engine, [ADA]);
        const claimed = await claimBatch(engine, batch);
        const results = [aDelivery(ADA, { outcome, unknownAttempts: Number(outcome === 'unknown') })];
        const retryAt = outcome === undefined ? plusMs(engine.clock.now(), MINUTE_MS) : undefined;
        await engine.deliveries.settle(claimed, aSettlement(engine, { results, bounced, retryAt }));
        return message;
      }

      async function record(message: Message, feedback: Partial<Feedback>): Promise<string> {
        const { group, key: messageKey } = message;
        return engine.deliveries.recordFeedback({ group, messageKey }, aKey(ADA), aFeedback(feedback));
      }

      it('keeps what was heard with the delivery, and counts it with the message', async () => {
        const message = await worked('sent');

        expect(await record(message, { kind: 'delivered', detail: '250 OK' })).toBe('recorded');
        expect(await record(message, { kind: 'bounced', detail: undefined })).toBe('recorded');

        const delivery = await engine.deliveries.findDelivery(message.key, aKey(ADA));
        const notice = { at: aFeedback().at, detail: undefined };
        expect(delivery).toEqual(
          aDelivery(ADA, { heard: { delivered: { ...notice, detail: '250 OK' }, bounced: notice } }),
        );
        expect(await listAll(message)).toEqual([delivery]);
        const stored = await read(engine, message);
        expect(stored.feedback).toEqual({ delivered: 1, bounced: 1, complained: 0 });
        expect(stored.counts).toEqual({ ...NONE, subscribers: 1, sent: 1 });
      });

      it('changes nothing when it comes again', async () => {
        const message = await worked('sent');
        await record(message, { kind: 'complained' });
        const before = await snapshot(message);

        expect(await record(message, { kind: 'complained' })).toBe('repeated');

        expect(await snapshot(message)).toEqual(before);
      });

      it('makes sent what was unknown, and the counts with it; a list by outcome finds it there', async () => {
        const message = await worked('unknown');

        expect(await record(message, { kind: 'sent', providerId: 'ses-1' })).toBe('recorded');

        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 1, sent: 1 });
        expect(await listAll(message, 'unknown')).toEqual([]);
        expect(await listAll(message, 'sent')).toMatchObject([{ outcome: 'sent', providerId: 'ses-1' }]);
      });

      it('makes failed what the provider had taken and did not send', async () => {
        const message = await worked('sent');

        await record(message, { kind: 'rejected', detail: 'Bad content' });

        expect((await read(engine, message)).counts).toEqual({ ...NONE, subscribers: 1, failed: 1 });
        expect(await listAll(message, 'failed')).toMatchObject([
          { heard: { rejected: { detail: 'Bad content' } } },
        ]);
      });

      it('waits for the outcome of a delivery that has none', async () => {
        const message = await worked(undefined);
        const before = await snapshot(message);

        expect(await record(message, { kind: 'sent' })).toBe('pending');

        expect(await snapshot(message)).toEqual(before);
      });

      it('is kept when the delivery is tried again', async () => {
        const message = await worked('failed', 1);
        await record(message, { kind: 'bounced' });
        const { version } = await read(engine, message);
        const retry = { outcomes: ['failed'], through: undefined } as const;
        const wakeAt = engine.clock.now();
        await engine.messages.change(message.group, message.key, version, {
          status: 'sending',
          wakeAt,
          retry,
        });
        await claimMessage(engine, message);
        const { pointers } = await engine.deliveries.reopen({
          group: message.group,
          messageKey: message.key,
          token: DISPATCHER,
          outcomes: ['failed'],
          after: undefined,
          limit: 10,
          now: engine.clock.now(),
          leaseUntil: plusMs(engine.clock.now(), LEASE_MS),
        });
        const claimed = await claimBatch(engine, at(pointers, 0));

        const [before] = await engine.deliveries.readDeliveries(claimed);

        expect(before).toMatchObject({ outcome: undefined, heard: { bounced: { at: aFeedback().at } } });
        expect(await record(message, { kind: 'bounced' })).toBe('pending');
        const results = [aDelivery(ADA, { heard: before?.heard ?? {} })];
        await engine.deliveries.settle(claimed, aSettlement(engine, { results }));
        expect(await record(message, { kind: 'bounced' })).toBe('repeated');
        expect((await read(engine, message)).feedback.bounced).toBe(2); // one of them was reported by the worker
      });

      it('counts each once, whoever records it at the same time', async () => {
        const message = await worked('unknown');
        const kinds = ['sent', 'delivered', 'bounced', 'complained', 'delivered'] as const;

        const settled = await atOnce(10, async (index) => record(message, { kind: at(kinds, index % 5) }));

        expect(faultsOf(settled)).toEqual([]);
        const stored = await read(engine, message);
        expect(stored.feedback).toEqual({ delivered: 1, bounced: 1, complained: 1 });
        expect(stored.counts).toEqual({ ...NONE, subscribers: 1, sent: 1 });
      });
    });

    describe('the deliveries', () => {
      const EMAILS = addresses(7);
      const outcomes = [...OUTCOMES, undefined];

      async function workedMessage(): Promise<{
        readonly message: Message;
        readonly batches: readonly Batch[];
        readonly all: readonly Delivery[];
      }> {
        const { message, batches } = await dispatch(engine, EMAILS, 3);
        const all = EMAILS.map((email, index) =>
          aDelivery(email, { outcome: outcomes[index % outcomes.length], attempt: index }),
        );
        // The last batch first: the order of the ledger is not the order of the work.
        for (const batch of batches.toReversed()) {
          const results = all.filter(({ key }) => key >= batch.first && key <= batch.last);
          await engine.deliveries.advance(await claimBatch(engine, batch), aProgress(engine, { results }));
        }
        return { message, batches, all };
      }

      it.each([1, 2, 3, 7, 50])(
        'are listed once each, pending ones too, in order of subscriber, in pages of %d',
        async (limit) => {
          const { message, all } = await workedMessage();
          await dispatchOne(engine, EMAILS.slice(0, 2), { group: aGroupName('other') });

          const listed = await listAll(message, undefined, limit);

          expect(listed).toEqual(all);
        },
      );

      it.each(OUTCOMES.flatMap((outcome) => [1, 50].map((limit) => [outcome, limit] as const)))(
        'are listed by outcome: %s, in pages of %d that are full while there are more',
        async (outcome, limit) => {
          const { message, all } = await workedMessage();

          const listed = await listAll(message, outcome, limit);

          expect(listed).toEqual(all.filter((delivery) => delivery.outcome === outcome));
        },
      );

      it('of one batch are read in order, and those of no other', async () => {
        const { batches, all } = await workedMessage();

        const read3 = await Promise.all(
          batches.map(async (batch) => engine.deliveries.readDeliveries(batch)),
        );

        expect(read3).toEqual([all.slice(0, 3), all.slice(3, 6), all.slice(6)]);
      });

      it('are found one by one', async () => {
        const { message, all } = await workedMessage();

        expect(await engine.deliveries.findDelivery(message.key, aKey(at(EMAILS, 4)))).toEqual(at(all, 4));
      });

      it('are not there before they are worked, nor for anybody who is in no batch', async () => {
        const { message, batch } = await dispatchOne(engine);
        await claimBatch(engine, batch);

        expect(await engine.deliveries.findDelivery(message.key, aKey(ADA))).toBeUndefined();
        expect(await engine.deliveries.findDelivery(message.key, aKey('zoe@example.com'))).toBeUndefined();
        expect(await engine.deliveries.findDelivery(newMessageKey(), aKey(ADA))).toBeUndefined();
        expect(await listAll(message)).toEqual([]);
        expect(await engine.deliveries.readDeliveries(batch)).toEqual([]);
      });

      it('of two messages to the same group are kept apart', async () => {
        const first = await dispatchOne(engine, [ADA]);
        const second = await dispatchOne(engine, [ADA]);
        await engine.deliveries.settle(
          await claimBatch(engine, first.batch),
          aSettlement(engine, { results: [aDelivery(ADA)] }),
        );

        expect(await listAll(second.message)).toEqual([]);
        expect((await read(engine, second.message)).counts).toEqual({ ...NONE, subscribers: 1 });
      });
    });

    /** What a worker would report: one that has an outcome is left alone, and none stays pending when it settles. */
    function reportOf(
      emails: readonly string[],
      results: readonly (Outcome | 'deferred' | undefined)[],
      before: ReadonlyMap<SubscriberKey, Delivery>,
      isLast: boolean,
    ): readonly Delivery[] {
      return emails.flatMap((email, index) => {
        const known = before.get(aKey(email));
        const result = results[index] ?? (isLast && known ? 'deferred' : undefined);
        if (result === undefined || known?.outcome !== undefined) {
          return [];
        }
        const pending = isLast ? 'failed' : undefined;
        const outcome = result === 'deferred' ? pending : result;
        return [aDelivery(email, { outcome, attempt: (known?.attempt ?? 0) + 1, at: engine.clock.now() })];
      });
    }

    /** Claims the batch and works it until the ending. Answers what the ledger must have taken; all leases have ended then. */
    async function work(
      batch: Batch,
      ending: Ending,
      results: readonly Delivery[],
    ): Promise<readonly Delivery[]> {
      const claimed = await claimBatch(engine, batch);
      const retryAt = plusMs(engine.clock.now(), SECOND_MS);
      switch (ending) {
        case 'disappears':
          await engine.deliveries.advance(claimed, aProgress(engine, { results }));
          break;
        case 'gives back':
          await engine.deliveries.advance(claimed, aProgress(engine, { results }));
          await engine.deliveries.release(claimed, engine.clock.now());
          break;
        case 'comes too late':
          engine.clock.advance(LEASE_MS);
          await atOnce(1, () => engine.deliveries.settle(claimed, aSettlement(engine, { results })));
          return [];
        case 'waits':
          await engine.deliveries.settle(claimed, aSettlement(engine, { results, retryAt }));
          break;
        case 'settles':
          await engine.deliveries.settle(claimed, aSettlement(engine, { results }));
          break;
        default:
          assertNever(ending);
      }
      engine.clock.advance(LEASE_MS);
      return results;
    }

    describe('whatever workers report, in whatever order', () => {
      const BATCH_SIZE = 3;
      const EMAILS = addresses(7);
      const aStep = fc.record({
        batch: fc.nat({ max: 2 }),
        // One per member of the batch: nothing reported, deferred, or an outcome.
        results: fc.array(fc.constantFrom(undefined, 'deferred', ...OUTCOMES), {
          minLength: BATCH_SIZE,
          maxLength: BATCH_SIZE,
        }),
        ending: fc.constantFrom(...ENDINGS),
      });

      it('the ledger has the last word on each delivery, the counters agree with it, and in the end everybody is counted', async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(aStep, { maxLength: 12 }), async (steps) => {
            const { message, batches } = await dispatch(engine, EMAILS, BATCH_SIZE);
            const expected = new Map<SubscriberKey, Delivery>();
            const open = new Set(batches);

            for (const { batch: index, results, ending } of steps) {
              const batch = at(batches, index);
              if (!open.has(batch)) {
                continue;
              }
              const emails = EMAILS.slice(index * BATCH_SIZE, index * BATCH_SIZE + BATCH_SIZE);
              const reported = reportOf(emails, results, expected, ending === 'settles');
              for (const delivery of await work(batch, ending, reported)) {
                expected.set(delivery.key, delivery);
              }
              if (ending === 'settles') {
                open.delete(batch);
              }

              expect(await listAll(message)).toEqual(
                [...expected.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)),
              );
              const left = batches
                .filter((one) => !open.has(one))
                .flatMap((one) => whoLeft(one, EMAILS, expected));
              expect((await read(engine, message)).counts).toEqual(
                tally(expected, EMAILS.length, left.length),
              );
            }

            for (const batch of open) {
              const emails = EMAILS.filter((email) => isIn(batch, aKey(email)));
              await work(batch, 'settles', reportOf(emails, [], expected, true));
            }
            const stored = await read(engine, message);
            expect(stored.status).toBe('sent');
            const { subscribers, sent, failed, skipped, unknown } = stored.counts;
            expect(sent + failed + skipped + unknown).toBe(subscribers);
          }),
          { numRuns: 20 },
        );
      });
    });
  });
}

function pair<Item>(items: readonly Item[]): readonly [Item, Item] {
  return [at(items, 0), at(items, 1)];
}

/** Those of a settled batch of whom the ledger knows nothing. */
function whoLeft(
  batch: Batch,
  emails: readonly string[],
  ledger: ReadonlyMap<SubscriberKey, Delivery>,
): readonly SubscriberKey[] {
  return emails.map((email) => aKey(email)).filter((key) => isIn(batch, key) && !ledger.has(key));
}

function isIn(batch: Batch, key: SubscriberKey): boolean {
  return key >= batch.first && key <= batch.last;
}

function tally(ledger: ReadonlyMap<SubscriberKey, Delivery>, subscribers: number, leftCount: number): Counts {
  const countOf = (outcome: Outcome): number =>
    [...ledger.values()].filter((one) => one.outcome === outcome).length;
  return {
    subscribers,
    sent: countOf('sent'),
    failed: countOf('failed'),
    skipped: countOf('skipped') + leftCount,
    unknown: countOf('unknown'),
  };
}

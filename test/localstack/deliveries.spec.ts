import { QueryCommand, type ServiceInputTypes, type ServiceOutputTypes } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BATCH_SIZE } from '../../src/delivery/batch.ts';
import { OUTCOMES } from '../../src/delivery/delivery.ts';
import { AwsConfirmationStore } from '../../src/engines/aws/confirmation-store.ts';
import { AwsConsentStore } from '../../src/engines/aws/consent-store.ts';
import { AwsDeliveryStore } from '../../src/engines/aws/delivery-store.ts';
import { AwsGroupStore } from '../../src/engines/aws/group-store.ts';
import { AwsImportStore } from '../../src/engines/aws/import-store.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { AwsRateStore } from '../../src/engines/aws/rate-store.ts';
import { AwsSeriesStore } from '../../src/engines/aws/series-store.ts';
import { AwsSubscriberStore } from '../../src/engines/aws/subscriber-store.ts';
import { AwsSuppressionStore } from '../../src/engines/aws/suppression-store.ts';
import { SqsWorkQueue } from '../../src/engines/aws/work-queue.ts';
import { DAY_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { Log } from '../../src/platform/logging/log.ts';
import type { Engine } from '../contract/engine.ts';
import {
  aCut,
  aProgress,
  aSettlement,
  at,
  atOnce,
  batchesOf,
  claimBatch,
  dispatch,
  dispatchOne,
  read,
  readPages,
  startSending,
  termsOf,
} from '../contract/steps.ts';
import { addresses, aDelivery, aKey, anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type AwsGround, openAwsGround } from './aws-ground.ts';

/* What is true of the ledger in DynamoDB only; the contract of every ledger is in ../contract. */

const ADA = 'ada@example.com';

const ignore = (): void => undefined;
const SILENT_LOG = new Log({ debug: ignore, info: ignore, warn: ignore, error: ignore });

/** A step of the SDK's client, in so far as these tests look into it. */
type Handler = (call: { input: ServiceInputTypes; request: unknown }) => Promise<Answer>;
interface Answer {
  readonly response: unknown;
  output?: ServiceOutputTypes;
}

describe('the ledger in DynamoDB', () => {
  let ground: AwsGround;
  let engine: Engine;

  beforeEach(async () => {
    ground = await openAwsGround();
    const { clients, names } = ground;
    const clock = new ManualClock(anInstant());
    engine = {
      groups: new AwsGroupStore(clients, names, clock),
      subscribers: new AwsSubscriberStore(clients, names),
      suppressions: new AwsSuppressionStore(clients, names),
      consents: new AwsConsentStore(clients, names),
      confirmations: new AwsConfirmationStore(clients, names),
      imports: new AwsImportStore(clients, names),
      messages: new AwsMessageStore(clients, names, clock),
      series: new AwsSeriesStore(clients, names, clock),
      deliveries: new AwsDeliveryStore(clients, names),
      queue: new SqsWorkQueue(clients, names, clock, SILENT_LOG, parseSettings({})),
      rates: new AwsRateStore(clients, names),
      clock,
      close: async (): Promise<void> => ground.close(),
    };
  });
  afterEach(async () => {
    await engine.close();
  });

  /** The next such write is done, but the connection breaks before its answer: the SDK sends it again. */
  function loseNextAnswer(command: 'UpdateItemCommand' | 'TransactWriteItemsCommand'): () => boolean {
    let isLost = false;
    ground.clients.dynamo.middlewareStack.add(
      (next, { commandName }): Handler =>
        async (call): ReturnType<Handler> => {
          const answer = await next(call);
          if (!isLost && commandName === command) {
            isLost = true;
            throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError' });
          }
          return answer;
        },
      { step: 'deserialize' },
    );
    return () => isLost;
  }

  describe('when the answer to a write is lost, and it is sent again', () => {
    it('a cut is written once, and no fault of the cutter', async () => {
      const message = await startSending(engine);
      const batches = batchesOf(engine, message, addresses(4), 2);
      const isLost = loseNextAnswer('TransactWriteItemsCommand');

      await engine.deliveries.cut(aCut(engine, message, batches));

      expect(isLost()).toBe(true);
      expect((await read(engine, message)).dispatch.batchesCut).toBe(2);
    });

    it('a claim finds its own lease', async () => {
      const { batch } = await dispatchOne(engine);
      const terms = termsOf(engine, 'worker');
      const isLost = loseNextAnswer('UpdateItemCommand');

      const claimed = await engine.deliveries.claim(batch, terms);

      expect(isLost()).toBe(true);
      expect(claimed).toEqual({
        ...batch,
        lease: { token: 'worker', until: terms.until },
        inFlight: undefined,
        tries: 1,
        mishaps: 0,
      });
    });

    it('a claim finds that somebody else was first', async () => {
      const { batch } = await dispatchOne(engine);
      await claimBatch(engine, batch, 'another');
      loseNextAnswer('UpdateItemCommand');

      expect(await engine.deliveries.claim(batch, termsOf(engine, 'worker'))).toBeUndefined();
    });

    it('a second claim under the same token is another one, which comes too late', async () => {
      const { batch } = await dispatchOne(engine);
      await claimBatch(engine, batch, 'worker');
      engine.clock.advance(SECOND_MS);

      expect(await engine.deliveries.claim(batch, termsOf(engine, 'worker'))).toBeUndefined();
    });

    it.each(['advance', 'settle'] as const)('what is reported is counted once: %s', async (write) => {
      const { message, batch } = await dispatchOne(engine, [ADA]);
      const claimed = await claimBatch(engine, batch);
      const results = [aDelivery(ADA)];
      const isLost = loseNextAnswer('TransactWriteItemsCommand');

      const status =
        write === 'advance'
          ? await engine.deliveries.advance(claimed, aProgress(engine, { results, next: batch }))
          : await engine.deliveries.settle(claimed, aSettlement(engine, { results }));

      expect(isLost()).toBe(true);
      expect(status).toBe(write === 'advance' ? 'sending' : 'sent');
      expect((await read(engine, message)).counts).toMatchObject({ subscribers: 1, sent: 1 });
    });

    it('a message is finished once, and whoever did so knows it', async () => {
      const { message, batch } = await dispatchOne(engine, [ADA]);
      const claimed = await claimBatch(engine, batch);
      const isLost = loseNextAnswer('UpdateItemCommand');

      const status = await engine.deliveries.settle(claimed, aSettlement(engine));

      expect(isLost()).toBe(true);
      expect(status).toBe('sent');
      expect((await read(engine, message)).version).toBe(message.version + 1);
    });

    it('a batch is given back', async () => {
      const { batch } = await dispatchOne(engine);
      const claimed = await claimBatch(engine, batch);
      loseNextAnswer('UpdateItemCommand');

      await engine.deliveries.release(claimed, engine.clock.now());

      expect(await engine.deliveries.claim(batch, termsOf(engine, 'another'))).toBeDefined();
    });
  });

  it('holds the outcomes of a whole batch though everything in them is as long as it can be', async () => {
    const domain = `@${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.example.com`;
    const emails = addresses(BATCH_SIZE).map((email) =>
      `${email.split('@').at(0)}${'x'.repeat(40)}${domain}`.slice(0, 254),
    );
    const { message, batch } = await dispatchOne(engine, emails);
    const results = emails.map((email) =>
      aDelivery(email, { reason: '你'.repeat(1_000), providerId: '你'.repeat(200), unknownAttempts: 3 }),
    );

    await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { results }));

    expect(await engine.deliveries.readDeliveries(batch)).toEqual(results);
    expect((await read(engine, message)).counts.sent).toBe(BATCH_SIZE);
  });

  it('cuts a reason that nobody would read to the end', async () => {
    const { batch } = await dispatchOne(engine, [ADA]);
    const results = [aDelivery(ADA, { reason: 'x'.repeat(500_000) })];

    await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { results }));

    expect(at(await engine.deliveries.readDeliveries(batch), 0).reason).toBe('x'.repeat(1_000));
  });

  it.each(['advance', 'settle'] as const)(
    'takes the results of many who joined on a clock that is behind, and counts them: %s',
    async (write) => {
      const emails = addresses(1_000);
      const { message, batch } = await dispatchOne(engine, [at(emails, 0), at(emails, 999)]);
      const claimed = await claimBatch(engine, batch);
      const results = emails.map((email, index) => aDelivery(email, { outcome: OUTCOMES[index % 4] }));

      if (write === 'advance') {
        await engine.deliveries.advance(claimed, aProgress(engine, { results }));
        await engine.deliveries.settle(claimed, aSettlement(engine));
      } else {
        await engine.deliveries.settle(claimed, aSettlement(engine, { results }));
      }

      expect((await read(engine, message)).counts).toEqual({
        subscribers: 1_000,
        sent: 250,
        failed: 250,
        skipped: 250,
        unknown: 250,
      });
      expect(await engine.deliveries.readDeliveries(batch)).toEqual(results);
    },
  );

  it('counts every report of many that come at once, and keeps the first and the last attempt', async () => {
    const count = 20;
    const { message, batches } = await dispatch(engine, addresses(count), 1);
    const moment = (index: number): Temporal.Instant =>
      plusMs(anInstant(), ((index * 7) % count) * SECOND_MS);
    const claimed = await Promise.all(batches.map((batch) => claimBatch(engine, batch)));

    const settled = await atOnce(count, async (index) =>
      engine.deliveries.settle(
        at(claimed, index),
        aSettlement(engine, {
          results: [aDelivery(at(addresses(count), index))],
          attempts: { at: moment(index), acceptedAt: moment(index) },
        }),
      ),
    );

    expect(settled.filter(({ status }) => status === 'rejected')).toEqual([]);
    const stored = await read(engine, message);
    expect(stored.status).toBe('sent');
    expect(stored.version).toBe(message.version + 1);
    expect(stored.counts.sent).toBe(count);
    expect(stored.attempts).toEqual({
      firstAt: anInstant(),
      lastAt: plusMs(anInstant(), (count - 1) * SECOND_MS),
      lastAcceptedAt: plusMs(anInstant(), (count - 1) * SECOND_MS),
    });
  });

  it('lists a rare outcome though many batches have none of it', async () => {
    const count = 250;
    const message = await startSending(engine);
    const batches = batchesOf(engine, message, addresses(count), 1);
    for (let start = 0; start < count; start += 50) {
      const after = batches.at(start - 1)?.last;
      const cut = { after: start === 0 ? undefined : after, complete: start + 50 >= count };
      await engine.deliveries.cut(aCut(engine, message, batches.slice(start, start + 50), cut));
    }
    const rare = [3, 120, 121, 249];
    for (let start = 0; start < count; start += 25) {
      await Promise.all(
        batches.slice(start, start + 25).map(async (batch, offset) => {
          const index = start + offset;
          const outcome = rare.includes(index) ? 'failed' : 'sent';
          const results = [aDelivery(at(addresses(count), index), { outcome })];
          await engine.deliveries.advance(await claimBatch(engine, batch), aProgress(engine, { results }));
        }),
      );
    }

    for (const limit of [1, 2, 3, 100]) {
      const failed = await readPages(
        limit,
        async (last: { readonly key: ReturnType<typeof aKey> } | undefined) =>
          engine.deliveries.listDeliveries(message.key, { after: last?.key, limit, outcome: 'failed' }),
      );
      expect(failed.map(({ key }) => key)).toEqual(rare.map((index) => aKey(at(addresses(count), index))));
    }
    const sent = await readPages(100, async (last: { readonly key: ReturnType<typeof aKey> } | undefined) =>
      engine.deliveries.listDeliveries(message.key, { after: last?.key, limit: 100, outcome: 'sent' }),
    );
    expect(sent).toHaveLength(count - rare.length);
  });

  it('lets DynamoDB remove everything of a batch 400 days after it was cut', async () => {
    const { message, batch } = await dispatchOne(engine, [ADA]);
    await engine.deliveries.settle(
      await claimBatch(engine, batch),
      aSettlement(engine, { results: [aDelivery(ADA)] }),
    );

    const { Items: items } = await ground.clients.dynamo.send(
      new QueryCommand({
        TableName: ground.names.tables.deliveries,
        KeyConditionExpression: 'message_key = :messageKey',
        ExpressionAttributeValues: { ':messageKey': message.key },
      }),
    );

    const expiry = Math.floor(plusMs(batch.cutAt, 400 * DAY_MS).epochMilliseconds / SECOND_MS);
    expect(items?.map((item): unknown => item['expires_at_epoch_seconds'])).toEqual([expiry, expiry]);
  });
});

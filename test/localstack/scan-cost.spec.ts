import { BatchWriteCommand } from '@aws-sdk/lib-dynamodb';
import { expect, it } from 'vitest';
import { messageItemKey, wakeAttributes } from '../../src/engines/aws/message-item.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { DAY_MS, MINUTE_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { newMessageKey } from '../../src/schedule/message.ts';
import { aGroupName, aMessage, anInstant, aSealedContent } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type AwsGround, openAwsGround } from './aws-ground.ts';

// Nearly all of it goes into writing them.
const LIMIT_MS = 5 * MINUTE_MS;
const FEW = 1_000;
// What grew with the number of messages would cost ten times as much, and what read them page by page (1 MB) several pages.
const MANY = 10_000;

it(
  `makes a scan cost the same beside ${MANY} future messages as beside ${FEW}`,
  async () => {
    const ground = await openAwsGround();
    const now = anInstant();
    const store = new AwsMessageStore(ground.clients, ground.names, new ManualClock(now));
    const due = aMessage({ scheduleOn: now });
    await store.create(due, aSealedContent());
    await store.findWaking(now, 1_000); // finds where to begin, once in the life of an installation

    const scan = async (): Promise<void> => {
      const found = await store.findWaking(plusMs(now, 5 * SECOND_MS), 1_000);
      expect(found.map(({ key }) => key)).toEqual([due.key]);
    };
    await writeFuture(ground, now, FEW);
    const few = await measure(ground, scan);
    await writeFuture(ground, now, MANY - FEW);
    const many = await measure(ground, scan);
    await ground.close();

    process.stdout.write(
      `| future messages | queries | read units |\n|---|---|---|\n${rowOf(FEW, few)}${rowOf(MANY, many)}`,
    );
    expect(many).toEqual(few);
  },
  LIMIT_MS,
);

function rowOf(count: number, { queryCount, readUnits }: Cost): string {
  return `| ${count} | ${queryCount} | ${readUnits} |\n`;
}

interface Cost {
  readonly queryCount: number;
  readonly readUnits: number;
}

/** What DynamoDB says that `work` has consumed. */
async function measure({ clients }: AwsGround, work: () => Promise<void>): Promise<Cost> {
  let queryCount = 0;
  let readUnits = 0;
  clients.dynamo.middlewareStack.add(
    (next) =>
      async (args): ReturnType<typeof next> => {
        Object.assign(args.input, { ReturnConsumedCapacity: 'TOTAL' });
        const result = await next(args);
        queryCount += 1;
        readUnits += 'ConsumedCapacity' in result.output ? unitsOf(result.output.ConsumedCapacity) : 0;
        return result;
      },
    { step: 'initialize', name: 'measure' },
  );
  await work();
  clients.dynamo.middlewareStack.remove('measure');
  return { queryCount, readUnits };
}

// DynamoDB Local counts nothing for a query that finds nothing; DynamoDB counts half a unit, as for everything up to 4 KB that an
// index is asked for.
const LEAST_UNITS = 0.5;

function unitsOf(capacity: unknown): number {
  return typeof capacity === 'object' && capacity !== null && 'CapacityUnits' in capacity
    ? Math.max(Number(capacity.CapacityUnits), LEAST_UNITS)
    : 0;
}

// DynamoDB API reference, BatchWriteItem.
const ITEMS_PER_WRITE = 25;
const WRITES_AT_ONCE = 8;

/** Messages from a minute from now on, over a month, most of them soon, as far as the due index knows them. */
async function writeFuture(
  { clients, names }: AwsGround,
  now: Temporal.Instant,
  count: number,
): Promise<void> {
  const table = names.tables.messages;
  const starts = Array.from(
    { length: count / ITEMS_PER_WRITE },
    (_, index) => index * ITEMS_PER_WRITE,
  ).values();
  const write = async (): Promise<void> => {
    for (const start of starts) {
      const items = Array.from({ length: ITEMS_PER_WRITE }, (_, index) => {
        const key = newMessageKey();
        const distance = (start + index) / count;
        const wakeAt = plusMs(now, MINUTE_MS + Math.floor(30 * DAY_MS * distance ** 3));
        return {
          PutRequest: { Item: { ...messageItemKey(aGroupName(), key), ...wakeAttributes(key, wakeAt, now) } },
        };
      });
      await clients.dynamo.send(new BatchWriteCommand({ RequestItems: { [table]: items } }));
    }
  };
  await Promise.all(Array.from({ length: WRITES_AT_ONCE }, write));
}

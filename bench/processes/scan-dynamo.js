/*
 * The due scan on DynamoDB at AWS_ENDPOINT_URL, by a table of its own (../scan.ts builds it):
 *
 *   node dist/bench/scan-dynamo.js fill PREFIX COUNT SECONDS DUE    makes the table and fills it, with COUNT messages or as many as go in the time, DUE of them due
 *   node dist/bench/scan-dynamo.js scan PREFIX SCANS                prints microseconds and consumed read units of each scan
 *   node dist/bench/scan-dynamo.js drop PREFIX                      removes the table
 */
import 'reflect-metadata';
import process from 'node:process';
import { CreateTableCommand, DeleteTableCommand, waitUntilTableExists } from '@aws-sdk/client-dynamodb';
import { BatchWriteCommand } from '@aws-sdk/lib-dynamodb';
import { openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { AwsNames } from '../../src/engines/aws/aws-names.ts';
import { createTableInput } from '../../src/engines/aws/create-tables.ts';
import { duePartition, nameOf } from '../../src/engines/aws/due-index.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { TABLES } from '../../src/engines/aws/tables.ts';
import { SystemClock } from '../../src/platform/clock/system-clock.ts';

const [, , command, tablePrefix, ...args] = process.argv;
const LOOK_AHEAD_MS = 5_000;
const LIMIT = 1_000;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
// DynamoDB API reference, BatchWriteItem.
const ITEMS_PER_WRITE = 25;
const WRITES_AT_ONCE = 16;
// As large as a message without its content commonly is.
const ITEM_BYTES = 600;

const clock = new SystemClock();
const clients = openAwsClients(process.env.AWS_ENDPOINT_URL);
const names = new AwsNames({ tablePrefix, contentBucket: 'none', workQueueUrl: 'none' });
const store = new AwsMessageStore(clients, names, clock);
const table = TABLES.find(({ name }) => name === 'messages');
const findWaking = () => store.findWaking(clock.now().add({ milliseconds: LOOK_AHEAD_MS }), LIMIT);

const done = await { fill, scan, drop }[command](...args.map(Number));
process.stdout.write(`${JSON.stringify(done)}\n`);
clients.close();

async function fill(count, seconds, due) {
  await clients.dynamo.send(new CreateTableCommand(createTableInput(table, names.tables.messages)));
  await waitUntilTableExists(
    { client: clients.dynamo, maxWaitTime: 30 },
    { TableName: names.tables.messages },
  );
  await findWaking(); // notes the oldest hour, as an installation does at its first start
  const endAtMs = performance.now() + seconds * SECOND_MS;
  const now = clock.now();
  let filled = 0;
  const write = async () => {
    while (filled < count && performance.now() < endAtMs) {
      const first = filled;
      filled = Math.min(first + ITEMS_PER_WRITE, count);
      const items = Array.from({ length: filled - first }, (_, index) => {
        const number = first + index;
        return itemOf(number, number < due ? now : now.add({ milliseconds: HOUR_MS + number * SECOND_MS }));
      });
      const RequestItems = { [names.tables.messages]: items.map((Item) => ({ PutRequest: { Item } })) };
      const { UnprocessedItems: left = {} } = await clients.dynamo.send(
        new BatchWriteCommand({ RequestItems }),
      );
      if (Object.keys(left).length > 0) {
        throw new Error('DynamoDB has not taken all items of a write.');
      }
    }
  };
  await Promise.all(Array.from({ length: WRITES_AT_ONCE }, write));
  return { filled };
}

function itemOf(number, wakeAt) {
  const key = `01990000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`;
  return {
    group_name: 'later',
    message_key: key,
    scheduled_date: nameOf(duePartition(key, wakeAt, clock.now())),
    wake_at: wakeAt.epochMilliseconds,
    schedule_on: wakeAt.epochMilliseconds,
    status: 'scheduled',
    subject: 'x'.repeat(ITEM_BYTES),
  };
}

async function scan(scans) {
  let units = 0;
  clients.dynamo.middlewareStack.add(
    (next) => async (call) => {
      const answer = await next({ ...call, input: { ...call.input, ReturnConsumedCapacity: 'TOTAL' } });
      units += answer.output.ConsumedCapacity?.CapacityUnits ?? 0;
      return answer;
    },
    { step: 'initialize', priority: 'high' },
  );
  const { length: found } = await findWaking(); // learns the low-water mark, once in the life of a process
  const tookUs = [];
  units = 0;
  for (let number = 0; number < scans; number += 1) {
    const startedAtMs = performance.now();
    await findWaking();
    tookUs.push((performance.now() - startedAtMs) * 1_000);
  }
  return { tookUs, found, units: units / scans };
}

async function drop() {
  await clients.dynamo.send(new DeleteTableCommand({ TableName: names.tables.messages }));
  return {};
}

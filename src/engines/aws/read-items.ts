import {
  BatchGetCommand,
  type BatchGetCommandInput,
  type BatchGetCommandOutput,
  type DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  type QueryCommandInput,
} from '@aws-sdk/lib-dynamodb';
import type { Item } from './item.ts';
import { callAws, pauseAfter } from './transact.ts';

export type ItemQuery = Omit<QueryCommandInput, 'Limit' | 'ExclusiveStartKey'>;
export type Key = Readonly<Record<string, string>>;

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
const BATCH_GET_MAX_KEYS = 100;

/** The item as it is now. */
export async function readItem(
  dynamo: DynamoDBDocumentClient,
  table: string,
  key: Key,
): Promise<Item | undefined> {
  const { Item: item } = await callAws(() =>
    dynamo.send(new GetCommand({ TableName: table, Key: key, ConsistentRead: true })),
  );
  return item;
}

/** The items with these keys, all different, that there are now; in no order. */
export async function readItems(
  dynamo: DynamoDBDocumentClient,
  table: string,
  keys: readonly Key[],
): Promise<readonly Item[]> {
  const items: Item[] = [];
  for (let start = 0; start < keys.length; start += BATCH_GET_MAX_KEYS) {
    items.push(...(await readBatch(dynamo, table, keys.slice(start, start + BATCH_GET_MAX_KEYS))));
  }
  return items;
}

/**
 * The first `limit` items that the query finds and its filter leaves; all of them where no limit is given.
 * A first page that the filter has not left full says that what is looked for is rare: from then on a page is as large as
 * DynamoDB makes it (1 MB).
 */
export async function queryItems(
  dynamo: DynamoDBDocumentClient,
  query: ItemQuery,
  limit = Infinity,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let start: QueryCommandInput['ExclusiveStartKey'];
  do {
    const isRare = start !== undefined && query.FilterExpression !== undefined;
    const command = new QueryCommand({
      ...query,
      ...(limit !== Infinity && !isRare && { Limit: limit - items.length }),
      ...(start !== undefined && { ExclusiveStartKey: start }),
    });
    const { Items: found, LastEvaluatedKey: next } = await callAws(() => dynamo.send(command));
    items.push(...(found ?? []));
    start = next;
  } while (start !== undefined && items.length < limit);
  return items.slice(0, limit);
}

/** All that the query finds and its filter leaves, a page at a time: whoever has seen enough stops, and no further page is read. */
export async function* eachItem(
  dynamo: DynamoDBDocumentClient,
  query: ItemQuery,
): AsyncGenerator<Item, void> {
  let start: QueryCommandInput['ExclusiveStartKey'];
  do {
    const command = new QueryCommand({ ...query, ...(start !== undefined && { ExclusiveStartKey: start }) });
    const { Items: found, LastEvaluatedKey: next } = await callAws(() => dynamo.send(command));
    yield* found ?? [];
    start = next;
  } while (start !== undefined);
}

/** DynamoDB leaves out what exceeds 16 MB or its throughput, and says so: that is asked for again. */
async function readBatch(
  dynamo: DynamoDBDocumentClient,
  table: string,
  keys: readonly Key[],
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let wanted: BatchGetCommandInput['RequestItems'] = { [table]: { Keys: [...keys], ConsistentRead: true } };
  for (let attempt = 1; ; attempt += 1) {
    const output: BatchGetCommandOutput = await batchGet(dynamo, wanted);
    items.push(...(output.Responses?.[table] ?? []));
    wanted = output.UnprocessedKeys ?? {};
    if (Object.keys(wanted).length === 0) {
      return items;
    }
    await pauseAfter(attempt, new Error(`${table} was not read to the end.`));
  }
}

async function batchGet(
  dynamo: DynamoDBDocumentClient,
  wanted: BatchGetCommandInput['RequestItems'],
): Promise<BatchGetCommandOutput> {
  return callAws(() => dynamo.send(new BatchGetCommand({ RequestItems: wanted })));
}

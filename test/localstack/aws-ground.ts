import { randomBytes } from 'node:crypto';
import { DeleteTableCommand } from '@aws-sdk/client-dynamodb';
import { DeleteBucketCommand, DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { DeleteQueueCommand, GetQueueUrlCommand, QueueDoesNotExist } from '@aws-sdk/client-sqs';
import { BatchWriteCommand, ScanCommand } from '@aws-sdk/lib-dynamodb';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { AwsNames, tableNames } from '../../src/engines/aws/aws-names.ts';
import {
  createInfrastructure,
  type InfrastructurePlan,
} from '../../src/engines/aws/create-infrastructure.ts';
import { type TableDefinition, TABLES } from '../../src/engines/aws/tables.ts';
import {
  deadLetterQueueName,
  WORK_QUEUE_VISIBILITY_SECONDS,
} from '../../src/engines/aws/queue-definitions.ts';
import { DeadLetterQueuePart, QueuePart } from '../../src/engines/aws/queue-part.ts';
import type { Environment } from '../../src/platform/config/settings.ts';

/*
 * Each test is on tables, a bucket and queues that hold nothing yet and that nobody else uses meanwhile.
 *
 * Making four tables and removing them again costs LocalStack 0.2 s of its processor, most of what a test of a store costs at all.
 * Emptying them costs a quarter of that. So whoever is done leaves tables and bucket empty to the next test of the same file,
 * and the file removes them when it ends. Queues are new each time: what a test has taken from one and not acknowledged
 * would come out again in the next test.
 */

/** Clients, and tables, bucket and queues, at the endpoint of the environment. */
export interface AwsGround {
  readonly clients: AwsClients;
  readonly names: AwsNames;
  /** What an application on it is told. */
  readonly env: Environment;
  /** A poll that waits ends then, which would otherwise hold up whoever stops for as long as SQS lets it wait. A second call does nothing. */
  removeQueues(): Promise<void>;
  /** To be called when all that was begun on it has ended. */
  close(): Promise<void>;
}

/** Tables and a bucket, on which one ground may follow another. */
export type Lot = Omit<InfrastructurePlan, 'workQueueName'>;

// Emptying tables of more than that costs as much as making others.
const MOST_ITEMS_TO_REMOVE = 1_000;
// DynamoDB API reference, BatchWriteItem.
const ITEMS_PER_WRITE = 25;

/** Empty, and nobody is on them. */
const idleLots: Lot[] = [];

export async function openAwsGround(): Promise<AwsGround> {
  const endpointUrl = process.env['AWS_ENDPOINT_URL'];
  const clients = openAwsClients(endpointUrl);
  const workQueueName = `${aName()}-work`;
  const idle = idleLots.pop();
  const lot = idle ?? aLot();
  const workQueueUrl = await (idle
    ? makeQueues(clients, workQueueName)
    : makeEverything(clients, { ...lot, workQueueName }));
  return {
    clients,
    names: new AwsNames({ ...lot, workQueueUrl }),
    env: {
      ENGINE: 'aws',
      TABLE_PREFIX: lot.tablePrefix,
      CONTENT_BUCKET: lot.contentBucket,
      WORK_QUEUE_URL: workQueueUrl,
      AWS_ENDPOINT_URL: endpointUrl,
    },
    removeQueues: () => withClients((own) => removeQueues(own, workQueueName)),
    close: async () => {
      clients.close();
      await withClients(async (own) => {
        await removeQueues(own, workQueueName);
        if (await clear(own, lot)) {
          idleLots.push(lot);
        } else {
          await removeLot(own, lot);
        }
      });
    },
  };
}

/** Removes what nobody will use any more. */
export async function removeIdleLots(): Promise<void> {
  await withClients(async (clients) => {
    await Promise.all(idleLots.splice(0).map((lot) => removeLot(clients, lot)));
  });
}

function aLot(): Lot {
  const name = aName();
  return { tablePrefix: `${name}-`, contentBucket: `${name}-content` };
}

function aName(): string {
  return `test-${randomBytes(4).toString('hex')}`;
}

async function makeEverything(clients: AwsClients, plan: InfrastructurePlan): Promise<string> {
  const { workQueueUrl } = await createInfrastructure(clients, plan);
  return workQueueUrl;
}

async function makeQueues({ sqs }: AwsClients, name: string): Promise<string> {
  const deadLetters = new DeadLetterQueuePart(sqs, name);
  const workQueue = new QueuePart(sqs, name, WORK_QUEUE_VISIBILITY_SECONDS, deadLetters);
  await deadLetters.make();
  await workQueue.make();
  return workQueue.url();
}

/** With clients that no test has tampered with. */
async function withClients(work: (clients: AwsClients) => Promise<void>): Promise<void> {
  const clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
  try {
    await work(clients);
  } finally {
    clients.close();
  }
}

/** True where it is empty now; false where a test has left too much in it, or has removed some of it. */
export async function clear(clients: AwsClients, { tablePrefix, contentBucket }: Lot): Promise<boolean> {
  const names = tableNames(tablePrefix);
  const cleared = await Promise.all([
    clearBucket(clients, contentBucket),
    ...TABLES.map((table) => clearTable(clients, table, names[table.name])),
  ]);
  return cleared.every(Boolean);
}

async function clearTable(
  { dynamo }: AwsClients,
  table: TableDefinition,
  TableName: string,
): Promise<boolean> {
  const keyNames = [table.partitionKey.name, ...(table.sortKey ? [table.sortKey.name] : [])];
  const scan = new ScanCommand({
    TableName,
    ConsistentRead: true,
    ProjectionExpression: keyNames.join(', '),
  });
  const { Items: keys = [], LastEvaluatedKey: next } = await dynamo.send(scan);
  if (next || keys.length > MOST_ITEMS_TO_REMOVE) {
    return false;
  }
  for (let start = 0; start < keys.length; start += ITEMS_PER_WRITE) {
    const deletes = keys.slice(start, start + ITEMS_PER_WRITE).map((Key) => ({ DeleteRequest: { Key } }));
    const { UnprocessedItems: left = {} } = await dynamo.send(
      new BatchWriteCommand({ RequestItems: { [TableName]: deletes } }),
    );
    if (Object.keys(left).length > 0) {
      return false;
    }
  }
  return true;
}

async function clearBucket({ s3 }: AwsClients, Bucket: string): Promise<boolean> {
  const { Contents: objects = [], IsTruncated: isTruncated } = await s3.send(
    new ListObjectsV2Command({ Bucket }),
  );
  if (objects.length > 0) {
    const Delete = { Objects: objects.map(({ Key }) => ({ Key })) };
    await s3.send(new DeleteObjectsCommand({ Bucket, Delete }));
  }
  return isTruncated !== true;
}

export async function removeLot(clients: AwsClients, { tablePrefix, contentBucket }: Lot): Promise<void> {
  const { dynamo, s3 } = clients;
  const tables = Object.values(tableNames(tablePrefix));
  await Promise.all(tables.map((TableName) => dynamo.send(new DeleteTableCommand({ TableName }))));
  while (!(await clearBucket(clients, contentBucket))) {
    // the next thousand
  }
  await s3.send(new DeleteBucketCommand({ Bucket: contentBucket }));
}

export async function removeQueues({ sqs }: AwsClients, workQueueName: string): Promise<void> {
  const names = [workQueueName, deadLetterQueueName(workQueueName)];
  await Promise.all(
    names.map(async (QueueName) => {
      try {
        const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName }));
        await sqs.send(new DeleteQueueCommand({ QueueUrl }));
      } catch (error) {
        if (!(error instanceof QueueDoesNotExist)) {
          throw error; // otherwise it is gone already
        }
      }
    }),
  );
}

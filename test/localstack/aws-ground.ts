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
import { Written } from './written.ts';

/*
 * Each test is on tables, a bucket and queues that hold nothing yet and that nobody else uses meanwhile.
 *
 * Making four tables and removing them again costs LocalStack 0.2 s of its processor, most of what a test of a store costs at all.
 * Emptying them costs a quarter of that, and a few milliseconds where it is known what was written. So whoever is done leaves tables
 * and bucket empty to the next test of the same file, and the file removes them when it ends. Queues are new each time: what a test
 * has taken from one and not acknowledged would come out again in the next test.
 */

export interface GroundPlan {
  /** Otherwise nothing is at the URL of its work queue: most stores have nothing to do with one, and SQS need not be asked. */
  readonly hasQueues?: boolean;
  /** Servers with clients of their own write to it too, so that one has to look through it for what they wrote. */
  readonly isForServers?: boolean;
}

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
type Lot = Omit<InfrastructurePlan, 'workQueueName'>;

// Emptying tables of more than that costs as much as making others.
const MOST_ITEMS_TO_REMOVE = 1_000;
// DynamoDB API reference, BatchWriteItem.
const ITEMS_PER_WRITE = 25;

/** Empty, and nobody is on them. */
const idleLots: Lot[] = [];

export async function openAwsGround(plan: GroundPlan = {}): Promise<AwsGround> {
  const endpointUrl = process.env['AWS_ENDPOINT_URL'];
  const clients = openAwsClients(endpointUrl);
  const workQueueName = `${aName()}-work`;
  const idle = idleLots.pop();
  const lot = idle ?? aLot();
  let hasQueues = idle === undefined || plan.hasQueues === true;
  const workQueueUrl = await openQueues(clients, workQueueName, { lot, isNew: !idle, hasQueues });
  const names = new AwsNames({ ...lot, workQueueUrl });
  const written = new Written(clients, names);
  const removeOwnQueues = async (own: AwsClients): Promise<void> => {
    if (hasQueues) {
      hasQueues = false;
      await removeQueues(own, workQueueName);
    }
  };
  return {
    clients,
    names,
    env: {
      ENGINE: 'aws',
      TABLE_PREFIX: lot.tablePrefix,
      CONTENT_BUCKET: lot.contentBucket,
      WORK_QUEUE_URL: workQueueUrl,
      AWS_ENDPOINT_URL: endpointUrl,
    },
    removeQueues: () => withClients(removeOwnQueues),
    close: async () => {
      clients.close();
      await withClients(async (own) => {
        await removeOwnQueues(own);
        if (await (plan.isForServers === true ? clear(own, lot) : clearWritten(own, written))) {
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

interface QueuesPlan {
  readonly lot: Lot;
  /** Tables and bucket are still to be made. */
  readonly isNew: boolean;
  readonly hasQueues: boolean;
}

/** The URL of the work queue. */
async function openQueues(
  clients: AwsClients,
  workQueueName: string,
  { lot, isNew, hasQueues }: QueuesPlan,
): Promise<string> {
  if (isNew) {
    const { workQueueUrl } = await createInfrastructure(clients, { ...lot, workQueueName });
    return workQueueUrl;
  }
  return hasQueues ? makeQueues(clients, workQueueName) : `https://sqs.invalid/000000000000/${workQueueName}`;
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

/** True where nothing is left; false where that would cost more than tables anew. */
export async function clearWritten(clients: AwsClients, written: Written): Promise<boolean> {
  return written.itemCount <= MOST_ITEMS_TO_REMOVE && written.remove(clients);
}

/** True where it is empty now; false where a test has left too much in it, or has removed some of it. */
async function clear(clients: AwsClients, { tablePrefix, contentBucket }: Lot): Promise<boolean> {
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

import { DeleteTableCommand } from '@aws-sdk/client-dynamodb';
import { DeleteBucketCommand, DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { DeleteQueueCommand, GetQueueUrlCommand } from '@aws-sdk/client-sqs';
import { AwsDeliveryStore } from '../../src/engines/aws/delivery-store.ts';
import { AwsGroupStore } from '../../src/engines/aws/group-store.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { AwsSubscriberStore } from '../../src/engines/aws/subscriber-store.ts';
import { deadLetterQueueName } from '../../src/engines/aws/work-queue-definition.ts';
import { SqsWorkQueue } from '../../src/engines/aws/work-queue.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { type AwsGround, openAwsGround } from '../localstack/aws-ground.ts';
import { anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { Engine } from './engine.ts';

const ignore = (): void => undefined;
const SILENT_LOG = new Log({ debug: ignore, info: ignore, warn: ignore, error: ignore });

/** The engine `aws`, on tables, a bucket and a queue of its own at AWS_ENDPOINT_URL; it removes them when it is closed. */
export async function openAws(): Promise<Engine> {
  const ground = await openAwsGround();
  const { clients, names } = ground;
  const clock = new ManualClock(anInstant());
  return {
    groups: new AwsGroupStore(clients, names, clock),
    subscribers: new AwsSubscriberStore(clients, names),
    messages: new AwsMessageStore(clients, names, clock),
    deliveries: new AwsDeliveryStore(clients, names),
    queue: new SqsWorkQueue(clients, names, clock, SILENT_LOG),
    clock,
    close: async () => {
      await Promise.all([removeTables(ground), removeBucket(ground), removeQueues(ground)]);
      ground.close();
    },
  };
}

async function removeTables({ clients, names }: AwsGround): Promise<void> {
  await Promise.all(
    Object.values(names.tables).map((table) =>
      clients.dynamo.send(new DeleteTableCommand({ TableName: table })),
    ),
  );
}

async function removeBucket({ clients, names: { contentBucket } }: AwsGround): Promise<void> {
  const { Contents: objects } = await clients.s3.send(new ListObjectsV2Command({ Bucket: contentBucket }));
  if (objects) {
    await clients.s3.send(
      new DeleteObjectsCommand({
        Bucket: contentBucket,
        Delete: { Objects: objects.map(({ Key }) => ({ Key })) },
      }),
    );
  }
  await clients.s3.send(new DeleteBucketCommand({ Bucket: contentBucket }));
}

async function removeQueues({ clients, names: { workQueueUrl } }: AwsGround): Promise<void> {
  const { QueueUrl: deadLetters } = await clients.sqs.send(
    new GetQueueUrlCommand({ QueueName: deadLetterQueueName(workQueueUrl.split('/').at(-1) ?? '') }),
  );
  await clients.sqs.send(new DeleteQueueCommand({ QueueUrl: workQueueUrl }));
  await clients.sqs.send(new DeleteQueueCommand({ QueueUrl: deadLetters }));
}

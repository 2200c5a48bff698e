import { randomBytes } from 'node:crypto';
import { UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import { DeleteObjectsCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3';
import { CreateQueueCommand, DeleteQueueCommand, GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { Template } from 'aws-cdk-lib/assertions';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { AwsNames } from '../../src/engines/aws/aws-names.ts';
import type { InfrastructurePlan } from '../../src/engines/aws/create-infrastructure.ts';
import { newStack } from '../infra/synthesise.ts';
import { at, isObject, type JsonObject } from '../support/json.ts';
import { type AwsGround, clearWritten, removeLot, removeQueues } from './aws-ground.ts';
import { type CloudFormationTemplate, createStack, deleteStack } from './cloudformation.ts';
import { Written } from './written.ts';

type Ground = Pick<AwsGround, 'clients' | 'names' | 'close'>;

/** Tables, bucket and queues that CloudFormation has made of the template that infra/ synthesises. */
export interface StackGround {
  /** As `npm run aws:create` would be told it. */
  readonly plan: InfrastructurePlan;
  readonly names: AwsNames;
  /**
   * With nothing in it: one at a time, each closed before the next. The queue is a copy of the stack's with all that it was made with,
   * because what a test has taken and not acknowledged, or has stopped waiting for, would come out of the same one in the next.
   */
  open(): Promise<Ground>;
  remove(): Promise<void>;
}

// Of the template, what LocalStack's community edition makes and the stores are on.
const KEPT_TYPES: ReadonlySet<unknown> = new Set([
  'AWS::DynamoDB::Table',
  'AWS::S3::Bucket',
  'AWS::S3::BucketPolicy',
  'AWS::SQS::Queue',
  'AWS::SQS::QueuePolicy',
]);

export async function makeStackGround(): Promise<StackGround> {
  const installation = `stack-${randomBytes(4).toString('hex')}`;
  const outputs = await createStack(installation, stateOf(synthesised(installation)));
  const outputOf = (name: string): string => outputs.get(name) ?? '';
  const plan = {
    tablePrefix: `${installation}-`,
    contentBucket: outputOf('Content'),
    workQueueName: `${installation}-work`,
  };
  const names = new AwsNames({ ...plan, workQueueUrl: outputOf('WorkQueue') });
  return {
    plan,
    names,
    open: () => openOn(plan, names),
    remove: async () => {
      const clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
      await unprotect(clients, names);
      await removeLot(clients, plan);
      await Promise.all(
        [plan.workQueueName, `${installation}-mail-events`].map((name) => removeQueues(clients, name)),
      );
      clients.close();
      await deleteStack(installation);
    },
  };
}

function synthesised(installation: string): JsonObject {
  const { Resources: resources }: { readonly Resources?: unknown } = Template.fromStack(
    newStack({ installation }),
  ).toJSON();
  return isObject(resources) ? resources : {};
}

/** Tables, buckets and queues, and nothing that refers to anything else. */
function stateOf(resources: JsonObject): CloudFormationTemplate {
  const ids = Object.keys(resources);
  const others = ids.filter((id) => !KEPT_TYPES.has(at(resources[id], 'Type')));
  const kept = ids.filter((id) => {
    const text = JSON.stringify(resources[id]);
    return !others.includes(id) && others.every((other) => !text.includes(`"${other}"`));
  });
  const idOf = (id: RegExp): string => kept.find((candidate) => id.test(candidate)) ?? '';
  return {
    Resources: Object.fromEntries(kept.map((id) => [id, resources[id]])),
    Outputs: {
      Content: { Value: { Ref: idOf(/^statecontent[0-9A-F]{8}$/) } },
      WorkQueue: { Value: { Ref: idOf(/^workqueue[0-9A-F]{8}$/) } },
    },
  };
}

async function openOn(plan: InfrastructurePlan, { workQueueUrl: original }: AwsNames): Promise<Ground> {
  const clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
  const workQueueName = `${plan.workQueueName}-${randomBytes(4).toString('hex')}`;
  const workQueueUrl = await copyQueue(clients, original, workQueueName);
  const written = new Written(clients, new AwsNames({ ...plan, workQueueUrl }));
  return {
    clients,
    names: new AwsNames({ ...plan, workQueueUrl }),
    close: async () => {
      clients.close();
      const own = openAwsClients(process.env['AWS_ENDPOINT_URL']); // no test has tampered with these
      await own.sqs.send(new DeleteQueueCommand({ QueueUrl: workQueueUrl }));
      const isEmpty = await clearWritten(own, written);
      own.close();
      if (!isEmpty) {
        throw new Error('A test has left more in it than is removed between two.');
      }
    },
  };
}

// What SQS says of a queue beside what it was made with.
const NOT_SETTABLE = /^(QueueArn|Approximate\w+|CreatedTimestamp|LastModifiedTimestamp|Policy)$/;

async function copyQueue({ sqs }: AwsClients, original: string, name: string): Promise<string> {
  const { Attributes: found = {} } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: original, AttributeNames: ['All'] }),
  );
  const attributes = Object.entries(found).filter(([attribute]) => !NOT_SETTABLE.test(attribute));
  const { QueueUrl: url = '' } = await sqs.send(
    new CreateQueueCommand({ QueueName: name, Attributes: Object.fromEntries(attributes) }),
  );
  return url;
}

/** Whoever really wants to remove them must take away first what keeps them. */
async function unprotect({ dynamo, s3 }: AwsClients, { tables, contentBucket }: AwsNames): Promise<void> {
  for (const TableName of Object.values(tables)) {
    await dynamo.send(new UpdateTableCommand({ TableName, DeletionProtectionEnabled: false }));
  }
  const { Versions: versions = [], DeleteMarkers: markers = [] } = await s3.send(
    new ListObjectVersionsCommand({ Bucket: contentBucket }),
  );
  const Objects = [...versions, ...markers].map(({ Key, VersionId }) => ({ Key, VersionId }));
  if (Objects.length > 0) {
    await s3.send(new DeleteObjectsCommand({ Bucket: contentBucket, Delete: { Objects } }));
  }
}

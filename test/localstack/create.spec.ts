import { randomBytes } from 'node:crypto';
import {
  CreateTableCommand,
  DescribeTableCommand,
  ResourceNotFoundException,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  CreateBucketCommand,
  GetPublicAccessBlockCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { CreateQueueCommand, GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { tableNames } from '../../src/engines/aws/aws-names.ts';
import {
  createInfrastructure,
  type InfrastructurePlan,
  ShapeMismatchError,
} from '../../src/engines/aws/create-infrastructure.ts';
import { createTableInput } from '../../src/engines/aws/create-tables.ts';
import { TABLES, type TableDefinition } from '../../src/engines/aws/tables.ts';

describe('createInfrastructure', () => {
  let clients: AwsClients;
  let plan: InfrastructurePlan;

  beforeEach(() => {
    clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
    const prefix = `create-${randomBytes(4).toString('hex')}-`;
    plan = { tablePrefix: prefix, contentBucket: `${prefix}content`, workQueueName: `${prefix}work` };
  });
  afterEach(() => {
    clients.close();
  });

  it('makes everything, and nothing in a second run', async () => {
    const first = await createInfrastructure(clients, plan);
    const second = await createInfrastructure(clients, plan);

    const names = tableNames(plan.tablePrefix);
    expect(first.made).toEqual([
      `table ${names.groups}`,
      `table ${names.subscribers}`,
      `table ${names.messages}`,
      `table ${names.deliveries}`,
      `bucket ${plan.contentBucket}`,
      `queue ${plan.workQueueName}-dead`,
      `queue ${plan.workQueueName}`,
    ]);
    expect(second).toEqual({ workQueueUrl: first.workQueueUrl, made: [] });
  });

  it('makes a queue that sets aside what was taken five times, and gives each taker two minutes', async () => {
    const { workQueueUrl } = await createInfrastructure(clients, plan);

    const { Attributes: attributes } = await clients.sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: workQueueUrl, AttributeNames: ['All'] }),
    );
    expect(attributes?.['VisibilityTimeout']).toBe('120');
    expect(attributes?.['RedrivePolicy']).toMatch(/"maxReceiveCount": ?"?5"?/);
    expect(attributes?.['RedrivePolicy']).toContain(`:${plan.workQueueName}-dead"`);
  });

  it('closes the bucket to the public', async () => {
    await createInfrastructure(clients, plan);

    const { PublicAccessBlockConfiguration: block } = await clients.s3.send(
      new GetPublicAccessBlockCommand({ Bucket: plan.contentBucket }),
    );
    expect(block).toEqual({
      BlockPublicAcls: true,
      IgnorePublicAcls: true,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: true,
    });
  });

  it('completes what an interrupted run has left', async () => {
    await makeTable(definition('messages'));

    const { made } = await createInfrastructure(clients, plan);

    expect(made).not.toContain(`table ${tableNames(plan.tablePrefix).messages}`);
    expect(made).toHaveLength(6);
    expect((await createInfrastructure(clients, plan)).made).toEqual([]);
  });

  it('names each difference of what is there, and then makes nothing', async () => {
    const groups = definition('groups');
    const messages = definition('messages');
    const deliveries = definition('deliveries');
    await makeTable({ ...groups, indexes: [] });
    await makeTable({
      ...messages,
      indexes: messages.indexes.map((index) =>
        index.name === 'due' ? { ...index, includes: ['subject'] } : { ...index, name: 'by_clock' },
      ),
    });
    await makeTable({
      ...deliveries,
      sortKey: { name: 'first_subscriber', type: 'N' },
      ttlAttribute: 'expires_at',
    });
    await clients.s3.send(new CreateBucketCommand({ Bucket: plan.contentBucket }));
    await clients.s3.send(
      new PutPublicAccessBlockCommand({
        Bucket: plan.contentBucket,
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          IgnorePublicAcls: true,
          BlockPublicPolicy: false,
          RestrictPublicBuckets: true,
        },
      }),
    );
    await clients.sqs.send(
      new CreateQueueCommand({ QueueName: plan.workQueueName, Attributes: { VisibilityTimeout: '30' } }),
    );

    const error = await createInfrastructure(clients, plan).catch((reason: unknown) => reason);

    const names = tableNames(plan.tablePrefix);
    expect(error).toBeInstanceOf(ShapeMismatchError);
    expect(String(error).split('\n').slice(1)).toEqual(
      [
        `table ${names.groups}: it has no index by_name`,
        `table ${names.messages}: what its index due holds is INCLUDE subject, not KEYS_ONLY`,
        `table ${names.messages}: it has no index by_time`,
        `table ${names.messages}: it has an index by_clock that nothing here knows`,
        `table ${names.deliveries}: the type of first_subscriber is N, not S`,
        `table ${names.deliveries}: its TTL attribute is expires_at, not expires_at_epoch_seconds`,
        `bucket ${plan.contentBucket}: its public access block has BlockPublicPolicy off`,
        `queue ${plan.workQueueName}: its VisibilityTimeout is 30, not 120`,
        `queue ${plan.workQueueName}: it sets aside into nothing, not into ${plan.workQueueName}-dead`,
        `queue ${plan.workQueueName}: it sets aside after no number of receives, not after 5`,
      ].map((line) => `  ${line}`),
    );
    await expect(
      clients.dynamo.send(new DescribeTableCommand({ TableName: names.subscribers })),
    ).rejects.toThrow(ResourceNotFoundException);
  });

  async function makeTable(table: TableDefinition): Promise<void> {
    const name = tableNames(plan.tablePrefix)[table.name];
    await clients.dynamo.send(new CreateTableCommand(createTableInput(table, name)));
    if (table.ttlAttribute !== undefined && table.name === 'deliveries') {
      await clients.dynamo.send(
        new UpdateTimeToLiveCommand({
          TableName: name,
          TimeToLiveSpecification: { AttributeName: table.ttlAttribute, Enabled: true },
        }),
      );
    }
  }
});

function definition(name: TableDefinition['name']): TableDefinition {
  const found = TABLES.find((table) => table.name === name);
  if (!found) {
    throw new Error(`There is no table ${name}.`);
  }
  return found;
}

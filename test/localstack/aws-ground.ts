import { randomBytes } from 'node:crypto';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { AwsNames } from '../../src/engines/aws/aws-names.ts';
import { createInfrastructure } from '../../src/engines/aws/create-infrastructure.ts';

/** Clients, and tables, bucket and queues of their own, at the endpoint of the environment. */
export interface AwsGround {
  readonly clients: AwsClients;
  readonly names: AwsNames;
  close(): void;
}

export async function openAwsGround(): Promise<AwsGround> {
  const clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
  const prefix = `test-${randomBytes(4).toString('hex')}-`;
  const contentBucket = `${prefix}content`;
  const { workQueueUrl } = await createInfrastructure(clients, {
    tablePrefix: prefix,
    contentBucket,
    workQueueName: `${prefix}work`,
  });
  return {
    clients,
    names: new AwsNames({ tablePrefix: prefix, contentBucket, workQueueUrl }),
    close: () => clients.close(),
  };
}

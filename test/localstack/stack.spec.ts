import { GetBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AwsClients } from '../../src/engines/aws/aws-clients.ts';
import {
  createInfrastructure,
  type InfrastructurePlan,
} from '../../src/engines/aws/create-infrastructure.ts';
import { PROCESS_ROLES } from '../../src/platform/config/settings.ts';
import { openAwsOn } from '../contract/open-aws.ts';
import { describeDeliveryFlow } from '../flow/delivery.flow.ts';
import { type Need, needsOfRequest } from '../infra/aws-calls.ts';
import { granted } from '../infra/granted.ts';
import { IN_USE, synthesise } from '../infra/synthesise.ts';
import { makeStackGround, type StackGround } from './stack-ground.ts';

const RECORDING = { step: 'initialize', name: 'record' } as const;

describe('what CloudFormation makes of the template', () => {
  let stack: StackGround;
  const calls = new Set<Need>();

  beforeAll(async () => {
    stack = await makeStackGround();
  });

  afterAll(async () => {
    await stack.remove();
  });

  it('is what aws:create wants: it finds nothing to make and nothing to mend', async () => {
    const { clients, close } = await stack.open();

    const { made } = await createInfrastructure(clients, stack.plan);

    expect(made).toEqual([]);
    await close();
  });

  it('keeps content that is removed', async () => {
    const { clients, close } = await stack.open();

    const versioning = await clients.s3.send(
      new GetBucketVersioningCommand({ Bucket: stack.names.contentBucket }),
    );

    expect(versioning).toMatchObject({ Status: 'Enabled' });
    await close();
  });

  describeDeliveryFlow(async () => {
    const ground = await stack.open();
    recordCalls(ground.clients, (command, input) => {
      for (const need of needsOfRequest(command, input)) {
        calls.add(plainly(need, stack.plan));
      }
    });
    return openAwsOn(ground);
  });

  it('makes no call that the roles may not make', () => {
    const allowed = new Set(PROCESS_ROLES.flatMap((role) => granted(synthesise(IN_USE), role)));

    expect(calls.size).toBeGreaterThan(0);
    expect([...calls].filter((need) => !allowed.has(need))).toEqual([]);
  });
});

type Note = (command: string, input: unknown) => void;

/** Notes every call, before anything is made of it. */
function recordCalls({ dynamo, s3, sqs }: AwsClients, note: Note): void {
  dynamo.middlewareStack.add((next, { commandName = '' }) => {
    return (args): ReturnType<typeof next> => {
      note(commandName, args.input);
      return next(args);
    };
  }, RECORDING);
  s3.middlewareStack.add((next, { commandName = '' }) => {
    return (args): ReturnType<typeof next> => {
      note(commandName, args.input);
      return next(args);
    };
  }, RECORDING);
  sqs.middlewareStack.add((next, { commandName = '' }) => {
    return (args): ReturnType<typeof next> => {
      note(commandName, args.input);
      return next(args);
    };
  }, RECORDING);
}

/** In the words of the permissions: `messages/due` of the table `stack-1a2b3c4d-messages`, for instance. */
function plainly(need: Need, { tablePrefix, contentBucket }: InfrastructurePlan): Need {
  return need
    .replace(contentBucket, need.startsWith('s3:ListBucket') ? 'content' : 'content/*')
    .replace(tablePrefix, '')
    .replace(/ http\S+$/, ' work-queue');
}

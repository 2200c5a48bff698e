import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  QueueDoesNotExist,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { Inspection, Part } from './create-infrastructure.ts';
import { DEAD_LETTER_RETENTION_SECONDS, deadLetterQueueName, MAX_RECEIVES } from './queue-definitions.ts';

type QueueAttributes = Readonly<Record<string, string>>;

/** Where a queue sets aside what nobody could work. */
export class DeadLetterQueuePart implements Part {
  readonly name: string;
  readonly queueName: string;

  constructor(
    private readonly sqs: SQSClient,
    ofQueue: string,
  ) {
    this.queueName = deadLetterQueueName(ofQueue);
    this.name = `queue ${this.queueName}`;
  }

  async inspect(): Promise<Inspection> {
    const found = await findAttributes(this.sqs, this.queueName);
    return found ? { kind: 'present', differences: differences(this.#wanted(), found) } : { kind: 'missing' };
  }

  async make(): Promise<void> {
    await createQueue(this.sqs, this.queueName, this.#wanted());
  }

  /** Once it is made. */
  async arn(): Promise<string> {
    const arn = (await findAttributes(this.sqs, this.queueName))?.['QueueArn'];
    if (arn === undefined) {
      throw new Error(`The ${this.name} is not there.`);
    }
    return arn;
  }

  #wanted(): QueueAttributes {
    return { MessageRetentionPeriod: String(DEAD_LETTER_RETENTION_SECONDS) };
  }
}

/** A queue that sets aside. */
export class QueuePart implements Part {
  readonly name: string;

  constructor(
    private readonly sqs: SQSClient,
    private readonly queueName: string,
    private readonly visibilitySeconds: number,
    private readonly deadLetters: DeadLetterQueuePart,
  ) {
    this.name = `queue ${queueName}`;
  }

  async inspect(): Promise<Inspection> {
    const found = await findAttributes(this.sqs, this.queueName);
    if (!found) {
      return { kind: 'missing' };
    }
    return {
      kind: 'present',
      differences: [...differences(this.#wanted(), found), ...this.#redriveDifferences(found)],
    };
  }

  async make(): Promise<void> {
    await createQueue(this.sqs, this.queueName, {
      ...this.#wanted(),
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: await this.deadLetters.arn(),
        maxReceiveCount: MAX_RECEIVES,
      }),
    });
  }

  /** Once it is made. */
  async url(): Promise<string> {
    const url = await findUrl(this.sqs, this.queueName);
    if (url === undefined) {
      throw new Error(`The ${this.name} is not there.`);
    }
    return url;
  }

  #wanted(): QueueAttributes {
    return { VisibilityTimeout: String(this.visibilitySeconds) };
  }

  #redriveDifferences(found: QueueAttributes): readonly string[] {
    const policy = readPolicy(found['RedrivePolicy']);
    const target = policy.get('deadLetterTargetArn') ?? 'nothing';
    const receives = policy.get('maxReceiveCount') ?? 'no number of';
    return [
      ...(target.endsWith(`:${this.deadLetters.queueName}`)
        ? []
        : [`it sets aside into ${target}, not into ${this.deadLetters.queueName}`]),
      ...(receives === String(MAX_RECEIVES)
        ? []
        : [`it sets aside after ${receives} receives, not after ${MAX_RECEIVES}`]),
    ];
  }
}

function differences(wanted: QueueAttributes, found: QueueAttributes): readonly string[] {
  return Object.entries(wanted).flatMap(([name, value]) =>
    found[name] === value ? [] : [`its ${name} is ${found[name]}, not ${value}`],
  );
}

/** SQS does nothing where there is one with these attributes, so a second run changes nothing. */
async function createQueue(sqs: SQSClient, name: string, attributes: QueueAttributes): Promise<void> {
  if ((await findUrl(sqs, name)) === undefined) {
    await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: { ...attributes } }));
  }
}

async function findAttributes(sqs: SQSClient, name: string): Promise<QueueAttributes | undefined> {
  const url = await findUrl(sqs, name);
  if (url === undefined) {
    return undefined;
  }
  const { Attributes: found } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
  );
  return found ?? {};
}

async function findUrl(sqs: SQSClient, name: string): Promise<string | undefined> {
  try {
    const { QueueUrl: url } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
    return url;
  } catch (error) {
    if (error instanceof QueueDoesNotExist) {
      return undefined;
    }
    throw error;
  }
}

/** Its fields as text: SQS answers the number now as a number, now as text. */
function readPolicy(json = '{}'): ReadonlyMap<string, string> {
  const policy: unknown = JSON.parse(json);
  const fields = typeof policy === 'object' && policy !== null ? Object.entries(policy) : [];
  return new Map(fields.map(([name, value]) => [name, String(value)]));
}

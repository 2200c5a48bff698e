import { AwsClients } from './aws-clients.ts';
import { tableNames } from './aws-names.ts';
import { ContentBucketPart } from './content-bucket-part.ts';
import { TablePart } from './table-part.ts';
import { TABLES } from './tables.ts';
import { FEEDBACK_QUEUE_VISIBILITY_SECONDS, WORK_QUEUE_VISIBILITY_SECONDS } from './queue-definitions.ts';
import { DeadLetterQueuePart, QueuePart } from './queue-part.ts';

export interface InfrastructurePlan {
  readonly tablePrefix: string;
  readonly contentBucket: string;
  readonly workQueueName: string;
  /** Absent: none is made. */
  readonly feedbackQueueName?: string;
}

export interface Infrastructure {
  readonly workQueueUrl: string;
  readonly feedbackQueueUrl: string | undefined;
  /** What was not there before, in words. */
  readonly made: readonly string[];
}

/** Something of the infrastructure, as it is wanted. */
export interface Part {
  /** In words, such as `table belfry-groups`. */
  readonly name: string;
  /** Looks and changes nothing. */
  inspect(): Promise<Inspection>;
  /** Makes what is missing and waits until it can be used; a second run changes nothing. */
  make(): Promise<void>;
}

export type Inspection =
  | { readonly kind: 'missing' }
  /** It is there; the differences from what is wanted, in words. */
  | { readonly kind: 'present'; readonly differences: readonly string[] };

interface QueueWithDeadLetters {
  readonly deadLetters: DeadLetterQueuePart;
  readonly queue: QueuePart;
}

/** Something is there under a wanted name, but has another shape. Nothing was made or changed. */
export class ShapeMismatchError extends Error {
  override readonly name = 'ShapeMismatchError';

  constructor(differences: readonly string[]) {
    super(
      `What is there has another shape, so nothing was made or changed. Remove it, or choose other names:\n${differences.map((line) => `  ${line}`).join('\n')}`,
    );
  }
}

/**
 * Makes the tables, the content bucket and the queues, each with its dead-letter queue, where they are not there; a second run makes nothing.
 * Looks at everything before it makes anything.
 * @throws {ShapeMismatchError} naming each difference of what is there.
 */
export async function createInfrastructure(
  clients: AwsClients,
  plan: InfrastructurePlan,
): Promise<Infrastructure> {
  const names = tableNames(plan.tablePrefix);
  const queueOf = (name: string, visibilitySeconds: number): QueueWithDeadLetters => {
    const deadLetters = new DeadLetterQueuePart(clients.sqs, name);
    return { deadLetters, queue: new QueuePart(clients.sqs, name, visibilitySeconds, deadLetters) };
  };
  const work = queueOf(plan.workQueueName, WORK_QUEUE_VISIBILITY_SECONDS);
  const feedback =
    plan.feedbackQueueName === undefined
      ? undefined
      : queueOf(plan.feedbackQueueName, FEEDBACK_QUEUE_VISIBILITY_SECONDS);
  const queues = feedback ? [work, feedback] : [work];
  const standAlone: readonly Part[] = [
    ...TABLES.map((table) => new TablePart(clients.dynamo, table, names[table.name])),
    new ContentBucketPart(clients.s3, plan.contentBucket),
  ];
  const parts = [...standAlone, ...queues.flatMap(({ deadLetters, queue }) => [deadLetters, queue])];
  const found = await Promise.all(parts.map(async (part) => ({ part, inspection: await part.inspect() })));
  const differences = found.flatMap(({ part, inspection }) =>
    inspection.kind === 'present' ? inspection.differences.map((line) => `${part.name}: ${line}`) : [],
  );
  if (differences.length > 0) {
    throw new ShapeMismatchError(differences);
  }
  await Promise.all(standAlone.map((part) => part.make())); // a table takes some ten seconds on AWS
  for (const { deadLetters, queue } of queues) {
    await deadLetters.make();
    await queue.make(); // names the one before
  }
  return {
    workQueueUrl: await work.queue.url(),
    feedbackQueueUrl: await feedback?.queue.url(),
    made: found.flatMap(({ part, inspection }) => (inspection.kind === 'missing' ? [part.name] : [])),
  };
}

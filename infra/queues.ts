import { Duration } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import {
  DEAD_LETTER_RETENTION_SECONDS,
  deadLetterQueueName,
  MAX_RECEIVES,
  WORK_QUEUE_VISIBILITY_SECONDS,
} from '../src/engines/aws/queue-definitions.ts';

export interface QueueWithDeadLettersProps {
  readonly queueName: string;
  readonly visibility: Duration;
}

/** A queue, and the one into which goes what nobody could work: kept as long as SQS keeps anything, so that somebody can look. */
export class QueueWithDeadLetters extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, { queueName, visibility }: QueueWithDeadLettersProps) {
    super(scope, id);
    this.deadLetters = new Queue(this, 'dead', {
      queueName: deadLetterQueueName(queueName),
      retentionPeriod: Duration.seconds(DEAD_LETTER_RETENTION_SECONDS),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    });
    this.queue = new Queue(this, 'queue', {
      queueName,
      visibilityTimeout: visibility,
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: MAX_RECEIVES },
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
    });
  }
}

/** The pointers to batches, as `src/engines/aws/queue-definitions.ts` defines it. */
export class WorkQueue extends QueueWithDeadLetters {
  constructor(scope: Construct, id: string, installation: string) {
    super(scope, id, {
      queueName: `${installation}-work`,
      visibility: Duration.seconds(WORK_QUEUE_VISIBILITY_SECONDS),
    });
  }
}

import { Injectable } from '@nestjs/common';
import { FeedbackQueue, type FeedbackTask } from '../../feedback/feedback-queue.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { Log } from '../../platform/logging/log.ts';
import { AwsClients } from './aws-clients.ts';
import { FEEDBACK_QUEUE_VISIBILITY_SECONDS } from './queue-definitions.ts';
import { openSqsQueue } from './sqs-queue.ts';
import { SqsReceiver } from './sqs-receiver.ts';

// Before each of the tries that the redrive policy allows (MAX_RECEIVES): a delivery has its outcome when the lease of a worker that was
// lost has ended, and a store that is down is mostly back within the hour.
const PAUSES_SECONDS = [30, 120, 600, 3_600] as const;

/** The queue of SQS into which SES's events go, by way of a topic of SNS. */
@Injectable()
export class SqsFeedbackQueue extends FeedbackQueue {
  #receiver: SqsReceiver<string> | undefined;

  constructor(
    private readonly clients: AwsClients,
    private readonly feedbackQueueUrl: string,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    super();
  }

  /** As SqsReceiver does it. */
  override async pull(limit: number, signal: AbortSignal): Promise<readonly FeedbackTask[]> {
    this.#receiver ??= new SqsReceiver(
      openSqsQueue(this.clients.sqs, this.feedbackQueueUrl, FEEDBACK_QUEUE_VISIBILITY_SECONDS, this.log),
      (body) => body,
      this.clock,
      this.log,
    );
    const taken = await this.#receiver.pull(limit, signal);
    return taken.map(({ content: body, receives, remove, showIn, leave }) => ({
      body,
      done: remove,
      again: () => showIn(PAUSES_SECONDS[receives - 1] ?? 0),
      leave,
    }));
  }

  /** Waits for polls that nobody waits for any more, at most 20 s. To be called before the clients are closed. */
  async close(): Promise<void> {
    await this.#receiver?.close();
  }
}

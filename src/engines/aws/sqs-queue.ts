import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message as SqsMessage,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { Log } from '../../platform/logging/log.ts';
import { translate } from './transact.ts';

// SQS takes and gives at most 10 messages a request (SQS API reference, SendMessageBatch, ReceiveMessage).
export const MESSAGES_PER_REQUEST = 10;

/** What whoever takes messages off a queue does with it. */
export interface SqsQueue {
  /** Nobody else is given what this answers for so long. */
  readonly visibilitySeconds: number;
  receive(limit: number, waitSeconds: number): Promise<readonly SqsMessage[]>;
  /** Never rejects: where it fails, the message comes out again once its visibility ends. */
  remove(receiptHandle: string): Promise<void>;
  /** Lets a message come out again after so long. Never rejects: where it fails, it comes out at another time. */
  showIn(receiptHandle: string, seconds: number): Promise<void>;
}

export function openSqsQueue(
  sqs: SQSClient,
  queueUrl: string,
  visibilitySeconds: number,
  log: Log,
): SqsQueue {
  return {
    visibilitySeconds,
    receive: async (limit, waitSeconds) => {
      try {
        const { Messages } = await sqs.send(
          new ReceiveMessageCommand({
            QueueUrl: queueUrl,
            MaxNumberOfMessages: Math.min(limit, MESSAGES_PER_REQUEST),
            MessageSystemAttributeNames: ['ApproximateReceiveCount'],
            WaitTimeSeconds: waitSeconds,
            VisibilityTimeout: visibilitySeconds,
          }),
        );
        return Messages ?? [];
      } catch (error) {
        throw translate(error);
      }
    },
    remove: async (receiptHandle) => {
      try {
        await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle: receiptHandle }));
      } catch (error) {
        log.warn('task.delete-failed', { err: error });
      }
    },
    showIn: async (receiptHandle, seconds) => {
      try {
        await sqs.send(
          new ChangeMessageVisibilityCommand({
            QueueUrl: queueUrl,
            ReceiptHandle: receiptHandle,
            VisibilityTimeout: seconds,
          }),
        );
      } catch (error) {
        log.warn('task.visibility-unchanged', { err: error });
      }
    },
  };
}

import {
  type BatchResultErrorEntry,
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message as SqsMessage,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
} from '@aws-sdk/client-sqs';
import { Injectable } from '@nestjs/common';
import type { BatchPointer } from '../../delivery/batch.ts';
import { type Task, WorkQueue } from '../../delivery/work-queue.ts';
import { isGroupName } from '../../groups/group.ts';
import { isSubscriberKey } from '../../groups/subscriber.ts';
import { Clock, type Disarm, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import { Log } from '../../platform/logging/log.ts';
import { isMessageKey } from '../../schedule/message.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { translate } from './transact.ts';

// SQS takes and gives at most 10 messages a request (SQS API reference, SendMessageBatch, ReceiveMessage).
const MESSAGES_PER_REQUEST = 10;
// Side by side: the pointers of one cut then leave at one stroke, and the sockets of the client are not all taken.
const REQUESTS_AT_ONCE = 10;
// What SQS could not take is mostly taken at once when it comes again; a queue that refuses it three times is down.
const PUSH_TRIES = 3;

// The longest that SQS allows (SQS API reference, ReceiveMessage, WaitTimeSeconds): an idle worker costs three requests a minute.
const LONG_POLL_SECONDS = 20;

// So many fit into the visibility that one that fails costs nothing.
const HEARTBEATS_PER_VISIBILITY = 3;
// What is no pointer comes out again until the queue's redrive policy puts it aside; the pause keeps a queue without one from spinning.
const POISON_PAUSE_SECONDS = 1;
// What somebody could not do is not tried again without pause.
const GIVEN_BACK_SECONDS = 5;

/** A message of the queue, once it is known to be one that can be worked. */
interface Received {
  readonly receiptHandle: string;
  readonly pointer: BatchPointer;
}

/**
 * The work queue in SQS: a standard queue, whose messages hold the pointer and nothing else. It gives a message out more than
 * once, late or, after its retention, not at all; none of this matters, because only the claim of the batch decides, and the
 * message's wake finds what was left behind.
 *
 * Belfry's message is the message group, so that a queue with a backlog of a large one still gives out those of a small one
 * (SQS Developer Guide, "Amazon SQS fair queues").
 */
@Injectable()
export class SqsWorkQueue extends WorkQueue {
  /**
   * A lease: a pointer whose taker died comes out again when its batch can be claimed. Longer, and one that was taken and not claimed
   * would hold its batch up, because the message's wake queues only what has come to be claimable since it last looked.
   */
  readonly #visibilitySeconds: number;
  /** Polls that nobody waits for any more. */
  readonly #abandoned = new Set<Promise<void>>();

  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
    private readonly clock: Clock,
    private readonly log: Log,
    settings: Settings,
  ) {
    super();
    this.#visibilitySeconds = Math.ceil(settings.leaseMs / SECOND_MS);
  }

  /** @throws {StoreUnavailableError} where some were not taken; those that were come out all the same. */
  override async push(pointers: readonly BatchPointer[]): Promise<void> {
    const requests = chunks(pointers, MESSAGES_PER_REQUEST);
    for (const atOnce of chunks(requests, REQUESTS_AT_ONCE)) {
      await Promise.all(atOnce.map((request) => this.#send(request)));
    }
  }

  /**
   * Waits up to 20 s. A signal that is aborted already means that nothing is waited for; one that aborts later ends the wait at
   * once, with none. The poll itself goes on then, because SQS counts messages as received though the connection that asked for
   * them was closed: a poll that is broken off swallows what comes next until its visibility ends (aws/aws-sdk-js#2350,
   * aws/aws-sdk-java-v2#1395). What it brings is given back at once, and `close` waits for that.
   */
  override async pull(limit: number, signal: AbortSignal): Promise<readonly Task[]> {
    if (signal.aborted) {
      return this.#handOut(await this.#poll(limit, 0));
    }
    const poll = this.#poll(limit, LONG_POLL_SECONDS);
    const aborted = Promise.withResolvers<undefined>();
    const abort = (): void => aborted.resolve(undefined);
    signal.addEventListener('abort', abort);
    try {
      const received = await Promise.race([poll, aborted.promise]);
      if (!received) {
        this.#abandon(poll);
      }
      return this.#handOut(received ?? []);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Waits for polls that nobody waits for any more, at most 20 s. To be called before the clients are closed. */
  async close(): Promise<void> {
    await Promise.all(this.#abandoned);
  }

  async #send(pointers: readonly BatchPointer[]): Promise<void> {
    let entries = pointers.map((pointer, index) => ({
      Id: String(index),
      MessageBody: toBody(pointer),
      MessageGroupId: pointer.messageKey,
    }));
    for (let triesLeft = PUSH_TRIES; entries.length > 0; triesLeft -= 1) {
      const failed = await this.#sendOnce(entries);
      if (failed.length > 0 && triesLeft === 1) {
        const codes = failed.map(({ Code }) => Code).join(', ');
        throw new StoreUnavailableError({ cause: new Error(`SQS has not taken all pointers: ${codes}`) });
      }
      const failedIds = new Set(failed.map(({ Id }) => Id));
      entries = entries.filter(({ Id }) => failedIds.has(Id));
    }
  }

  /** Those that SQS has not taken. A request that succeeds may have failed for some of its entries. */
  async #sendOnce(entries: SendMessageBatchRequestEntry[]): Promise<readonly BatchResultErrorEntry[]> {
    try {
      const { Failed } = await this.clients.sqs.send(
        new SendMessageBatchCommand({ QueueUrl: this.names.workQueueUrl, Entries: entries }),
      );
      return Failed ?? [];
    } catch (error) {
      throw translate(error);
    }
  }

  async #poll(limit: number, waitSeconds: number): Promise<readonly Received[]> {
    const messages = await this.#receive(limit, waitSeconds);
    const received: Received[] = [];
    for (const message of messages) {
      const pointer = parsePointer(message.Body);
      if (pointer && message.ReceiptHandle !== undefined) {
        received.push({ pointer, receiptHandle: message.ReceiptHandle });
      } else {
        await this.#leaveToRedrive(message);
      }
    }
    return received;
  }

  async #receive(limit: number, waitSeconds: number): Promise<readonly SqsMessage[]> {
    try {
      const { Messages } = await this.clients.sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: this.names.workQueueUrl,
          MaxNumberOfMessages: Math.min(limit, MESSAGES_PER_REQUEST),
          WaitTimeSeconds: waitSeconds,
          VisibilityTimeout: this.#visibilitySeconds,
        }),
      );
      return Messages ?? [];
    } catch (error) {
      throw translate(error);
    }
  }

  /** Not deleted: whoever put it here can find it in the dead-letter queue. */
  async #leaveToRedrive({ MessageId, ReceiptHandle }: SqsMessage): Promise<void> {
    this.log.error('task.unreadable', { sqs_message_id: MessageId });
    if (ReceiptHandle !== undefined) {
      await this.#showIn(ReceiptHandle, POISON_PAUSE_SECONDS);
    }
  }

  #handOut(received: readonly Received[]): readonly Task[] {
    return received.map(({ pointer, receiptHandle }) => {
      const letGo = this.#keep(receiptHandle);
      let isDone = false;
      return {
        pointer,
        done: async () => {
          if (!isDone) {
            isDone = true;
            letGo();
            await this.#delete(receiptHandle);
          }
        },
        giveBack: async () => {
          if (!isDone) {
            isDone = true;
            letGo();
            await this.#showIn(receiptHandle, GIVEN_BACK_SECONDS);
          }
        },
      };
    });
  }

  /** Keeps a message from coming out again, until the function that it answers is called. */
  #keep(receiptHandle: string): Disarm {
    const heartbeatMs = Math.floor((this.#visibilitySeconds * SECOND_MS) / HEARTBEATS_PER_VISIBILITY);
    let disarm: Disarm;
    const beat = (): void => {
      disarm = this.clock.arm(plusMs(this.clock.now(), heartbeatMs), () => {
        beat();
        void this.#showIn(receiptHandle, this.#visibilitySeconds);
      });
    };
    beat();
    return () => disarm();
  }

  /** Where it fails the message comes out again once its visibility ends: thrown away then, because its batch has a lease or is settled. */
  async #delete(receiptHandle: string): Promise<void> {
    try {
      await this.clients.sqs.send(
        new DeleteMessageCommand({ QueueUrl: this.names.workQueueUrl, ReceiptHandle: receiptHandle }),
      );
    } catch (error) {
      this.log.warn('task.delete-failed', { err: error });
    }
  }

  /** Lets a message come out again after so long. Where it fails it comes out at another time, which a claim stands. */
  async #showIn(receiptHandle: string, seconds: number): Promise<void> {
    try {
      await this.clients.sqs.send(
        new ChangeMessageVisibilityCommand({
          QueueUrl: this.names.workQueueUrl,
          ReceiptHandle: receiptHandle,
          VisibilityTimeout: seconds,
        }),
      );
    } catch (error) {
      this.log.warn('task.visibility-unchanged', { err: error });
    }
  }

  #abandon(poll: Promise<readonly Received[]>): void {
    const abandoned = this.#giveBack(poll).finally(() => this.#abandoned.delete(abandoned));
    this.#abandoned.add(abandoned);
  }

  async #giveBack(poll: Promise<readonly Received[]>): Promise<void> {
    try {
      const received = await poll;
      await Promise.all(received.map(({ receiptHandle }) => this.#showIn(receiptHandle, 0)));
    } catch (error) {
      this.log.debug('work.abandoned-poll-failed', { err: error }); // it has brought nothing that could be given back
    }
  }
}

function toBody(pointer: BatchPointer): string {
  return JSON.stringify({
    group_name: pointer.group,
    message_key: pointer.messageKey,
    first_subscriber: pointer.first,
  });
}

function parsePointer(body: string | undefined): BatchPointer | undefined {
  const parsed = parseJson(body ?? '');
  const group = parsed['group_name'];
  const messageKey = parsed['message_key'];
  const first = parsed['first_subscriber'];
  return typeof group === 'string' &&
    isGroupName(group) &&
    typeof messageKey === 'string' &&
    isMessageKey(messageKey) &&
    typeof first === 'string' &&
    isSubscriberKey(first)
    ? { group, messageKey, first }
    : undefined;
}

/** The properties of an object; none of anything else. */
function parseJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {}; // whatever it is, it is no pointer
  }
}

function chunks<Item>(items: readonly Item[], size: number): readonly (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

import {
  type BatchResultErrorEntry,
  SendMessageBatchCommand,
  type SendMessageBatchRequestEntry,
} from '@aws-sdk/client-sqs';
import { Injectable } from '@nestjs/common';
import type { BatchPointer } from '../../delivery/batch.ts';
import { type Task, WorkQueue } from '../../delivery/work-queue.ts';
import { isGroupName } from '../../groups/group.ts';
import { isSubscriberKey } from '../../groups/subscriber.ts';
import { Clock, SECOND_MS } from '../../platform/clock/clock.ts';
import { Settings } from '../../platform/config/settings.ts';
import { StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import { Log } from '../../platform/logging/log.ts';
import { isMessageKey } from '../../schedule/message.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { MESSAGES_PER_REQUEST, openSqsQueue } from './sqs-queue.ts';
import { SqsReceiver } from './sqs-receiver.ts';
import { translate } from './transact.ts';

// Side by side: the pointers of one cut then leave at one stroke, and the sockets of the client are not all taken.
const REQUESTS_AT_ONCE = 10;
// What SQS could not take is mostly taken at once when it comes again; a queue that refuses it three times is down.
const PUSH_TRIES = 3;

// What somebody could not do is not tried again without pause.
const GIVEN_BACK_SECONDS = 5;

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
  #receiver: SqsReceiver<BatchPointer> | undefined;

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

  /** As SqsReceiver does it. */
  override async pull(limit: number, signal: AbortSignal): Promise<readonly Task[]> {
    this.#receiver ??= new SqsReceiver(
      openSqsQueue(this.clients.sqs, this.names.workQueueUrl, this.#visibilitySeconds, this.log),
      parsePointer,
      this.clock,
      this.log,
    );
    const taken = await this.#receiver.pull(limit, signal);
    return taken.map(({ content: pointer, remove, showIn }) => ({
      pointer,
      done: remove,
      giveBack: () => showIn(GIVEN_BACK_SECONDS),
    }));
  }

  /** Waits for polls that nobody waits for any more, at most 20 s. To be called before the clients are closed. */
  async close(): Promise<void> {
    await this.#receiver?.close();
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
}

function toBody(pointer: BatchPointer): string {
  return JSON.stringify({
    group_name: pointer.group,
    message_key: pointer.messageKey,
    first_subscriber: pointer.first,
  });
}

function parsePointer(body: string): BatchPointer | undefined {
  const parsed = parseJson(body);
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

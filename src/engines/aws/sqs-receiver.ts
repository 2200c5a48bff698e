import type { Message as SqsMessage } from '@aws-sdk/client-sqs';
import { type Clock, type Disarm, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import type { Log } from '../../platform/logging/log.ts';
import type { SqsQueue } from './sqs-queue.ts';

// The longest that SQS allows (SQS API reference, ReceiveMessage, WaitTimeSeconds): an idle worker costs three requests a minute.
const LONG_POLL_SECONDS = 20;
// So many fit into the visibility that one that fails costs nothing.
const HEARTBEATS_PER_VISIBILITY = 3;
// What cannot be read comes out again until the queue's redrive policy puts it aside; the pause keeps a queue without one from spinning.
const POISON_PAUSE_SECONDS = 1;

/** A message that this process has taken: nobody else is given it until one of these is called. None of them rejects; the first counts. */
export interface Taken<Content> {
  readonly content: Content;
  /** How often it was given out, this time included; about. */
  readonly receives: number;
  /** It is through, and gone. */
  readonly remove: () => Promise<void>;
  /** It comes out again, for anybody, after so long. */
  readonly showIn: (seconds: number) => Promise<void>;
  /** It is left to the queue's redrive policy, which sets it aside for somebody to look at. */
  readonly leave: () => Promise<void>;
}

interface Received<Content> {
  readonly content: Content;
  readonly receives: number;
  readonly receiptHandle: string;
}

/** Takes messages off a queue of SQS; what `parse` finds nothing in is left to the queue's redrive policy. */
export class SqsReceiver<Content> {
  /** Polls that nobody waits for any more. */
  readonly #abandoned = new Set<Promise<void>>();

  constructor(
    private readonly queue: SqsQueue,
    private readonly parse: (body: string) => Content | undefined,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /**
   * Waits up to 20 s. A signal that is aborted already means that nothing is waited for; one that aborts later ends the wait at
   * once, with none. The poll itself goes on then, because SQS counts messages as received though the connection that asked for
   * them was closed: a poll that is broken off swallows what comes next until its visibility ends (aws/aws-sdk-js#2350,
   * aws/aws-sdk-java-v2#1395). What it brings is given back at once, and `close` waits for that.
   */
  async pull(limit: number, signal: AbortSignal): Promise<readonly Taken<Content>[]> {
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

  /** Waits for polls that nobody waits for any more, at most 20 s. To be called before the client is closed. */
  async close(): Promise<void> {
    await Promise.all(this.#abandoned);
  }

  async #poll(limit: number, waitSeconds: number): Promise<readonly Received<Content>[]> {
    const messages = await this.queue.receive(limit, waitSeconds);
    const received: Received<Content>[] = [];
    for (const message of messages) {
      const { Body: body = '', ReceiptHandle: receiptHandle } = message;
      const content = this.parse(body);
      if (content !== undefined && receiptHandle !== undefined) {
        received.push({ content, receiptHandle, receives: receivesOf(message) });
      } else {
        await this.#leaveToRedrive(message);
      }
    }
    return received;
  }

  /** Not deleted: whoever put it here can find it in the dead-letter queue. */
  async #leaveToRedrive({ MessageId, ReceiptHandle }: SqsMessage): Promise<void> {
    this.log.error('task.unreadable', { sqs_message_id: MessageId });
    if (ReceiptHandle !== undefined) {
      await this.queue.showIn(ReceiptHandle, POISON_PAUSE_SECONDS);
    }
  }

  #handOut(received: readonly Received<Content>[]): readonly Taken<Content>[] {
    return received.map(({ content, receives, receiptHandle }) => {
      const letGo = this.#keep(receiptHandle);
      let isDone = false;
      const once = async (end: () => Promise<void>): Promise<void> => {
        if (!isDone) {
          isDone = true;
          letGo();
          await end();
        }
      };
      return {
        content,
        receives,
        remove: () => once(() => this.queue.remove(receiptHandle)),
        showIn: (seconds) => once(() => this.queue.showIn(receiptHandle, seconds)),
        leave: () => once(() => this.queue.showIn(receiptHandle, POISON_PAUSE_SECONDS)),
      };
    });
  }

  /** Keeps a message from coming out again, until the function that it answers is called. */
  #keep(receiptHandle: string): Disarm {
    const { visibilitySeconds } = this.queue;
    const heartbeatMs = Math.floor((visibilitySeconds * SECOND_MS) / HEARTBEATS_PER_VISIBILITY);
    let disarm: Disarm;
    const beat = (): void => {
      disarm = this.clock.arm(plusMs(this.clock.now(), heartbeatMs), () => {
        beat();
        void this.queue.showIn(receiptHandle, visibilitySeconds);
      });
    };
    beat();
    return () => disarm();
  }

  #abandon(poll: Promise<readonly Received<Content>[]>): void {
    const abandoned = this.#giveBack(poll).finally(() => this.#abandoned.delete(abandoned));
    this.#abandoned.add(abandoned);
  }

  async #giveBack(poll: Promise<readonly Received<Content>[]>): Promise<void> {
    try {
      const received = await poll;
      await Promise.all(received.map(({ receiptHandle }) => this.queue.showIn(receiptHandle, 0)));
    } catch (error) {
      this.log.debug('work.abandoned-poll-failed', { err: error }); // it has brought nothing that could be given back
    }
  }
}

function receivesOf({ Attributes: attributes }: SqsMessage): number {
  return Number(attributes?.ApproximateReceiveCount ?? 1);
}

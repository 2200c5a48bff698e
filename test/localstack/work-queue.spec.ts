import { randomBytes } from 'node:crypto';
import {
  ChangeMessageVisibilityCommand,
  DeleteQueueCommand,
  QueueDoesNotExist,
  ReceiveMessageCommand,
  SendMessageCommand,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BatchPointer } from '../../src/delivery/batch.ts';
import type { Task } from '../../src/delivery/work-queue.ts';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import { AwsNames } from '../../src/engines/aws/aws-names.ts';
import { WORK_QUEUE_VISIBILITY_SECONDS } from '../../src/engines/aws/queue-definitions.ts';
import { DeadLetterQueuePart, QueuePart } from '../../src/engines/aws/queue-part.ts';
import { SqsWorkQueue } from '../../src/engines/aws/work-queue.ts';
import { MINUTE_MS, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { StoreUnavailableError } from '../../src/platform/errors/domain-error.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { type MessageKey, newMessageKey } from '../../src/schedule/message.ts';
import { at } from '../contract/steps.ts';
import { aGroupName, aKey, anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until } from '../support/until.ts';

/* What is SQS's own; the contract of every work queue is in ../contract. */

// For a state that must come: a test that waits longer has failed.
const PATIENCE_MS = 30_000;
// For a state that must not come. What is given back, or hidden for a second, comes well within it.
const MOMENT_SECONDS = 3;
const NOW = AbortSignal.abort();
const LEASE_MS = 30 * SECOND_MS;

/** A step of the SDK's client, in so far as these tests look into it. */
type Handler = (call: { input: ServiceInputTypes }) => Promise<Answer>;
interface Answer {
  readonly response: unknown;
  output: ServiceOutputTypes;
}

describe('SqsWorkQueue', () => {
  let clients: AwsClients;
  let clock: ManualClock;
  let queue: SqsWorkQueue;
  let queueUrl: string;
  let deadLetterUrl: string;
  let logged: { readonly event: string; readonly fields: object }[];
  /** What went over the wire. */
  let requests: ServiceInputTypes[];
  let answers: { readonly input: ServiceInputTypes; readonly output: ServiceOutputTypes }[];

  beforeEach(async () => {
    clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
    const name = `test-${randomBytes(4).toString('hex')}-work`;
    const deadLetters = new DeadLetterQueuePart(clients.sqs, name);
    const workQueue = new QueuePart(clients.sqs, name, WORK_QUEUE_VISIBILITY_SECONDS, deadLetters);
    await deadLetters.make();
    await workQueue.make();
    queueUrl = await workQueue.url();
    deadLetterUrl = queueUrl.replace(name, deadLetters.queueName);
    requests = [];
    answers = [];
    clients.sqs.middlewareStack.add((next): Handler => async (args): Promise<Answer> => {
      requests.push(args.input);
      const result = await next(args);
      answers.push({ input: args.input, output: result.output });
      return result;
    });
    logged = [];
    const sink = (fields: object, event: string): void => void logged.push({ event, fields });
    const log = new Log({ debug: sink, info: sink, warn: sink, error: sink });
    const names = new AwsNames({ tablePrefix: '', contentBucket: '', workQueueUrl: queueUrl });
    clock = new ManualClock(anInstant());
    queue = new SqsWorkQueue(clients, names, clock, log, parseSettings({ LEASE: `${LEASE_MS}ms` }));
  });
  afterEach(async () => {
    await removeQueue(queueUrl);
    await removeQueue(deadLetterUrl);
    clients.close();
  });

  /** Does nothing where there is none. */
  async function removeQueue(url: string): Promise<void> {
    try {
      await clients.sqs.send(new DeleteQueueCommand({ QueueUrl: url }));
    } catch (error) {
      if (!(error instanceof QueueDoesNotExist)) {
        throw error;
      }
    }
  }

  /** Bodies, received past the class under test. */
  async function receive(url: string, waitSeconds: number): Promise<readonly (string | undefined)[]> {
    const { Messages: messages } = await clients.sqs.send(
      new ReceiveMessageCommand({ QueueUrl: url, WaitTimeSeconds: waitSeconds }),
    );
    return (messages ?? []).map(({ Body: body }) => body);
  }

  async function send(body: string): Promise<void> {
    await clients.sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body }));
  }

  /** The one task that there is. */
  async function pullOne(): Promise<Task> {
    return until('a task', PATIENCE_MS, async () => (await queue.pull(1, NOW)).at(0));
  }

  /** Lets the message that was received last come out again in a second, as if its worker were dead. */
  async function hideForASecond(): Promise<void> {
    const handles = answers.flatMap(({ output }) => ('Messages' in output ? (output.Messages ?? []) : []));
    await clients.sqs.send(
      new ChangeMessageVisibilityCommand({
        QueueUrl: queueUrl,
        ReceiptHandle: handles.at(-1)?.ReceiptHandle,
        VisibilityTimeout: 1,
      }),
    );
  }

  function changesMade(): number {
    return answers.filter(({ input }) => changesVisibility(input)).length;
  }

  /** Begins a pull, and breaks it off once its poll has surely begun. */
  async function pullAndAbort(): Promise<readonly Task[]> {
    const abort = new AbortController();
    const pull = queue.pull(10, abort.signal);
    await receive(deadLetterUrl, 1);
    abort.abort();
    return pull;
  }

  /** Keeps the first entry of a request from the queue so many times, and says so as SQS does. */
  function refuseFirst(times: number): void {
    let left = times;
    clients.sqs.middlewareStack.add((next): Handler => async (args): Promise<Answer> => {
      if (!('Entries' in args.input) || left === 0) {
        return next(args);
      }
      left -= 1;
      const [refused, ...others] = args.input.Entries ?? [];
      const failed = { Id: refused?.Id, SenderFault: false, Code: 'InternalError' };
      if (others.length === 0) {
        return { response: {}, output: { $metadata: {}, Successful: [], Failed: [failed] } };
      }
      Object.assign(args.input, { Entries: others });
      const result = await next(args);
      return { ...result, output: { ...result.output, Failed: [failed] } };
    });
  }

  /** The messages of all that comes out, in order. */
  async function pulledKeys(): Promise<readonly MessageKey[]> {
    const tasks = [];
    for (let found = await queue.pull(10, NOW); found.length > 0; found = await queue.pull(10, NOW)) {
      tasks.push(...found);
    }
    return tasks.map(({ pointer }) => pointer.messageKey).toSorted();
  }

  describe('when a pull is told to end', () => {
    it('has to let its poll go on, because one that the SDK breaks off swallows what comes next', async () => {
      const abort = new AbortController();
      const poll = clients.sqs.send(
        new ReceiveMessageCommand({ QueueUrl: queueUrl, WaitTimeSeconds: 20, VisibilityTimeout: 60 }),
        { abortSignal: abort.signal },
      );
      await receive(deadLetterUrl, 1);
      abort.abort();
      await expect(poll).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));

      await send('swallowed');

      expect(await receive(queueUrl, MOMENT_SECONDS)).toEqual([]);
    });

    it('ends at once and swallows nothing that is pushed later', async () => {
      const pointer = aPointer();
      expect(await pullAndAbort()).toEqual([]);

      await queue.push([pointer]);

      expect((await pullOne()).pointer).toEqual(pointer);
    });

    it('gives back what its poll has brought before it is closed', async () => {
      expect(await pullAndAbort()).toEqual([]);
      await queue.push([aPointer()]);

      await queue.close();

      expect(changesMade()).toBe(1);
      expect(await receive(queueUrl, MOMENT_SECONDS)).toHaveLength(1);
    });
  });

  describe('while a task is in hand', () => {
    it('would let it come out again, were its visibility to end', async () => {
      await queue.push([aPointer()]);
      await pullOne();

      await hideForASecond();

      expect(await receive(queueUrl, MOMENT_SECONDS)).toHaveLength(1);
    });

    it('hides it for a lease, and no longer: its taker may die before it claims the batch', async () => {
      await queue.push([aPointer()]);
      await pullOne();
      await queue.pull(1, NOW);

      const hiddenForSeconds = requests.flatMap((input) =>
        'WaitTimeSeconds' in input && 'VisibilityTimeout' in input ? [input.VisibilityTimeout] : [],
      );

      expect(new Set(hiddenForSeconds)).toEqual(new Set([LEASE_MS / SECOND_MS]));
    });

    it('extends its visibility long before that ends, so that it does not come out again', async () => {
      await queue.push([aPointer()]);
      await pullOne();
      for (let beat = 1; beat <= 2; beat += 1) {
        await hideForASecond();
        const before = changesMade();
        clock.advance(LEASE_MS / 3);
        await expect.poll(changesMade, { timeout: PATIENCE_MS }).toBe(before + 1);
      }

      expect(await receive(queueUrl, MOMENT_SECONDS)).toEqual([]);
    });

    it('extends nothing any more once it is done', async () => {
      await queue.push([aPointer()]);
      const task = await pullOne();
      await task.done();

      clock.advance(10 * MINUTE_MS);

      await receive(queueUrl, 1);
      expect(requests.filter(changesVisibility)).toEqual([]);
    });

    it('does not mind that it is gone when it is done', async () => {
      await queue.push([aPointer()]);
      const task = await pullOne();
      await removeQueue(queueUrl);

      await expect(task.done()).resolves.toBeUndefined();
    });
  });

  describe('what is no pointer', () => {
    const SECRET = 'ada@example.com';

    it('goes to the dead-letter queue by itself, and is logged without its content', async () => {
      await send(SECRET);

      const setAside = await until('a dead letter', PATIENCE_MS, async () => {
        expect(await queue.pull(10, NOW)).toEqual([]);
        return (await receive(deadLetterUrl, 0)).at(0);
      });

      expect(setAside).toBe(SECRET);
      expect(new Set(logged.map(({ event }) => event))).toEqual(new Set(['task.unreadable']));
      expect(JSON.stringify(logged)).not.toContain(SECRET);
    });

    it.each([
      ['no JSON', '{'],
      ['nothing', 'null'],
      ['a list', '[]'],
      ['another object', '{}'],
      ['no group', JSON.stringify({ ...bodyOf(aPointer()), group_name: 'No Group' })],
      ['no message', JSON.stringify({ ...bodyOf(aPointer()), message_key: '1' })],
      ['no subscriber', JSON.stringify({ ...bodyOf(aPointer()), first_subscriber: 7 })],
    ])('is never given out: %s', async (_, body) => {
      await send(body);

      const tasks = await queue.pull(10, NOW);

      expect(tasks).toEqual([]);
      expect(logged).toHaveLength(1);
    });

    it('keeps nobody from the pointers beside it', async () => {
      const pointer = aPointer();
      await send('{');
      await queue.push([pointer]);

      expect((await pullOne()).pointer).toEqual(pointer);
    });
  });

  describe('when SQS does not take all of a push', () => {
    it('sends again what was not taken, and only that', async () => {
      const pointers = Array.from({ length: 12 }, () => aPointer());
      refuseFirst(2);

      await queue.push(pointers);

      expect(await pulledKeys()).toEqual(pointers.map(({ messageKey }) => messageKey).toSorted());
    });

    it('says that the queue cannot be reached where it is never taken, and leaves the others', async () => {
      const pointers = [aPointer(), aPointer()];
      refuseFirst(3);

      await expect(queue.push(pointers)).rejects.toThrow(StoreUnavailableError);

      expect(await pulledKeys()).toEqual([at(pointers, 1).messageKey]);
    });
  });
});

function changesVisibility(input: ServiceInputTypes): boolean {
  return 'ReceiptHandle' in input && 'VisibilityTimeout' in input;
}

function aPointer(): BatchPointer {
  return { group: aGroupName(), messageKey: newMessageKey(), first: aKey('ada@example.com') };
}

function bodyOf({ group, messageKey, first }: BatchPointer): Readonly<Record<string, unknown>> {
  return { group_name: group, message_key: messageKey, first_subscriber: first };
}

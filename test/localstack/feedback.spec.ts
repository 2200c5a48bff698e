import { GetQueueUrlCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import {
  FEEDBACK_QUEUE_VISIBILITY_SECONDS,
  deadLetterQueueName,
} from '../../src/engines/aws/queue-definitions.ts';
import { DeadLetterQueuePart, QueuePart } from '../../src/engines/aws/queue-part.ts';
import { textAt } from '../support/json.ts';
import { sesEvent, type SesEventType, snsEnvelope } from '../support/ses-events.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';
import { removeQueues } from './aws-ground.ts';

const GROUP = 'heard-by-queue';
const BASE = `/v1/groups/${GROUP}`;

describe('the queue of SES events', () => {
  const queueName = `test-${process.pid}-mail-events`;
  let clients: AwsClients;
  let queueUrl: string;
  let app: TestApp;
  let key: string;

  beforeAll(async () => {
    clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
    const deadLetters = new DeadLetterQueuePart(clients.sqs, queueName);
    const queue = new QueuePart(clients.sqs, queueName, FEEDBACK_QUEUE_VISIBILITY_SECONDS, deadLetters);
    await deadLetters.make();
    await queue.make();
    queueUrl = await queue.url();
    app = await startTestApp({ env: { FEEDBACK_QUEUE_URL: queueUrl } });
    const subscribers = ['ada', 'alan', 'grace'].map((name) => ({ email: `${name}@example.com` }));
    await app.request('POST', `${BASE}/subscribers`, { body: { subscribers } });
    const { body } = await app.request('POST', `${BASE}/schedule`, {
      body: { subject: 'News', body: 'News', schedule_on: '2020-01-01T00:00Z', on_missed: 'send' },
    });
    key = textAt(body, 'key');
    await untilMessage({ status: 'sent' });
  });
  afterAll(async () => {
    await removeQueues(clients, queueName); // a poll that waits ends then
    await app.close();
    clients.close();
  });

  async function untilMessage(wanted: Readonly<Record<string, unknown>>): Promise<void> {
    await until(`the message is ${JSON.stringify(wanted)}`, 30_000, async () => {
      const { body } = await app.request('GET', `${BASE}/schedule/${key}`);
      const isSo = Object.entries(wanted).every(
        ([name, value]) => JSON.stringify(body[name]) === JSON.stringify(value),
      );
      return isSo ? true : undefined;
    });
  }

  async function push(body: unknown): Promise<void> {
    const MessageBody = typeof body === 'string' ? body : JSON.stringify(body);
    await clients.sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody }));
  }

  function about(type: SesEventType, name: string): ReturnType<typeof sesEvent> {
    return sesEvent(type, { messageKey: key, group: GROUP, recipient: `${name}@example.com` });
  }

  it('is read: raw or in an envelope, each once however often it comes', async () => {
    for (const event of [
      about('Permanent bounce', 'ada'),
      snsEnvelope(about('Permanent bounce', 'ada')),
      snsEnvelope(about('Complaint', 'alan')),
      about('Delivery', 'grace'),
      about('Delivery', 'grace'),
      about('Send', 'grace'),
    ]) {
      await push(event);
    }

    await untilMessage({ feedback: { delivered: 1, bounced: 1, complained: 1 } });

    const { body } = await app.request('GET', `${BASE}/subscribers/ada@example.com`);
    expect(body['status']).toBe('bounced');
    const { body: suppression } = await app.request('GET', '/v1/suppressions/alan@example.com');
    expect(suppression['reason']).toBe('complained');
  });

  it('sets aside what is not what it says, and goes on with the rest', async () => {
    await push('not an event');
    await push(sesEvent('Delivery', { messageKey: key, group: 'another', recipient: 'ada@example.com' }));
    await push(about('Delivery', 'ada'));

    await untilMessage({ feedback: { delivered: 2, bounced: 1, complained: 1 } });
    const { QueueUrl: deadUrl } = await clients.sqs.send(
      new GetQueueUrlCommand({ QueueName: deadLetterQueueName(queueName) }),
    );
    const dead = new Set<string | undefined>();
    await until('both are set aside', 40_000, async () => {
      const { Messages } = await clients.sqs.send(
        new ReceiveMessageCommand({ QueueUrl: deadUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
      );
      (Messages ?? []).forEach(({ MessageId }) => dead.add(MessageId));
      return dead.size === 2 ? true : undefined;
    });
    expect(dead.size).toBe(2);
  });
});

import { GetQueueUrlCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type AwsClients, openAwsClients } from '../../src/engines/aws/aws-clients.ts';
import {
  FEEDBACK_QUEUE_VISIBILITY_SECONDS,
  deadLetterQueueName,
} from '../../src/engines/aws/queue-definitions.ts';
import { DeadLetterQueuePart, QueuePart } from '../../src/engines/aws/queue-part.ts';
import { textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { SesStandIn } from '../support/ses-stand-in.ts';
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
  let ses: SesStandIn;
  let key: string;

  beforeAll(async () => {
    clients = openAwsClients(process.env['AWS_ENDPOINT_URL']);
    const deadLetters = new DeadLetterQueuePart(clients.sqs, queueName);
    const queue = new QueuePart(clients.sqs, queueName, FEEDBACK_QUEUE_VISIBILITY_SECONDS, deadLetters);
    await deadLetters.make();
    await queue.make();
    queueUrl = await queue.url();
    ses = await SesStandIn.start();
    vi.stubEnv('AWS_ENDPOINT_URL_SESV2', ses.url);
    app = await startTestApp({
      env: { FEEDBACK_QUEUE_URL: queueUrl, MAIL: 'ses', MAIL_FROM: 'news@example.com' },
    });
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
    await ses.close();
    vi.unstubAllEnvs();
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

  it('tells what became of mails as they left: who was in doubt has got it, and who is not there is not written to again', async () => {
    const base = `${BASE}-end-to-end`;
    const subscribers = ['doubt', 'gone', 'here'].map((name) => ({ email: `${name}@end.example` }));
    await app.request('POST', `${base}/subscribers`, { body: { subscribers } });
    // Each in a call of its own, because SES would take what stands in the braces for a value.
    const body = '<p>{% raw %}{{ name }}{% endraw %}, dear {{ email }}</p>';
    ses.forget();
    ses.behave([{ match: '^doubt', do: 'cut', taken: true }]);
    const { body: message } = await app.request('POST', `${base}/schedule`, {
      body: {
        subject: 'News',
        body,
        template: 'liquid',
        schedule_on: '2020-01-01T00:00Z',
        on_missed: 'send',
        on_unknown: 'leave',
      },
    });
    const path = `${base}/schedule/${textAt(message, 'key')}`;
    const untilCounts = async (wanted: Readonly<Record<string, number>>): Promise<void> => {
      await expect
        .poll(async () => (await app.request('GET', path)).body['counts'], { timeout: 30_000 })
        .toMatchObject(wanted);
    };
    await untilCounts({ sent: 2, unknown: 1 });

    for (const { recipient, tags } of ses.received) {
      const of = { messageKey: tags['message_key'] ?? '', group: tags['group'] ?? '', recipient };
      await push(snsEnvelope(sesEvent('Send', of)));
      await push(sesEvent(recipient.startsWith('gone') ? 'Permanent bounce' : 'Delivery', of));
    }

    await untilCounts({ sent: 3, unknown: 0 });
    const { body: doubted } = await app.request('GET', `${path}/deliveries/doubt@end.example`);
    await expect
      .poll(async () => (await app.request('GET', path)).body['feedback'], { timeout: 30_000 })
      .toEqual({ delivered: 2, bounced: 1, complained: 0 });
    const { body: gone } = await app.request('GET', `${base}/subscribers/gone@end.example`);
    expect(ses.received).toHaveLength(3);
    expect(doubted).toMatchObject({ outcome: 'sent', reason: matching(/confirmed/) });
    expect(gone['status']).toBe('bounced');
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

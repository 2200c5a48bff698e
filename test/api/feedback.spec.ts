import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { isObject, type JsonObject, objectsAt, textAt } from '../support/json.ts';
import { signatureOf } from '../support/feedback-signature.ts';
import { type Behaviour, SmtpSink } from '../support/smtp-sink.ts';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-of-whoever-reads-the-bounces';
const AT = '2026-11-23T14:10:05.000Z';
const PEOPLE = ['ada', 'alan', 'barbara', 'grace'].map((name) => `${name}@example.com`);

describe('POST /v1/feedback', () => {
  let sink: SmtpSink;
  let app: TestApp;
  let groups = 0;

  beforeAll(async () => {
    sink = await SmtpSink.start({ behaviours: [{ at: 'rcpt', do: 'reply', code: 550, match: '^barbara' }] });
    app = await startTestApp({
      env: {
        FEEDBACK_SECRET: SECRET,
        SMTP_URL: sink.url,
        VERP_DOMAIN: 'bounces.example.com',
        BRAKE_MINIMUM: '1000',
      },
    });
  });
  afterAll(async () => {
    await app.close();
    await sink.close();
  });

  /** A message that has gone out to everybody. */
  async function sent(): Promise<{ readonly group: string; readonly key: string; readonly path: string }> {
    groups += 1;
    const group = `heard-${groups}`;
    const base = `/v1/groups/${group}`;
    await app.request('POST', `${base}/subscribers`, {
      body: { subscribers: PEOPLE.map((email) => ({ email })) },
    });
    const { body } = await app.request('POST', `${base}/schedule`, {
      body: { subject: 'News', body: '<p>News</p>', schedule_on: '2020-01-01T00:00Z', on_missed: 'send' },
    });
    const key = textAt(body, 'key');
    const path = `${base}/schedule/${key}`;
    await until('the message is sent', 20_000, async () => {
      const { body: message } = await app.request('GET', path);
      return message['status'] === 'sent' ? true : undefined;
    });
    return { group, key, path };
  }

  async function post(events: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer> {
    const body = JSON.stringify({ events });
    return app.request('POST', '/v1/feedback', {
      body,
      headers: headers ?? signatureOf(body, SECRET, Temporal.Now.instant()),
    });
  }

  function resultsOf({ body }: Answer): readonly unknown[] {
    return objectsAt(body, 'results').map((one) => one['result']);
  }

  it('ends what bounced and what was complained about, records what arrived, and changes nothing the second time', async () => {
    const { group, key, path } = await sent();
    const about = (subscriber: string, event: JsonObject): JsonObject => ({
      message_key: key,
      group,
      subscriber,
      at: AT,
      ...event,
    });
    const events = [
      about('Ada@Example.com', { type: 'bounce', permanent: true, detail: '550 5.1.1\r\nno such user' }),
      about('alan@example.com', { type: 'complaint' }),
      about('grace@example.com', { type: 'delivery', detail: '250 OK' }),
      about('grace@example.com', { type: 'bounce', permanent: false }),
    ];

    const first = await post(events);
    const second = await post(events);

    expect(first.status).toBe(200);
    expect(resultsOf(first)).toEqual(['recorded', 'recorded', 'recorded', 'recorded']);
    expect(resultsOf(second)).toEqual(['repeated', 'repeated', 'repeated', 'repeated']);
    const { body: message } = await app.request('GET', path);
    // One of them was refused at once.
    expect(message['feedback']).toEqual({ delivered: 1, bounced: 2, complained: 1 });
    expect(message['counts']).toMatchObject({ sent: 3, failed: 1 });
    const { body: ada } = await app.request('GET', `${path}/deliveries/ada@example.com`);
    expect(ada).toMatchObject({
      outcome: 'sent',
      delivered_at: null,
      feedback: [{ kind: 'bounced', at: AT, detail: '550 5.1.1 no such user' }],
    });
    const { body: grace } = await app.request('GET', `${path}/deliveries/grace@example.com`);
    expect(grace).toMatchObject({
      delivered_at: AT,
      feedback: [{ kind: 'delivered', detail: '250 OK' }, { kind: 'delayed' }],
    });
    const statuses = await Promise.all(
      ['ada', 'alan', 'grace'].map(async (name) => {
        const { body } = await app.request('GET', `/v1/groups/${group}/subscribers/${name}@example.com`);
        return body['status'];
      }),
    );
    expect(statuses).toEqual(['bounced', 'complained', 'active']);
    const { body: consent } = await app.request(
      'GET',
      `/v1/groups/${group}/subscribers/ada@example.com/consent`,
    );
    expect(objectsAt(consent, 'entries').at(-1)).toMatchObject({
      what: 'bounced',
      how: 'feedback',
      message_key: key,
    });
    const { body: suppressed } = await app.request('GET', '/v1/suppressions/ada@example.com');
    expect(suppressed).toMatchObject({ reason: 'bounced', detail: '550 5.1.1 no such user' });
    for (const name of ['ada', 'alan']) {
      await app.request('DELETE', `/v1/suppressions/${name}@example.com`);
    }
    // Whoever was made active again stays so, though the same is told once more.
    expect(resultsOf(await post(events))).toEqual(['repeated', 'repeated', 'repeated', 'repeated']);
    expect((await app.request('GET', '/v1/suppressions/ada@example.com')).status).toBe(404);
  });

  it('knows by the return path alone whose mail bounced', async () => {
    const { group, key } = await sent();
    const path = sink.received.findLast(({ recipient }) => recipient === 'grace@example.com')?.from ?? '';

    const answer = await post([
      { type: 'bounce', permanent: true, return_path: path.toUpperCase(), at: AT },
      { type: 'bounce', permanent: true, return_path: path.replace('+', '+a'), at: AT },
      { type: 'bounce', permanent: true, return_path: 'news@example.com', at: AT },
    ]);

    expect(path).toMatch(/^bounce\+[a-z2-7]{56}@bounces\.example\.com$/);
    expect(resultsOf(answer)).toEqual(['recorded', 'unmatched', 'unmatched']);
    const { body } = await app.request(
      'GET',
      `/v1/groups/${group}/schedule/${key}/deliveries/grace@example.com`,
    );
    expect(body['feedback']).toMatchObject([{ kind: 'bounced' }]);
    await app.request('DELETE', '/v1/suppressions/grace@example.com');
  });

  it('answers each event for itself', async () => {
    const { group, key } = await sent();
    const good = { type: 'delivery', message_key: key, group, subscriber: 'ada@example.com', at: AT };

    const answer = await post([
      good,
      { ...good, subscriber: 'nobody@example.com' },
      { ...good, message_key: '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d47' },
      { ...good, group: 'another' },
      { ...good, type: 'bounce' },
      { ...good, type: 'opened' },
      { ...good, at: 'yesterday' },
      { ...good, message_key: 'x', group: '?', subscriber: 'y' },
      { type: 'delivery', at: AT },
      { ...good, more: 1 },
      null,
    ]);

    const results = objectsAt(answer.body, 'results');
    expect(results.slice(0, 4)).toEqual(
      ['recorded', 'unmatched', 'unmatched', 'unmatched'].map((result) => ({ result })),
    );
    expect(results.slice(4).map((one) => objectsAt(one, 'errors').map((error) => error['pointer']))).toEqual([
      ['/events/4/permanent'],
      ['/events/5/type'],
      ['/events/6/at'],
      ['/events/7/message_key', '/events/7/group', '/events/7/subscriber'],
      ['/events/8/message_key', '/events/8/group', '/events/8/subscriber'],
      ['/events/9/more'],
      ['/events/10'],
    ]);
    expect(results.filter(isObject)).toHaveLength(11);
  });

  it.each([
    ['without a signature', {}],
    ['with one of another form', { 'belfry-signature': 'v1=00' }],
    ['signed with another secret', signatureOf('{"events":[]}', 'another', Temporal.Now.instant())],
    ['signed for another body', signatureOf('{}', SECRET, Temporal.Now.instant())],
    [
      'signed an hour ago',
      signatureOf('{"events":[]}', SECRET, Temporal.Now.instant().subtract({ hours: 1 })),
    ],
    ['signed in an hour', signatureOf('{"events":[]}', SECRET, Temporal.Now.instant().add({ hours: 1 }))],
  ])('refuses what comes %s', async (_, headers) => {
    const answer = await post([], headers);

    expect(answer.status).toBe(403);
    expect(answer.body['code']).toBe('feedback-signature');
  });

  it.each([
    ['none', [], '/events'],
    ['too many', Array.from({ length: 101 }, () => ({})), '/events'],
    ['no list', 'x', '/events'],
  ])('refuses %s events', async (_, events, pointer) => {
    const answer = await post(events);

    expect(answer.status).toBe(400);
    expect(objectsAt(answer.body, 'errors').map((error) => error['pointer'])).toContain(pointer);
  });
});

describe('a mail server that refuses at once', () => {
  const PEOPLE_REFUSED = ['closed', 'full', 'gone', 'policy', 'vague'].map((name) => `${name}@example.com`);
  const says = (match: string, text: string): Behaviour => ({
    at: 'rcpt',
    do: 'reply',
    code: 550,
    match,
    text,
  });

  it('ends what it says is no address, as a bounce does that comes later, and nothing else', async () => {
    const sink = await SmtpSink.start({
      behaviours: [
        says('^gone', '5.1.1 No such user here'),
        says('^closed', '5.2.1 Mailbox disabled'),
        says('^full', '5.2.2 Mailbox full'),
        says('^policy', '5.7.1 Not from you'),
        says('^vague', 'No thanks'),
      ],
    });
    onTestFinished(() => sink.close());
    const app = await startTestApp({ env: { SMTP_URL: sink.url } });
    onTestFinished(() => app.close());
    const base = '/v1/groups/refused';
    await app.request('POST', `${base}/subscribers`, {
      body: { subscribers: PEOPLE_REFUSED.map((email) => ({ email })) },
    });
    const body = {
      subject: 'News',
      body: '<p>News</p>',
      schedule_on: '2020-01-01T00:00Z',
      on_missed: 'send',
    };

    const { body: message } = await app.request('POST', `${base}/schedule`, { body });

    const key = textAt(message, 'key');
    await until('the message is sent', 20_000, async () => {
      const { body: found } = await app.request('GET', `${base}/schedule/${key}`);
      return found['status'] === 'sent' ? true : undefined;
    });
    const { body: all } = await app.request('GET', `${base}/subscribers`);
    expect(objectsAt(all, 'items').map(({ subscriber, status }) => [subscriber, status])).toEqual([
      ['closed@example.com', 'bounced'],
      ['full@example.com', 'active'],
      ['gone@example.com', 'bounced'],
      ['policy@example.com', 'active'],
      ['vague@example.com', 'active'],
    ]);
    const { body: suppressed } = await app.request('GET', '/v1/suppressions');
    expect(objectsAt(suppressed, 'items')).toMatchObject([
      { subscriber: 'closed@example.com', reason: 'bounced', detail: '550 5.2.1 Mailbox disabled' },
      { subscriber: 'gone@example.com', reason: 'bounced', detail: '550 5.1.1 No such user here' },
    ]);
    const { body: consent } = await app.request('GET', `${base}/subscribers/gone@example.com/consent`);
    expect(objectsAt(consent, 'entries').at(-1)).toMatchObject({
      what: 'bounced',
      how: 'feedback',
      reason: '550 5.1.1 No such user here',
      message_key: key,
    });
    const { text: metrics } = await app.request('GET', '/metrics');
    expect(metrics).toContain('belfry_feedback_total{kind="bounced"} 5');
    expect(metrics).toContain('belfry_messages_held_total 0');
  });
});

it('is not there without FEEDBACK_SECRET', async () => {
  const app = await startTestApp();

  const answer = await app.request('POST', '/v1/feedback', { body: { events: [] } });

  expect(answer.status).toBe(404);
  expect(answer.body['code']).toBe('feedback-off');
  await app.close();
});

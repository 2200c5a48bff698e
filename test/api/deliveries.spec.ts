import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, type JsonObject, numberAt, objectsAt, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const FAR = '2100-01-01T09:00:00Z';
// For a state that must come: a test that waits longer has failed.
const PATIENCE_MS = 30_000;
const LONG_PAST = 1_649_753_447_000;

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

/** A group with three subscribers, of whom Alan has unsubscribed. */
async function aGroup(group: string): Promise<void> {
  await app.request('POST', `/v1/groups/${group}/subscribers`, {
    body: { subscribers: ['ada', 'alan', 'grace'].map((name) => ({ email: `${name}@example.com` })) },
  });
  await app.request('PATCH', `/v1/groups/${group}/subscribers/alan@example.com`, {
    body: { status: 'unsubscribed' },
  });
}

/** The path of a message that is due at once, unless told otherwise. */
async function aMessage(group: string, fields: object = {}): Promise<string> {
  const { headers } = await app.request('POST', `/v1/groups/${group}/schedule`, {
    body: {
      subject: 'News',
      body: '<p>News</p>',
      schedule_on: Temporal.Now.instant().epochMilliseconds,
      ...fields,
    },
  });
  return headers.get('location') ?? '';
}

async function untilStatus(path: string, status: string): Promise<JsonObject> {
  return until(`${path} is ${status}`, PATIENCE_MS, async () => {
    const { body } = await app.request('GET', path);
    return body['status'] === status ? body : undefined;
  });
}

describe('a message whose time has come', () => {
  let path: string;
  beforeAll(async () => {
    await aGroup('due');
    path = await aMessage('due');
    await untilStatus(path, 'sent');
  });

  it('counts every subscriber, and is late by less than it took to get here', async () => {
    const { body } = await app.request('GET', path);

    expect(body['counts']).toEqual({
      subscribers: 3,
      pending: 0,
      sent: 2,
      failed: 0,
      skipped: 1,
      unknown: 0,
    });
    const first = numberAt(body, 'latency', 'first_attempt_ms');
    const last = numberAt(body, 'latency', 'last_attempt_ms');
    const accepted = numberAt(body, 'latency', 'last_accepted_ms');
    expect(first).toBeGreaterThanOrEqual(0);
    expect(last).toBeGreaterThanOrEqual(first);
    expect(accepted).toBeGreaterThanOrEqual(last);
    expect(accepted).toBeLessThan(PATIENCE_MS);
  });

  it('has one delivery for each, in order of address, with the outcome and when', async () => {
    const deliveries = await listAll(app, `${path}/deliveries`);

    expect(deliveries).toEqual([
      aDelivery({ subscriber: 'ada@example.com', provider_id: matching(/./) }),
      aDelivery({
        subscriber: 'alan@example.com',
        outcome: 'skipped',
        attempt: 0,
        reason: matching(/unsubscribed/),
      }),
      aDelivery({ subscriber: 'grace@example.com', provider_id: matching(/./) }),
    ]);
  });

  it.each([
    [{ limit: '1' }, ['ada@example.com', 'alan@example.com', 'grace@example.com']],
    [{ limit: '1', outcome: 'sent' }, ['ada@example.com', 'grace@example.com']],
    [{ outcome: 'skipped' }, ['alan@example.com']],
    [{ outcome: 'failed' }, []],
    [{ outcome: 'unknown' }, []],
  ])('lists the deliveries that %j asks for', async (query, expected) => {
    const deliveries = await listAll(app, `${path}/deliveries`, query);

    expect(deliveries.map((delivery) => textAt(delivery, 'subscriber'))).toEqual(expected);
  });

  it('says of one subscriber what became of it, however the address is spelt', async () => {
    const answer = await app.request('GET', `${path}/deliveries/ADA@example.com`);

    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ subscriber: 'ada@example.com', outcome: 'sent', attempt: 1 });
  });

  it('has no delivery for somebody who was not in the group', async () => {
    await app.request('POST', '/v1/groups/due/subscribers', { body: { email: 'late@example.com' } });

    for (const who of ['nobody@example.com', 'late@example.com']) {
      const answer = await app.request('GET', `${path}/deliveries/${who}`);

      expect(answer.status).toBe(404);
      expect(answer.body['code']).toBe('delivery-not-found');
    }
  });

  it.each(['PATCH', 'DELETE', 'POST …/pause', 'POST …/resume'])(
    'is finished, so that %s is refused with 409',
    async (operation) => {
      const [method = '', action = ''] = operation.split(' …');

      const answer = await app.request(method, `${path}${action}`, { body: {} });

      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        code: 'message-status-conflict',
        detail: matching(/is sent/),
      });
    },
  );

  it('keeps its record when the subscriber is removed, and the group after it', async () => {
    await app.request('DELETE', '/v1/groups/due/subscribers/ada@example.com');
    const removed = await app.request('DELETE', '/v1/groups/due');

    const answer = await app.request('GET', `${path}/deliveries/ada@example.com`);

    expect(removed.status).toBe(204);
    expect(answer.body).toMatchObject({ subscriber: 'ada@example.com', outcome: 'sent' });
  });
});

describe('a message', () => {
  it('has no deliveries before its time', async () => {
    await aGroup('early');
    const path = await aMessage('early', { schedule_on: FAR });

    const list = await app.request('GET', `${path}/deliveries`);
    const one = await app.request('GET', `${path}/deliveries/ada@example.com`);

    expect(list.body).toEqual({ items: [], next_cursor: null });
    expect(one.status).toBe(404);
  });

  it('of a group without subscribers is sent, to nobody', async () => {
    const path = await aMessage('empty');

    const message = await untilStatus(path, 'sent');

    expect(message['counts']).toMatchObject({ subscribers: 0, sent: 0 });
    expect(message['latency']).toEqual({
      first_attempt_ms: null,
      last_attempt_ms: null,
      last_accepted_ms: null,
    });
  });

  it('that is held goes out at once when it is resumed, and its lateness counts from then', async () => {
    await aGroup('resumed');
    const path = await aMessage('resumed', { schedule_on: LONG_PAST });

    const resumed = await app.request('POST', `${path}/resume`);
    const message = await untilStatus(path, 'sent');

    expect(resumed.status).toBe(200);
    expect(message).toMatchObject({ schedule_on: LONG_PAST, counts: { sent: 2, skipped: 1 } });
    expect(numberAt(message, 'latency', 'last_accepted_ms')).toBeLessThan(PATIENCE_MS);
  });

  it('that is held goes out when PATCH gives it a time that has come', async () => {
    await aGroup('retimed');
    const path = await aMessage('retimed', { schedule_on: LONG_PAST });

    await app.request('PATCH', path, {
      body: { schedule_on: Temporal.Now.instant().epochMilliseconds },
    });

    expect(at(await untilStatus(path, 'sent'), 'counts', 'sent')).toBe(2);
  });

  it('that says on_missed send goes out, however late it is', async () => {
    await aGroup('missed');

    const path = await aMessage('missed', { schedule_on: LONG_PAST, on_missed: 'send' });

    expect(at(await untilStatus(path, 'sent'), 'counts', 'sent')).toBe(2);
  });

  it('that was missed by less than the grace goes out at once', async () => {
    await aGroup('grace');
    const anHourAgo = Temporal.Now.instant().subtract({ hours: 1 }).epochMilliseconds;

    const path = await aMessage('grace', { schedule_on: anHourAgo });

    expect(at(await untilStatus(path, 'sent'), 'counts', 'sent')).toBe(2);
  });

  it('that is paused sends nothing until it is resumed', async () => {
    await aGroup('paused');
    const path = await aMessage('paused', { schedule_on: FAR });
    await app.request('POST', `${path}/pause`);
    await app.request('PATCH', path, {
      body: { schedule_on: Temporal.Now.instant().epochMilliseconds },
    });
    const another = await aMessage('paused');
    await untilStatus(another, 'sent');

    const paused = await app.request('GET', path);
    await app.request('POST', `${path}/resume`);
    const resumed = await untilStatus(path, 'sent');

    expect(paused.body).toMatchObject({ status: 'paused', counts: { subscribers: 0 } });
    expect(resumed['counts']).toMatchObject({ subscribers: 3, sent: 2 });
  });

  it('is tried again on request, those that failed and nobody else', async () => {
    await app.request('POST', '/v1/groups/retried/subscribers', {
      body: {
        subscribers: [
          { email: 'ada@example.com', attributes: { many: 1 } },
          { email: 'grace@example.com', attributes: { many: 999_999_999 } },
        ],
      },
    });
    const path = await aMessage('retried', {
      template: 'liquid',
      body: '{% for i in (1..subscriber.attributes.many) %}{{ i }}{% endfor %}',
    });
    const { version } = await untilStatus(path, 'sent');
    await app.request('PATCH', '/v1/groups/retried/subscribers/grace@example.com', {
      body: { attributes: { many: 2 } },
    });

    const retried = await app.request('POST', `${path}/retry`);

    expect(retried.status).toBe(200);
    expect(retried.body).toMatchObject({ status: 'sending', version: Number(version) + 1 });
    expect(retried.headers.get('etag')).toBe(`"${Number(version) + 1}"`);
    const sent = await untilStatus(path, 'sent');
    expect(sent['counts']).toMatchObject({ sent: 2, failed: 0 });
    expect(sent['batches']).toEqual({ cut: 1, settled: 1, set_aside: 0 });
    const again = await app.request('POST', `${path}/retry?outcome=unknown`);
    expect(again.body).toEqual(sent);
  });

  it.each([
    ['one that has not begun', { schedule_on: FAR }, 'message-status-conflict'],
    ['one that was held', { schedule_on: LONG_PAST }, 'message-status-conflict'],
  ])('cannot be retried: %s', async (_, fields, code) => {
    await aGroup('not-retried');
    const path = await aMessage('not-retried', fields);

    const answer = await app.request('POST', `${path}/retry`);

    expect(answer.status).toBe(409);
    expect(textAt(answer.body, 'type')).toContain(code);
  });

  it.each(['sent', 'skipped', '', 'failed,unknown'])(
    'cannot be retried for the outcome "%s"',
    async (outcome) => {
      const path = await aMessage('due', { schedule_on: FAR });

      const answer = await app.request('POST', `${path}/retry?outcome=${outcome}`);

      expect(answer.status).toBe(400);
      expect(objectsAt(answer.body, 'errors')).toEqual([
        { pointer: 'outcome', detail: 'One of failed, unknown is needed.' },
      ]);
    },
  );

  it('lists its batches, those of one state where asked, page by page', async () => {
    const names = Array.from({ length: 120 }, (_, index) => `s${String(index).padStart(3, '0')}@example.com`);
    await app.request('POST', '/v1/groups/batched/subscribers', {
      body: { subscribers: names.map((email) => ({ email })) },
    });
    const path = await aMessage('batched');
    await untilStatus(path, 'sent');

    const batches = await listAll(app, `${path}/batches`, { limit: '2' });

    expect(batches).toEqual(
      [
        { first: names[0], last: names[49], count: 50 },
        { first: names[50], last: names[99], count: 50 },
        { first: names[100], last: names[119], count: 20 },
      ].map((batch) => ({ ...batch, state: 'settled', tries: 0, error: null })),
    );
    expect(await listAll(app, `${path}/batches`, { state: 'set_aside' })).toEqual([]);
    expect((await app.request('GET', `${path}/batches?state=dead`)).status).toBe(400);
  });

  it('fails for nobody but the subscriber whose data breaks the template', async () => {
    await app.request('POST', '/v1/groups/liquid/subscribers', {
      body: {
        subscribers: [
          { email: 'ada@example.com', attributes: { many: 1 } },
          { email: 'grace@example.com', attributes: { many: 999_999_999 } },
        ],
      },
    });

    const path = await aMessage('liquid', {
      template: 'liquid',
      body: '{% for i in (1..subscriber.attributes.many) %}{{ i }}{% endfor %}',
    });

    expect((await untilStatus(path, 'sent'))['counts']).toMatchObject({ sent: 1, failed: 1 });
    const { body } = await app.request('GET', `${path}/deliveries/grace@example.com`);
    expect(body).toMatchObject({
      outcome: 'failed',
      reason: matching(/template of the body/),
    });
  });
});

function aDelivery(fields: JsonObject): JsonObject {
  return {
    subscriber: 'ada@example.com',
    outcome: 'sent',
    at: matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    attempt: 1,
    unknown_attempts: 0,
    provider_id: null,
    reason: null,
    delivered_at: null,
    feedback: [],
    ...fields,
  };
}

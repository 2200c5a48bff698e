import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, numberAt, objectsAt, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';

// Letter for letter what the curl of the sample sends.
const SAMPLE =
  '{"subject":"Hello SLS workshop!", "body":"The workshop is not recorded.<h1>Welcome dear friends</h1>", "schedule_on":1649753447000}';
const SAMPLE_MS = 1_649_753_447_000;
const FAR = '2100-01-01T09:00:00.000Z';
const TEN_MIB = 10 * 1024 * 1024;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ env: { PUBLIC_URL: 'https://news.example.com' } });
});
afterAll(() => app.close());

async function schedule(
  group: string,
  fields: object = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  return app.request('POST', `/v1/groups/${group}/schedule`, {
    body: { subject: 'News', body: '<p>News</p>', schedule_on: FAR, ...fields },
    headers,
  });
}

/** The path of a message that was just scheduled. */
async function scheduledPath(group: string, fields: object = {}): Promise<string> {
  const { headers } = await schedule(group, fields);
  return headers.get('location') ?? '';
}

describe("the sample's request", () => {
  it('is stored and held, with the reason, by how long it is late, and what to do', async () => {
    const before = Temporal.Now.instant().epochMilliseconds;

    const answer = await app.request('POST', '/serverless/schedule', { body: SAMPLE });

    const after = Temporal.Now.instant().epochMilliseconds;
    const key = textAt(answer.body, 'key');
    const path = `/v1/groups/serverless/schedule/${key}`;
    expect(answer.status).toBe(201);
    expect(key).toMatch(UUID_V7);
    expect(answer.headers.get('location')).toBe(path);
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(answer.body).toMatchObject({
      message: matching(/held/),
      details: {
        group: 'serverless',
        subject: 'Hello SLS workshop!',
        scheduled: '2022-04-12T08:50:47.000Z',
        key,
      },
      status: 'held',
      reason: matching(/2022-04-12T08:50:47\.000Z, had passed \d+ years? .*grace is 24 hours/),
      schedule_on: SAMPLE_MS,
      scheduled_at: '2022-04-12T08:50:47.000Z',
      tags: {
        group: 'serverless',
        subject: 'Hello SLS workshop_',
        scheduled: '2022-04-12T08:50:47.000Z',
        key,
      },
    });
    expect(numberAt(answer.body, 'late_ms')).toBeGreaterThanOrEqual(before - SAMPLE_MS);
    expect(numberAt(answer.body, 'late_ms')).toBeLessThanOrEqual(after - SAMPLE_MS);
    const held = objectsAt(answer.body, 'warnings').find(({ code }) => code === 'held');
    expect(held?.['detail']).toContain(`POST ${path}/resume`);
    expect(held?.['detail']).toContain(`PATCH ${path}`);
  });

  it('sends nothing by itself', async () => {
    await app.request('POST', '/sample-group/subscribers', { body: { email: 'ada@example.com' } });
    const { headers } = await app.request('POST', '/sample-group/schedule', { body: SAMPLE });

    const answer = await app.request('GET', headers.get('location') ?? '');

    expect(answer.body).toMatchObject({ status: 'held', counts: { subscribers: 0, sent: 0 } });
  });
});

describe('POST …/schedule', () => {
  it('answers with the message as GET then shows it', async () => {
    const answer = await schedule('answered', {
      subject: 'All of it',
      text: 'In plain words',
      from: 'News <news@example.com>',
      reply_to: 'help@example.com',
      template: 'liquid',
      expires_at: '2100-01-02T09:00Z',
      on_missed: 'skip',
      on_unknown: 'leave',
    });

    const read = await app.request('GET', answer.headers.get('location') ?? '');
    const { message, details, warnings, ...shown } = answer.body;
    expect(answer.status).toBe(201);
    expect(message).toBe('The message is scheduled.');
    expect(at(details, 'subject')).toBe('All of it');
    expect(warnings).toEqual([expect.objectContaining({ code: 'no-subscribers' })]);
    expect(read.body).toEqual({ ...shown, warnings: [] });
    expect(read.headers.get('etag')).toBe('"1"');
    expect(shown).toMatchObject({
      subject: 'All of it',
      from: 'News <news@example.com>',
      reply_to: 'help@example.com',
      status: 'scheduled',
      reason: null,
      late_ms: null,
      scheduled_at: FAR,
      content: { template: 'liquid' },
      expires_at: '2100-01-02T09:00:00.000Z',
      on_missed: 'skip',
      on_unknown: 'leave',
      version: 1,
    });
  });

  it('warns of no missing subscribers where there is one', async () => {
    await app.request('POST', '/v1/groups/with-ada/subscribers', { body: { email: 'ada@example.com' } });

    const answer = await schedule('with-ada');

    expect(answer.body['warnings']).toEqual([expect.objectContaining({ code: 'no-postal-address' })]);
  });

  it('warns of nothing where the group has a subscriber and a postal address', async () => {
    const settings = { postal_address: 'Tower Street 1\nLondon' };
    await app.request('PUT', '/v1/groups/addressed', { body: settings });
    await app.request('POST', '/v1/groups/addressed/subscribers', { body: { email: 'ada@example.com' } });

    const answer = await schedule('addressed');

    expect(answer.body['warnings']).toEqual([]);
  });

  it.each([
    [4_102_477_200_000],
    [FAR],
    ['2100-01-01T09:00:00Z'],
    ['2100-01-01T10:00:00+01:00'],
    ['2100-01-01T10:00[Europe/Paris]'],
    ['2100-01-01T10:00:00+01:00[Europe/Paris]'],
  ])('reads %j as the same moment', async (scheduleOn) => {
    const answer = await schedule('moments', { schedule_on: scheduleOn });

    expect(answer.body).toMatchObject({ schedule_on: 4_102_477_200_000, scheduled_at: FAR });
  });

  it.each([
    ['hold', 'held'],
    ['skip', 'skipped'],
  ])('obeys on_missed %s for a time that has long passed: it is %s', async (onMissed, status) => {
    const answer = await schedule(`missed-${onMissed}`, { schedule_on: SAMPLE_MS, on_missed: onMissed });

    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ status, reason: matching(/had passed/) });
  });

  it('keeps two messages of one group and one moment apart', async () => {
    const first = await schedule('same-moment', { body: 'first' });
    const second = await schedule('same-moment', { body: 'second' });

    const read = await Promise.all(
      [first, second].map(({ headers }) => app.request('GET', `${headers.get('location')}/content`)),
    );

    expect(read.map(({ body }) => body['body'])).toEqual(['first', 'second']);
  });

  it.each([
    ['ASCII', 'x'],
    ['characters of four bytes', '👋'],
    ['characters that JSON escapes', '"'],
  ])('takes a body of 10 MB of %s, and gives it back as it was', async (_what, character) => {
    const body = character.repeat(TEN_MIB / Buffer.byteLength(character));

    const answer = await schedule('ten-megabytes', { body });

    expect(answer.status).toBe(201);
    const content = await app.request('GET', `${answer.headers.get('location')}/content`);
    expect(Buffer.byteLength(body)).toBe(TEN_MIB);
    expect(content.body['body'] === body).toBe(true); // toBe would print both
  });

  it('stores what it acknowledges of many that come at once, and nothing of those that it refuses', async () => {
    const group = 'crowd';
    const used = { 'Idempotency-Key': 'used' };
    await schedule(group, { subject: 'The first' }, used);
    const plans = Array.from({ length: 64 }, (_, index) => {
      const subject = `No ${index}`;
      switch (index % 8) {
        case 1:
          return { fields: { subject: '' }, headers: {}, status: 400 };
        case 3:
          return { fields: { subject }, headers: used, status: 422 };
        case 5:
          return { fields: { subject, body: '{{', template: 'liquid' }, headers: {}, status: 400 };
        case 6:
          return { fields: { subject: 'The first' }, headers: used, status: 201 };
        default:
          return { fields: { subject }, headers: {}, status: 201 };
      }
    });

    const answers = await Promise.all(plans.map(({ fields, headers }) => schedule(group, fields, headers)));

    expect(answers.map(({ status }) => status)).toEqual(plans.map(({ status }) => status));
    const acknowledged = answers
      .filter(({ status }) => status === 201)
      .map(({ body }) => textAt(body, 'key'));
    const stored = await listAll(app, `/v1/groups/${group}/schedule`);
    expect(stored.map((message) => textAt(message, 'key')).toSorted()).toEqual(
      [...new Set(acknowledged)].toSorted(),
    );
    expect(new Set(acknowledged).size).toBe(33);
  });
});

describe('Idempotency-Key', () => {
  it('answers a repeated request with the first answer, and stores nothing more', async () => {
    const first = await schedule('repeated', {}, { 'idempotency-key': 'order-1' });

    const second = await schedule('repeated', {}, { 'idempotency-key': 'order-1' });

    expect(second.status).toBe(201);
    expect(second.text).toBe(first.text);
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect(second.headers.get('etag')).toBe(first.headers.get('etag'));
    expect(await listAll(app, '/v1/groups/repeated/schedule')).toHaveLength(1);
  });

  it('answers the same though the message has changed meanwhile', async () => {
    const first = await schedule('repeated-later', {}, { 'idempotency-key': 'order-1' });
    await app.request('DELETE', first.headers.get('location') ?? '');

    const second = await schedule('repeated-later', {}, { 'idempotency-key': 'order-1' });

    expect(second.text).toBe(first.text);
  });

  it('is of the same request however its time is spelt', async () => {
    const first = await schedule('respelt', { schedule_on: FAR }, { 'idempotency-key': 'order-1' });

    const second = await schedule(
      'respelt',
      { schedule_on: '2100-01-01T10:00[Europe/Paris]' },
      { 'idempotency-key': 'order-1' },
    );

    expect(second.text).toBe(first.text);
  });

  it.each([
    ['subject', { subject: 'Other' }],
    ['body', { body: 'Other' }],
    ['text', { text: 'Other' }],
    ['schedule_on', { schedule_on: '2100-01-01T09:00:00.001Z' }],
    ['from', { from: 'other@example.com' }],
    ['reply_to', { reply_to: 'other@example.com' }],
    ['template', { template: 'liquid' }],
    ['expires_at', { expires_at: '2101-01-01T09:00Z' }],
    ['on_missed', { on_missed: 'skip' }],
    ['on_unknown', { on_unknown: 'leave' }],
  ])('is refused with 422 for a request with another %s', async (field, change) => {
    await schedule(`reused-${field}`, {}, { 'idempotency-key': 'order-1' });

    const answer = await schedule(`reused-${field}`, change, { 'idempotency-key': 'order-1' });

    expect(answer.status).toBe(422);
    expect(answer.body['code']).toBe('idempotency-key-reused');
    expect(await listAll(app, `/v1/groups/reused-${field}/schedule`)).toHaveLength(1);
  });

  it('stores one message where many requests come at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => schedule('at-once', {}, { 'idempotency-key': 'order-1' })),
    );

    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.status).toBe(201);
    expect(await listAll(app, '/v1/groups/at-once/schedule')).toHaveLength(1);
  });

  it('of one group says nothing about another', async () => {
    const first = await schedule('keys-here', {}, { 'idempotency-key': 'order-1' });
    const second = await schedule('keys-there', {}, { 'idempotency-key': 'order-1' });

    expect(second.status).toBe(201);
    expect(second.body['key']).not.toBe(first.body['key']);
  });
});

describe('GET …/schedule', () => {
  const TIMES = [
    ['third', '2100-01-03T00:00:00Z'],
    ['first', '2100-01-01T00:00:00Z'],
    ['held', SAMPLE_MS],
    ['second', '2100-01-02T00:00:00Z'],
    ['fourth', '2100-01-04T00:00:00Z'],
  ] as const;

  beforeAll(async () => {
    for (const [subject, scheduleOn] of TIMES) {
      const path = await scheduledPath('listed', { subject, schedule_on: scheduleOn });
      if (subject === 'second') {
        await app.request('DELETE', path);
      }
      if (subject === 'fourth') {
        await app.request('POST', `${path}/pause`);
      }
    }
  });

  it.each(['1', '2', '3', '5', '100'])('lists each once, in order of time, in pages of %s', async (limit) => {
    const listed = await listAll(app, '/v1/groups/listed/schedule', { limit });

    expect(subjects(listed)).toEqual(['held', 'first', 'second', 'third', 'fourth']);
  });

  it.each([
    [{ status: 'scheduled' }, ['first', 'third']],
    [{ status: 'held,paused' }, ['held', 'fourth']],
    [{ status: 'cancelled' }, ['second']],
    [{ status: 'sent' }, []],
    [{ from: '2100-01-02T00:00:00Z' }, ['second', 'third', 'fourth']],
    [{ to: '2100-01-02T00:00:00Z' }, ['held', 'first']],
    [{ from: '2100-01-02T01:00[Europe/Paris]', to: '4102617600001' }, ['second', 'third']],
    [{ from: '2100-01-02T00:00:00Z', status: 'scheduled' }, ['third']],
  ])('lists those that %j asks for, page by page', async (query, expected) => {
    const listed = await listAll(app, '/v1/groups/listed/schedule', { ...query, limit: '1' });

    expect(subjects(listed)).toEqual(expected);
  });

  it('lists messages of one moment each once', async () => {
    const keys = await Promise.all(
      Array.from({ length: 7 }, async () => textAt((await schedule('one-moment')).body, 'key')),
    );

    const listed = await listAll(app, '/v1/groups/one-moment/schedule', { limit: '2' });

    expect(listed.map((message) => textAt(message, 'key'))).toEqual(keys.toSorted());
  });
});

describe('GET …/schedule/{key}', () => {
  it('finds the message that was added last as latest', async () => {
    const keys: string[] = [];
    const latest: unknown[] = [];
    for (const subject of ['one', 'two', 'three', 'four', 'five']) {
      keys.push(textAt((await schedule('latest', { subject })).body, 'key'));
      latest.push((await app.request('GET', '/v1/groups/latest/schedule/latest')).body['key']);
    }

    expect(latest).toEqual(keys);
  });

  it('finds it by its key in upper case too', async () => {
    const path = await scheduledPath('upper');
    const key = path.split('/').at(-1) ?? '';

    const answer = await app.request('GET', `/v1/groups/UPPER/schedule/${key.toUpperCase()}`);

    expect(answer.body['key']).toBe(key);
  });

  it.each(['', '/content', '/deliveries'])(
    'answers 404 for the message of another group: …/{key}%s',
    async (rest) => {
      const path = await scheduledPath('mine');
      await scheduledPath('yours');

      const answer = await app.request('GET', `${path.replace('/mine/', '/yours/')}${rest}`);

      expect(answer.status).toBe(404);
      expect(answer.body['code']).toBe('message-not-found');
    },
  );
});

describe('GET …/schedule/{key}/content', () => {
  it('answers exactly the bytes whose size and SHA-256 the message shows', async () => {
    const scheduled = await schedule('sealed', { body: 'Grüße, 世界! 👋\r\n\t"<b>' });

    const response = await fetch(`${app.url}${scheduled.headers.get('location')}/content`);

    const bytes = Buffer.from(await response.arrayBuffer());
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(scheduled.body['content']).toEqual({ bytes: bytes.length, sha256, template: 'none' });
    expect(response.headers.get('etag')).toBe(`"${sha256}"`);
    expect(JSON.parse(bytes.toString())).toEqual({
      subject: 'News',
      body: 'Grüße, 世界! 👋\r\n\t"<b>',
      text: null,
      template: 'none',
      from: null,
      reply_to: null,
    });
  });

  it('answers the new content after a change, and the hash with it', async () => {
    const path = await scheduledPath('resealed');
    const before = await app.request('GET', `${path}/content`);

    const changed = await app.request('PATCH', path, { body: { body: '<p>Other news</p>' } });

    const after = await app.request('GET', `${path}/content`);
    const sha256 = createHash('sha256').update(after.text).digest('hex');
    expect(after.body['body']).toBe('<p>Other news</p>');
    expect(at(changed.body, 'content', 'sha256')).toBe(sha256);
    expect(after.headers.get('etag')).not.toBe(before.headers.get('etag'));
  });
});

describe('PATCH …/schedule/{key}', () => {
  it('changes what is given, empties what is null, and leaves the rest', async () => {
    const path = await scheduledPath('patched', { text: 'In plain words', from: 'news@example.com' });

    const answer = await app.request('PATCH', path, { body: { subject: 'Other news', from: null } });

    expect(answer.status).toBe(200);
    expect(answer.headers.get('etag')).toBe('"2"');
    expect(answer.body).toMatchObject({
      subject: 'Other news',
      from: null,
      scheduled_at: FAR,
      version: 2,
      tags: { subject: 'Other news' },
    });
    const content = await app.request('GET', `${path}/content`);
    expect(content.body).toMatchObject({
      subject: 'Other news',
      body: '<p>News</p>',
      text: 'In plain words',
      from: null,
    });
  });

  it('gives a held message a new time, and with it goes out again', async () => {
    const path = await scheduledPath('released', { schedule_on: SAMPLE_MS });

    const answer = await app.request('PATCH', path, { body: { schedule_on: FAR } });

    expect(answer.body).toMatchObject({
      status: 'scheduled',
      reason: null,
      late_ms: null,
      scheduled_at: FAR,
      tags: { scheduled: FAR },
      warnings: [],
    });
  });

  it('holds a message whose new time lies in the past', async () => {
    const path = await scheduledPath('put-back');

    const answer = await app.request('PATCH', path, { body: { schedule_on: SAMPLE_MS } });

    expect(answer.body).toMatchObject({ status: 'held', warnings: [{ code: 'held' }] });
  });

  it('leaves a paused message paused', async () => {
    const path = await scheduledPath('still-paused');
    await app.request('POST', `${path}/pause`);

    const answer = await app.request('PATCH', path, { body: { schedule_on: '2100-02-01T00:00Z' } });

    expect(answer.body).toMatchObject({ status: 'paused', scheduled_at: '2100-02-01T00:00:00.000Z' });
  });

  it('lets one of many win who change the same version', async () => {
    const path = await scheduledPath('raced');
    const change = async (subject: string): Promise<Answer> =>
      app.request('PATCH', path, { body: { subject }, headers: { 'if-match': '"1"' } });

    const answers = await Promise.all(['a', 'b', 'c', 'd'].map(change));

    expect(answers.map(({ status }) => String(status)).toSorted()).toEqual(['200', '412', '412', '412']);
    const winner = answers.find(({ status }) => status === 200);
    expect((await app.request('GET', path)).body['subject']).toBe(winner?.body['subject']);
  });

  it('loses nothing where many change different things without If-Match', async () => {
    const path = await scheduledPath('merged');

    await Promise.all([
      app.request('PATCH', path, { body: { subject: 'Merged' } }),
      app.request('PATCH', path, { body: { on_missed: 'skip' } }),
      app.request('PATCH', path, { body: { text: 'Merged' } }),
    ]);

    const message = await app.request('GET', path);
    const content = await app.request('GET', `${path}/content`);
    expect(message.body).toMatchObject({ subject: 'Merged', on_missed: 'skip', version: 4 });
    expect(content.body).toMatchObject({ subject: 'Merged', text: 'Merged' });
  });
});

describe('DELETE …/schedule/{key}', () => {
  it('cancels; the second time it changes nothing', async () => {
    const path = await scheduledPath('cancelled');

    const first = await app.request('DELETE', path);
    const second = await app.request('DELETE', path);

    expect(first.status).toBe(200);
    expect(first.headers.get('etag')).toBe('"2"');
    expect(first.body).toMatchObject({ status: 'cancelled', counts: { subscribers: 0, sent: 0 } });
    expect(second.body).toEqual(first.body);
  });

  it.each(['PATCH', 'POST …/pause', 'POST …/resume'])('leaves nothing to %s: 409', async (operation) => {
    const path = await scheduledPath('ended');
    await app.request('DELETE', path);
    const [method = '', action = ''] = operation.split(' …');

    const answer = await app.request(method, `${path}${action}`, { body: {} });

    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      code: 'message-status-conflict',
      detail: matching(/is cancelled/),
    });
  });
});

describe('POST …/pause and …/resume', () => {
  it('stop a message and let it go on, each the same the second time', async () => {
    const path = await scheduledPath('stopped');

    const paused = await app.request('POST', `${path}/pause`);
    const pausedAgain = await app.request('POST', `${path}/pause`);
    const resumed = await app.request('POST', `${path}/resume`);
    const resumedAgain = await app.request('POST', `${path}/resume`);

    expect(paused.status).toBe(200);
    expect(paused.body).toMatchObject({ status: 'paused', version: 2 });
    expect(pausedAgain.body).toEqual(paused.body);
    expect(resumed.body).toMatchObject({ status: 'scheduled', version: 3, scheduled_at: FAR });
    expect(resumedAgain.body).toEqual(resumed.body);
    expect(resumed.headers.get('etag')).toBe('"3"');
  });

  it('obey If-Match', async () => {
    const path = await scheduledPath('stopped-match');

    const stale = await app.request('POST', `${path}/pause`, { headers: { 'if-match': '"7"' } });
    const fresh = await app.request('POST', `${path}/pause`, { headers: { 'if-match': '"1"' } });

    expect(stale.status).toBe(412);
    expect(fresh.body).toMatchObject({ status: 'paused' });
  });
});

describe("the sample's path /{group}/schedule", () => {
  it('is the same as /v1/groups/{group}/schedule', async () => {
    const created = await app.request('POST', '/by-sample/schedule', {
      body: { subject: 'News', body: 'News', schedule_on: FAR },
    });
    const key = textAt(created.body, 'key');
    await app.request('PATCH', `/by-sample/schedule/${key}`, { body: { subject: 'Other' } });
    await app.request('POST', `/by-sample/schedule/${key}/pause`);

    for (const rest of ['', `/${key}`, '/latest/content', `/${key}/deliveries`]) {
      const bySample = await app.request('GET', `/by-sample/schedule${rest}`);
      const byPath = await app.request('GET', `/v1/groups/by-sample/schedule${rest}`);

      expect(bySample.status).toBe(200);
      expect(bySample.text).toBe(byPath.text);
    }
    expect((await app.request('GET', `/by-sample/schedule/${key}`)).body).toMatchObject({
      subject: 'Other',
      status: 'paused',
    });
  });
});

function subjects(messages: readonly object[]): readonly string[] {
  return messages.map((message) => textAt(message, 'subject'));
}

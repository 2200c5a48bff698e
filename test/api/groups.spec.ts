import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';

const SETTINGS = {
  from: 'Serverless workshop <workshop@example.com>',
  reply_to: 'help@example.com',
  time_zone: 'Europe/Paris',
  max_send_rate: 2.5,
  kind: 'transactional',
  opt_in: 'double',
  display_name: 'Freunde der Brücke',
  list_help: 'https://example.com/help',
  list_owner: 'mailto:owner@example.com',
  unsubscribe_mailto: 'leave@example.com',
  postal_address: 'Example Ltd\n1 Example Street',
  language: 'de',
  send_window: { from: '22:00', to: '06:30', days: ['mo', 'fr'], zone: 'subscriber' },
};
const LATER = { subject: 'Later', body: '<p>Later</p>', schedule_on: '2100-01-01T00:00:00Z' };

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

describe('PUT /v1/groups/{group}', () => {
  it('makes a group, and answers 201 with the group and its ETag', async () => {
    const answer = await app.request('PUT', '/v1/groups/put-new', { body: SETTINGS });

    expect(answer.status).toBe(201);
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(answer.body).toEqual({
      group_name: 'put-new',
      ...SETTINGS,
      date_added: matching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      subscribers: { active: 0, pending: 0, unsubscribed: 0, bounced: 0, complained: 0 },
      version: 1,
    });
  });

  it('replaces the settings of a group that is there: what is left out is emptied', async () => {
    await app.request('PUT', '/v1/groups/put-again', { body: SETTINGS });

    const answer = await app.request('PUT', '/v1/groups/put-again', { body: { time_zone: 'Asia/Tokyo' } });

    expect(answer.status).toBe(200);
    expect(answer.headers.get('etag')).toBe('"2"');
    expect(answer.body).toMatchObject({
      from: null,
      reply_to: null,
      time_zone: 'Asia/Tokyo',
      max_send_rate: null,
      kind: 'bulk',
      opt_in: 'single',
      display_name: null,
      list_help: null,
      list_owner: null,
      unsubscribe_mailto: null,
      postal_address: null,
      language: null,
      send_window: null,
      version: 2,
    });
  });

  it('lower-cases the name', async () => {
    await app.request('PUT', '/v1/groups/Put-UPPER', { body: {} });

    const answer = await app.request('GET', '/v1/groups/put-upper');

    expect(answer.body['group_name']).toBe('put-upper');
  });

  it('changes a group that has the version of If-Match', async () => {
    const { headers } = await app.request('PUT', '/v1/groups/put-match', { body: {} });

    const answer = await app.request('PUT', '/v1/groups/put-match', {
      body: SETTINGS,
      headers: { 'if-match': headers.get('etag') ?? '' },
    });

    expect(answer.status).toBe(200);
    expect(answer.body['version']).toBe(2);
  });
});

describe('a condition that there be a group', () => {
  it('makes none where there is none, and changes one that there is', async () => {
    const put = (): Promise<Answer> =>
      app.request('PUT', '/v1/groups/put-any', { body: {}, headers: { 'if-match': '*' } });

    const refused = await put();
    expect([refused.status, refused.body['code']]).toEqual([412, 'version-mismatch']);
    expect((await app.request('GET', '/v1/groups/put-any')).status).toBe(404);

    await app.request('PUT', '/v1/groups/put-any', { body: {} });
    expect((await put()).status).toBe(200);
  });
});

describe('GET /v1/groups', () => {
  it('lists every group once, in order of name, page by page', async () => {
    const names = ['page-e', 'page-a', 'page-d', 'page-b', 'page-c'];
    for (const name of names) {
      await app.request('PUT', `/v1/groups/${name}`, { body: {} });
    }

    const listed = await listAll(app, '/v1/groups', { limit: '2' });

    const found = listed.map((group) => textAt(group, 'group_name'));
    expect(found.filter((name) => name.startsWith('page-'))).toEqual(names.toSorted());
    expect(found).toEqual(found.toSorted());
  });
});

describe('GET /v1/groups/{group}', () => {
  it('answers 404 for a group that nobody has made', async () => {
    const answer = await app.request('GET', '/v1/groups/nobody-made-it');

    expect(answer.status).toBe(404);
    expect(answer.body['code']).toBe('group-not-found');
  });

  it('counts the subscribers by status', async () => {
    for (const name of ['ada', 'alan', 'grace']) {
      await app.request('POST', '/v1/groups/counted/subscribers', {
        body: { email: `${name}@example.com` },
      });
    }
    await app.request('PATCH', '/v1/groups/counted/subscribers/alan@example.com', {
      body: { status: 'unsubscribed' },
    });

    const answer = await app.request('GET', '/v1/groups/counted');

    expect(answer.body['subscribers']).toEqual({
      active: 2,
      pending: 0,
      unsubscribed: 1,
      bounced: 0,
      complained: 0,
    });
  });

  it.each([
    ['subscriber', 'subscribers', { email: 'ada@example.com' }],
    ['message', 'schedule', LATER],
  ])('finds a group that its first %s has made', async (what, path, body) => {
    await app.request('POST', `/v1/groups/by-first-${what}/${path}`, { body });

    const answer = await app.request('GET', `/v1/groups/by-first-${what}`);

    expect(answer.status).toBe(200);
    expect(answer.headers.get('etag')).toBe('"1"');
  });
});

describe('DELETE /v1/groups/{group}', () => {
  it('removes the group and its subscribers', async () => {
    await app.request('POST', '/v1/groups/removed/subscribers', { body: { email: 'ada@example.com' } });

    const answer = await app.request('DELETE', '/v1/groups/removed');

    expect(answer.status).toBe(204);
    expect(answer.text).toBe('');
    expect((await app.request('GET', '/v1/groups/removed')).status).toBe(404);
    expect((await app.request('GET', '/v1/groups/removed/subscribers')).status).toBe(404);
    expect((await app.request('GET', '/v1/groups/removed/subscribers/ada@example.com')).status).toBe(404);
  });

  it('answers 404 the second time', async () => {
    await app.request('PUT', '/v1/groups/removed-twice', { body: {} });
    await app.request('DELETE', '/v1/groups/removed-twice');

    const answer = await app.request('DELETE', '/v1/groups/removed-twice');

    expect(answer.status).toBe(404);
    expect(answer.body['code']).toBe('group-not-found');
  });

  it('refuses while a message is unfinished; once it is cancelled the group goes and the message stays readable', async () => {
    const scheduled = await app.request('POST', '/v1/groups/in-use/schedule', { body: LATER });
    const message = textAt(scheduled.body, 'key');

    const refused = await app.request('DELETE', '/v1/groups/in-use');
    await app.request('DELETE', `/v1/groups/in-use/schedule/${message}`);
    const removed = await app.request('DELETE', '/v1/groups/in-use');

    expect(refused.status).toBe(409);
    expect(refused.body['code']).toBe('group-in-use');
    expect(removed.status).toBe(204);
    const path = `/v1/groups/in-use/schedule/${message}`;
    expect((await app.request('GET', path)).body).toMatchObject({ key: message, status: 'cancelled' });
    expect((await app.request('GET', `${path}/content`)).body['body']).toBe('<p>Later</p>');
    expect((await app.request('GET', `${path}/deliveries`)).body).toEqual({ items: [], next_cursor: null });
    expect(await listAll(app, '/v1/groups/in-use/schedule')).toHaveLength(1);
  });
});

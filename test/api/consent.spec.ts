import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectsAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

async function entriesOf(group: string, email = 'ada@example.com'): Promise<readonly unknown[]> {
  const { body } = await app.request('GET', `/v1/groups/${group}/subscribers/${email}/consent`);
  return objectsAt(body, 'entries').map(({ at: _at, ...entry }) => entry);
}

function anEntry(what: string, overrides: object = {}): object {
  return { what, how: 'api', ip: null, wording: null, reason: null, message_key: null, ...overrides };
}

describe('the consent record of a subscriber', () => {
  it('has everything that became of them, with what is known of it', async () => {
    const people = '/v1/groups/life/subscribers';
    await app.request('POST', people, {
      body: { email: 'ada@example.com', consent_ip: '2001:db8::1', consent_wording: 'Yes,\nplease.' },
    });
    await app.request('POST', people, { body: { email: 'ada@example.com', consent_wording: 'Again' } });
    await app.request('PATCH', `${people}/ada@example.com`, { body: { name: 'Ada' } });
    await app.request('PATCH', `${people}/ada@example.com`, {
      body: { status: 'unsubscribed', reason: 'By letter' },
    });
    await app.request('PATCH', `${people}/ada@example.com`, {
      body: { status: 'active', resubscribe: true, reason: 'Changed her mind' },
    });
    await app.request('DELETE', `${people}/ada@example.com`);

    expect(await entriesOf('life')).toEqual([
      anEntry('subscribed', { ip: '2001:db8::1', wording: 'Yes,\nplease.' }),
      anEntry('unsubscribed', { reason: 'By letter' }),
      anEntry('resubscribed', { reason: 'Changed her mind' }),
      anEntry('removed'),
    ]);
  });

  it('is there for each of many, whatever the case of the address', async () => {
    await app.request('POST', '/v1/groups/many/subscribers', {
      body: {
        subscribers: [{ email: 'Ada@example.com' }, { email: 'bob@example.com', consent_wording: 'Go' }],
      },
    });

    const { body } = await app.request('GET', '/v1/groups/many/subscribers/ADA@example.com/consent');
    expect(body).toEqual({
      group_name: 'many',
      subscriber: 'ada@example.com',
      entries: [{ ...anEntry('subscribed'), at: matching(/Z$/) }],
    });
    expect(await entriesOf('many', 'bob@example.com')).toEqual([anEntry('subscribed', { wording: 'Go' })]);
  });

  it('is not found where nothing is recorded', async () => {
    const answer = await app.request('GET', '/v1/groups/many/subscribers/eve@example.com/consent');

    expect(answer.status).toBe(404);
    expect(answer.body['code']).toBe('consent-not-found');
  });

  it('is exported with those of the group, a line each, as the list has them', async () => {
    const subscribers = Array.from({ length: 7 }, (_, index) => ({ email: `s${index}@example.com` }));
    await app.request('POST', '/v1/groups/export/subscribers', { body: { subscribers } });

    const listed = await listAll(app, '/v1/groups/export/consent', { limit: '3' });
    const exported = await app.request('GET', '/v1/groups/export/consent/export');

    expect(listed.map(({ subscriber }) => subscriber)).toEqual(subscribers.map(({ email }) => email));
    expect(exported.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = exported.text
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(lines).toEqual(listed);
  });
});

describe('nobody who unsubscribed is subscribed again', () => {
  it.each([
    [{ status: 'active' }, 409],
    [{ status: 'pending' }, 409],
    [{ status: 'active', resubscribe: false, reason: 'Why not' }, 409],
    [{ status: 'active', resubscribe: true }, 400],
    [{ status: 'active', resubscribe: true, reason: '' }, 400],
  ])('by %j', async (body, status) => {
    const people = `/v1/groups/again/subscribers`;
    await app.request('POST', people, { body: { email: 'ada@example.com' } });
    await app.request('PATCH', `${people}/ada@example.com`, { body: { status: 'unsubscribed' } });

    const answer = await app.request('PATCH', `${people}/ada@example.com`, { body });
    const { body: after } = await app.request('GET', `${people}/ada@example.com`);

    expect(answer.status).toBe(status);
    expect(after['status']).toBe('unsubscribed');
    expect(answer.body['code']).toBe(status === 400 ? 'invalid-input' : 'resubscribe-refused');
  });
});

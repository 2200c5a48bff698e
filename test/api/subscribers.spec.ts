import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectsAt, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';

const ADA = {
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  attributes: { city: 'London', tags: ['early', { since: 1815 }], vip: true },
  time_zone: 'Europe/London',
};

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

describe('POST …/subscribers with one subscriber', () => {
  it('adds an address: 201, active, with its ETag', async () => {
    const answer = await app.request('POST', '/v1/groups/one/subscribers', {
      body: { email: 'ada@example.com' },
    });

    expect(answer.status).toBe(201);
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(answer.body).toEqual({
      result: 'added',
      group_name: 'one',
      subscriber: 'ada@example.com',
      date_joined: matching(/Z$/),
      status: 'active',
      name: null,
      attributes: {},
      time_zone: null,
      version: 1,
    });
  });

  it('keeps name, attributes and time zone as they are given', async () => {
    await app.request('POST', '/v1/groups/kept/subscribers', { body: ADA });

    const answer = await app.request('GET', '/v1/groups/kept/subscribers/ada@example.com');

    const { email, ...rest } = ADA;
    expect(answer.body).toMatchObject({ subscriber: email, ...rest });
  });

  it('changes nothing when the address is there already, however it is spelt', async () => {
    await app.request('POST', '/v1/groups/twice/subscribers', { body: ADA });

    const answer = await app.request('POST', '/v1/groups/twice/subscribers', {
      body: { email: 'ADA@EXAMPLE.COM', name: 'Somebody else' },
    });

    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ result: 'exists', name: 'Ada Lovelace', version: 1 });
    expect(await listAll(app, '/v1/groups/twice/subscribers')).toHaveLength(1);
  });

  it('does not make active again who has unsubscribed', async () => {
    await app.request('POST', '/v1/groups/left/subscribers', { body: ADA });
    await app.request('PATCH', '/v1/groups/left/subscribers/ada@example.com', {
      body: { status: 'unsubscribed' },
    });

    const answer = await app.request('POST', '/v1/groups/left/subscribers', { body: ADA });

    expect(answer.body).toMatchObject({ result: 'exists', status: 'unsubscribed' });
  });

  it.each([
    ['Ada.Lovelace@EXAMPLE.com', 'Ada.Lovelace@example.com'],
    ['ada+news@sub.example.co.uk', 'ada+news@sub.example.co.uk'],
    ['ada@bücher.example', 'ada@xn--bcher-kva.example'],
    [`${'a'.repeat(64)}@example.com`, `${'a'.repeat(64)}@example.com`],
  ])('writes to %s as %s', async (email, stored) => {
    const answer = await app.request('POST', '/v1/groups/spelling/subscribers', { body: { email } });

    expect(answer.status).toBe(201);
    expect(answer.body['subscriber']).toBe(stored);
  });
});

describe('POST …/subscribers with many', () => {
  it('answers for each by itself, in the order given', async () => {
    await app.request('POST', '/v1/groups/many/subscribers', { body: { email: 'ada@example.com' } });

    const answer = await app.request('POST', '/v1/groups/many/subscribers', {
      body: {
        subscribers: [
          { email: 'grace@example.com', name: 'Grace Hopper' },
          { email: 'no address' },
          { email: 'Ada@example.com' },
          { email: 'alan@example.com', age: 41 },
          { email: 'GRACE@example.com' },
          'alan@example.com',
        ],
      },
    });

    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ added: 1, exists: 2, invalid: 3 });
    expect(answer.body['results']).toEqual([
      expect.objectContaining({ result: 'added', subscriber: 'grace@example.com', name: 'Grace Hopper' }),
      { result: 'invalid', errors: [expect.objectContaining({ pointer: '/subscribers/1/email' })] },
      expect.objectContaining({ result: 'exists', subscriber: 'ada@example.com' }),
      {
        result: 'invalid',
        errors: [{ pointer: '/subscribers/3/age', detail: 'This is an unknown property.' }],
      },
      expect.objectContaining({ result: 'exists', subscriber: 'grace@example.com' }),
      {
        result: 'invalid',
        errors: [expect.objectContaining({ pointer: '/subscribers/5' })],
      },
    ]);
    expect(await listAll(app, '/v1/groups/many/subscribers')).toHaveLength(2);
  });

  it('takes a thousand in one call', async () => {
    const subscribers = Array.from({ length: 1_000 }, (_, index) => ({
      email: `reader-${index}@example.com`,
    }));

    const answer = await app.request('POST', '/v1/groups/thousand/subscribers', { body: { subscribers } });

    expect(answer.body).toMatchObject({ added: 1_000, exists: 0, invalid: 0 });
    expect((await app.request('GET', '/v1/groups/thousand')).body).toMatchObject({
      subscribers: { active: 1_000 },
    });
  });
});

describe('GET …/subscribers', () => {
  beforeAll(async () => {
    const emails = ['d@example.com', 'B@example.com', 'a@example.com', 'c@example.com', 'e@example.com'];
    await app.request('POST', '/v1/groups/listed/subscribers', {
      body: { subscribers: emails.map((email) => ({ email })) },
    });
    for (const email of ['b@example.com', 'd@example.com']) {
      await app.request('PATCH', `/v1/groups/listed/subscribers/${email}`, {
        body: { status: 'unsubscribed' },
      });
    }
  });

  it.each(['1', '2', '4', '5', '1000'])(
    'lists each once, in order of address, in pages of %s',
    async (limit) => {
      const listed = await listAll(app, '/v1/groups/listed/subscribers', { limit });

      expect(listed.map((subscriber) => textAt(subscriber, 'subscriber'))).toEqual([
        'a@example.com',
        'B@example.com',
        'c@example.com',
        'd@example.com',
        'e@example.com',
      ]);
    },
  );

  it('lists only those of one status, page by page', async () => {
    const listed = await listAll(app, '/v1/groups/listed/subscribers', {
      status: 'unsubscribed',
      limit: '1',
    });

    expect(listed.map((subscriber) => textAt(subscriber, 'subscriber'))).toEqual([
      'B@example.com',
      'd@example.com',
    ]);
  });

  it('goes on behind the cursor, though its subscriber has left and others came', async () => {
    await app.request('POST', '/v1/groups/moving/subscribers', {
      body: { subscribers: ['a', 'c', 'e'].map((name) => ({ email: `${name}@example.com` })) },
    });
    const first = await app.request('GET', '/v1/groups/moving/subscribers?limit=2');
    await app.request('DELETE', '/v1/groups/moving/subscribers/c@example.com');
    await app.request('POST', '/v1/groups/moving/subscribers', { body: { email: 'd@example.com' } });

    const next = await app.request(
      'GET',
      `/v1/groups/moving/subscribers?limit=2&cursor=${textAt(first.body, 'next_cursor')}`,
    );

    expect(objectsAt(next.body, 'items').map((item) => item['subscriber'])).toEqual([
      'd@example.com',
      'e@example.com',
    ]);
  });
});

describe('GET …/subscribers/{email}', () => {
  it.each(['ada@example.com', 'ADA%40Example.com'])('finds ada@example.com as %s', async (spelling) => {
    await app.request('POST', '/v1/groups/found/subscribers', { body: ADA });

    const answer = await app.request('GET', `/v1/groups/found/subscribers/${spelling}`);

    expect(answer.status).toBe(200);
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(answer.body['subscriber']).toBe('ada@example.com');
  });
});

describe('PATCH …/subscribers/{email}', () => {
  it('changes what is given, empties what is null, and leaves the rest', async () => {
    await app.request('POST', '/v1/groups/patched/subscribers', { body: ADA });

    const answer = await app.request('PATCH', '/v1/groups/patched/subscribers/ada@example.com', {
      body: { name: 'Ada King', time_zone: null },
    });

    expect(answer.status).toBe(200);
    expect(answer.headers.get('etag')).toBe('"2"');
    expect(answer.body).toMatchObject({
      name: 'Ada King',
      time_zone: null,
      attributes: ADA.attributes,
      version: 2,
    });
  });

  it.each(['unsubscribed', 'bounced', 'complained'])(
    'makes who is %s active again only when that is said to be meant',
    async (status) => {
      const path = `/v1/groups/back-from-${status}/subscribers`;
      await app.request('POST', path, { body: ADA });
      await app.request('PATCH', `${path}/ada@example.com`, { body: { status } });

      const unasked = await app.request('PATCH', `${path}/ada@example.com`, { body: { status: 'active' } });
      const asked = await app.request('PATCH', `${path}/ada@example.com`, {
        body: { status: 'active', resubscribe: true, reason: 'She asked for it.' },
      });

      expect(unasked.status).toBe(409);
      expect(unasked.body['code']).toBe('resubscribe-refused');
      expect(asked.body).toMatchObject({ status: 'active', version: 3 });
    },
  );

  it('lets one of two win who change the same version', async () => {
    await app.request('POST', '/v1/groups/raced/subscribers', { body: ADA });
    const change = async (name: string): Promise<string> => {
      const { status } = await app.request('PATCH', '/v1/groups/raced/subscribers/ada@example.com', {
        body: { name },
        headers: { 'if-match': '"1"' },
      });
      return String(status);
    };

    const statuses = await Promise.all([change('Ada King'), change('Ada Byron')]);

    expect(statuses.toSorted()).toEqual(['200', '412']);
  });
});

describe('DELETE …/subscribers/{email}', () => {
  it('erases the record: 204, then 404', async () => {
    await app.request('POST', '/v1/groups/erased/subscribers', { body: ADA });

    const answer = await app.request('DELETE', '/v1/groups/erased/subscribers/ada@example.com');

    expect(answer.status).toBe(204);
    const again = await app.request('DELETE', '/v1/groups/erased/subscribers/ada@example.com');
    expect(again.status).toBe(404);
    expect(again.body['code']).toBe('subscriber-not-found');
    expect((await app.request('GET', '/v1/groups/erased')).body).toMatchObject({
      subscribers: { active: 0 },
    });
  });
});

describe("the sample's path /{group}/subscribers", () => {
  it('is the same as /v1/groups/{group}/subscribers', async () => {
    const added = await app.request('POST', '/by-sample/subscribers', { body: { email: 'ada@example.com' } });
    const changed = await app.request('PATCH', '/by-sample/subscribers/ada@example.com', {
      body: { name: 'Ada' },
    });

    const [bySample, byPath] = await Promise.all([
      app.request('GET', '/by-sample/subscribers'),
      app.request('GET', '/v1/groups/by-sample/subscribers'),
    ]);

    expect([added.status, changed.status]).toEqual([201, 200]);
    expect(bySample.body).toEqual(byPath.body);
    expect(objectsAt(bySample.body, 'items')).toHaveLength(1);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectsAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 30_000;
const REASON = 'Asked for it by telephone.';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

async function add(group: string, body: object): Promise<Answer> {
  return app.request('POST', `/v1/groups/${group}/subscribers`, { body });
}

async function erase(email: string): Promise<Answer> {
  return app.request('DELETE', `/v1/subscribers/${email}`);
}

async function statusOf(path: string): Promise<number> {
  return (await app.request('GET', path)).status;
}

describe('DELETE /v1/subscribers/{email}', () => {
  it('takes a person out of every group with what is recorded of them, keeps others, and does nothing the second time', async () => {
    await add('erase-a', { email: 'Ada@example.com' });
    await add('erase-a', { email: 'bob@example.com' });
    await app.request('PUT', '/v1/groups/erase-b', { body: { opt_in: 'double' } });
    await add('erase-b', { email: 'ada@example.com' });
    await add('erase-left', { email: 'ada@example.com' });
    await app.request('DELETE', '/v1/groups/erase-left/subscribers/ada@example.com');
    await app.request('POST', '/v1/suppressions', { body: { email: 'ada@example.com', detail: 'By hand.' } });

    const first = await erase('ADA@example.com');
    const second = await erase('ada@example.com');

    expect(first.status).toBe(200);
    const date_erased = matching(/Z$/);
    const records = ['erase-a', 'erase-b', 'erase-left'];
    expect(first.body).toEqual({ date_erased, groups: ['erase-a', 'erase-b'], consent_records: records });
    expect(second.body).toEqual({
      date_erased: first.body['date_erased'],
      groups: [],
      consent_records: [],
    });
    for (const group of records) {
      const path = `/v1/groups/${group}/subscribers/ada@example.com`;
      expect([await statusOf(path), await statusOf(`${path}/consent`)]).toEqual([404, 404]);
    }
    expect(await statusOf('/v1/groups/erase-a/subscribers/bob@example.com')).toBe(200);
    expect(await statusOf('/v1/groups/erase-a/subscribers/bob@example.com/consent')).toBe(200);
  });

  it('leaves a hash in the list of suppressed addresses, which nobody removes or gives another reason by hand', async () => {
    await app.request('POST', '/v1/suppressions', { body: { email: 'list@example.com' } });
    await erase('list@example.com');

    const again = await app.request('POST', '/v1/suppressions', { body: { email: 'list@example.com' } });
    const read = await app.request('GET', '/v1/suppressions/list@example.com');

    const hashed = {
      subscriber: matching(/^[0-9a-f]{64}@erased\.invalid$/),
      reason: 'erased',
      detail: null,
      date_added: matching(/Z$/),
    };
    expect([again.status, again.body]).toEqual([200, hashed]);
    expect(read.body).toEqual(hashed);
    const listed = await listAll(app, '/v1/suppressions');
    expect(listed).toContainEqual(read.body);
    expect(JSON.stringify(listed)).not.toContain('list@example.com');
    const hash = String(read.body['subscriber']);
    await erase(hash);
    for (const email of ['list@example.com', hash]) {
      const removed = await app.request('DELETE', `/v1/suppressions/${email}`);
      expect([removed.status, removed.body['code']]).toEqual([409, 'address-erased']);
    }
  });

  it('refuses an address that is none', async () => {
    const answer = await erase('nobody');

    expect(answer.status).toBe(400);
    expect(answer.body['errors']).toEqual([expect.objectContaining({ pointer: 'email' })]);
  });
});

describe('somebody who was erased', () => {
  it('is not added again, one by one or among many', async () => {
    await erase('gone@example.com');

    const one = await add('gone', { email: 'Gone@example.com' });
    const many = await add('gone', {
      subscribers: [{ email: 'bob@example.com' }, { email: 'gone@example.com' }],
    });

    expect([one.status, one.body['code']]).toEqual([409, 'address-erased']);
    expect(many.body).toMatchObject({ added: 1, exists: 0, invalid: 1 });
    const [, refused] = objectsAt(many.body, 'results');
    expect(refused).toEqual({
      result: 'invalid',
      errors: [{ pointer: '/subscribers/1/email', detail: one.body['detail'] }],
    });
    expect(await statusOf('/v1/groups/gone/subscribers/gone@example.com')).toBe(404);
  });

  it('is not added by a file, and the report says why', async () => {
    await erase('filed@example.com');
    const posted = await app.request('POST', '/v1/groups/filed/imports', {
      body: 'email\nfiled@example.com\nbob@example.com\n',
      headers: { 'content-type': 'text/csv' },
    });
    expect(posted.status).toBe(202);

    const path = '/v1/groups/filed/imports/latest';
    const done = await until('the import is done', LIMIT_MS, async () => {
      const { body } = await app.request('GET', path);
      return body['state'] === 'done' ? body : undefined;
    });

    expect(done['rows']).toMatchObject({ read: 2, created: 1, rejected: 1 });
    const report = await app.request('GET', `${path}/report?result=rejected`);
    expect(JSON.parse(report.text)).toMatchObject({
      email: 'filed@example.com',
      result: 'rejected',
      errors: [{ pointer: '/email', detail: matching(/erased/) }],
    });
    expect(await statusOf('/v1/groups/filed/subscribers/filed@example.com')).toBe(404);
  });

  it('comes back only if somebody says that this is meant, and why, which is recorded', async () => {
    await erase('back@example.com');
    const body = { email: 'back@example.com', resubscribe: true };

    const unexplained = await add('back', body);
    const explained = await add('back', { ...body, reason: REASON });

    expect(unexplained.status).toBe(400);
    expect(unexplained.body['errors']).toEqual([expect.objectContaining({ pointer: '/reason' })]);
    expect(explained.status).toBe(201);
    const consent = await app.request('GET', '/v1/groups/back/subscribers/back@example.com/consent');
    expect(objectsAt(consent.body, 'entries')).toEqual([
      expect.objectContaining({ what: 'subscribed', reason: REASON }),
    ]);
    expect(await statusOf('/v1/suppressions/back@example.com')).toBe(404);
    expect((await add('back-too', { email: 'back@example.com' })).status).toBe(201);
  });
});

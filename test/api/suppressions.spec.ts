import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { matching } from '../support/matching.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';

const PATH = '/v1/suppressions';

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
});
afterAll(() => app.close());

describe('POST /v1/suppressions', () => {
  it('suppresses an address, by hand unless told otherwise', async () => {
    const answer = await app.request('POST', PATH, { body: { email: 'Ada@Example.com' } });

    expect(answer.status).toBe(201);
    const shown = {
      subscriber: 'ada@example.com',
      reason: 'manual',
      detail: null,
      date_added: matching(/Z$/),
    };
    expect(answer.body).toEqual(shown);
    expect((await app.request('GET', `${PATH}/ADA@example.com`)).body).toEqual(shown);
  });

  it('keeps the first reason of an address', async () => {
    await app.request('POST', PATH, { body: { email: 'bob@example.com', reason: 'bounced', detail: '550' } });

    const answer = await app.request('POST', PATH, { body: { email: 'bob@example.com', detail: 'again' } });

    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ reason: 'bounced', detail: '550' });
  });

  it.each([
    [{}, '/email'],
    [{ email: 'no address' }, '/email'],
    [{ email: 'ada@example.com', reason: 'dislike' }, '/reason'],
    [{ email: 'ada@example.com', detail: 'two\nlines' }, '/detail'],
    [{ email: 'ada@example.com', why: '' }, '/why'],
  ])('refuses %j', async (body, pointer) => {
    const answer = await app.request('POST', PATH, { body });

    expect(answer.status).toBe(400);
    expect(answer.body['errors']).toEqual([expect.objectContaining({ pointer })]);
  });
});

describe('a suppressed address', () => {
  it('is listed, and no longer once it is removed', async () => {
    for (const email of ['x@example.com', 'y@example.com', 'z@example.com']) {
      await app.request('POST', PATH, { body: { email } });
    }

    const removed = await app.request('DELETE', `${PATH}/y@example.com`);
    const again = await app.request('DELETE', `${PATH}/y@example.com`);

    expect([removed.status, again.status]).toEqual([204, 404]);
    expect((await app.request('GET', `${PATH}/y@example.com`)).body['code']).toBe('suppression-not-found');
    const listed = (await listAll(app, PATH, { limit: '2' })).map((item) => item['subscriber']);
    expect(listed).toEqual(expect.arrayContaining(['x@example.com', 'z@example.com']));
    expect(listed).not.toContain('y@example.com');
  });
});

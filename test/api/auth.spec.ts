import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OpenApiDocument } from '../support/openapi-document.ts';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.ts';

const SECRETS = {
  reader: 'reader-correct-horse-battery',
  sender: 'sender-correct-horse-battery',
  admin: 'admin:with:colons:battery',
} as const;
type Role = keyof typeof SECRETS;
type Needed = Role | 'nobody';

/** Who may do what. A route that is not in here fails the first test. */
const NEEDED: Readonly<Record<string, Needed>> = {
  'GET /health/live': 'nobody',
  'GET /health/ready': 'nobody',
  'GET /metrics': 'reader',
  'GET /v1/groups': 'reader',
  'GET /v1/groups/{group}': 'reader',
  'PUT /v1/groups/{group}': 'admin',
  'DELETE /v1/groups/{group}': 'admin',
  'GET /v1/calendar': 'reader',
  'POST /v1/feedback': 'nobody',
  'POST /v1/suppressions': 'sender',
  'GET /v1/suppressions': 'reader',
  'GET /v1/suppressions/{email}': 'reader',
  'DELETE /v1/suppressions/{email}': 'admin',
  'DELETE /v1/subscribers/{email}': 'admin',
  ...underBothPaths({
    'POST …/subscribers': 'sender',
    'GET …/subscribers': 'reader',
    'GET …/subscribers/{email}': 'reader',
    'PATCH …/subscribers/{email}': 'sender',
    'DELETE …/subscribers/{email}': 'sender',
    'GET …/subscribers/{email}/consent': 'reader',
    'POST …/subscribers/{email}/confirmation': 'sender',
    'GET …/subscribers/export': 'reader',
    'POST …/imports': 'sender',
    'GET …/imports': 'reader',
    'GET …/imports/{key}': 'reader',
    'GET …/imports/{key}/report': 'reader',
    'DELETE …/imports/{key}': 'sender',
    'GET …/consent': 'reader',
    'GET …/consent/export': 'reader',
    'POST …/schedule': 'sender',
    'POST …/schedule/preview-times': 'reader',
    'GET …/calendar-link': 'reader',
    // Not in the OpenAPI document: what a link opens.
    'GET …/calendar.ics': 'nobody',
    'GET …/schedule': 'reader',
    'GET …/schedule/{key}': 'reader',
    'PATCH …/schedule/{key}': 'sender',
    'DELETE …/schedule/{key}': 'sender',
    'GET …/schedule/{key}/content': 'reader',
    'GET …/schedule/{key}/plan': 'reader',
    'POST …/schedule/{key}/preflight': 'reader',
    'POST …/schedule/{key}/pause': 'sender',
    'POST …/schedule/{key}/resume': 'sender',
    'POST …/schedule/{key}/retry': 'sender',
    'GET …/series': 'reader',
    'GET …/series/{series}': 'reader',
    'PATCH …/series/{series}': 'sender',
    'DELETE …/series/{series}': 'sender',
    'POST …/series/{series}/pause': 'sender',
    'POST …/series/{series}/resume': 'sender',
    'POST …/series/{series}/skip': 'sender',
    'GET …/schedule/{key}/batches': 'reader',
    'GET …/schedule/{key}/deliveries': 'reader',
    'GET …/schedule/{key}/deliveries/{email}': 'reader',
  }),
  // Not in the OpenAPI document: pages for people.
  'GET /outbox': 'reader',
  'GET /outbox/{message_key}/{hash}': 'reader',
  'GET /outbox/{message_key}/{hash}/raw': 'reader',
  'GET /u/{token}': 'nobody',
  'POST /u/{token}': 'nobody',
  'GET /c/{token}': 'nobody',
  'POST /c/{token}': 'nobody',
  'GET /p/{token}': 'nobody',
  'POST /p/{token}': 'nobody',
  'GET /': 'nobody',
  'GET /openapi.json': 'nobody',
  'GET /docs': 'nobody',
};
const PAGES =
  /^(?:GET \/(?:outbox|openapi\.json|docs|$)|(?:GET|POST) \/[ucp]\/\{token\}|GET .*\/calendar\.ics$)/;

const HOLDERS = ['nobody', 'reader', 'sender', 'admin'] as const;

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({
    env: {
      API_KEYS: Object.entries(SECRETS)
        .map(([role, secret]) => `${role}-key:${role}:${secret}`)
        .join(','),
    },
  });
});
afterAll(() => app.close());

describe('the table of routes and roles', () => {
  it('has every operation of the OpenAPI document', async () => {
    const document = new OpenApiDocument((await app.request('GET', '/openapi.json')).body);

    const inTable = Object.keys(NEEDED).filter((route) => !PAGES.test(route));

    expect(inTable.toSorted()).toEqual(document.operations.map(({ name }) => name).toSorted());
  });

  it('has every route of the router that is no file of Swagger UI', () => {
    const routes = app.routes.filter((route) => !/^HEAD |^GET \/docs\//.test(route));

    expect(Object.keys(NEEDED).toSorted()).toEqual(routes.toSorted());
  });
});

describe.each(Object.entries(NEEDED))('%s, which needs %s', (route, needed) => {
  it.each(HOLDERS)('answers somebody with the key of %s as it should', async (holder) => {
    const answer = await call(route, holder === 'nobody' ? undefined : `Bearer ${SECRETS[holder]}`);

    expect(refusal(answer)).toBe(expectedRefusal(holder, needed));
  });
});

describe('a key', () => {
  it.each([
    ['as a bearer token', `Bearer ${SECRETS.admin}`],
    ['as a bearer token, in lower case', `bearer ${SECRETS.admin}`],
    ['as the password of HTTP Basic', `Basic ${btoa(`anybody:${SECRETS.admin}`)}`],
  ])('is taken %s', async (_how, authorization) => {
    const answer = await call('GET /v1/groups', authorization);

    expect(answer.status).toBe(200);
  });

  it.each([
    ['that nobody has', 'Bearer no-such-key-at-all-anywhere'],
    ['with a letter too many', `Bearer ${SECRETS.admin}x`],
    ['with a letter missing', `Bearer ${SECRETS.admin.slice(0, -1)}`],
    ['in another case', `Bearer ${SECRETS.admin.toUpperCase()}`],
    ['without a scheme', SECRETS.admin],
    ['of an unknown scheme', `Digest ${SECRETS.admin}`],
    ['that is empty', 'Bearer '],
    ['as the user of HTTP Basic', `Basic ${btoa(`${SECRETS.admin}:`)}`],
    ['with its name before it', `Bearer admin-key:${SECRETS.admin}`],
  ])('is refused %s', async (_how, authorization) => {
    const answer = await call('GET /v1/groups', authorization);

    expect(answer.status).toBe(401);
    expect(answer.body['code']).toBe('api-key-needed');
    expect(answer.headers.get('www-authenticate')).toContain('Bearer');
    expect(answer.text).not.toContain(SECRETS.admin);
  });

  it('that may not do something is told what is needed, and nothing happens', async () => {
    const answer = await app.request('PUT', '/v1/groups/forbidden', {
      body: {},
      headers: { authorization: `Bearer ${SECRETS.sender}` },
    });

    expect(answer.status).toBe(403);
    expect(answer.body).toMatchObject({
      code: 'role-missing',
      detail: 'This needs the role admin; the key has the role sender.',
    });
    expect((await call('GET /v1/groups/{group}', `Bearer ${SECRETS.admin}`, 'forbidden')).status).toBe(404);
  });

  it('is asked for before anything of the request is looked at', async () => {
    const answer = await app.request('POST', '/v1/groups/-/schedule', { body: '{}' });

    expect(answer.status).toBe(401);
  });
});

/** A request for something that is not there, so that whoever may make it changes nothing. */
async function call(route: string, authorization: string | undefined, group = 'not-there'): Promise<Answer> {
  const [method = '', path = ''] = route.split(' ');
  const target = path
    .replace('{group}', group)
    .replace('{email}', 'nobody@example.com')
    .replace('{key}', '00000000-0000-7000-8000-000000000000')
    .replace('{message_key}', '00000000-0000-7000-8000-000000000000')
    .replace('{hash}', '0'.repeat(64));
  return app.request(method, target, {
    headers: { ...(authorization !== undefined && { authorization }) },
  });
}

function refusal({ status }: Answer): 401 | 403 | 'let in' {
  return status === 401 || status === 403 ? status : 'let in';
}

function expectedRefusal(holder: Needed, needed: Needed): 401 | 403 | 'let in' {
  if (HOLDERS.indexOf(holder) >= HOLDERS.indexOf(needed)) {
    return 'let in';
  }
  return holder === 'nobody' ? 401 : 403;
}

function underBothPaths(routes: Readonly<Record<string, Needed>>): Readonly<Record<string, Needed>> {
  return Object.fromEntries(
    Object.entries(routes).flatMap(([route, needed]) =>
      ['/v1/groups/{group}', '/{group}'].map((base) => [route.replace('…', base), needed]),
    ),
  );
}

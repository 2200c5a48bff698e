import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Choice, type Fault, FAULTS, FaultProxy } from '../support/fault-proxy.ts';
import { at } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { ask, nameOf, type Request } from './story.ts';

/* What callers of the API see while a service of AWS throttles, fails or does not answer, and what they find when it is over. */

const CLUB = '/v1/groups/club';
const PEOPLE = `${CLUB}/subscribers`;
const MESSAGES = `${CLUB}/schedule`;
const LATEST = `${MESSAGES}/latest`;
const MESSAGE = { subject: 'News', body: '<p>News</p>', schedule_on: '2100-01-01T00:00Z' };

/** Needs the content of messages, which is in S3, beside DynamoDB. */
const WITH_CONTENT: readonly Request[] = [
  ask('POST', MESSAGES, { body: MESSAGE }),
  ask('POST', MESSAGES, { body: MESSAGE, headers: { 'idempotency-key': 'in-the-fault' } }),
  ask('PATCH', LATEST, { body: { body: '<p>Other news</p>' } }),
  ask('GET', `${LATEST}/content`),
];

const WITHOUT_CONTENT: readonly Request[] = [
  ask('GET', '/v1/groups'),
  ask('GET', CLUB),
  ask('PUT', '/v1/groups/other', { body: {} }),
  ask('POST', PEOPLE, { body: { email: 'new@example.com' } }),
  ask('POST', PEOPLE, { body: { subscribers: [{ email: 'n1@example.com' }, { email: 'n2@example.com' }] } }),
  ask('GET', PEOPLE),
  ask('GET', `${PEOPLE}/ada@example.com`),
  ask('PATCH', `${PEOPLE}/ada@example.com`, { body: { name: 'Ada' } }),
  ask('GET', MESSAGES),
  ask('GET', LATEST),
  ask('PATCH', LATEST, { body: { schedule_on: '2100-02-01T00:00Z' } }),
  ask('POST', `${LATEST}/pause`),
  ask('POST', `${LATEST}/resume`),
  ask('GET', `${LATEST}/deliveries`),
  ask('GET', `${LATEST}/batches`),
];

/** Refused while nothing is broken, for what they find: an answer to them needs the store, too. */
const REFUSED: readonly Request[] = [
  ask('DELETE', CLUB),
  ask('DELETE', `${PEOPLE}/nobody@example.com`),
  ask('GET', `${LATEST}/deliveries/ada@example.com`),
  ask('POST', `${LATEST}/retry`),
  ask('DELETE', `${MESSAGES}/00000000-0000-7000-8000-000000000000`),
];

let proxy: FaultProxy;
let app: TestApp;
const endpoint = process.env['AWS_ENDPOINT_URL'] ?? '';

beforeAll(async () => {
  proxy = await FaultProxy.open(endpoint);
  process.env['AWS_ENDPOINT_URL'] = proxy.url; // where the SDK looks for it
  app = await startTestApp({ engine: 'aws', env: { ROLES: 'api' } });
  await app.request('POST', PEOPLE, { body: { email: 'ada@example.com' } });
  await app.request('POST', MESSAGES, { body: MESSAGE });
});
afterEach(() => proxy.mend());
afterAll(async () => {
  await app.close();
  process.env['AWS_ENDPOINT_URL'] = endpoint;
  await proxy.close();
});

describe.each(FAULTS)('%s:', (fault) => {
  it('what needs DynamoDB is answered 503 with Retry-After, all of it', async () => {
    proxy.break(fault, { service: 'dynamodb' });

    const answers = await askAtOnce([...WITH_CONTENT, ...WITHOUT_CONTENT, ...REFUSED]);

    expect(answers.map(summary)).toEqual(answers.map(({ request }) => unavailable(request)));
  });

  it('what needs S3 is answered 503 with Retry-After, and the rest as ever', async () => {
    proxy.break(fault, { service: 's3' });

    const broken = await askAtOnce(WITH_CONTENT);
    const others = await askAtOnce(WITHOUT_CONTENT);

    expect(broken.map(summary)).toEqual(broken.map(({ request }) => unavailable(request)));
    expect(others.filter(({ answer }) => answer.status >= 300).map(summary)).toEqual([]);
  });

  it('the server is not ready, and says so in time', async () => {
    proxy.break(fault, { service: 'dynamodb' });

    const answer = await app.request('GET', '/health/ready');

    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({
      code: 'not-ready',
      errors: [{ pointer: 'dynamodb', detail: 'It is down.' }],
    });
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/);
  });
});

describe('slow:', () => {
  it('everything is answered as ever, only later', async () => {
    proxy.break('slow');

    const answers = await askAtOnce([...WITH_CONTENT, ...WITHOUT_CONTENT]);

    expect(answers.filter(({ answer }) => answer.status >= 300).map(summary)).toEqual([]);
  });
});

// What hangs is not done, as what is cut; it only takes longer to know.
describe.each(['throttled', 'failing', 'cut', 'lost answers'] as const)('after it was %s,', (fault) => {
  const parts = [
    ['S3', { service: 's3' }],
    ['DynamoDB', { service: 'dynamodb' }],
    ['the write of the record', { service: 'dynamodb', operation: 'TransactWriteItems' }],
  ] as const satisfies readonly (readonly [what: string, part: Choice])[];

  it.each(parts)(
    'the same request with its Idempotency-Key gives one message, whole: %s',
    async (what, part) => {
      const group = `/v1/groups/once-${slug(`${fault} ${what}`)}`;
      const messages = `${group}/schedule`;
      await app.request('PUT', group, { body: {} }); // otherwise it is the group that cannot be written
      const sending = { body: MESSAGE, headers: { 'idempotency-key': 'once' } };
      const refused = await during(fault, part, () => app.request('POST', messages, sending));

      const first = await app.request('POST', messages, sending);
      const second = await app.request('POST', messages, sending);

      expect(refused.status).toBe(503);
      expect(first.status).toBe(201);
      expect(second.body).toEqual(first.body);
      expect(await listAll(app, messages)).toHaveLength(1);
      await expectWhole(first.headers.get('location') ?? '');
    },
  );

  it('subscribers that are added again are there once, and are counted once', async () => {
    const group = `/v1/groups/crowd-${slug(fault)}`;
    const body = {
      subscribers: Array.from({ length: 120 }, (_, index) => ({ email: `s${index}@example.com` })),
    };
    const part = { service: 'dynamodb', operation: 'TransactWriteItems' } as const;
    const refused = await during(fault, part, () => app.request('POST', `${group}/subscribers`, { body }));

    const again = await app.request('POST', `${group}/subscribers`, { body });

    expect(refused.status).toBe(503);
    expect(again.status).toBe(200);
    expect(await listAll(app, `${group}/subscribers`)).toHaveLength(120);
    expect(at((await app.request('GET', group)).body, 'subscribers', 'active')).toBe(120);
  });

  it('a change that was refused is made or not, and never by half', async () => {
    const { headers } = await app.request('POST', MESSAGES, { body: MESSAGE });
    const path = headers.get('location') ?? '';
    const body = { subject: 'Changed', body: '<p>Changed</p>' };
    const part = { service: 'dynamodb', operation: 'UpdateItem' } as const;
    const refused = await during(fault, part, () => app.request('PATCH', path, { body }));

    const found = await app.request('GET', path);

    const isMade = fault === 'lost answers';
    expect(refused.status).toBe(503);
    expect(found.body).toMatchObject({
      subject: isMade ? 'Changed' : 'News',
      version: isMade ? 2 : 1,
    });
    await expectWhole(path);
  });
});

interface Asked {
  readonly request: Request;
  readonly answer: Answer;
}

async function askAtOnce(requests: readonly Request[]): Promise<readonly Asked[]> {
  return Promise.all(
    requests.map(async (request) => {
      const { method, path, body, headers } = request;
      return { request, answer: await app.request(method, path, { body, ...(headers && { headers }) }) };
    }),
  );
}

function summary({ request, answer: { status, headers, body } }: Asked): object {
  return {
    request: nameOf(request),
    status,
    retryAfter: headers.get('retry-after'),
    contentType: headers.get('content-type'),
    code: body['code'],
  };
}

function unavailable(request: Request): object {
  return {
    request: nameOf(request),
    status: 503,
    retryAfter: matching(/^[1-9]\d*$/), // RFC 9110, 10.2.3: whole seconds
    contentType: matching(/^application\/problem\+json/),
    code: 'store-unavailable',
  };
}

/** What `work` resolves with while this part of the store is broken so; afterwards nothing is. */
async function during<Result>(fault: Fault, part: Choice, work: () => Promise<Result>): Promise<Result> {
  proxy.break(fault, part);
  try {
    return await work();
  } finally {
    proxy.mend();
  }
}

/** Its content can be read, and is what it was sealed as. */
async function expectWhole(path: string): Promise<void> {
  const message = await app.request('GET', path);
  const content = await app.request('GET', `${path}/content`);

  expect(content.status).toBe(200);
  expect(createHash('sha256').update(content.text).digest('hex')).toBe(at(message.body, 'content', 'sha256'));
}

function slug(text: string): string {
  return text.toLowerCase().replaceAll(' ', '-');
}

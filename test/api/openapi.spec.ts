import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, isObject, type JsonObject, objectsAt, textAt } from '../support/json.ts';
import { signatureOf } from '../support/feedback-signature.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { OpenApiDocument, type Operation } from '../support/openapi-document.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

// Some minutes before the messages of the examples are due, and after.
const BEFORE_THE_EXAMPLES = Temporal.Instant.from('2030-01-01T07:45Z');
const AFTER_THE_EXAMPLES = Temporal.Instant.from('2030-01-01T09:00Z');

/** What happens between the requests of the story. */
const BETWEEN: Readonly<Record<string, () => Promise<void>>> = {
  'their time comes': theirTimeComes,
  'somebody has to confirm': makePending,
  'what has not gone is cancelled': cancelTheRest,
};

// Pages for people, the document itself, and Swagger UI's files.
const NOT_DOCUMENTED =
  /^(?:HEAD |(?:GET|POST) \/[ucp]\/\{token\}|GET .*\/calendar\.ics$|GET \/(?:$|docs(?:\/|$)|openapi\.json$|outbox(?:\/|$)))/;

const FEEDBACK_SECRET = 'a-secret-of-whoever-reads-the-bounces';

const PROBLEM_TYPE = 'application/problem+json';
const SOME_STATUSES = ['401', '403', '413', '415'];

let storiesTold = 0;
let clock: ManualClock;
let app: TestApp;
let document: OpenApiDocument;
beforeAll(async () => {
  clock = new ManualClock(BEFORE_THE_EXAMPLES);
  app = await startTestApp({ clock, env: { FEEDBACK_SECRET } });
  document = new OpenApiDocument((await app.request('GET', '/openapi.json')).body);
});
afterAll(() => app.close());

describe('the OpenAPI document', () => {
  it('has every route of the router, and no other', () => {
    const documented = document.operations.map(({ name }) => name);

    expect(documented.toSorted()).toEqual(
      app.routes.filter((route) => !NOT_DOCUMENTED.test(route)).toSorted(),
    );
  });

  it("has the sample's paths, each with what its path under /v1/groups has", () => {
    const underV1 = named('/v1/groups/{group}/');

    const bySample = named('/{group}/');

    expect(Object.keys(bySample)).toEqual(
      expect.arrayContaining(['POST subscribers', 'GET subscribers', 'POST schedule']),
    );
    expect(bySample).toEqual(underV1);
  });

  it('names every operation once, in a form that any generator of clients can use', () => {
    const ids = document.operations.map(({ docs }) => String(docs['operationId']));

    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => !/^[a-z]\w*$/i.test(id))).toEqual([]);
  });

  it('says of every operation what it does, under a tag that is described', async () => {
    const { body } = await app.request('GET', '/openapi.json');
    const tags = objectsAt(body, 'tags').map((tag) => tag['name']);

    const silent = document.operations.filter(
      ({ docs }) =>
        typeof docs['summary'] !== 'string' || docs['summary'] === '' || !tags.includes(at(docs, 'tags', 0)),
    );

    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  it('has a success for every operation', () => {
    const hopeless = document.operations.filter(({ docs }) => successesOf(docs).length === 0);

    expect(hopeless.map(({ name }) => name)).toEqual([]);
  });

  it('has for every operation any problem as a problem document, with a real example', () => {
    const faults = document.operations.flatMap(({ name, docs }) =>
      problemsOf(docs).flatMap(([status, response]) => {
        const content = at(response, 'content', PROBLEM_TYPE);
        const shown = at(content, 'example', 'status');
        return [
          ...(String(shown) === (status === 'default' ? '500' : status) ? [] : [`shows ${String(shown)}`]),
          ...document.faultsOf(at(content, 'example'), at(content, 'schema')),
        ].map((fault) => `${name} ${status}: ${fault}`);
      }),
    );
    const silent = document.operations.filter(
      ({ docs }) => !problemsOf(docs).some(([status]) => status === 'default'),
    );

    expect(faults).toEqual([]);
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  it('names the parameters of the path first, in their order', () => {
    const disordered = document.operations.filter(({ path, docs }) => {
      const names = objectsAt(docs, 'parameters').map((parameter) => `{${String(parameter['name'])}}`);
      return (path.match(/\{\w+\}/g) ?? []).some((name, position) => names[position] !== name);
    });

    expect(disordered.map(({ name }) => name)).toEqual([]);
  });

  it('has 413 and 415 wherever a body is taken, and 401 and 403 wherever a key is needed, 403 where a signature is', () => {
    const shown = document.operations.map(({ name, docs }) => [name, ...statusesOf(docs, SOME_STATUSES)]);

    const needed = document.operations.map(({ name, docs }) => [
      name,
      ...('security' in docs ? ['401', '403'] : []),
      ...(isSigned(docs) ? ['403'] : []),
      ...('requestBody' in docs ? ['413', '415'] : []),
    ]);
    expect(shown).toEqual(needed);
  });

  it('says of every answer with a body of what form it is', () => {
    const formless = document.operations.flatMap(({ name, docs }) =>
      Object.entries(docs['responses'] ?? {})
        .filter(([status, response]) => status !== '204' && !isObject(at(response, 'content')))
        .map(([status]) => `${name} ${status}`),
    );

    expect(formless).toEqual([]);
  });

  it('describes every property, or gives an example of it', () => {
    const silent = Object.entries(document.schemas).flatMap(([schema, { properties }]) =>
      Object.entries(properties ?? {})
        .filter(([, property]) => !isTelling(document.resolve(property)))
        .map(([property]) => `${schema}.${property}`),
    );

    expect(silent).toEqual([]);
  });

  it('describes every parameter and gives its type; those of the path have an example', () => {
    const faulty = document.operations.flatMap(({ name, docs }) =>
      objectsAt(docs, 'parameters')
        .filter((parameter) => {
          const schema = document.resolve(parameter['schema']);
          const isClear = 'type' in schema && (isTelling(parameter) || isTelling(schema));
          return !isClear || (parameter['in'] === 'path' && !('example' in schema));
        })
        .map((parameter) => `${name} ${String(parameter['name'])}`),
    );

    expect(faulty).toEqual([]);
  });

  it('has only examples that are as their schema says', () => {
    const faults = Object.entries(document.schemas).flatMap(([schema, { properties }]) =>
      Object.entries(properties ?? {}).flatMap(([name, property]) => {
        const example = document.exampleOf(property);
        return example === undefined ? [] : document.faultsOf(example, property, `${schema}.${name}`);
      }),
    );

    expect(faults).toEqual([]);
  });
});

describe.each(['/v1/groups/{group}', '/{group}'])('the examples under %s', (base) => {
  beforeAll(() => clock.set(BEFORE_THE_EXAMPLES));

  // In the order in which somebody would try them.
  const STORY = [
    'GET /health/live',
    'GET /health/ready',
    'GET /metrics',
    'PUT /v1/groups/{group}',
    'GET /v1/groups',
    'GET /v1/groups/{group}',
    'POST …/subscribers',
    'GET …/subscribers',
    'GET …/subscribers/{email}',
    'PATCH …/subscribers/{email}',
    'GET …/subscribers/{email}/consent',
    'GET …/consent',
    'GET …/consent/export',
    'POST /v1/suppressions',
    'GET /v1/suppressions',
    'GET /v1/suppressions/{email}',
    'DELETE /v1/suppressions/{email}',
    'GET …/subscribers/export',
    'POST …/imports',
    'GET …/imports',
    'GET …/imports/{key}',
    'GET …/imports/{key}/report',
    'DELETE …/imports/{key}',
    'POST /v1/feedback',
    'POST …/schedule',
    'DELETE …/schedule/{key}',
    'DELETE …/series/{series}',
    'POST …/schedule/preview-times',
    'POST …/schedule',
    'GET …/schedule',
    'GET /v1/calendar',
    'GET …/calendar-link',
    'GET …/schedule/{key}',
    'GET …/schedule/{key}/plan',
    'GET …/schedule/{key}/content',
    'POST …/schedule/{key}/preflight',
    'POST …/schedule/{key}/pause',
    'POST …/schedule/{key}/resume',
    'PATCH …/schedule/{key}',
    'their time comes',
    'GET …/schedule/{key}/deliveries',
    'GET …/schedule/{key}/deliveries/{email}',
    'GET …/schedule/{key}/batches',
    'POST …/schedule/{key}/retry',
    'GET …/series',
    'GET …/series/{series}',
    'PATCH …/series/{series}',
    'POST …/series/{series}/pause',
    'POST …/series/{series}/resume',
    'POST …/series/{series}/skip',
    'DELETE …/series/{series}',
    'somebody has to confirm',
    'POST …/subscribers/{email}/confirmation',
    'DELETE …/subscribers/{email}',
    'DELETE /v1/subscribers/{email}',
    'what has not gone is cancelled',
    'DELETE /v1/groups/{group}',
  ].map((step) => step.replace('…', base));

  it('are all in the story', () => {
    const told = new Set(STORY);
    const other = base === '/{group}' ? '/v1/groups/{group}/' : '/{group}/';

    const untold = document.operations.filter(({ name, path }) => !told.has(name) && !path.startsWith(other));

    expect(untold.map(({ name }) => name)).toEqual([]);
  });

  it.each(STORY)('work as they stand: %s', async (step) => {
    if (step in BETWEEN) {
      await BETWEEN[step]?.();
      return;
    }
    const operation = operationNamed(step);

    for (const request of document.exampleRequests(operation)) {
      const headers = isSigned(operation.docs)
        ? signatureOf(JSON.stringify(request.body), FEEDBACK_SECRET, clock.now())
        : {};
      const answer = await app.request(request.method, request.path, {
        ...request,
        headers: { ...request.headers, ...headers },
      });

      expect(successesOf(operation.docs)).toContain(String(answer.status));
      expect(undocumented(operation.docs, answer)).toEqual([]);
      expect(answer.body['items']).not.toEqual([]); // whoever tries a list wants to see something
    }
  });
});

describe('an answer', () => {
  it.each([
    [
      'POST',
      '/v1/groups/{group}/subscribers',
      { subscribers: [{ email: 'new@example.com' }, { email: 'no' }] },
    ],
    ['POST', '/v1/groups/{group}/subscribers', { email: 'no' }],
    ['POST', '/v1/groups/{group}/schedule', { subject: '' }],
    [
      'POST',
      '/v1/groups/{group}/schedule',
      { subject: 'Hello', body: 'Hello', schedule_on: 1_649_753_447_000, expires_at: '2100-01-01T00:00Z' },
    ],
    ['GET', '/v1/groups/{group}/schedule/{key}', undefined],
    ['DELETE', '/v1/groups/{group}', undefined],
    ['DELETE', '/v1/groups/{group}/subscribers/{email}', undefined],
  ])('is as the document says: %s %s with %j', async (method, path, body) => {
    const operation = operationNamed(`${method} ${path}`);
    const filled = path
      .replace('{group}', 'documented')
      .replace('{key}', 'latest')
      .replace('{email}', 'nobody@example.com');

    const answer = await app.request(method, filled, { body });

    expect(undocumented(operation.docs, answer)).toEqual([]);
  });
});

function operationNamed(name: string): Operation {
  const operation = document.operations.find((candidate) => candidate.name === name);
  if (!operation) {
    throw new Error(`The document has no ${name}`);
  }
  return operation;
}

function successesOf(docs: JsonObject): readonly string[] {
  return Object.keys(docs['responses'] ?? {}).filter((status) => status.startsWith('2'));
}

function problemsOf(docs: JsonObject): readonly [status: string, response: unknown][] {
  return Object.entries(docs['responses'] ?? {}).filter(([status]) => !status.startsWith('2'));
}

function statusesOf(docs: JsonObject, statuses: readonly string[]): readonly string[] {
  return statuses.filter((status) => isObject(at(docs, 'responses', status)));
}

/** What of an answer is not as the document says. */
function undocumented(docs: JsonObject, { status, headers, text, body }: Answer): readonly string[] {
  if (!isObject(at(docs, 'responses', String(status)))) {
    return [`status ${status}`];
  }
  const documentedHeaders = at(docs, 'responses', String(status), 'headers');
  const missing = Object.keys(documentedHeaders ?? {}).filter((name) => !headers.has(name));
  const [contentType = ''] = (headers.get('content-type') ?? '').split(';');
  const answered = contentType.endsWith('json') && contentType !== 'application/x-ndjson' ? body : text;
  const faults =
    status === 204 ? [] : document.faultsOf(answered, document.answerSchema(docs, status, contentType));
  return [...missing.map((name) => `without ${name}`), ...faults];
}

/** The operations under a path, by what comes behind it, without what must differ. */
function named(base: string): Record<string, unknown> {
  return Object.fromEntries(
    document.operations
      .filter(({ path }) => path.startsWith(base))
      .map(({ method, path, docs: { operationId: _id, tags: _tags, ...docs } }) => [
        `${method} ${path.slice(base.length)}`,
        docs,
      ]),
  );
}

function isSigned(docs: JsonObject): boolean {
  return objectsAt(docs, 'parameters').some((parameter) => parameter['name'] === 'Belfry-Signature');
}

function isTelling(docs: JsonObject): boolean {
  const { description } = docs;
  return 'example' in docs || (typeof description === 'string' && description !== '');
}

async function theirTimeComes(): Promise<void> {
  clock.set(AFTER_THE_EXAMPLES);
  await until('the message of the example is sent', 30_000, async () => {
    clock.advance(100); // so that the next scan comes soon
    const { body } = await app.request('GET', '/v1/groups/serverless/schedule/latest');
    return body['status'] === 'sent' ? true : undefined;
  });
}

/** Later than in the story before, because nobody is asked twice in ten minutes. */
async function makePending(): Promise<void> {
  clock.advance(storiesTold * 11 * 60_000);
  storiesTold += 1;
  await app.request('PATCH', '/v1/groups/serverless/subscribers/ada@example.com', {
    body: { status: 'pending', resubscribe: true, reason: 'To be asked.' },
  });
}

async function cancelTheRest(): Promise<void> {
  const schedule = '/v1/groups/serverless/schedule';
  for (const message of await listAll(app, schedule, { status: 'held,sending' })) {
    await app.request('DELETE', `${schedule}/${textAt(message, 'key')}`);
  }
}

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, type JsonObject, objectsAt, parseObject, textAt } from '../support/json.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 30_000;
const MIB = 1024 * 1024;

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ env: { IMPORT_LIMIT: '1MB' } });
});
afterAll(() => app.close());

let groups = 0;
/** A group that no other test has. */
function aGroup(): string {
  groups += 1;
  return `import-${groups}`;
}

async function post(
  group: string,
  file: string | Uint8Array,
  query = '',
  type = 'text/csv',
): Promise<Answer> {
  return app.request('POST', `/v1/groups/${group}/imports${query}`, {
    body: file,
    headers: { 'content-type': type },
  });
}

/** Imports the file and answers the import once it has ended. */
async function run(
  group: string,
  file: string | Uint8Array,
  query = '',
  type = 'text/csv',
): Promise<JsonObject> {
  const posted = await post(group, file, query, type);
  expect(posted.status).toBe(202);
  const path = `/v1/groups/${group}/imports/${textAt(posted.body, 'key')}`;
  return until('The import ends', LIMIT_MS, async () => {
    const { body } = await app.request('GET', path);
    return ['done', 'failed', 'cancelled'].includes(textAt(body, 'state')) ? body : undefined;
  });
}

async function report(group: string, query = ''): Promise<readonly JsonObject[]> {
  const { text } = await app.request('GET', `/v1/groups/${group}/imports/latest/report${query}`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseObject);
}

async function subscriber(group: string, email: string): Promise<JsonObject> {
  return (await app.request('GET', `/v1/groups/${group}/subscribers/${encodeURIComponent(email)}`)).body;
}

describe('POST …/imports', () => {
  it('creates whoever is not there, updates whoever is, and says so row by row', async () => {
    const group = aGroup();
    await app.request('POST', `/v1/groups/${group}/subscribers`, {
      body: {
        subscribers: [
          { email: 'ada@example.com', name: 'Ada', attributes: { city: 'London', plan: 'free' } },
          { email: 'alan@example.com', name: 'Alan' },
        ],
      },
    });

    const ended = await run(
      group,
      'Email,Name,Time Zone,city\r\nada@example.com,Ada Lovelace,Europe/London,Ockham\r\nALAN@example.com,Alan,,\r\nGrace@Example.com,"Hopper, Grace",America/New_York,"New\nYork"\r\n',
    );

    expect(ended).toMatchObject({
      state: 'done',
      reason: null,
      rows: { read: 3, created: 1, updated: 1, unchanged: 1, rejected: 0, duplicates: 0 },
    });
    expect(ended['bytes_done']).toBe(ended['bytes']);
    expect(await subscriber(group, 'ada@example.com')).toMatchObject({
      name: 'Ada Lovelace',
      time_zone: 'Europe/London',
      attributes: { city: 'Ockham', plan: 'free' },
      version: 2,
    });
    expect(await subscriber(group, 'alan@example.com')).toMatchObject({ name: 'Alan', version: 1 });
    expect(await subscriber(group, 'grace@example.com')).toMatchObject({
      subscriber: 'Grace@example.com',
      status: 'active',
      name: 'Hopper, Grace',
      attributes: { city: 'New\nYork' },
    });
    expect(await report(group)).toEqual([
      { line: 2, email: 'ada@example.com', result: 'updated', duplicate: false, errors: [] },
      { line: 3, email: 'ALAN@example.com', result: 'unchanged', duplicate: false, errors: [] },
      { line: 4, email: 'Grace@example.com', result: 'created', duplicate: false, errors: [] },
    ]);
  });

  it('takes one JSON object a line, by the rules of POST …/subscribers', async () => {
    const group = aGroup();
    const lines = [
      { email: 'ada@example.com', name: 'Ada', attributes: { tags: ['a', { b: 1 }], vip: true } },
      { email: 'ada@example.com', name: null, attributes: { vip: false } },
      { email: 'nobody' },
      { email: 'a@example.com', color: 'red' },
      { email: 'b@example.com', time_zone: 'Mars/Olympus', name: '' },
    ];

    const ended = await run(
      group,
      `${lines.map((line) => JSON.stringify(line)).join('\n')}\n{"email":\n\n[1]`,
      '',
      'application/x-ndjson',
    );

    expect(ended['rows']).toEqual({
      read: 7,
      created: 1,
      updated: 1,
      unchanged: 0,
      rejected: 5,
      duplicates: 1,
    });
    expect(await subscriber(group, 'ada@example.com')).toMatchObject({
      name: null,
      attributes: { tags: ['a', { b: 1 }], vip: false },
    });
    const rejected = await report(group, '?result=rejected');
    expect(
      rejected.map((row) => [row['line'], ...objectsAt(row, 'errors').map((fault) => fault['pointer'])]),
    ).toEqual([
      [3, '/email'],
      [4, '/color'],
      [5, '/name', '/time_zone'],
      [6, ''],
      [8, ''],
    ]);
  });

  it('changes nothing in a dry run, and tells what it would', async () => {
    const group = aGroup();
    await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { email: 'ada@example.com' } });

    const ended = await run(
      group,
      'email,name\nada@example.com,Ada\nnew@example.com,New\nno,No\n',
      '?dry_run=true',
    );

    expect(ended).toMatchObject({
      dry_run: true,
      rows: { read: 3, created: 1, updated: 1, unchanged: 0, rejected: 1, duplicates: 0 },
    });
    expect(await subscriber(group, 'ada@example.com')).toMatchObject({ name: null, version: 1 });
    expect((await app.request('GET', `/v1/groups/${group}/subscribers/new@example.com`)).status).toBe(404);
  });

  it('lets the last of several rows for one address win, and reports the others', async () => {
    const group = aGroup();

    const ended = await run(
      group,
      `email,name\n${Array.from({ length: 300 }, (_, index) => `ada@example.com,Ada ${index}\n`).join('')}`,
    );

    expect(ended['rows']).toEqual({
      read: 300,
      created: 1,
      updated: 299,
      unchanged: 0,
      rejected: 0,
      duplicates: 299,
    });
    expect(await subscriber(group, 'ada@example.com')).toMatchObject({ name: 'Ada 299' });
    expect((await report(group)).filter(({ duplicate }) => duplicate === true)).toHaveLength(299);
  });

  it('makes nobody active again who must not be written to, and takes over who is not', async () => {
    const group = aGroup();
    await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { email: 'left@example.com' } });
    await app.request('PATCH', `/v1/groups/${group}/subscribers/left@example.com`, {
      body: { status: 'unsubscribed' },
    });

    const ended = await run(
      group,
      'email,name,status\nleft@example.com,Back,active\nbounced@example.com,,bounced\n',
    );

    expect(ended['rows']).toMatchObject({ created: 1, unchanged: 1 });
    expect(await subscriber(group, 'left@example.com')).toMatchObject({ status: 'unsubscribed', name: null });
    expect(await subscriber(group, 'bounced@example.com')).toMatchObject({ status: 'bounced' });
    expect(at(await report(group), 0, 'errors', 0, 'pointer')).toBe('/status');
    const { body } = await app.request('GET', `/v1/groups/${group}`);
    expect(body['subscribers']).toMatchObject({ active: 0, unsubscribed: 1, bounced: 1 });
  });

  it.each([
    ['JSON', 'application/json', '{}', 415],
    ['a type that says nothing', 'application/octet-stream', 'email\n', 415],
    ['more than IMPORT_LIMIT', 'text/csv', 'x'.repeat(MIB + 1), 413],
  ])('refuses %s', async (_what, type, body, status) => {
    const group = aGroup();

    const answer = await post(group, body, '', type);

    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(await listAll(app, `/v1/groups/${group}/imports`)).toEqual([]);
  });

  it('takes any type where the format is told, and refuses a format that there is not', async () => {
    const group = aGroup();

    expect((await post(group, 'email\n', '?format=csv', 'application/octet-stream')).status).toBe(202);
    expect((await post(group, 'email\n', '?format=xml')).status).toBe(400);
    expect((await post(group, 'email\n', '?dry_run=perhaps')).status).toBe(400);
  });

  it('takes CSV nowhere else', async () => {
    const answer = await app.request('POST', `/v1/groups/${aGroup()}/subscribers`, {
      body: 'email\n',
      headers: { 'content-type': 'text/csv' },
    });

    expect(answer.status).toBe(415);
  });
});

describe('an import', () => {
  it('fails where its file cannot be read, and says why', async () => {
    const group = aGroup();

    const ended = await run(group, 'first,second\n1,2\n');

    expect(ended['state']).toBe('failed');
    expect(ended['reason']).toMatch(/names no column email/);
  });

  it('is listed, the newest first, page by page', async () => {
    const group = aGroup();
    const first = await run(group, 'a@example.com\n');
    const second = await run(group, 'b@example.com\n');

    const listed = await listAll(app, `/v1/groups/${group}/imports`, { limit: '1' });

    expect(listed.map((item) => item['key'])).toEqual([second['key'], first['key']]);
  });

  it('is answered as it is when it is cancelled after its end', async () => {
    const group = aGroup();
    const ended = await run(group, 'a@example.com\n');

    const answer = await app.request('DELETE', `/v1/groups/${group}/imports/latest`);

    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(ended);
  });

  it('is not found in another group', async () => {
    const group = aGroup();
    const ended = await run(group, 'a@example.com\n');

    const answer = await app.request('GET', `/v1/groups/${aGroup()}/imports/${textAt(ended, 'key')}`);

    expect(answer.status).toBe(404);
    expect(answer.body['code']).toBe('import-not-found');
  });

  it('has its report as CSV too', async () => {
    const group = aGroup();
    await run(group, 'email\n=1+1@example.com\nno\n');

    const { text, headers } = await app.request(
      'GET',
      `/v1/groups/${group}/imports/latest/report?format=csv`,
    );

    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(text).toBe(
      'line,email,result,duplicate,errors\r\n' +
        "2,'=1+1@example.com,created,false,\r\n" +
        '3,no,rejected,false,"/email: An address has a name, an @ and a domain: ada@example.com."\r\n',
    );
  });
});

describe('GET …/subscribers/export', () => {
  const PEOPLE = [
    {
      email: '+x@example.com',
      name: '=HYPERLINK("http://x","y")',
      attributes: { '=a': '-1', n: 1.5, deep: { a: [null] } },
    },
    { email: 'ada@example.com', name: "'=already", time_zone: 'Europe/London' },
    { email: 'bert@example.com', name: ' "quoted"; with, commas ' },
    { email: 'chris@example.com' },
  ];

  it.each(['csv', 'ndjson'])(
    'is a %s file whose import changes nothing, and makes the same elsewhere',
    async (format) => {
      const group = aGroup();
      await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { subscribers: PEOPLE } });
      await app.request('PATCH', `/v1/groups/${group}/subscribers/chris@example.com`, {
        body: { status: 'complained' },
      });
      const exported = await app.request('GET', `/v1/groups/${group}/subscribers/export?format=${format}`);
      const other = aGroup();

      const same = await run(group, exported.text, `?format=${format}`);
      const elsewhere = await run(other, exported.text, `?format=${format}`);

      expect(same['rows']).toMatchObject({ read: 4, unchanged: 4 });
      expect(elsewhere['rows']).toMatchObject({ read: 4, created: 4 });
      const essence = async (name: string): Promise<readonly unknown[]> =>
        (await listAll(app, `/v1/groups/${name}/subscribers`)).map(
          ({ date_joined: _at, group_name: _group, version: _version, ...rest }) => rest,
        );
      expect(await essence(other)).toEqual(await essence(group));
    },
  );

  it('has no cell that a spreadsheet runs, and only those of a status where one is given', async () => {
    const group = aGroup();
    await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { subscribers: PEOPLE } });
    await app.request('PATCH', `/v1/groups/${group}/subscribers/chris@example.com`, {
      body: { status: 'unsubscribed' },
    });

    const all = await app.request('GET', `/v1/groups/${group}/subscribers/export`);
    const left = await app.request('GET', `/v1/groups/${group}/subscribers/export?status=unsubscribed`);

    expect(all.text).toContain(`'+x@example.com,"'=HYPERLINK(""http://x"",""y"")",active`);
    expect(all.text).toContain("ada@example.com,''=already,active");
    expect(all.headers.get('content-disposition')).toBe(`attachment; filename="${group}.csv"`);
    expect(left.text.trim().split('\r\n')).toHaveLength(2);
  });

  it('is not found where there is no such group', async () => {
    const answer = await app.request('GET', `/v1/groups/${aGroup()}/subscribers/export`);

    expect(answer.status).toBe(404);
  });
});

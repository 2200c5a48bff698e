import { request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type JsonObject, objectsAt, parseObject, textAt } from '../support/json.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';

/** A request that must be refused, and how. `{name}` in a path stands for something of the world below. */
interface BadRequest {
  readonly method?: string;
  readonly path?: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly raw?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status?: number;
  readonly code?: string;
  readonly pointer?: string;
  readonly says: RegExp;
}

type Case = readonly [what: string, request: BadRequest];

const MIB = 1024 * 1024;
const FAR = '2100-01-01T09:00:00Z';
const MESSAGE = { subject: 'News', body: '<p>News</p>', schedule_on: FAR };
const WINDOW = { from: '08:00', to: '20:00' };
const LOCAL = { time: '09:00', date: '2100-01-01' };
const ABSENT_KEY = '00000000-0000-7000-8000-000000000000';

const CLUB = '/v1/groups/club';
const SCHEDULE = `${CLUB}/schedule`;
const SUBSCRIBERS = `${CLUB}/subscribers`;
const ADA = `${SUBSCRIBERS}/ada@example.com`;
const NEWS = `${SCHEDULE}/{news}`;
const CANCELLED = `${SCHEDULE}/{cancelled}`;

// Reading everything after each request costs LocalStack ten times what the refusals do. There it is read once, after all of them: should one
// have changed something, this shows it, and the embedded engine which.
const LOOKS_AFTER_EACH = inject('engine') === 'embedded';

let app: TestApp;
const world: Record<string, string> = {};
let shownAtFirst: readonly unknown[];
/** After the request before. */
let shownBefore: readonly unknown[];

beforeAll(async () => {
  app = await startTestApp();
  for (const group of ['club', 'other']) {
    await app.request('PUT', `/v1/groups/${group}`, { body: { reply_to: 'office@example.com' } });
    for (const name of ['ada', 'grace']) {
      await app.request('POST', `/v1/groups/${group}/subscribers`, {
        body: { email: `${name}@example.com`, name },
      });
    }
    for (const subject of ['first', 'second']) {
      await app.request('POST', `/v1/groups/${group}/schedule`, { body: { ...MESSAGE, subject } });
    }
  }
  const news = await app.request('POST', SCHEDULE, {
    body: { ...MESSAGE, text: 'News', from: 'a@example.com' },
  });
  const cancelled = await app.request('POST', SCHEDULE, { body: MESSAGE });
  world['news'] = textAt(news.body, 'key');
  world['cancelled'] = textAt(cancelled.body, 'key');
  await app.request('DELETE', `${SCHEDULE}/${world['cancelled']}`);
  for (const list of [
    'groups',
    'groups/club/subscribers',
    'groups/other/subscribers',
    'groups/other/schedule',
  ]) {
    const page = await app.request('GET', `/v1/${list}?limit=1`);
    world[`cursor of ${list}`] = textAt(page.body, 'next_cursor');
  }
  world['tampered cursor'] = tampered(world['cursor of groups/club/subscribers'] ?? '');
  shownAtFirst = await everything();
  shownBefore = shownAtFirst;
});
afterAll(() => app.close());

describe('a body', () => {
  refuses([
    ['that is cut off', { raw: '{"subject":"News"', code: 'malformed-body', says: /not valid JSON/ }],
    ['with NaN', { raw: '{"schedule_on":NaN}', code: 'malformed-body', says: /not valid JSON.*NaN/ }],
    ['with a comment', { raw: '{} // news', code: 'malformed-body', says: /not valid JSON/ }],
    [
      'with bytes that are not UTF-8',
      { raw: Buffer.from('{"subject":"\xff"}', 'latin1'), code: 'malformed-body', says: /not valid UTF-8/ },
    ],
    ['with __proto__', { raw: '{"__proto__":{"admin":true}}', code: 'malformed-body', says: /__proto__/ }],
    [
      'with __proto__ in its attributes',
      {
        path: SUBSCRIBERS,
        raw: '{"email":"a@example.com","attributes":{"__proto__":1}}',
        code: 'malformed-body',
        says: /__proto__/,
      },
    ],
    [
      'with constructor.prototype',
      { raw: '{"constructor":{"prototype":{}}}', code: 'malformed-body', says: /constructor\.prototype/ },
    ],
    [
      'that is nested 100,000 deep',
      {
        raw: `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
        code: 'malformed-body',
        says: /nested more than 64/,
      },
    ],
    ['that is empty', { raw: '', says: /no body/ }],
    [
      'that is missing, where every field may be left out (PUT)',
      { method: 'PUT', path: CLUB, pointer: '', says: /no body/ },
    ],
    [
      'that is missing, where every field may be left out (PATCH)',
      { method: 'PATCH', path: NEWS, pointer: '', says: /no body/ },
    ],
    ['that is null', { raw: 'null', pointer: '', says: /must be a JSON object/ }],
    ['that is a list', { raw: '[]', pointer: '', says: /must be a JSON object/ }],
    ['that is text', { raw: '"News"', pointer: '', says: /must be a JSON object/ }],
    ['that is a number', { raw: '1', pointer: '', says: /must be a JSON object/ }],
    [
      'that is a form',
      {
        raw: 'subject=News',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        status: 415,
        code: 'media-type-not-supported',
        says: /must be JSON/,
      },
    ],
    [
      'that is text/plain',
      {
        json: MESSAGE,
        headers: { 'content-type': 'text/plain' },
        status: 415,
        code: 'media-type-not-supported',
        says: /Content-Type: application\/json/,
      },
    ],
    [
      'without a content type',
      {
        json: MESSAGE,
        headers: { 'content-type': '' },
        status: 415,
        code: 'media-type-not-supported',
        says: /Content-Type: application\/json/,
      },
    ],
    [
      'with an unknown property',
      { json: { ...MESSAGE, sendAt: FAR }, pointer: '/sendAt', says: /unknown property/ },
    ],
    [
      'of a subscriber with an unknown property',
      {
        path: SUBSCRIBERS,
        json: { email: 'a@example.com', 'a/b~c': 1 },
        pointer: '/a~1b~0c',
        says: /unknown property/,
      },
    ],
    [
      'of many subscribers with an unknown property',
      {
        path: SUBSCRIBERS,
        json: { subscribers: [{ email: 'a@example.com' }], dry_run: true },
        pointer: '/dry_run',
        says: /unknown property/,
      },
    ],
    [
      'of a group with an unknown property',
      { method: 'PUT', path: CLUB, json: { name: 'Club' }, pointer: '/name', says: /unknown property/ },
    ],
    [
      'of a change with an unknown property',
      { method: 'PATCH', path: NEWS, json: { status: 'sent' }, pointer: '/status', says: /unknown property/ },
    ],
    [
      'of a subscriber change with an unknown property',
      {
        method: 'PATCH',
        path: ADA,
        json: { email: 'b@example.com' },
        pointer: '/email',
        says: /unknown property/,
      },
    ],
    [
      'with a content of one byte above BODY_LIMIT',
      {
        json: { ...MESSAGE, body: 'x'.repeat(10 * MIB + 1) },
        status: 413,
        code: 'content-too-large',
        pointer: '/body',
        says: /10485761 bytes.*10485760/,
      },
    ],
    [
      'whose body and text together are above BODY_LIMIT',
      {
        json: { ...MESSAGE, body: 'ä'.repeat(4 * MIB), text: 'x'.repeat(3 * MIB) },
        status: 413,
        code: 'content-too-large',
        pointer: '/body',
        says: /together/,
      },
    ],
    [
      'of a change with a content above BODY_LIMIT',
      {
        method: 'PATCH',
        path: NEWS,
        json: { body: 'x'.repeat(10 * MIB) },
        status: 413,
        code: 'content-too-large',
        pointer: '/body',
        says: /10485760/,
      },
    ],
    [
      'that is larger than a request may be',
      { raw: ' '.repeat(21 * MIB + 1), status: 413, code: 'body-too-large', says: /at most 22020096 bytes/ },
    ],
  ]);
});

describe('a message', () => {
  refuses([
    ...missing('subject', 'body', 'schedule_on'),
    ...wrongTypes('subject', [null, 1, true, ['News'], {}], /must be text/),
    ...wrongTypes('body', [null, 1, true, ['News'], {}], /must be text/),
    ...wrongTypes('text', [1, true, ['News'], {}], /must be text/),
    ...wrongTypes('from', [1, true, ['a@example.com'], {}], /mailbox is text/),
    ...wrongTypes('reply_to', [1, true, ['a@example.com'], {}], /mailbox is text/),
    ...wrongTypes('template', [null, 1, 'mustache', ['none']], /One of none, liquid/),
    ...wrongTypes('on_missed', [null, 1, 'drop', ['hold']], /One of hold, send, skip/),
    ...wrongTypes('on_unknown', [null, 1, 'drop', ['leave']], /One of resend, leave/),
    ...wrongTypes('schedule_on', [null, true, []], /a number or a string/),
    ...wrongTypes('expires_at', [true, []], /a number or a string/),
    ...withField('subject', '', /is empty/),
    ...withField('body', '', /is empty/),
    ...withField('text', '', /is empty/),
    ...withField('subject', 'News\r\nBcc: eve@example.com', /line break/),
    ...withField('subject', 'News\nBcc: eve@example.com', /line break/),
    ...withField('subject', 'News\rBcc: eve@example.com', /line break/),
    ...withField('subject', 'News\u001b', /control character U\+001B/),
    ...withField('subject', 'x'.repeat(999), /at most 998/),
    ...unstorable('subject', 'body', 'text', 'from', 'reply_to', 'schedule_on', 'expires_at', 'template'),
    ...['from', 'reply_to'].flatMap((field) => [
      ...withField(field, '', /mailbox is needed/),
      ...withField(field, 'News', /mailbox is needed/),
      ...withField(field, 'a@example.com, b@example.com', /One mailbox/),
      ...withField(field, 'a@example.com\r\nBcc: eve@example.com', /one line/),
      ...withField(field, 'News\r\n <a@example.com>', /one line/),
      ...withField(field, `${'x'.repeat(400)} <a@example.com>`, /at most 400/),
    ]),
    ...withField('schedule_on', 'NaN', /not a time/),
    ...withField('schedule_on', '', /not a time/),
    ...withField('schedule_on', 'tomorrow', /not a time/),
    ...withField('schedule_on', -1, /negative/),
    ...withField('schedule_on', 0, /too early/),
    ...withField('schedule_on', 4_102_477_200, /looks like seconds; send milliseconds: 4102477200000/),
    ...withField('schedule_on', 1.5, /fraction/),
    ...withField('schedule_on', 253_402_300_800_000, /too late/),
    ...withField('schedule_on', '+010000-01-01T00:00:00Z', /four digits/),
    ...withField('schedule_on', '4102477200000', /as a number/),
    ...withField('schedule_on', '2100-01-01', /date alone/),
    ...withField('schedule_on', '2100-01-01T09:00', /Add a zone/),
    ...withField('schedule_on', '2100-02-30T09:00Z', /no 2100-02-30 in the calendar/),
    ...withField('schedule_on', '2100-01-01T24:00Z', /not a time of day/),
    ...withField('schedule_on', '2100-01-01T09:00[Europe/Atlantis]', /no zone Europe\/Atlantis/),
    ...withField('schedule_on', '2100-01-01T09:00[CET]', /abbreviations/),
    ...withField(
      'schedule_on',
      '2027-03-28T02:30[Europe/Paris]',
      /does not exist in Europe\/Paris.*Send 2027-03-28T01:30:00\+01:00.* or 2027-03-28T03:30/,
    ),
    ...withField(
      'schedule_on',
      '2027-10-31T02:30[Europe/Paris]',
      /exists twice in Europe\/Paris.*Send .*\+02:00.* or .*\+01:00/,
    ),
    ...withField('schedule_on', '2100-01-01T09:00+05:00[Europe/Paris]', /does not fit/),
    ...timeObjects([
      [{}, '/local', /A local time is needed/],
      [{ local: 4_102_477_200_000 }, '/local', /A local time is needed/],
      [{ local: '2100-01-01T09:00' }, '', /Add a zone/],
      [{ local: '2100-01-01T09:00Z' }, '/local', /neither offset nor zone/],
      [{ local: '2100-02-30T09:00' }, '/local', /no 2100-02-30/],
      [{ local: '0001-01-01T09:00', time_zone: 'Europe/Paris' }, '', /too early/],
      [{ local: '10000-01-01T09:00', time_zone: 'Europe/Paris' }, '/local', /four digits/],
      [{ local: '2100-01-01T09:00', time_zone: 'EST' }, '/time_zone', /abbreviations/],
      [{ local: '2100-01-01T09:00', time_zone: 'Europe/Atlantis' }, '/time_zone', /no zone/],
      [{ local: '2100-01-01T09:00', time_zone: 1 }, '/time_zone', /name of a zone/],
      [{ local: '2100-01-01T09:00', time_zone: 'Europe/Paris', dst: 'first' }, '/dst', /earlier, later/],
      [{ local: '2100-01-01T09:00', timezone: 'Europe/Paris' }, '/timezone', /unknown property/],
    ]),
    [
      'with dst beside an instant',
      { json: { ...MESSAGE, dst: 'earlier' }, pointer: '/dst', says: /one moment/ },
    ],
    [
      'with dst twice',
      {
        json: {
          ...MESSAGE,
          dst: 'earlier',
          schedule_on: { local: '2027-10-31T02:30', time_zone: 'Europe/Paris', dst: 'later' },
        },
        pointer: '/dst',
        says: /another one/,
      },
    ],
    ...withField('expires_at', '2099-12-31T09:00:00Z', /after schedule_on/),
    ...withField('expires_at', FAR, /after schedule_on/),
    [
      'that had expired before it came',
      {
        json: { ...MESSAGE, schedule_on: 1_649_753_447_000, expires_at: 1_649_753_447_001 },
        pointer: '/expires_at',
        says: /after now/,
      },
    ],
    [
      'with a schedule_on that JSON cannot hold',
      { raw: '{"subject":"a","body":"b","schedule_on":1e400}', pointer: '/schedule_on', says: /not a time/ },
    ],
    ...['subject', 'body', 'text'].flatMap((field): readonly Case[] => [
      [
        `with a ${field} that is no template`,
        {
          json: { ...MESSAGE, template: 'liquid', [field]: 'Dear {{ name' },
          pointer: `/${field}`,
          says: /no Liquid template/,
        },
      ],
    ]),
    [
      'with an unknown filter in its template',
      {
        json: { ...MESSAGE, template: 'liquid', body: '{{ name | upcsae }}' },
        pointer: '/body',
        says: /upcsae/,
      },
    ],
    [
      'with a template that reads files',
      {
        json: { ...MESSAGE, template: 'liquid', body: "{% include '/etc/passwd' %}" },
        pointer: '/body',
        says: /include/,
      },
    ],
    [
      'with everything wrong at once: each is told',
      {
        json: { subject: '', body: 1, schedule_on: 'x', foo: 1 },
        pointer: '/foo',
        says: /\/subject: .*\/body: .*\/schedule_on: /,
      },
    ],
    [
      'with an Idempotency-Key with a space',
      {
        json: MESSAGE,
        headers: { 'idempotency-key': 'order 1' },
        pointer: 'Idempotency-Key',
        says: /without spaces/,
      },
    ],
    [
      'with an Idempotency-Key of 300 characters',
      {
        json: MESSAGE,
        headers: { 'idempotency-key': 'x'.repeat(300) },
        pointer: 'Idempotency-Key',
        says: /1 to 255/,
      },
    ],
    [
      'with an Idempotency-Key that is not ASCII',
      { json: MESSAGE, headers: { 'idempotency-key': 'ä' }, pointer: 'Idempotency-Key', says: /ASCII/ },
    ],
    [
      'with an empty Idempotency-Key',
      { json: MESSAGE, headers: { 'idempotency-key': '' }, pointer: 'Idempotency-Key', says: /1 to 255/ },
    ],
  ]);
});

describe('a local time', () => {
  refuses([
    ...(
      [
        [null, '', /A local time such as/],
        ['09:00', '', /A local time such as/],
        [[], '', /A local time such as/],
        [{}, '/date', /missing; a date/],
        [{ date: '2100-01-01' }, '/time', /missing; a time of day/],
        [{ time: '09:00' }, '/date', /missing; a date/],
        [{ ...LOCAL, date: '2100-02-29' }, '/date', /no 2100-02-29 in the calendar/],
        [{ ...LOCAL, date: '0001-01-01' }, '/date', /between 1974-01-01 and 9999-12-30/],
        [{ ...LOCAL, date: '10000-01-01' }, '/date', /a date is needed/],
        [{ ...LOCAL, date: 4_102_444_800_000 }, '/date', /a date is needed/],
        [{ ...LOCAL, time: '24:00' }, '/time', /00:00 to 23:59:59/],
        [{ ...LOCAL, time: '09:00Z' }, '/time', /without a zone/],
        [{ ...LOCAL, time: '09:00[Europe/Paris]' }, '/time', /without a zone/],
        [{ ...LOCAL, time: 9 }, '/time', /a time of day/],
        [{ ...LOCAL, passed: 'hold' }, '/passed', /One of send, skip/],
        [{ ...LOCAL, time_zone: 'Europe/Paris' }, '/time_zone', /unknown property/],
        [{ ...LOCAL, 'time/zone': 'Europe/Paris' }, '/time~1zone', /unknown property/],
      ] as const
    ).map(([local, pointer, says]): Case => [
      `with ${shown({ local_delivery: local })}`,
      {
        json: { subject: 'News', body: 'News', local_delivery: local },
        pointer: `/local_delivery${pointer}`,
        says,
      },
    ]),
    [
      'beside schedule_on',
      { json: { ...MESSAGE, local_delivery: LOCAL }, pointer: '/local_delivery', says: /not both/ },
    ],
    [
      'beside a schedule_on that is none',
      {
        json: { ...MESSAGE, schedule_on: 'tomorrow', local_delivery: LOCAL },
        pointer: '/schedule_on',
        says: /not a time/,
      },
    ],
    [
      'that comes after the expiry',
      {
        json: { subject: 'News', body: 'News', local_delivery: LOCAL, expires_at: '2099-12-31T00:00Z' },
        pointer: '/expires_at',
        says: /the first wave/,
      },
    ],
  ]);
});

describe('a change of a message', () => {
  refuses(
    changes(NEWS, [
      ['a local time of null', { local_delivery: null }, '/local_delivery', /A local time such as/],
      [
        'a local time without a date',
        { local_delivery: { time: '09:00' } },
        '/local_delivery/date',
        /missing/,
      ],
      [
        'two times',
        { local_delivery: LOCAL, schedule_on: '2100-01-01T09:00Z' },
        '/local_delivery',
        /not both/,
      ],
      ['a subject of null', { subject: null }, '/subject', /must be text/],
      ['a body of null', { body: null }, '/body', /must be text/],
      ['a schedule_on of null', { schedule_on: null }, '/schedule_on', /a number or a string/],
      ['a subject with a line break', { subject: 'News\r\nBcc: eve@example.com' }, '/subject', /line break/],
      ['a local time without its zone', { schedule_on: '2100-01-01T09:00' }, '/schedule_on', /Add a zone/],
      ['an expiry before its time', { expires_at: '2099-01-01T09:00Z' }, '/expires_at', /after schedule_on/],
      ['two senders', { from: 'a@example.com, b@example.com' }, '/from', /One mailbox/],
      [
        'a template that does not parse',
        { template: 'liquid', body: '{% if %}' },
        '/body',
        /no Liquid template/,
      ],
    ]),
  );
});

describe('a subscriber', () => {
  refuses([
    ['without an email', { path: SUBSCRIBERS, json: { name: 'Ada' }, pointer: '/email', says: /is missing/ }],
    ...addresses([
      ['', /is empty/],
      ['ada', /an @/],
      ['@example.com', /has a name/],
      ['ada@', /not an address/],
      ['ada@example', /domain with a dot/],
      ['ada@example..com', /not an address/],
      ['ada@exa mple.com', /not an address/],
      ['ada@b@example.com', /not an address/],
      ['Ada <ada@example.com>', /not an address/],
      ['ada@example.com, eve@example.com', /not an address/],
      ['ada@example.com\r\nBcc: eve@example.com', /line break/],
      ['ada\n@example.com', /line break/],
      ['"ada lovelace"@example.com', /quotation marks/],
      ['ädä@example.com', /ASCII/],
      [`${'a'.repeat(65)}@example.com`, /not an address/],
      [`a@${'b'.repeat(250)}.com`, /at most 254/],
      [`ada@${'example.'.repeat(31)}com`, /at most 254/],
      ['ada\u0000@example.com', /NUL/],
      ['ada\ud800@example.com', /surrogate/],
      [1, /must be text/],
      [null, /must be text/],
      [['ada@example.com'], /must be text/],
    ]),
    ...subscriberFields([
      [{ name: 1 }, '/name', /must be text/],
      [{ name: '' }, '/name', /is empty/],
      [{ name: 'Ada\r\nBcc: eve@example.com' }, '/name', /line break/],
      [{ name: 'x'.repeat(257) }, '/name', /at most 256/],
      [{ name: '\u0000' }, '/name', /NUL/],
      [{ name: '\udc00' }, '/name', /surrogate/],
      [{ time_zone: 'Europe/Atlantis' }, '/time_zone', /IANA time zone/],
      [{ time_zone: '' }, '/time_zone', /IANA time zone/],
      [{ time_zone: 1 }, '/time_zone', /IANA time zone/],
      [{ time_zone: 'Europe/Paris\u0000' }, '/time_zone', /IANA time zone/],
      [{ attributes: 'London' }, '/attributes', /JSON object/],
      [{ attributes: ['London'] }, '/attributes', /JSON object/],
      [{ attributes: 1 }, '/attributes', /JSON object/],
      [{ attributes: { text: 'x'.repeat(9_000) } }, '/attributes', /at most 8192/],
      [
        {
          attributes: Object.fromEntries(
            Array.from({ length: 1_000 }, (_, index) => [`key-${index}`, index]),
          ),
        },
        '/attributes',
        /at most 8192/,
      ],
      [{ attributes: { a: { b: { c: { d: { e: { f: 1 } } } } } } }, '/attributes', /nested more than 5/],
      [{ attributes: { city: 'Lon\u0000don' } }, '/attributes', /NUL/],
      [{ attributes: { city: ['\ud83d'] } }, '/attributes', /surrogate/],
      [{ attributes: { 'ci\u0000ty': 1 } }, '/attributes', /NUL/],
      [{ attributes: { '': 1 } }, '/attributes', /is empty/],
    ]),
    [
      'with an attribute that JSON cannot hold',
      {
        path: SUBSCRIBERS,
        raw: '{"email":"new@example.com","attributes":{"n":1e400}}',
        pointer: '/attributes',
        says: /number/,
      },
    ],
    [
      'list of 10,000',
      {
        path: SUBSCRIBERS,
        json: {
          subscribers: Array.from({ length: 10_000 }, (_, index) => ({ email: `s${index}@example.com` })),
        },
        pointer: '/subscribers',
        says: /At most 1000/,
      },
    ],
    [
      'list of 1,001',
      {
        path: SUBSCRIBERS,
        json: {
          subscribers: Array.from({ length: 1_001 }, (_, index) => ({ email: `s${index}@example.com` })),
        },
        pointer: '/subscribers',
        says: /At most 1000/,
      },
    ],
    [
      'list of none',
      { path: SUBSCRIBERS, json: { subscribers: [] }, pointer: '/subscribers', says: /is empty/ },
    ],
    [
      'list that is an object',
      {
        path: SUBSCRIBERS,
        json: { subscribers: { email: 'a@example.com' } },
        pointer: '/subscribers',
        says: /list of subscribers/,
      },
    ],
    [
      'list that is null',
      {
        path: SUBSCRIBERS,
        json: { subscribers: null },
        pointer: '/subscribers',
        says: /list of subscribers/,
      },
    ],
    [
      'change to an unknown status',
      {
        method: 'PATCH',
        path: ADA,
        json: { status: 'gone' },
        pointer: '/status',
        says: /One of active, pending/,
      },
    ],
    [
      'change to a status of null',
      {
        method: 'PATCH',
        path: ADA,
        json: { status: null },
        pointer: '/status',
        says: /One of active, pending/,
      },
    ],
    [
      'change with a resubscribe that is text',
      {
        method: 'PATCH',
        path: ADA,
        json: { resubscribe: 'true' },
        pointer: '/resubscribe',
        says: /true or false/,
      },
    ],
    [
      'change to a name with a line break',
      { method: 'PATCH', path: ADA, json: { name: 'Ada\nKing' }, pointer: '/name', says: /line break/ },
    ],
    [
      'change to attributes that are a list',
      { method: 'PATCH', path: ADA, json: { attributes: [] }, pointer: '/attributes', says: /JSON object/ },
    ],
    [
      'that is not there, changed',
      {
        method: 'PATCH',
        path: `${SUBSCRIBERS}/eve@example.com`,
        json: { name: 'Eve' },
        status: 404,
        code: 'subscriber-not-found',
        says: /no such subscriber/,
      },
    ],
    [
      'that is not there, removed',
      {
        method: 'DELETE',
        path: `${SUBSCRIBERS}/eve@example.com`,
        status: 404,
        code: 'subscriber-not-found',
        says: /no such subscriber/,
      },
    ],
    [
      'in the path that is no address',
      { method: 'GET', path: `${SUBSCRIBERS}/ada`, pointer: 'email', says: /an @/ },
    ],
    [
      'in the path with a line break',
      {
        method: 'GET',
        path: `${SUBSCRIBERS}/ada%0d%0a@example.com`,
        pointer: 'email',
        says: /not an address/,
      },
    ],
    [
      'in the path of 300 characters',
      {
        method: 'GET',
        path: `${SUBSCRIBERS}/${'a'.repeat(288)}@example.com`,
        pointer: 'email',
        says: /at most 254/,
      },
    ],
  ]);
});

describe('a group', () => {
  refuses([
    ...groupNames(
      '..',
      '%2e%2e',
      '.',
      '%2e',
      'a%2Fb',
      'a%5Cb',
      'a%00b',
      'a%20b',
      'a.b',
      '-a',
      '_a',
      '%C3%A4',
      'x'.repeat(64),
      'x'.repeat(300),
    ),
    [
      'with a name of 3,000 characters',
      {
        method: 'PUT',
        path: `/v1/groups/${'x'.repeat(3_000)}`,
        json: {},
        status: 414,
        code: 'url-too-long',
        says: /too long/,
      },
    ],
    [
      'with the name that paths of the API begin with',
      { method: 'PUT', path: '/v1/groups/V1', json: {}, pointer: 'group', says: /No group can be named v1/ },
    ],
    [
      'with a name that cannot be decoded',
      { method: 'PUT', path: '/v1/groups/%zz', json: {}, code: 'malformed-url', says: /%/ },
    ],
    ...(
      [
        [{ from: 1 }, '/from', /mailbox is text/],
        [{ from: 'a@example.com\r\nBcc: eve@example.com' }, '/from', /one line/],
        [{ from: 'a@example.com, b@example.com' }, '/from', /One mailbox/],
        [{ reply_to: 'nobody' }, '/reply_to', /mailbox is needed/],
        [{ reply_to: '\u0000' }, '/reply_to', /one line/],
        [{ reply_to: '\ud800 <a@example.com>' }, '/reply_to', /one line/],
        [{ time_zone: 'Europe/Atlantis' }, '/time_zone', /IANA time zone/],
        [{ time_zone: {} }, '/time_zone', /IANA time zone/],
        [{ max_send_rate: 0 }, '/max_send_rate', /Mails per second/],
        [{ max_send_rate: -1 }, '/max_send_rate', /Mails per second/],
        [{ max_send_rate: 100_001 }, '/max_send_rate', /Mails per second/],
        [{ max_send_rate: '14' }, '/max_send_rate', /Mails per second/],
        [{ kind: 'spam' }, '/kind', /bulk, transactional/],
        [{ kind: null }, '/kind', /bulk, transactional/],
        [{ opt_in: 'triple' }, '/opt_in', /single, double/],
        [{ display_name: '' }, '/display_name', /empty/],
        [{ display_name: 'a\r\nBcc: eve@example.com' }, '/display_name', /line break/],
        [{ list_help: 'javascript:alert(1)' }, '/list_help', /https, http or mailto/],
        [{ list_help: 'https://example.com/> <b' }, '/list_help', /https, http or mailto/],
        [{ list_owner: 'owner@example.com' }, '/list_owner', /https, http or mailto/],
        [{ unsubscribe_mailto: 'Leave <leave@example.com>' }, '/unsubscribe_mailto', /An address/],
        [{ unsubscribe_mailto: 'leave@example.com, eve@example.com' }, '/unsubscribe_mailto', /An address/],
        [{ postal_address: 'x'.repeat(301) }, '/postal_address', /at most 300/],
        [{ language: 'tlh' }, '/language', /en, de, fr, es/],
        [{ send_window: '08:00-20:00' }, '/send_window', /A window such as/],
        [{ send_window: [] }, '/send_window', /A window such as/],
        [{ send_window: {} }, '/send_window/from', /missing; a time of day/],
        [{ send_window: { from: '08:00' } }, '/send_window/to', /missing; a time of day/],
        [{ send_window: { ...WINDOW, to: '24:00' } }, '/send_window/to', /The end of a day is 00:00/],
        [{ send_window: { ...WINDOW, from: '8am' } }, '/send_window/from', /a time of day/],
        [{ send_window: { ...WINDOW, from: 8 } }, '/send_window/from', /a time of day/],
        [{ send_window: { ...WINDOW, to: '08:00' } }, '/send_window/to', /ends when it begins/],
        [{ send_window: { ...WINDOW, days: [] } }, '/send_window/days', /Some of mo, tu/],
        [{ send_window: { ...WINDOW, days: 'mo' } }, '/send_window/days', /Some of mo, tu/],
        [{ send_window: { ...WINDOW, days: ['mo', 'Monday'] } }, '/send_window/days/1', /Some of mo, tu/],
        [{ send_window: { ...WINDOW, days: ['mo', 'mo'] } }, '/send_window/days/1', /at most once/],
        [
          { send_window: { ...WINDOW, zone: 'Europe/Paris' } },
          '/send_window/zone',
          /One of group, subscriber/,
        ],
        [{ send_window: { ...WINDOW, until: '20:00' } }, '/send_window/until', /unknown property/],
      ] as const
    ).map(([json, pointer, says]): Case => [
      `with ${shown(json)}`,
      { method: 'PUT', path: CLUB, json, pointer, says },
    ]),
    [
      'with unfinished messages, removed',
      { method: 'DELETE', path: CLUB, status: 409, code: 'group-in-use', says: /Cancel them first/ },
    ],
    ...['', '/subscribers', '/schedule'].map((rest): Case => [
      `that nobody has made, read: …${rest}`,
      {
        method: 'GET',
        path: `/v1/groups/nobody${rest}`,
        status: 404,
        code: 'group-not-found',
        says: /no group 'nobody'/,
      },
    ]),
    [
      'that nobody has made, removed',
      {
        method: 'DELETE',
        path: '/v1/groups/nobody',
        status: 404,
        code: 'group-not-found',
        says: /no group 'nobody'/,
      },
    ],
  ]);
});

describe('what is not there', () => {
  refuses([
    ...(
      [
        ['GET', ''],
        ['GET', '/content'],
        ['GET', '/plan'],
        ['GET', '/deliveries'],
        ['GET', '/deliveries/ada@example.com'],
        ['PATCH', ''],
        ['DELETE', ''],
        ['POST', '/pause'],
        ['POST', '/resume'],
      ] as const
    ).flatMap(([method, rest]): readonly Case[] => [
      [
        `${method} …/{unknown key}${rest}`,
        {
          method,
          path: `${SCHEDULE}/${ABSENT_KEY}${rest}`,
          json: {},
          status: 404,
          code: 'message-not-found',
          says: /no such message/,
        },
      ],
      [
        `${method} …/{no key}${rest}`,
        { method, path: `${SCHEDULE}/42${rest}`, json: {}, pointer: 'key', says: /UUIDv7/ },
      ],
      [
        `${method} …/latest${rest} of a group without messages`,
        {
          method,
          path: `/v1/groups/nobody/schedule/latest${rest}`,
          json: {},
          status: 404,
          code: 'message-not-found',
          says: /no such message/,
        },
      ],
    ]),
    [
      'the delivery of a message that has none',
      {
        method: 'GET',
        path: `${NEWS}/deliveries/ada@example.com`,
        status: 404,
        code: 'delivery-not-found',
        says: /no delivery/,
      },
    ],
    [
      'a route',
      {
        method: 'GET',
        path: '/v2/groups',
        status: 404,
        code: 'route-not-found',
        says: /no route GET \/v2\/groups/,
      },
    ],
    [
      'a route behind a message',
      {
        method: 'POST',
        path: `${NEWS}/explode`,
        json: {},
        status: 404,
        code: 'route-not-found',
        says: /no route POST/,
      },
    ],
    [
      'a method',
      {
        method: 'DELETE',
        path: '/v1/groups?limit=1',
        status: 405,
        code: 'method-not-allowed',
        says: /^\/v1\/groups has GET, HEAD, and no DELETE/,
      },
    ],
    [
      'a method of a message',
      {
        method: 'PUT',
        path: NEWS,
        json: MESSAGE,
        status: 405,
        code: 'method-not-allowed',
        says: /has DELETE, GET, HEAD, PATCH, and no PUT/,
      },
    ],
  ]);
});

describe('If-Match', () => {
  const CHANGES = [
    ['PUT', CLUB, {}],
    ['DELETE', CLUB, undefined],
    ['PATCH', ADA, { name: 'Eve' }],
    ['DELETE', ADA, undefined],
    ['PATCH', NEWS, { subject: 'Eve' }],
    ['DELETE', NEWS, undefined],
    ['POST', `${NEWS}/pause`, undefined],
    ['POST', `${NEWS}/resume`, undefined],
  ] as const;
  refuses([
    ...CHANGES.map(([method, path, json]): Case => [
      `that is stale, with ${method} ${path}`,
      {
        method,
        path,
        json,
        headers: { 'if-match': '"999"' },
        status: 412,
        code: 'version-mismatch',
        says: /Version 999 .* version \d+ now/,
      },
    ]),
    ...CHANGES.flatMap(([method, path, json]) =>
      ['1', 'W/"1"', '"1", "2"', '""', '"abc"', '"0"', '"1e3"'].map((ifMatch): Case => [
        `of ${ifMatch}, with ${method} ${path}`,
        {
          method,
          path,
          json,
          headers: { 'if-match': ifMatch },
          pointer: 'If-Match',
          says: /strong entity tag/,
        },
      ]),
    ),
    [
      'of a group that is not there',
      {
        method: 'PUT',
        path: '/v1/groups/nobody',
        json: {},
        headers: { 'if-match': '"1"' },
        status: 412,
        code: 'version-mismatch',
        says: /nothing here yet/,
      },
    ],
  ]);
});

describe('a cancelled message', () => {
  refuses([
    [
      'that is changed',
      {
        method: 'PATCH',
        path: CANCELLED,
        json: { subject: 'News' },
        status: 409,
        code: 'message-status-conflict',
        says: /is cancelled, so it cannot be changed/,
      },
    ],
    [
      'that is paused',
      {
        method: 'POST',
        path: `${CANCELLED}/pause`,
        status: 409,
        code: 'message-status-conflict',
        says: /cannot be paused/,
      },
    ],
    [
      'that is resumed',
      {
        method: 'POST',
        path: `${CANCELLED}/resume`,
        status: 409,
        code: 'message-status-conflict',
        says: /cannot be resumed/,
      },
    ],
  ]);
});

describe('a list', () => {
  const LISTS = ['/v1/groups', SUBSCRIBERS, SCHEDULE, `${NEWS}/deliveries`];
  refuses([
    ...LISTS.flatMap((list) => [
      ...['0', '-1', '1001', 'abc', '1.5', '', '1e999'].map((limit): Case => [
        `${list} with limit=${limit}`,
        { method: 'GET', path: `${list}?limit=${limit}`, pointer: 'limit', says: /from 1 to 1000/ },
      ]),
      ...[
        '',
        'abc',
        '%00',
        'x'.repeat(1_025),
        '{tampered cursor}',
        '{cursor of groups/other/subscribers}',
        '{cursor of groups/other/schedule}',
      ].map((cursor): Case => [
        `${list} with the cursor ${cursor.slice(0, 40)}`,
        { method: 'GET', path: `${list}?cursor=${cursor}`, pointer: 'cursor', says: /cursor/ },
      ]),
      [
        `${list} with two limits`,
        { method: 'GET', path: `${list}?limit=1&limit=2`, pointer: 'limit', says: /from 1 to 1000/ },
      ] as const,
      [
        `${list} with an unknown parameter`,
        { method: 'GET', path: `${list}?order=name`, pointer: 'order', says: /unknown parameter/ },
      ] as const,
    ]),
    [
      'of groups with the cursor of a list of subscribers',
      {
        method: 'GET',
        path: '/v1/groups?cursor={cursor of groups/club/subscribers}',
        pointer: 'cursor',
        says: /not a cursor of this list/,
      },
    ],
    [
      'of messages with the cursor of a list of subscribers',
      {
        method: 'GET',
        path: `${SCHEDULE}?cursor={cursor of groups/club/subscribers}`,
        pointer: 'cursor',
        says: /not a cursor of this list/,
      },
    ],
    [
      'of subscribers with an unknown status',
      { method: 'GET', path: `${SUBSCRIBERS}?status=gone`, pointer: 'status', says: /One of active/ },
    ],
    [
      'of messages with an unknown status',
      { method: 'GET', path: `${SCHEDULE}?status=sent,gone`, pointer: 'status', says: /scheduled, held/ },
    ],
    [
      'of messages with an empty status',
      { method: 'GET', path: `${SCHEDULE}?status=`, pointer: 'status', says: /scheduled, held/ },
    ],
    [
      'of deliveries with an unknown outcome',
      { method: 'GET', path: `${NEWS}/deliveries?outcome=gone`, pointer: 'outcome', says: /One of sent/ },
    ],
    ...['from', 'to'].flatMap((bound): readonly Case[] => [
      [
        `of messages with a ${bound} that is no time`,
        { method: 'GET', path: `${SCHEDULE}?${bound}=soon`, pointer: bound, says: /not a time/ },
      ],
      [
        `of messages with a ${bound} in seconds`,
        {
          method: 'GET',
          path: `${SCHEDULE}?${bound}=4102477200`,
          pointer: bound,
          says: /looks like seconds/,
        },
      ],
      [
        `of messages with a ${bound} without a zone`,
        { method: 'GET', path: `${SCHEDULE}?${bound}=2100-01-01T09:00`, pointer: bound, says: /Add a zone/ },
      ],
    ]),
  ]);
});

describe('an upper-case group name', () => {
  it('is the group in lower case, in every path', async () => {
    const upper = await app.request('GET', `/v1/groups/CLUB/schedule/${world['news']}`);

    expect(upper.status).toBe(200);
    expect(upper.body['group']).toBe('club');
  });
});

describe('all of that', () => {
  it('leaves everything as it was', async () => {
    expect(await everything()).toEqual(shownAtFirst);
  });
});

/** One test for each case: the problem document says what is wrong, and nothing is other than before. */
function refuses(cases: readonly Case[]): void {
  it.each(cases)('%s is refused and changes nothing', async (_what, bad) => {
    const before = shownBefore;

    const answer = await send(bad);

    shownBefore = LOOKS_AFTER_EACH ? await everything() : before; // whatever this one has changed is not laid to the next
    const { status = 400, code = 'invalid-input', pointer, says } = bad;
    expect(answer.body).toMatchObject({ status, code });
    expect(answer.status).toBe(status);
    expect(answer.contentType).toMatch(/^application\/problem\+json/);
    expect(answer.body['type']).toBe(`urn:belfry:problem:${code}`);
    expect(answer.body['detail']).toMatch(says);
    expect(pointersOf(answer.body)).toEqual(expect.arrayContaining(pointer === undefined ? [] : [pointer]));
    expect(shownBefore).toEqual(before);
  });
}

function pointersOf(problem: JsonObject): readonly unknown[] {
  return 'errors' in problem ? objectsAt(problem, 'errors').map((fault) => fault['pointer']) : [];
}

/** All that the API shows. */
async function everything(): Promise<readonly unknown[]> {
  const groups = await listAll(app, '/v1/groups');
  const paths = groups.map((group) => `/v1/groups/${textAt(group, 'group_name')}`);
  const lists = paths.flatMap((path) => [`${path}/subscribers`, `${path}/schedule`]);
  return [groups, ...(await Promise.all(lists.map((list) => listAll(app, list))))];
}

interface BadAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: JsonObject;
}

/** Without fetch, which makes paths shorter (`..`) and headers proper. */
async function send({
  method = 'POST',
  path = SCHEDULE,
  json,
  raw,
  headers,
}: BadRequest): Promise<BadAnswer> {
  const body = raw ?? (json === undefined ? undefined : JSON.stringify(json));
  const { 'content-type': type = 'application/json', ...rest } = headers ?? {};
  const { hostname, port } = new URL(app.url);
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = httpRequest({
    hostname,
    port,
    method,
    path: path.replaceAll(/\{([^}]+)\}/g, (_match, name: string) => encodeURIComponent(world[name] ?? name)),
    headers: {
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
      ...(body !== undefined && type !== '' && { 'content-type': type }),
      ...rest,
    },
  });
  // What is refused before it was read in full may break the connection behind the answer.
  request.once('response', resolve).on('error', reject).end(body);
  const response = await promise;
  return {
    status: response.statusCode ?? 0,
    contentType: response.headers['content-type'] ?? '',
    body: parseObject(await text(response)),
  };
}

function missing(...fields: readonly (keyof typeof MESSAGE)[]): readonly Case[] {
  return fields.map((field) => [
    `without ${field}`,
    { json: { ...MESSAGE, [field]: undefined }, pointer: `/${field}`, says: /is missing/ },
  ]);
}

function wrongTypes(field: string, values: readonly unknown[], says: RegExp): readonly Case[] {
  return values.flatMap((value) => withField(field, value, says));
}

function withField(field: string, value: unknown, says: RegExp): readonly Case[] {
  return [
    [
      `with ${shown({ [field]: value })}`,
      { json: { ...MESSAGE, [field]: value }, pointer: `/${field}`, says },
    ],
  ];
}

function timeObjects(
  rows: readonly (readonly [time: object, place: string, says: RegExp])[],
): readonly Case[] {
  return rows.map(([time, place, says]) => [
    `with ${shown({ schedule_on: time })}`,
    { json: { ...MESSAGE, schedule_on: time }, pointer: `/schedule_on${place}`, says },
  ]);
}

/** NULs and halves of surrogate pairs. */
function unstorable(...fields: readonly string[]): readonly Case[] {
  return fields.flatMap((field) => [
    ...withField(field, 'a\u0000b', /./),
    ...withField(field, 'a\ud800b', /./),
    ...withField(field, 'a\udfffb', /./),
  ]);
}

function changes(
  path: string,
  rows: readonly (readonly [what: string, json: object, pointer: string, says: RegExp])[],
): readonly Case[] {
  return rows.map(([what, json, pointer, says]) => [
    `to ${what}`,
    { method: 'PATCH', path, json, pointer, says },
  ]);
}

function addresses(rows: readonly (readonly [email: unknown, says: RegExp])[]): readonly Case[] {
  return rows.map(([email, says]) => [
    `with ${shown({ email })}`,
    { path: SUBSCRIBERS, json: { email }, pointer: '/email', says },
  ]);
}

function subscriberFields(
  rows: readonly (readonly [fields: object, pointer: string, says: RegExp])[],
): readonly Case[] {
  return rows.map(([fields, pointer, says]) => [
    `with ${shown(fields)}`,
    { path: SUBSCRIBERS, json: { email: 'new@example.com', ...fields }, pointer, says },
  ]);
}

function groupNames(...names: readonly string[]): readonly Case[] {
  return names.flatMap((name): readonly Case[] => {
    const shownName = name.slice(0, 20);
    const refusal = { pointer: 'group', says: /1 to 63 characters/ };
    return [
      [`named ${shownName}, made`, { method: 'PUT', path: `/v1/groups/${name}`, json: {}, ...refusal }],
      [
        `named ${shownName}, given a subscriber`,
        { path: `/v1/groups/${name}/subscribers`, json: { email: 'new@example.com' }, ...refusal },
      ],
      [
        `named ${shownName}, given a message by the sample's path`,
        { path: `/${name}/schedule`, json: MESSAGE, ...refusal },
      ],
    ];
  });
}

function shown(value: object): string {
  const json = JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 80)}… (${json.length})` : json;
}

/** The same with another character in its middle. */
function tampered(cursor: string): string {
  const middle = Math.floor(cursor.length / 2);
  return `${cursor.slice(0, middle)}${cursor[middle] === 'A' ? 'B' : 'A'}${cursor.slice(middle + 1)}`;
}

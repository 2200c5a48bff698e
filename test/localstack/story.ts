import { HOUR_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { assertNever } from '../../src/platform/errors/assert-never.ts';
import { signatureOf } from '../support/feedback-signature.ts';

/** A request of the story. `{name}` in its path stands for what an answer before it was remembered as. */
export interface Request {
  readonly kind: 'request';
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** In the place of `body`: one that depends on when it is sent. */
  readonly bodyAt?: (now: Temporal.Instant) => object;
  readonly headers?: Readonly<Record<string, string>>;
  /** Remembers the key of the message that it is answered with, or the cursor of the next page. */
  readonly remember?: string;
}

export type Step =
  | Request
  | { readonly kind: 'time-passes'; readonly ms: number }
  /** Until the message, or the import, at this path has the status on both engines; for as long as that takes, time stands still. */
  | { readonly kind: 'until'; readonly path: string; readonly status: string };

type Sending = Omit<Request, 'kind' | 'method' | 'path'>;

const FAR = '2100-01-01T09:00:00Z';
// Less than the time for which a message's timer is armed ahead: no scan is needed to find it.
const SOON_MS = 2 * SECOND_MS;
const LONG_PAST = 1_649_753_447_000;

/** When the story begins. */
export const STORY_BEGINS_AT = Temporal.Instant.from('2030-01-01T08:00:00Z');

/** What FEEDBACK_SECRET must be where the story is told. */
export const STORY_FEEDBACK_SECRET = 'a-secret-of-whoever-reads-the-bounces';

const CHAPTERS = [
  nothingYet,
  subscribers,
  files,
  groupSettings,
  messagesThatWait,
  series,
  theSameAgain,
  changes,
  messagesThatGoOut,
  timeThatPasses,
  theEnd,
];

/** Where the story of one group takes place. */
interface Place {
  readonly group: string;
  /** Paths. */
  readonly settings: string;
  readonly people: string;
  readonly messages: string;
  readonly imports: string;
  readonly series: string;
  /** Of the message that is remembered so. */
  readonly named: (name: string) => string;
}

/**
 * What somebody may ask of one group from its first subscriber to its removal, well or ill: every operation that has a group in its path,
 * under `base`.
 */
export function storyOf(group: string, base: string): readonly Step[] {
  const place: Place = {
    group,
    settings: `/v1/groups/${group}`,
    people: `${base}/subscribers`,
    messages: `${base}/schedule`,
    imports: `${base}/imports`,
    series: `${base}/series`,
    named: (name) => `${base}/schedule/{${group} ${name}}`,
  };
  return CHAPTERS.flatMap((chapter) => chapter(place));
}

/** Nothing is there yet. */
function nothingYet({ settings, people, messages, imports, series: rows }: Place): readonly Step[] {
  return [
    ask('GET', settings),
    ask('DELETE', settings),
    ask('GET', people),
    ask('GET', messages),
    ask('GET', `${messages}/latest`),
    ask('GET', `${people}/export`),
    ask('GET', `${imports}/latest`),
    ask('GET', `${rows}/latest`),
    ask('PUT', settings, { body: {}, headers: { 'if-match': '"1"' } }),
    ask('PATCH', `${people}/ada@example.com`, { body: { name: 'Ada' } }),
  ];
}

/** Subscribers: the first makes the group. */
function subscribers({ group, settings, people, messages }: Place): readonly Step[] {
  return [
    ask('POST', people, { body: { email: 'Grace@Example.com' } }),
    ask('GET', settings),
    ask('POST', people, { body: { email: 'grace@example.com', name: 'Somebody else' } }),
    ask('POST', people, {
      body: {
        subscribers: [
          { email: 'ada@example.com', name: 'Ada Lovelace', time_zone: 'Europe/London' },
          { email: 'no address' },
          { email: 'ada@example.com', name: 'Twice' },
          { email: "o'brien+news@example.com" },
          { email: '~last@example.com', attributes: { '': 'empty name', text: 'ÄÖÜ 你好 🎉', none: null } },
          {
            email: '0first@example.com',
            attributes: { number: 1e-7, large: 123456789012345680000, zero: -0 },
          },
          { email: 'a.b@example.com', attributes: { list: [1, 'two', [true], {}], deep: { a: { b: {} } } } },
          { email: 'a_b@example.com' },
          { email: 'a-b@example.com' },
        ],
      },
    }),
    ask('GET', people),
    ask('GET', `${people}?limit=3`, { remember: `${group} people 2` }),
    ask('GET', `${people}?limit=3&cursor={${group} people 2}`, { remember: `${group} people 3` }),
    ask('GET', `${people}?limit=3&cursor={${group} people 3}`),
    ask('GET', `${messages}?cursor={${group} people 2}`),
    ask('GET', `${people}/ADA@example.com`),
    ask('GET', `${people}/nobody@example.com`),
    ask('PATCH', `${people}/ada@example.com`, { body: { name: null, attributes: { city: 'London' } } }),
    ask('PATCH', `${people}/ada@example.com`, { body: {}, headers: { 'if-match': '"2"' } }),
    ask('PATCH', `${people}/ada@example.com`, { body: { name: 'X' }, headers: { 'if-match': '"2"' } }),
    ask('PATCH', `${people}/a.b@example.com`, { body: { status: 'unsubscribed' } }),
    ask('PATCH', `${people}/a.b@example.com`, { body: { status: 'active' } }),
    ask('PATCH', `${people}/a_b@example.com`, { body: { status: 'bounced' } }),
    ask('PATCH', `${people}/a_b@example.com`, { body: { status: 'active', resubscribe: true } }),
    ask('PATCH', `${people}/a_b@example.com`, {
      body: { status: 'active', resubscribe: true, reason: 'Asked for it.' },
    }),
    ask('GET', `${people}/a_b@example.com/consent`),
    ask('GET', `${people}/nobody@example.com/consent`),
    ask('POST', `${people}/a_b@example.com/confirmation`),
    ask('PATCH', `${people}/a_b@example.com`, { body: { status: 'pending' } }),
    ask('POST', `${people}/a_b@example.com/confirmation`),
    ask('PATCH', `${people}/a_b@example.com`, { body: { status: 'active' } }),
    ask('GET', `${people.replace('/subscribers', '/consent')}?limit=3`),
    ask('GET', `${people.replace('/subscribers', '/consent')}/export`),
    ask('PATCH', `${people}/a-b@example.com`, { body: { status: 'complained' } }),
    ask('POST', people, { body: { email: 'a.b@example.com' } }),
    ask('GET', `${people}?status=unsubscribed`),
    ask('GET', `${people}?status=active&limit=2`),
    ask('GET', `${people}?status=pending`),
    ask('DELETE', `${people}/~last@example.com`, { headers: { 'if-match': '"7"' } }),
    ask('DELETE', `${people}/~last@example.com`, { headers: { 'if-match': '"1"' } }),
    ask('DELETE', `${people}/~last@example.com`),
    ask('GET', settings),
  ];
}

/** Subscribers as files: both ways. */
function files({ people, imports }: Place): readonly Step[] {
  const csv = { 'content-type': 'text/csv' };
  const ndjson = { 'content-type': 'application/x-ndjson' };
  const latest = `${imports}/latest`;
  return [
    ask('POST', imports, {
      body: 'email,name,city\r\nada@example.com,=1+1,London\r\nJoan@Example.com,Joan,\r\nnobody,,\r\njoan@example.com,,Reims\r\na.b@example.com,A,B\r\n',
      headers: csv,
    }),
    { kind: 'until', path: latest, status: 'done' },
    ask('GET', latest),
    ask('GET', `${latest}/report`),
    ask('GET', `${latest}/report?format=csv&result=rejected`),
    ask('DELETE', latest),
    ask('POST', imports, { body: '{}' }),
    ask('POST', `${imports}?dry_run=true`, {
      body: '{"email":"joan@example.com","name":null}\n{"email":"new@example.com"}\n{',
      headers: ndjson,
    }),
    { kind: 'until', path: latest, status: 'done' },
    ask('GET', latest),
    ask('GET', `${latest}/report`),
    ask('POST', imports, { body: 'name,city\r\n"', headers: csv }),
    { kind: 'until', path: latest, status: 'failed' },
    ask('GET', imports),
    ask('GET', `${people}/export`),
    ask('GET', `${people}/export?format=ndjson&status=active`),
  ];
}

/** The group's settings. */
function groupSettings({ settings }: Place): readonly Step[] {
  return [
    ask('PUT', settings, { body: { from: 'Ümläut <news@example.com>', time_zone: 'Europe/Paris' } }),
    ask('PUT', settings, { body: { reply_to: 'help@example.com' }, headers: { 'if-match': '"1"' } }),
    ask('PUT', settings, { body: { reply_to: 'help@example.com' }, headers: { 'if-match': '"2"' } }),
    ask('GET', settings),
  ];
}

/** Messages that wait. */
function messagesThatWait({ group, messages, named }: Place): readonly Step[] {
  return [
    ask('GET', messages.replace('/schedule', '/calendar-link')),
    ask('POST', messages, { body: message(), remember: `${group} first` }),
    ask('POST', messages, {
      body: message({
        subject: 'Ünïcode & <tags> 🎉',
        body: '<h1>Hello {{ subscriber.name | default: "friend" }}</h1>',
        text: 'Hello',
        template: 'liquid',
        from: 'Other <other@example.com>',
        reply_to: 'reply@example.com',
        schedule_on: '2031-06-01T09:00[Europe/Paris]',
        expires_at: '2031-06-02T09:00Z',
        on_missed: 'skip',
        on_unknown: 'leave',
      }),
      remember: `${group} full`,
    }),
    ask('POST', messages, { body: message({ subject: 'Same moment' }), remember: `${group} second` }),
    ask('POST', messages, { body: message({ schedule_on: LONG_PAST }), remember: `${group} held` }),
    ask('POST', messages, {
      body: message({ schedule_on: LONG_PAST, on_missed: 'skip' }),
      remember: `${group} skipped`,
    }),
    ask('POST', messages, {
      body: message({ schedule_on: LONG_PAST, expires_at: '2022-05-01T00:00Z' }),
    }),
    ask('POST', messages, {
      body: message({ schedule_on: '9999-12-31T23:59:59.999Z' }),
      remember: `${group} last`,
    }),
    ask('POST', messages, { body: message({ schedule_on: 100_000_000_000 }), remember: `${group} oldest` }),
    ask('GET', named('first')),
    ask('GET', named('full')),
    ask('POST', `${named('full')}/preflight`),
    ask('GET', `${messages}/latest`),
    ask('GET', `${named('full')}/content`),
    ask('GET', `${named('held')}/content`),
    ask('GET', messages),
    ask('GET', `${messages}?limit=2`, { remember: `${group} messages 2` }),
    ask('GET', `${messages}?limit=2&cursor={${group} messages 2}`, { remember: `${group} messages 3` }),
    ask('GET', `${messages}?limit=2&cursor={${group} messages 3}`),
    ask('GET', `${messages}?status=held`),
    ask('GET', `${messages}?status=held,skipped,scheduled&limit=3`),
    ask('GET', `${messages}?status=sent`),
    ask('GET', `${messages}?from=2031-06-01T07:00Z&to=${FAR}`),
    ask('GET', `${messages}?from=${FAR}`),
    ask('GET', `${messages}?from=${FAR}&to=2031-06-01T07:00Z`),
    ask('GET', `${messages}?to=2031-06-01T07:00Z&status=skipped`),
    ask('GET', '/v1/calendar?from=2031-01-01T00:00Z&to=2032-01-01T00:00Z&limit=1'),
    ask('GET', `/v1/calendar?from=${FAR}&to=2100-02-01T00:00Z`),
    ask('GET', `/v1/calendar?from=${FAR}&to=2102-02-01T00:00Z`),
  ];
}

/** A series, of which nothing is left to wait for at the end. */
function series({ messages, series: rows }: Place): readonly Step[] {
  const times = { schedule_on: '2031-03-17T09:00[Europe/Paris]', repeat: { rrule: 'FREQ=WEEKLY;BYDAY=MO' } };
  const latest = `${rows}/latest`;
  return [
    ask('POST', `${messages}/preview-times`, { body: { ...times, limit: 3 } }),
    ask('POST', `${messages}/preview-times`, { body: { ...times, repeat: { rrule: 'FREQ=OFTEN' } } }),
    ask('POST', messages, { body: message(times) }),
    ask('GET', rows),
    ask('GET', latest),
    ask('PATCH', latest, { body: { subject: 'Other news' } }),
    ask('PATCH', latest, { body: { subject: 'X' }, headers: { 'if-match': '"1"' } }),
    ask('POST', `${latest}/skip`, { body: {} }),
    ask('POST', `${latest}/skip`, { body: { occurrence: '2031-04-07T09:00' } }),
    ask('POST', `${latest}/skip`, { body: { occurrence: '2031-04-08T09:00' } }),
    ask('POST', `${latest}/pause`),
    ask('GET', latest),
    ask('POST', `${latest}/resume`),
    ask('GET', `${messages}/latest`),
    ask('DELETE', latest),
    ask('DELETE', latest),
    ask('POST', `${latest}/resume`),
    ask('GET', rows),
    ask('GET', `${messages}?from=2031-03-01T00:00Z&to=2031-05-01T00:00Z`),
  ];
}

/** The same request again. */
function theSameAgain({ group, messages, named }: Place): readonly Step[] {
  return [
    ask('POST', messages, {
      body: message({ subject: 'Once' }),
      headers: { 'idempotency-key': 'once' },
      remember: `${group} once`,
    }),
    ask('POST', messages, { body: message({ subject: 'Once' }), headers: { 'idempotency-key': 'once' } }),
    ask('POST', messages, { body: message({ subject: 'Twice' }), headers: { 'idempotency-key': 'once' } }),
    ask('POST', messages, { body: message({ subject: '' }), headers: { 'idempotency-key': 'once' } }),
    ask('DELETE', named('once')),
    ask('POST', messages, { body: message({ subject: 'Once' }), headers: { 'idempotency-key': 'once' } }),
  ];
}

/** Changes. */
function changes({ settings, named }: Place): readonly Step[] {
  return [
    ask('PATCH', named('first'), { body: { subject: 'Other news' } }),
    ask('PATCH', named('first'), { body: { subject: 'X' }, headers: { 'if-match': '"1"' } }),
    ask('PATCH', named('first'), {
      body: { body: '<p>Other</p>', text: 'T' },
      headers: { 'if-match': '"2"' },
    }),
    ask('GET', `${named('first')}/content`),
    ask('PATCH', named('full'), { body: { from: null, reply_to: null, text: null, expires_at: null } }),
    ask('PATCH', named('full'), { body: { body: '{{ unclosed' } }),
    ask('PATCH', named('full'), { body: { expires_at: '2000-01-01T00:00Z' } }),
    ask('PATCH', named('first'), { body: {} }),
    ask('PATCH', named('skipped'), { body: { subject: 'X' } }),
    ask('PATCH', named('held'), { body: { schedule_on: '2050-01-01T00:00Z' } }),
    ask('PATCH', named('held'), { body: { schedule_on: LONG_PAST } }),
    ask('POST', `${named('first')}/pause`),
    ask('POST', `${named('first')}/pause`),
    ask('PATCH', named('first'), { body: { schedule_on: '2050-01-01T00:00Z' } }),
    ask('POST', `${named('first')}/resume`, { headers: { 'if-match': '"1"' } }),
    ask('POST', `${named('first')}/resume`),
    ask('POST', `${named('first')}/resume`),
    ask('POST', `${named('held')}/pause`),
    ask('POST', `${named('skipped')}/resume`),
    ask('POST', `${named('first')}/retry`),
    ask('POST', `${named('first')}/retry?outcome=sent`),
    ask('DELETE', named('second'), { headers: { 'if-match': '"2"' } }),
    ask('DELETE', named('second'), { headers: { 'if-match': '"1"' } }),
    ask('DELETE', named('second')),
    ask('PATCH', named('second'), { body: { subject: 'X' } }),
    ask('POST', `${named('second')}/pause`),
    ask('POST', `${named('second')}/resume`),
    ask('POST', `${named('second')}/retry`),
    ask('GET', `${named('second')}/deliveries`),
    ask('GET', `${named('second')}/deliveries/ada@example.com`),
    ask('GET', `${named('second')}/batches`),
    ask('DELETE', settings),
  ];
}

/** Messages that go out: in time, released, moved, however late; and with a subscriber whose data breaks the template. */
function messagesThatGoOut({ group, people, messages, named }: Place): readonly Step[] {
  return [
    ask('POST', messages, { bodyAt: dueSoon(), remember: `${group} sent` }),
    passing(SOON_MS),
    ...isSent(named('sent')),
    ask('GET', `${named('sent')}/deliveries?limit=2`, { remember: `${group} deliveries 2` }),
    ask('GET', `${named('sent')}/deliveries?limit=2&cursor={${group} deliveries 2}`),
    ask('GET', `${named('sent')}/deliveries?outcome=skipped`),
    ask('GET', `${named('sent')}/deliveries?outcome=failed`),
    ask('GET', `${named('sent')}/deliveries?outcome=pending`),
    ask('GET', `${named('sent')}/deliveries/ADA@example.com`),
    ask('GET', `${named('sent')}/deliveries/a.b@example.com`),
    ask('GET', `${named('sent')}/deliveries/nobody@example.com`),
    ask('GET', `${named('sent')}/batches?state=settled&limit=1`),
    ask('GET', `${named('sent')}/batches?state=open`),
    ask('GET', `${named('sent')}/batches?state=dead`),
    ask('DELETE', named('sent')),
    ask('PATCH', named('sent'), { body: { subject: 'Too late' } }),
    ask('POST', `${named('sent')}/pause`),
    ask('POST', `${named('sent')}/retry`),
    ask('POST', `${named('sent')}/retry?outcome=unknown`),
    ask('POST', `${named('held')}/resume`),
    ...isSent(named('held')),
    ask('PATCH', named('full'), {
      bodyAt: (now) => ({ schedule_on: soonAfter(now), expires_at: null }),
    }),
    passing(SOON_MS),
    ...isSent(named('full')),
    ask('POST', messages, {
      body: message({ schedule_on: LONG_PAST, on_missed: 'send' }),
      remember: `${group} late`,
    }),
    ...isSent(named('late')),
    ask('PATCH', `${people}/ada@example.com`, { body: { attributes: { many: 999_999_999 } } }),
    ask('POST', messages, {
      bodyAt: dueSoon({
        template: 'liquid',
        body: 'Numbers: {% for i in (1..subscriber.attributes.many) %}{{ i }}{% endfor %}',
      }),
      remember: `${group} failing`,
    }),
    passing(SOON_MS),
    ...isSent(named('failing')),
    ask('GET', `${named('failing')}/deliveries/ada@example.com`),
    ask('PATCH', `${people}/ada@example.com`, { body: { attributes: { many: 3 } } }),
    ask('POST', `${named('failing')}/retry`, { headers: { 'if-match': '"1"' } }),
    ask('POST', `${named('failing')}/retry`),
    ...isSent(named('failing')),
    ask('POST', people, {
      body: { subscribers: crowd(120).map((email) => ({ email })) },
    }),
    ask('POST', messages, { bodyAt: dueSoon(), remember: `${group} large` }),
    passing(SOON_MS),
    ...isSent(named('large')),
    ask('GET', `${named('large')}/batches?limit=1`, { remember: `${group} batches 2` }),
    ask('GET', `${named('large')}/batches?limit=1&cursor={${group} batches 2}`),
    ask('GET', `${named('large')}/deliveries?limit=1000&outcome=sent`),
    ask('GET', `${named('large')}/deliveries?limit=50&outcome=sent`, { remember: `${group} large 2` }),
    ask('GET', `${named('large')}/deliveries?limit=50&outcome=sent&cursor={${group} large 2}`),
    ask('POST', people, {
      body: { subscribers: crowd(240).map((email) => ({ email })) },
    }),
    ask('GET', `${people}?limit=200`, { remember: `${group} people 201` }),
    ask('GET', `${people}?limit=200&cursor={${group} people 201}`),
    ask('DELETE', `${people}/ada@example.com`),
    ask('GET', `${named('large')}/deliveries/ada@example.com`),
    ask('GET', messages),
  ];
}

/** What time does: a message that was found too late, one that expired while it was paused, a key that may be used again. */
function timeThatPasses({ group, messages, named }: Place): readonly Step[] {
  return [
    ask('POST', messages, { bodyAt: dueSoon(), remember: `${group} missed` }),
    ask('POST', messages, {
      bodyAt: (now) => dueSoon({ expires_at: plusMs(now, HOUR_MS).toString() })(now),
      remember: `${group} expired`,
    }),
    ask('POST', `${named('expired')}/pause`),
    passing(25 * HOUR_MS),
    { kind: 'until', path: named('missed'), status: 'held' },
    ask('GET', named('missed')),
    ask('POST', `${named('expired')}/resume`),
    ask('GET', `${named('expired')}/deliveries`),
    ask('DELETE', named('missed')),
    ask('POST', messages, {
      body: message({ subject: 'Once' }),
      headers: { 'idempotency-key': 'once' },
      remember: `${group} once again`,
    }),
    ask('DELETE', named('once again')),
  ];
}

/** The end: once nothing waits any more the group goes, and its messages stay readable. */
function theEnd({ settings, people, messages, named }: Place): readonly Step[] {
  return [
    ask('DELETE', settings),
    ask('DELETE', named('first')),
    ask('DELETE', named('last')),
    ask('DELETE', named('oldest')),
    ask('GET', `${messages}?status=scheduled,held,paused,sending,failed`),
    ask('GET', settings),
    ask('DELETE', settings, { headers: { 'if-match': '"1"' } }),
    ask('DELETE', settings),
    ask('GET', settings),
    ask('GET', people),
    ask('GET', `${people}/grace@example.com`),
    ask('GET', `${messages}?limit=2`),
    ask('GET', named('sent')),
    ask('GET', `${named('sent')}/content`),
    ask('GET', `${named('sent')}/deliveries?limit=3`),
    ask('POST', people, { body: { email: 'new@example.com' } }),
    ask('GET', settings),
  ];
}

/** What is not of one group. */
export const COMMON_STORY: readonly Step[] = [
  ask('GET', '/'),
  ask('GET', '/openapi.json'),
  ask('GET', '/health/live'),
  ask('GET', '/health/ready'),
  ask('GET', '/v1/groups'),
  ...['c', 'a', 'd-1', 'b', 'd_1', '0'].map((name) => ask('PUT', `/v1/groups/listed-${name}`, { body: {} })),
  ask('GET', '/v1/groups'),
  ask('GET', '/v1/groups?limit=2', { remember: 'groups 2' }),
  ask('GET', '/v1/groups?limit=2&cursor={groups 2}', { remember: 'groups 3' }),
  ask('GET', '/v1/groups?limit=2&cursor={groups 3}'),
  ask('DELETE', '/v1/groups/listed-b'),
  ask('GET', '/v1/groups'),
  ask('GET', '/v1/groups?cursor=abc'),
  ask('POST', '/v1/suppressions', { body: { email: 'Ada@example.com' } }),
  ask('POST', '/v1/suppressions', { body: { email: 'ada@example.com', reason: 'bounced' } }),
  ask('POST', '/v1/suppressions', { body: { email: 'no' } }),
  ask('GET', '/v1/suppressions'),
  ask('GET', '/v1/suppressions/ada@example.com'),
  ask('GET', '/v1/suppressions/nobody@example.com'),
  ask('DELETE', '/v1/suppressions/ada@example.com'),
  ask('DELETE', '/v1/suppressions/ada@example.com'),
  ask('PUT', '/v1/groups/erasing', { body: { opt_in: 'double' } }),
  ask('POST', '/v1/groups/erasing/subscribers', { body: { email: 'gone@example.com' } }),
  ask('DELETE', '/v1/subscribers/Gone@example.com'),
  ask('DELETE', '/v1/subscribers/gone@example.com'),
  ask('GET', '/v1/groups/erasing/subscribers/gone@example.com'),
  ask('GET', '/v1/groups/erasing/subscribers/gone@example.com/consent'),
  ask('POST', '/v1/groups/erasing/subscribers', { body: { email: 'gone@example.com' } }),
  ask('POST', '/v1/groups/erasing/subscribers', {
    body: { subscribers: [{ email: 'gone@example.com' }, { email: 'gone@example.com', resubscribe: true }] },
  }),
  ask('GET', '/v1/suppressions/gone@example.com'),
  ask('DELETE', '/v1/suppressions/gone@example.com'),
  ask('POST', '/v1/groups/erasing/subscribers', {
    body: { email: 'gone@example.com', resubscribe: true, reason: 'Asked for it.' },
  }),
  ask('GET', '/v1/groups/erasing/subscribers/gone@example.com/consent'),
  ...heardOfNobody(),
  ask('GET', `/u/${'A'.repeat(90)}`),
  ask('GET', '/v1/nothing/here'),
  ask('DELETE', '/v1/groups'),
];

export function nameOf(step: Step): string {
  switch (step.kind) {
    case 'request': {
      const sent = [
        ...Object.values(step.headers ?? {}),
        ...(step.body === undefined ? [] : [JSON.stringify(step.body)]),
        ...(step.bodyAt ? ['{…}'] : []),
      ].join(' ');
      return `${step.method} ${step.path} ${sent.length > 100 ? `${sent.slice(0, 100)}…` : sent}`.trim();
    }
    case 'time-passes':
      return `${step.ms} ms pass`;
    case 'until':
      return `${step.path} is ${step.status}`;
    default:
      return assertNever(step);
  }
}

/** The message at this path goes out, and what is known of it then. */
function isSent(path: string): readonly Step[] {
  return [
    { kind: 'until', path, status: 'sent' },
    ask('GET', path),
    ask('GET', `${path}/deliveries`),
    ask('GET', `${path}/batches`),
  ];
}

/** Feedback of a mail that was never sent, once signed and once not. */
function heardOfNobody(): readonly Step[] {
  const event = {
    message_key: '00000000-0000-7000-8000-000000000000',
    group: 'nobody-there',
    subscriber: 'ada@example.com',
    type: 'complaint',
    at: STORY_BEGINS_AT.toString(),
  };
  const body = JSON.stringify({ events: [event, { ...event, type: 'rumour' }] });
  return [
    ask('POST', '/v1/feedback', { body, headers: signatureOf(body, STORY_FEEDBACK_SECRET, STORY_BEGINS_AT) }),
    ask('POST', '/v1/feedback', { body }),
  ];
}

function message(fields: object = {}): object {
  return { subject: 'News', body: '<p>News</p>', schedule_on: FAR, ...fields };
}

/** One that is due in a moment. */
function dueSoon(fields: object = {}): (now: Temporal.Instant) => object {
  return (now) => message({ ...fields, schedule_on: soonAfter(now) });
}

function soonAfter(now: Temporal.Instant): number {
  return plusMs(now, SOON_MS).epochMilliseconds;
}

/** The larger begins with the smaller. */
function crowd(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `s${1_000 + index}@example.com`);
}

export function ask(method: string, path: string, sending: Sending = {}): Request {
  return { kind: 'request', method, path, ...sending };
}

function passing(ms: number): Step {
  return { kind: 'time-passes', ms };
}

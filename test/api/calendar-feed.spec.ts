import ICAL from 'ical.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { textAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.ts';

const NOW = Temporal.Instant.from('2030-03-15T12:00Z');
const SUBJECT = `Ünïcode, commas; semicolons \\ and 🎉 ${'very '.repeat(30)}long`;

let app: TestApp;
let clock: ManualClock;
beforeAll(async () => {
  clock = new ManualClock(NOW);
  app = await startTestApp({
    clock,
    env: { API_KEYS: 'test:admin:correct-horse-battery', PUBLIC_URL: 'https://belfry.example.com/mail' },
  });
});
afterAll(() => app.close());

async function ask(method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: 'Bearer correct-horse-battery' };
  return app.request(method, path, { headers, ...(body && { body }) });
}

async function schedule(group: string, fields: object): Promise<string> {
  const { body } = await ask('POST', `/v1/groups/${group}/schedule`, {
    subject: SUBJECT,
    body: '<p>News</p>',
    ...fields,
  });
  return textAt(body, 'key');
}

/** Behind the prefix of PUBLIC_URL, which a proxy takes away. */
async function feedOf(group: string): Promise<string> {
  const { body } = await ask('GET', `/v1/groups/${group}/calendar-link`);
  const url = textAt(body, 'calendar_url');
  expect(url).toMatch(
    /^https:\/\/belfry\.example\.com\/mail\/v1\/groups\/[\w-]+\/calendar\.ics\?token=[\w-]{22}$/,
  );
  return url.replace('https://belfry.example.com/mail', '');
}

/** What a parser that is not ours reads in the feed, which is asked for without a key. */
async function eventsOf(group: string): Promise<readonly ICAL.Event[]> {
  const { status, headers, text } = await app.request('GET', await feedOf(group));
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('text/calendar; charset=utf-8');
  expect(text).toMatch(/^BEGIN:VCALENDAR\r\nVERSION:2\.0\r\n[^]*END:VCALENDAR\r\n$/);
  expect(text.split('\r\n').filter((line) => Buffer.byteLength(line) > 75)).toEqual([]);
  return ICAL.Component.fromString(text)
    .getAllSubcomponents('vevent')
    .map((event) => new ICAL.Event(event));
}

function shown(event: ICAL.Event): string {
  const status = String(event.component.getFirstPropertyValue('status'));
  return `${event.startDate.toString()} ${event.startDate.zone.tzid} ${status} ${event.uid}`;
}

describe('the feed of a group', () => {
  it('has its messages at their time in UTC, with their subject', async () => {
    await ask('PUT', '/v1/groups/feed', { display_name: 'The news, weekly' });
    const key = await schedule('feed', { schedule_on: '2030-03-18T09:00[Europe/Paris]' });
    const paused = await schedule('feed', { schedule_on: '2030-03-19T09:00Z' });
    await ask('POST', `/v1/groups/feed/schedule/${paused}/pause`);
    const cancelled = await schedule('feed', { schedule_on: '2030-03-20T09:00Z' });
    await ask('DELETE', `/v1/groups/feed/schedule/${cancelled}`);
    await schedule('elsewhere', { schedule_on: '2030-03-18T09:00Z' });

    const events = await eventsOf('feed');

    expect(events.map(shown)).toEqual([
      `2030-03-18T08:00:00Z UTC CONFIRMED ${key}`,
      `2030-03-19T09:00:00Z UTC TENTATIVE ${paused}`,
    ]);
    expect(events.map(({ summary }) => summary)).toEqual([SUBJECT, SUBJECT]);
    const { text } = await app.request('GET', await feedOf('feed'));
    expect(text).toContain(String.raw`X-WR-CALNAME:The news\, weekly`);
  });

  it('has the occurrences of a series under names that stay when they are made', async () => {
    await schedule('series', {
      schedule_on: '2030-03-18T09:00[Europe/Paris]',
      repeat: { rrule: 'FREQ=WEEKLY', count: 3 },
    });
    const before = await eventsOf('series');

    await ask('POST', '/v1/groups/series/series/latest/skip', {});
    const after = await eventsOf('series');

    expect(before.map((event) => event.startDate.toString())).toEqual([
      '2030-03-18T08:00:00Z',
      '2030-03-25T08:00:00Z',
      '2030-04-01T07:00:00Z',
    ]);
    expect(new Set(before.map(({ uid }) => uid)).size).toBe(3);
    expect(after.map(({ uid }) => uid)).toEqual(before.slice(1).map(({ uid }) => uid));
  });

  it('has an event for each wave', async () => {
    await ask('POST', '/v1/groups/waves/subscribers', {
      subscribers: [
        { email: 'ada@example.com', time_zone: 'Asia/Tokyo' },
        { email: 'grace@example.com', time_zone: 'America/New_York' },
      ],
    });
    await schedule('waves', { local_delivery: { date: '2030-03-20', time: '09:00' } });

    const events = await eventsOf('waves');

    expect(events.map((event) => event.startDate.toString())).toEqual([
      '2030-03-20T00:00:00Z',
      '2030-03-20T13:00:00Z',
    ]);
    expect(new Set(events.map(({ uid }) => uid)).size).toBe(2);
  });

  it('is a calendar without events where nothing goes out', async () => {
    await ask('PUT', '/v1/groups/empty', {});

    expect(await eventsOf('empty')).toEqual([]);
  });

  it('is the same at the same address under the sample path', async () => {
    const path = await feedOf('feed');

    const answer = await app.request('GET', path.replace('/v1/groups', ''));

    expect(answer.text).toBe((await app.request('GET', path)).text);
  });
});

describe('without its token', () => {
  it.each([
    ['none', (): string => ''],
    ['an empty one', (): string => '?token='],
    ['another', (): string => `?token=${'A'.repeat(22)}`],
    ['a letter more', (token: string): string => `?token=${token}A`],
    ['two', (token: string): string => `?token=${token}&token=${token}`],
  ])('a feed is not there, nor is what is not there: %s', async (_what, query) => {
    const path = await feedOf('feed');
    const [base = '', token = ''] = path.split('?token=');

    const answer = await app.request('GET', `${base}${query(token)}`);
    const nothing = await app.request('GET', `/v1/groups/nobody-there/calendar.ics${query(token)}`);

    expect(answer.status).toBe(404);
    expect(answer.body['code']).toBe('calendar-not-found');
    expect(nothing.body['detail']).toBe(answer.body['detail']);
  });

  it('of this group a feed is not there, with that of another', async () => {
    await ask('PUT', '/v1/groups/another', {});
    const token = (await feedOf('another')).split('?token=')[1] ?? '';

    expect((await app.request('GET', `/v1/groups/feed/calendar.ics?token=${token}`)).status).toBe(404);
  });

  it('tells no address of a group that is not there', async () => {
    const answer = await ask('GET', '/v1/groups/nobody-there/calendar-link');

    expect(answer.body).toMatchObject({ status: 404, code: 'group-not-found' });
  });
});

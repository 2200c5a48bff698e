import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, objectsAt, textAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type Answer, listAll, startTestApp, type TestApp } from '../support/test-app.ts';

const WEEKLY = { schedule_on: '2030-03-18T09:00', repeat: { rrule: 'FREQ=WEEKLY;BYDAY=MO' } };

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ clock: new ManualClock(Temporal.Instant.from('2030-03-15T12:00Z')) });
});
afterAll(() => app.close());

async function inParis(group: string): Promise<void> {
  await app.request('PUT', `/v1/groups/${group}`, { body: { time_zone: 'Europe/Paris' } });
}

async function schedule(
  group: string,
  fields: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return app.request('POST', `/v1/groups/${group}/schedule`, {
    body: { subject: 'The week', body: '<p>News</p>', ...fields },
    headers,
  });
}

async function messagesOf(group: string): Promise<readonly string[]> {
  const messages = await listAll(app, `/v1/groups/${group}/schedule`);
  return messages.map((message) => `${textAt(message, 'scheduled_at')} ${textAt(message, 'status')}`);
}

describe('a series', () => {
  it('is answered with the message of its first occurrence, and read with the one that comes next', async () => {
    await inParis('answers');

    const answer = await schedule('answers', WEEKLY);

    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      status: 'scheduled',
      scheduled_at: '2030-03-18T08:00:00.000Z',
      series: { occurrence: '2030-03-18T09:00:00' },
      time: { local: '2030-03-18T09:00:00', time_zone: 'Europe/Paris', dst: 'series' },
    });
    const series = await app.request(
      'GET',
      `/v1/groups/answers/series/${textAt(answer.body, 'series', 'key')}`,
    );
    expect(series.headers.get('etag')).toBe('"1"');
    expect(series.body).toMatchObject({
      status: 'active',
      subject: 'The week',
      start: '2030-03-18T09:00:00',
      time_zone: 'Europe/Paris',
      repeat: {
        rrule: 'FREQ=WEEKLY;BYDAY=MO',
        cron: null,
        until: null,
        count: null,
        except: [],
        dst_gap: 'shift',
      },
      next: {
        occurrence: '2030-03-18T09:00:00',
        scheduled_at: '2030-03-18T08:00:00.000Z',
        key: answer.body['key'],
      },
    });
    expect(await listAll(app, '/v1/groups/answers/series')).toEqual([series.body]);
  });

  it('begins with the first occurrence that is still to come', async () => {
    await inParis('anchored');

    const answer = await schedule('anchored', { ...WEEKLY, schedule_on: '2022-01-03T09:00' });

    expect(answer.body).toMatchObject({ status: 'scheduled', scheduled_at: '2030-03-18T08:00:00.000Z' });
  });

  it('is stored once under one Idempotency-Key', async () => {
    await inParis('once');

    const first = await schedule('once', WEEKLY, { 'idempotency-key': 'k' });
    const second = await schedule('once', WEEKLY, { 'idempotency-key': 'k' });
    const other = await schedule(
      'once',
      { ...WEEKLY, repeat: { cron: '0 9 * * 1' } },
      { 'idempotency-key': 'k' },
    );

    expect(second.body).toEqual(first.body);
    expect(other.status).toBe(422);
    expect(await listAll(app, '/v1/groups/once/series')).toHaveLength(1);
    expect(await messagesOf('once')).toHaveLength(1);
  });

  it('does to its next occurrence what its changes say', async () => {
    await inParis('changes');
    await schedule('changes', WEEKLY);
    const path = '/v1/groups/changes/series/latest';

    const skipped = await app.request('POST', `${path}/skip`, { body: {} });
    expect(at(skipped.body, 'next', 'scheduled_at')).toBe('2030-03-25T08:00:00.000Z');
    const named = await app.request('POST', `${path}/skip`, { body: { occurrence: '2030-04-01T09:00' } });
    expect(at(named.body, 'repeat', 'except')).toEqual(['2030-03-18T09:00:00', '2030-04-01T09:00:00']);
    const changed = await app.request('PATCH', path, {
      body: { subject: 'Another', schedule_on: '2030-03-18T10:00' },
    });
    expect(changed.body).toMatchObject({
      subject: 'Another',
      start: '2030-03-18T10:00:00',
      next: { scheduled_at: '2030-03-18T09:00:00.000Z' },
    });
    const next = await app.request(
      'GET',
      `/v1/groups/changes/schedule/${textAt(changed.body, 'next', 'key')}`,
    );
    expect(next.body).toMatchObject({ subject: 'Another', status: 'scheduled' });
    const paused = await app.request('POST', `${path}/pause`);
    expect(paused.body).toMatchObject({ status: 'paused', next: null });
    const resumed = await app.request('POST', `${path}/resume`);
    expect(resumed.body).toMatchObject({
      status: 'active',
      next: { scheduled_at: '2030-03-18T09:00:00.000Z' },
    });
    const ended = await app.request('DELETE', path);
    expect(ended.body).toMatchObject({ status: 'ended', reason: 'Somebody ended it.', next: null });

    expect((await messagesOf('changes')).filter((message) => !message.endsWith('cancelled'))).toEqual([]);
    for (const [method, to] of [
      ['POST', `${path}/resume`],
      ['POST', `${path}/pause`],
      ['PATCH', path],
    ] as const) {
      const refused = await app.request(method, to, method === 'PATCH' ? { body: { subject: 'No' } } : {});
      expect(refused.body).toMatchObject({ status: 409, code: 'series-status-conflict' });
    }
  });

  it('is changed only at the version that was read, and found only in its group', async () => {
    await inParis('versions');
    const answer = await schedule('versions', WEEKLY);
    const key = textAt(answer.body, 'series', 'key');

    const stale = await app.request('DELETE', `/v1/groups/versions/series/${key}`, {
      headers: { 'if-match': '"9"' },
    });
    const elsewhere = await app.request('GET', `/v1/groups/answers/series/${key}`);
    const never = await app.request('POST', `/v1/groups/versions/series/${key}/skip`, {
      body: { occurrence: '2030-03-19T09:00' },
    });

    expect(stale.status).toBe(412);
    expect(elsewhere.body).toMatchObject({ status: 404, code: 'series-not-found' });
    expect(never.body).toMatchObject({ status: 409, code: 'occurrence-not-found' });
  });
});

describe('a preview', () => {
  async function preview(body: object, group = 'previews'): Promise<Answer> {
    return app.request('POST', `/v1/groups/${group}/schedule/preview-times`, { body });
  }

  it('shows the next times of a series, and why one is bent', async () => {
    await inParis('previews');

    const { status, body } = await preview({
      schedule_on: '2030-03-30T02:30',
      repeat: { cron: '30 2 * * *', count: null },
      limit: 3,
    });

    expect(status).toBe(200);
    expect(body['complete']).toBe(false);
    expect(objectsAt(body, 'items').map((item) => [item['shown'], item['bent']])).toEqual([
      ['2030-03-30T02:30:00+01:00[Europe/Paris]', null],
      ['2030-03-31T03:00:00+02:00[Europe/Paris]', 'gap'],
      ['2030-04-01T02:30:00+02:00[Europe/Paris]', null],
    ]);
    expect(textAt(body, 'items', 1, 'reason')).toMatch(/skip 2030-03-31T02:30:00/);
  });

  it('ends where the series does, and stores nothing', async () => {
    await inParis('previews');

    const { body } = await preview({ ...WEEKLY, repeat: { rrule: 'FREQ=WEEKLY;COUNT=2' } });

    expect(objectsAt(body, 'items')).toHaveLength(2);
    expect(body['complete']).toBe(true);
    expect(await messagesOf('previews')).toEqual([]);
  });

  it('shows a time that goes once, with what was chosen', async () => {
    await inParis('previews');

    const { body } = await preview({ schedule_on: '2030-10-27T02:30', dst: 'later' });

    expect(objectsAt(body, 'items')).toMatchObject([
      {
        scheduled_at: '2030-10-27T01:30:00.000Z',
        bent: 'overlap',
        shown: '2030-10-27T02:30:00+01:00[Europe/Paris]',
      },
    ]);
    expect((await preview({ schedule_on: '2030-10-27T02:30' })).status).toBe(400);
  });
});

describe('what cannot be a series', () => {
  const many = Array.from(
    { length: 1_000 },
    (_, index) => `2031-01-${String((index % 28) + 1).padStart(2, '0')}`,
  );

  it.each<[string, object, string, RegExp]>([
    ['an unknown zone', { schedule_on: '2030-03-18T09:00[Europe/Atlantis]' }, '/schedule_on', /no zone/],
    ['an abbreviation', { schedule_on: '2030-03-18T09:00[EST]' }, '/schedule_on', /abbreviations/],
    ['a year with five digits', { schedule_on: '10000-01-01T09:00' }, '/schedule_on', /four digits/],
    ['the year 1', { schedule_on: '0001-01-01T09:00' }, '/schedule_on', /too early/],
    [
      'an offset that its zone has not',
      { schedule_on: '2030-03-18T09:00+05:00[Europe/Paris]' },
      '/schedule_on',
      /does not fit/,
    ],
    ['every second', { repeat: { rrule: 'FREQ=SECONDLY' } }, '/repeat/rrule', /more often/],
    [
      '31 February',
      { repeat: { rrule: 'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31' } },
      '/repeat/rrule',
      /never occurs/,
    ],
    ['31 February in five fields', { repeat: { cron: '0 0 31 2 *' } }, '/repeat/cron', /never occurs/],
    [
      'what has ended',
      { schedule_on: '2022-01-03T09:00', repeat: { rrule: 'FREQ=WEEKLY;COUNT=3' } },
      '/repeat/rrule',
      /has ended/,
    ],
    ['six fields', { repeat: { cron: '0 0 9 * * 1' } }, '/repeat/cron', /Five fields/],
    [
      'a thousand exceptions',
      { repeat: { rrule: 'FREQ=DAILY', except: many } },
      '/repeat/except',
      /At most 500/,
    ],
    [
      'an exception that is no date',
      { repeat: { rrule: 'FREQ=DAILY', except: ['Christmas'] } },
      '/repeat/except',
      /Local dates/,
    ],
    [
      'an exception on 30 February',
      { repeat: { rrule: 'FREQ=DAILY', except: ['2031-02-30'] } },
      '/repeat/except/0',
      /no 2031-02-30/,
    ],
    [
      'until before the start',
      { repeat: { rrule: 'FREQ=DAILY', until: '2030-03-17T09:00' } },
      '/repeat/until',
      /before schedule_on/,
    ],
    [
      'UNTIL before the start',
      { repeat: { rrule: 'FREQ=DAILY;UNTIL=20300101' } },
      '/repeat/rrule',
      /before schedule_on/,
    ],
    [
      'until and count',
      { repeat: { rrule: 'FREQ=DAILY', until: '2031-03-17T09:00', count: 3 } },
      '/repeat/count',
      /together/,
    ],
    ['COUNT and count', { repeat: { rrule: 'FREQ=DAILY;COUNT=3', count: 3 } }, '/repeat/rrule', /of its own/],
    ['a count of nothing', { repeat: { rrule: 'FREQ=DAILY', count: 0 } }, '/repeat/count', /At least 1/],
    ['two rules', { repeat: { rrule: 'FREQ=DAILY', cron: '0 9 * * *' } }, '/repeat/cron', /not both/],
    ['no rule', { repeat: {} }, '/repeat', /rrule or cron/],
    ['an array', { repeat: [] }, '/repeat', /An object/],
    ['an unknown property', { repeat: { rrule: 'FREQ=DAILY', every: 2 } }, '/repeat/every', /unknown/],
    ['dst', { dst: 'earlier' }, '/dst', /dst_gap/],
    ['an expiry', { expires_at: '2031-01-01T09:00' }, '/expires_at', /on_missed/],
  ])('%s is refused where it stands', async (_what, fields, pointer, says) => {
    await inParis('refused');

    const { status, body } = await schedule('refused', { ...WEEKLY, ...fields });

    expect(status).toBe(400);
    expect(objectsAt(body, 'errors')).toEqual([expect.objectContaining({ pointer })]);
    expect(body['detail']).toMatch(says);
    expect(await listAll(app, '/v1/groups/refused/series')).toEqual([]);
  });

  it('an instant in a group without a zone is refused', async () => {
    const { body } = await schedule('nowhere', { ...WEEKLY, schedule_on: '2030-03-18T09:00Z' });

    expect(body).toMatchObject({ status: 400, errors: [{ pointer: '/schedule_on' }] });
  });
});

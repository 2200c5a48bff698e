import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { objectsAt, textAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { listAll, startTestApp, type TestApp } from '../support/test-app.ts';

const NOW = Temporal.Instant.from('2030-03-15T12:00Z');
const MARCH = { from: '2030-03-15T00:00Z', to: '2030-04-09T00:00Z' };

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ clock: new ManualClock(NOW) });
});
afterAll(() => app.close());

async function schedule(group: string, fields: object): Promise<string> {
  const { body } = await app.request('POST', `/v1/groups/${group}/schedule`, {
    body: { subject: group, body: '<p>News</p>', ...fields },
  });
  return textAt(body, 'key');
}

async function entries(query: Record<string, string>): Promise<readonly string[]> {
  const listed = await listAll(app, '/v1/calendar', query);
  return listed.map((entry) =>
    ['scheduled_at', 'group', 'kind', 'status', 'local', 'time_zone', 'subscribers']
      .map((name) => String(entry[name]))
      .join(' '),
  );
}

describe('the calendar', () => {
  beforeAll(async () => {
    await app.request('PUT', '/v1/groups/weekly', { body: { time_zone: 'Europe/Paris' } });
    await schedule('weekly', { schedule_on: '2030-03-18T09:00', repeat: { rrule: 'FREQ=WEEKLY;BYDAY=MO' } });
    await app.request('POST', '/v1/groups/world/subscribers', {
      body: {
        subscribers: ['Asia/Tokyo', 'Europe/Paris', 'America/New_York'].map((zone, index) => ({
          email: `${index}@example.com`,
          time_zone: zone,
        })),
      },
    });
    await schedule('world', { local_delivery: { date: '2030-03-20', time: '09:00' } });
    await schedule('once', { schedule_on: '2030-03-18T08:00:00Z' });
    await schedule('once', { schedule_on: '2030-03-18T08:00:00Z' });
    const paused = await schedule('once', { schedule_on: '2030-03-19T08:00:00Z' });
    await app.request('POST', `/v1/groups/once/schedule/${paused}/pause`);
    const cancelled = await schedule('once', { schedule_on: '2030-03-19T08:00:00Z' });
    await app.request('DELETE', `/v1/groups/once/schedule/${cancelled}`);
  });

  const EXPECTED = [
    '2030-03-18T08:00:00.000Z once message scheduled null null null',
    '2030-03-18T08:00:00.000Z once message scheduled null null null',
    '2030-03-18T08:00:00.000Z weekly message scheduled 2030-03-18T09:00:00 Europe/Paris null',
    '2030-03-19T08:00:00.000Z once message paused null null null',
    '2030-03-20T00:00:00.000Z world wave scheduled 2030-03-20T09:00:00 null 1',
    '2030-03-20T08:00:00.000Z world wave scheduled 2030-03-20T09:00:00 null 1',
    '2030-03-20T13:00:00.000Z world wave scheduled 2030-03-20T09:00:00 null 1',
    '2030-03-25T08:00:00.000Z weekly occurrence null 2030-03-25T09:00:00 Europe/Paris null',
    '2030-04-01T07:00:00.000Z weekly occurrence null 2030-04-01T09:00:00 Europe/Paris null',
    '2030-04-08T07:00:00.000Z weekly occurrence null 2030-04-08T09:00:00 Europe/Paris null',
  ];

  it('has messages, waves and the occurrences to come of all groups, in order of time', async () => {
    expect(await entries(MARCH)).toEqual(EXPECTED);
  });

  it.each(['1', '2', '3'])('has them once each in pages of %s', async (limit) => {
    expect(await entries({ ...MARCH, limit })).toEqual(EXPECTED);
  });

  it('has what lies in the range, whenever its message or its series began', async () => {
    const range = { from: '2030-03-20T08:00:00Z', to: '2030-03-25T08:00:00Z' };

    expect(await entries(range)).toEqual(EXPECTED.slice(5, 7));
    expect(await entries({ from: '2034-03-20T00:00Z', to: '2034-03-21T00:00Z' })).toEqual([
      '2034-03-20T08:00:00.000Z weekly occurrence null 2034-03-20T09:00:00 Europe/Paris null',
    ]);
  });

  it('makes nothing', async () => {
    await entries(MARCH);

    expect(await listAll(app, '/v1/groups/weekly/schedule')).toHaveLength(1);
  });

  it('has no occurrence of a series that is paused', async () => {
    await app.request('POST', '/v1/groups/weekly/series/latest/pause');

    expect(await entries({ from: '2030-03-21T00:00Z', to: '2030-04-09T00:00Z' })).toEqual([]);

    await app.request('POST', '/v1/groups/weekly/series/latest/resume');
  });

  it.each([
    ['', ['from', 'to']],
    ['from=2030-01-01T00:00Z', ['to']],
    ['from=2030-01-01T00:00Z&to=soon', ['to']],
    ['from=2030-01-01T00:00Z&to=2030-01-01T00:00Z', ['to']],
    ['from=2030-01-02T00:00Z&to=2030-01-01T00:00Z', ['to']],
    ['from=2030-01-01T00:00Z&to=2031-01-02T00:00:00.001Z', ['to']],
    ['from=2030-01-01T00:00Z&to=2030-01-02T00:00Z&limit=1001', ['limit']],
  ])('refuses %s', async (query, pointers) => {
    const answer = await app.request('GET', `/v1/calendar?${query}`);

    expect(answer.status).toBe(400);
    expect(objectsAt(answer.body, 'errors').map((fault) => fault['pointer'])).toEqual(pointers);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anInstant } from '../support/builders.ts';
import { at, objectsAt, textAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { matching } from '../support/matching.ts';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const NINE = { time: '09:00', date: '2027-03-28' };

const clock = new ManualClock(anInstant());
let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ clock, env: { PUBLIC_URL: 'https://news.example.com' } });
});
afterAll(() => app.close());

async function aGroup(
  name: string,
  settings: object,
  zones: Readonly<Record<string, string | null>>,
): Promise<void> {
  await app.request('PUT', `/v1/groups/${name}`, {
    body: { postal_address: 'Tower Street 1, London', ...settings },
  });
  await app.request('POST', `/v1/groups/${name}/subscribers`, {
    body: {
      subscribers: Object.entries(zones).map(([user, time_zone]) => ({
        email: `${user}@example.com`,
        time_zone,
      })),
    },
  });
}

async function schedule(
  group: string,
  fields: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return app.request('POST', `/v1/groups/${group}/schedule`, {
    body: { subject: 'News', body: '<p>News</p>', ...fields },
    headers,
  });
}

describe('a preview', () => {
  async function preview(group: string, body: object): Promise<Answer> {
    return app.request('POST', `/v1/groups/${group}/schedule/preview-times`, { body });
  }

  it('shows the waves, with the plan and where the clocks bend one, and stores nothing', async () => {
    await aGroup('seen', {}, { ada: 'Europe/Paris', bob: 'Asia/Tokyo' });
    const body = { local_delivery: { ...NINE, time: '02:30' } };

    const seen = await preview('seen', body);
    const first = await preview('seen', { ...body, limit: 1 });
    const listed = await app.request('GET', '/v1/groups/seen/schedule');
    const made = await schedule('seen', body);

    expect(seen.body).toMatchObject({
      complete: true,
      items: [
        { scheduled_at: '2027-03-27T17:30:00.000Z', occurrence: '2027-03-28T02:30:00', bent: null },
        { scheduled_at: '2027-03-28T01:00:00.000Z', occurrence: '2027-03-28T02:30:00', bent: 'gap' },
      ],
    });
    expect(textAt(seen.body, 'items', 1, 'reason')).toMatch(/skip 2027-03-28T02:30:00 in Europe\/Paris/);
    expect(first.body).toMatchObject({ complete: false, items: [{ occurrence: '2027-03-28T02:30:00' }] });
    expect(at(listed.body, 'items')).toEqual([]);
    expect(at(made.body, 'plan')).toEqual(at(seen.body, 'plan'));
  });

  it('shows at once what has passed in some zones, or leaves it out', async () => {
    await aGroup('elsewhen', {}, { ada: 'Pacific/Kiritimati', bob: 'Pacific/Honolulu' });
    const today = clock.now().toZonedDateTimeISO('Pacific/Kiritimati').toPlainDateTime();
    const date = today.toPlainDate().toString();
    const local = {
      date,
      time: today.subtract({ hours: 1 }).toPlainTime().toString({ smallestUnit: 'minute' }),
    };

    const sent = await preview('elsewhen', { local_delivery: local });
    const skipped = await preview('elsewhen', { local_delivery: { ...local, passed: 'skip' } });

    expect(objectsAt(sent.body, 'items')).toHaveLength(2);
    expect(at(sent.body, 'items', 0, 'schedule_on')).toBe(clock.now().epochMilliseconds);
    expect(textAt(sent.body, 'items', 0, 'reason')).toContain(
      'passed in Pacific/Kiritimati: it is sent there at once',
    );
    expect(objectsAt(skipped.body, 'items')).toEqual(objectsAt(sent.body, 'items').slice(1));
  });

  it.each([
    [{}, '/schedule_on'],
    [{ local_delivery: { time: '25:00', date: '2027-03-28' } }, '/local_delivery/time'],
    [{ local_delivery: NINE, schedule_on: '2027-03-28T09:00Z' }, '/local_delivery'],
    [{ local_delivery: NINE, dst: 'earlier' }, '/dst'],
    [{ local_delivery: NINE, repeat: { rrule: 'FREQ=DAILY' } }, '/local_delivery'],
  ])('refuses %j, as scheduling does', async (body, pointer) => {
    const answer = await preview('refusing', body);

    expect(answer.status).toBe(400);
    expect(objectsAt(answer.body, 'errors').map((fault) => fault['pointer'])).toEqual([pointer]);
  });
});

describe("nine o'clock for everyone", () => {
  it('is answered with the plan, which is computed anew on request', async () => {
    await aGroup('planned', {}, { ada: 'Europe/Paris', bob: 'Asia/Tokyo', cyd: null });

    const answer = await schedule('planned', { local_delivery: { ...NINE, time: '02:30' } });
    await app.request('POST', '/v1/groups/planned/subscribers', {
      body: { email: 'dan@example.com', time_zone: 'Asia/Tokyo' },
    });
    const path = answer.headers.get('location') ?? '';
    const read = await app.request('GET', path);
    const plan = await app.request('GET', `${path}/plan`);

    const tokyo = { time_zone: 'Asia/Tokyo', subscribers: 1, assumed: 0, bend: null, waits_until: null };
    const later = [
      {
        at: '2027-03-28T01:00:00.000Z',
        subscribers: 1,
        passed: false,
        zones: [{ ...tokyo, time_zone: 'Europe/Paris', bend: 'gap' }],
      },
      {
        at: '2027-03-28T02:30:00.000Z',
        subscribers: 1,
        passed: false,
        zones: [{ ...tokyo, time_zone: 'UTC', assumed: 1 }],
      },
    ];
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      status: 'scheduled',
      scheduled_at: '2027-03-27T17:30:00.000Z',
      local_delivery: { time: '02:30', date: '2027-03-28', passed: 'send' },
      waiting_until: null,
      warnings: [{ code: 'no-time-zone', detail: matching(/^One subscriber has no time zone/) }],
      plan: {
        subscribers: 3,
        waves: [{ at: '2027-03-27T17:30:00.000Z', subscribers: 1, passed: false, zones: [tokyo] }, ...later],
      },
    });
    expect(read.body['local_delivery']).toEqual(answer.body['local_delivery']);
    expect(plan.body).toEqual({
      subscribers: 4,
      waves: [
        {
          at: '2027-03-27T17:30:00.000Z',
          subscribers: 2,
          passed: false,
          zones: [{ ...tokyo, subscribers: 2 }],
        },
        ...later,
      ],
    });
  });

  it('says which waves had passed, and that it expires before the last', async () => {
    await aGroup(
      'late',
      { time_zone: 'Europe/Paris' },
      { ada: 'Asia/Tokyo', bob: null, cyd: 'America/New_York' },
    );

    const { body } = await schedule('late', {
      local_delivery: { time: '18:00', date: '2026-11-23', passed: 'skip' },
      expires_at: '2026-11-23T20:00:00Z',
    });

    expect(objectsAt(at(body, 'plan'), 'waves').map(({ passed }) => passed)).toEqual([true, false, false]);
    expect(objectsAt(body, 'warnings').map(({ code }) => code)).toEqual(['expires-between-waves']);
    expect(textAt(body, 'scheduled_at')).toBe('2026-11-23T17:00:00.000Z');
    expect(body['status']).toBe('scheduled');
  });

  it('is another request under the same Idempotency-Key where the time is another', async () => {
    await aGroup('again', {}, { ada: 'Europe/Paris' });
    const headers = { 'idempotency-key': 'nine' };

    const first = await schedule('again', { local_delivery: NINE }, headers);
    const same = await schedule('again', { local_delivery: { ...NINE, passed: 'send' } }, headers);
    const other = await schedule('again', { local_delivery: { ...NINE, time: '10:00' } }, headers);

    expect(same.body).toEqual(first.body);
    expect(other.status).toBe(422);
  });

  it('is taken back by a schedule_on, and takes its place', async () => {
    await aGroup('switched', {}, { ada: 'Europe/Paris' });
    const { headers } = await schedule('switched', { local_delivery: NINE });
    const path = headers.get('location') ?? '';

    const one = await app.request('PATCH', path, { body: { schedule_on: '2027-03-28T12:00Z' } });
    const local = await app.request('PATCH', path, { body: { local_delivery: NINE } });

    expect(one.body).toMatchObject({ scheduled_at: '2027-03-28T12:00:00.000Z', local_delivery: null });
    expect(local.body).toMatchObject({ scheduled_at: '2027-03-28T07:00:00.000Z', local_delivery: NINE });
  });
});

describe('a message outside the send window of its group', () => {
  it('says until when it waits', async () => {
    const settings = { time_zone: 'Europe/Paris', send_window: { from: '08:00', to: '12:00' } };
    await aGroup('quiet', settings, { ada: null });
    const { headers } = await schedule('quiet', { schedule_on: clock.now().toString() });
    const path = headers.get('location') ?? '';

    const body = await until('the message is being sent', 30_000, async () => {
      clock.advance(100); // so that the next scan comes soon
      const read = await app.request('GET', path);
      return read.body['status'] === 'sending' ? read.body : undefined;
    });

    const plan = await app.request('GET', `${path}/plan`);
    const list = await app.request('GET', '/v1/groups/quiet/schedule');
    expect(body['waiting_until']).toBe('2026-11-24T07:00:00.000Z');
    expect(at(list.body, 'items', 0, 'waiting_until')).toBe('2026-11-24T07:00:00.000Z');
    expect(at(plan.body, 'waves', 0, 'zones', 0)).toMatchObject({
      time_zone: 'Europe/Paris',
      waits_until: '2026-11-24T07:00:00.000Z',
    });
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, objectsAt, textAt } from '../support/json.ts';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.ts';

const TZDATA = process.versions['tz'];

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp();
  await app.request('PUT', '/v1/groups/paris', { body: { time_zone: 'Europe/Paris' } });
});
afterAll(() => app.close());

async function schedule(fields: object, group = 'paris'): Promise<Answer> {
  return app.request('POST', `/v1/groups/${group}/schedule`, {
    body: { subject: 'News', body: '<p>News</p>', ...fields },
  });
}

describe('what was meant by a time', () => {
  it.each([
    ['2100-07-01T09:00', '2100-07-01T07:00:00.000Z', 'Europe/Paris'],
    [{ local: '2100-07-01T09:00' }, '2100-07-01T07:00:00.000Z', 'Europe/Paris'],
    ['2100-07-01T09:00[America/New_York]', '2100-07-01T13:00:00.000Z', 'America/New_York'],
    [
      { local: '2100-07-01T09:00', time_zone: 'Asia/Kathmandu' },
      '2100-07-01T03:15:00.000Z',
      'Asia/Kathmandu',
    ],
  ])('is kept beside its instant: %j', async (scheduleOn, scheduledAt, timeZone) => {
    const answer = await schedule({ schedule_on: scheduleOn });

    const time = { local: '2100-07-01T09:00:00', time_zone: timeZone, dst: null, tzdata: TZDATA, moved: [] };
    expect(answer.body).toMatchObject({ scheduled_at: scheduledAt, time });
    const shown = await app.request('GET', answer.headers.get('location') ?? '');
    expect(shown.body).toMatchObject({ scheduled_at: scheduledAt, time });
  });

  it('is nothing but the instant where one was sent', async () => {
    const answer = await schedule({ schedule_on: '2100-07-01T09:00:00Z' });

    expect(answer.body).toMatchObject({ scheduled_at: '2100-07-01T09:00:00.000Z', time: null });
  });

  it('changes with the time', async () => {
    const { headers } = await schedule({ schedule_on: '2100-07-01T09:00' });
    const path = headers.get('location') ?? '';

    const local = await app.request('PATCH', path, { body: { schedule_on: '2100-07-01T10:00' } });
    const instant = await app.request('PATCH', path, { body: { schedule_on: 4_118_115_600_000 } });

    expect(local.body).toMatchObject({ time: { local: '2100-07-01T10:00:00', time_zone: 'Europe/Paris' } });
    expect(instant.body).toMatchObject({ schedule_on: 4_118_115_600_000, time: null });
  });
});

describe('a local time that the clocks skip or repeat', () => {
  it.each([
    ['2100-03-28T02:30', '2100-03-28T00:30:00.000Z', '2100-03-28T01:30:00.000Z'],
    ['2100-10-31T02:30', '2100-10-31T00:30:00.000Z', '2100-10-31T01:30:00.000Z'],
  ])('%s is refused with the candidates, and taken with a choice', async (local, earlier, later) => {
    const refused = await schedule({ schedule_on: local });

    expect(refused.status).toBe(400);
    const [fault] = objectsAt(refused.body, 'errors');
    expect(fault).toMatchObject({
      pointer: '/schedule_on',
      candidates: [
        { dst: 'earlier', at: earlier },
        { dst: 'later', at: later },
      ],
    });

    for (const candidate of objectsAt(fault ?? {}, 'candidates')) {
      const dst = textAt(candidate, 'dst');
      const asChosen = await schedule({ schedule_on: local, dst });
      const inObject = await schedule({ schedule_on: { local, dst } });
      const asAdvised = await schedule({ schedule_on: textAt(candidate, 'time') });

      expect(at(asChosen.body, 'scheduled_at')).toBe(textAt(candidate, 'at'));
      expect(at(asChosen.body, 'time')).toMatchObject({ local: `${local}:00`, dst });
      expect(at(inObject.body, 'scheduled_at')).toBe(textAt(candidate, 'at'));
      expect(at(asAdvised.body, 'scheduled_at')).toBe(textAt(candidate, 'at'));
    }
  });
});

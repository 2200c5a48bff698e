import { describe, expect, it } from 'vitest';
import { parseSendWindow } from '../../src/groups/send-window.ts';
import {
  decodeLocalDelivery,
  earliestWave,
  encodeLocalDelivery,
  firstSending,
  type LocalDelivery,
  type Passed,
  parseLocalTime,
  waveIn,
} from '../../src/schedule/local-delivery.ts';
import { planOf } from '../../src/schedule/planner.ts';

function aLocalDelivery(fields: object = {}, since = '2027-03-01T00:00:00Z'): LocalDelivery {
  return {
    ...parseLocalTime({ date: '2027-03-28', time: '09:00', ...fields }, ''),
    since: Temporal.Instant.from(since),
    missedBefore: undefined,
  };
}

function instants(...texts: readonly string[]): readonly Temporal.Instant[] {
  return texts.map((text) => Temporal.Instant.from(text));
}

describe('earliestWave', () => {
  it('comes before the wave of every zone there is, or with it', () => {
    const local = aLocalDelivery();
    const earliest = earliestWave(local);

    const before = Intl.supportedValuesOf('timeZone').filter(
      (zone) => Temporal.Instant.compare(waveIn(local, zone).at, earliest) < 0,
    );

    expect(before).toEqual([]);
  });
});

describe('firstSending', () => {
  const NINE = '2027-03-28T09:00:00Z';
  const NOON = '2027-03-28T12:00:00Z';
  it.each([
    ['the first wave, where none has passed', 'send', '2027-03-28T08:00:00Z', NINE],
    ['the first wave that comes now', 'skip', NINE, NINE],
    ['at once, where one has passed and is sent', 'send', '2027-03-28T10:00:00Z', '2027-03-28T10:00:00Z'],
    ['the next wave, where one has passed and is skipped', 'skip', '2027-03-28T10:00:00Z', NOON],
    ['the last wave, where all have passed', 'send', '2027-03-29T10:00:00Z', NOON],
  ] as const)('is %s', (_what, passed, since, expected) => {
    const at = firstSending(aLocalDelivery({ passed }), instants(NOON, NINE), Temporal.Instant.from(since));

    expect(at).toEqual(Temporal.Instant.from(expected));
  });
});

describe('planOf', () => {
  function plan(
    zones: readonly (readonly [string | undefined, number])[],
    {
      passed = 'send',
      date = '2027-03-28',
      time = '09:00',
      since = '2027-03-01T00:00:00Z',
      scheduleOn = '2027-03-28T00:00:00Z',
      timeZone,
      sendWindow,
    }: {
      passed?: Passed;
      date?: string;
      time?: string;
      since?: string;
      scheduleOn?: string;
      timeZone?: string;
      sendWindow?: object;
    } = {},
  ): ReturnType<typeof planOf> {
    return planOf(
      {
        scheduleOn: Temporal.Instant.from(scheduleOn),
        localDelivery: aLocalDelivery({ passed, date, time }, since),
      },
      {
        group: { timeZone, sendWindow: sendWindow && parseSendWindow(sendWindow, '') },
        zones: zones.map(([zone, count]) => ({ timeZone: zone, count })),
      },
    );
  }

  it('has one wave for each instant, in order of time, with its zones and how many are in each', () => {
    const { subscribers, waves } = plan([
      ['Europe/Paris', 3],
      ['America/New_York', 2],
      ['Africa/Johannesburg', 1],
      ['Asia/Tokyo', 4],
      ['europe/paris', 1],
    ]);

    expect(subscribers).toBe(11);
    expect(
      waves.map((wave) => [
        wave.at.toString(),
        wave.subscribers,
        wave.zones.map(({ zone, subscribers: count }) => `${zone} ${count}`),
      ]),
    ).toEqual([
      ['2027-03-28T00:00:00Z', 4, ['Asia/Tokyo 4']],
      ['2027-03-28T07:00:00Z', 5, ['Africa/Johannesburg 1', 'Europe/Paris 4']],
      ['2027-03-28T13:00:00Z', 2, ['America/New_York 2']],
    ]);
  });

  it('says whose zone was assumed, and who counts as being in UTC', () => {
    const inParis = plan([[undefined, 2]], { timeZone: 'Europe/Paris' });
    const nowhere = plan([[undefined, 2]]);

    expect(inParis).toMatchObject({
      zoneless: 0,
      waves: [{ zones: [{ zone: 'Europe/Paris', assumed: 2 }] }],
    });
    expect(nowhere).toMatchObject({ zoneless: 2, waves: [{ zones: [{ zone: 'UTC', assumed: 2 }] }] });
  });

  it('says which zones fall in a gap or an overlap', () => {
    const spring = plan(
      [
        ['Europe/Paris', 1],
        ['UTC', 1],
      ],
      { time: '02:30' },
    );
    const autumn = plan([['Europe/Paris', 1]], { date: '2027-10-31', time: '02:30' });

    expect(spring.waves.flatMap(({ zones }) => zones.map(({ zone, bend }) => [zone, bend]))).toEqual([
      ['Europe/Paris', 'gap'],
      ['UTC', undefined],
    ]);
    expect(autumn.waves.at(0)?.zones.at(0)?.bend).toBe('overlap');
  });

  it('says which waves had passed, and which wait for the window', () => {
    const { waves } = plan(
      [
        ['Asia/Tokyo', 1],
        ['Europe/Paris', 1],
      ],
      {
        since: '2027-03-28T05:00:00Z',
        scheduleOn: '2027-03-28T05:00:00Z',
        timeZone: 'Europe/Paris',
        sendWindow: { from: '10:00', to: '20:00' },
      },
    );

    expect(waves.map(({ isPassed }) => isPassed)).toEqual([true, false]);
    expect(waves.at(1)?.zones.at(0)?.waitsUntil).toEqual(Temporal.Instant.from('2027-03-28T08:00:00Z'));
  });
});

describe('parseLocalTime', () => {
  it.each([
    [null, '/l'],
    ['09:00', '/l'],
    [[], '/l'],
    [{ date: '2027-03-28' }, '/l/time'],
    [{ time: '09:00' }, '/l/date'],
    [{ time: '09:00', date: '2027-02-29' }, '/l/date'],
    [{ time: '09:00', date: '0001-01-01' }, '/l/date'],
    [{ time: '09:00', date: '10000-01-01' }, '/l/date'],
    [{ time: '09:00', date: '+010000-01-01' }, '/l/date'],
    [{ time: '09:00', date: '9999-12-31' }, '/l/date'],
    [{ time: '09:00', date: 20_270_328 }, '/l/date'],
    [{ time: '24:00', date: '2027-03-28' }, '/l/time'],
    [{ time: '9:00', date: '2027-03-28' }, '/l/time'],
    [{ time: '09:00Z', date: '2027-03-28' }, '/l/time'],
    [{ time: '09:00[Europe/Paris]', date: '2027-03-28' }, '/l/time'],
    [{ time: '09:00:60', date: '2027-03-28' }, '/l/time'],
    [{ time: '09:00', date: '2027-03-28', passed: 'hold' }, '/l/passed'],
    [{ time: '09:00', date: '2027-03-28', passed: null, zone: 'UTC' }, '/l/zone'],
  ])('refuses %j, and points to %s', (input, pointer) => {
    expect(() => parseLocalTime(input, '/l')).toThrow(
      expect.objectContaining({ faults: [expect.objectContaining({ pointer })] }),
    );
  });

  it('takes a leap day, seconds, and the last day that there is', () => {
    const times = [
      { time: '09:00', date: '2028-02-29' },
      { time: '23:59:59', date: '9999-12-30' },
    ].map((input) => parseLocalTime(input, ''));

    expect(times.map(({ date, time }) => `${date.toString()} ${time.toString()}`)).toEqual([
      '2028-02-29 09:00:00',
      '9999-12-30 23:59:59',
    ]);
  });
});

describe('a stored local delivery', () => {
  it('is read as it was written', () => {
    const local = {
      ...aLocalDelivery({ time: '09:00:30', passed: 'skip' }),
      missedBefore: Temporal.Instant.from('2027-03-28T00:00:00Z'),
    };

    expect(decodeLocalDelivery(encodeLocalDelivery(local))).toEqual(local);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lookAgainAt, SendTimes, wasUnattended } from '../../src/delivery/send-time.ts';
import { parseSendWindow } from '../../src/groups/send-window.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, msBetween, plusMs } from '../../src/platform/clock/clock.ts';
import { parseLocalTime } from '../../src/schedule/local-delivery.ts';
import { aMessage, anInstant } from '../support/builders.ts';

const NINE = parseLocalTime({ date: '2026-11-24', time: '09:00' }, '');
const IN_PARIS = Temporal.Instant.from('2026-11-24T08:00:00Z');

describe('SendTimes', () => {
  function aLocalMessage(overrides: Parameters<typeof aMessage>[0] = {}): ReturnType<typeof aMessage> {
    return aMessage({
      scheduleOn: IN_PARIS,
      localDelivery: { ...NINE, since: anInstant(), missedBefore: undefined },
      ...overrides,
    });
  }

  it('keeps whoever was tried before out of the waves: their time has come, wherever they are by now', () => {
    const times = new SendTimes(aLocalMessage(), undefined);
    const inNewYork = { timeZone: 'America/New_York' };

    expect(times.of(inNewYork, false, IN_PARIS)).toMatchObject({ kind: 'later' });
    expect(times.of(inNewYork, true, IN_PARIS)).toEqual({ kind: 'now', since: IN_PARIS });
  });

  it('counts lateness from a release on, where somebody has released it after the wave', () => {
    const releasedAt = plusMs(IN_PARIS, HOUR_MS);
    const times = new SendTimes(aLocalMessage({ dueAt: releasedAt }), undefined);

    expect(times.of({ timeZone: 'Europe/Paris' }, false, plusMs(releasedAt, 1))).toEqual({
      kind: 'now',
      since: releasedAt,
    });
  });

  it('takes for passed whoever is found in a zone whose wave came before the message began', () => {
    const [skipping, sending] = (['skip', 'send'] as const).map((passed) => {
      const localDelivery = { ...NINE, passed, since: anInstant(), missedBefore: undefined };
      return new SendTimes(aLocalMessage({ localDelivery }), undefined);
    });
    const now = plusMs(IN_PARIS, 1);

    expect(skipping?.of({ timeZone: 'Asia/Tokyo' }, false, now)).toMatchObject({ kind: 'skip' });
    expect(skipping?.of({ timeZone: 'Europe/Paris' }, false, now)).toMatchObject({ kind: 'now' });
    expect(sending?.of({ timeZone: 'Asia/Tokyo' }, false, now)).toMatchObject({ kind: 'now' });
  });

  it('skips no wave that was missed by less than it says', () => {
    const localDelivery = { ...NINE, since: anInstant(), missedBefore: IN_PARIS };
    const times = new SendTimes(aLocalMessage({ localDelivery }), undefined);
    const now = plusMs(IN_PARIS, DAY_MS);

    expect(times.of({ timeZone: 'Europe/Paris' }, false, now)).toMatchObject({ kind: 'now' });
    expect(times.of({ timeZone: 'Africa/Cairo' }, false, now)).toMatchObject({ kind: 'skip' });
  });

  it('counts lateness from the start of the window, and not from before it', () => {
    const sendWindow = parseSendWindow({ from: '10:00', to: '20:00' }, '');
    const times = new SendTimes(aLocalMessage(), { timeZone: 'Europe/Paris', sendWindow });
    const start = plusMs(IN_PARIS, HOUR_MS);

    expect(times.of({ timeZone: undefined }, false, plusMs(start, 5))).toEqual({ kind: 'now', since: start });
  });
});

describe('lookAgainAt', () => {
  it('is when it must be, or before: at least half an hour from now, at most an hour and three quarters, and never with a wave', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: DAY_MS }),
        fc.integer({ min: 1, max: DAY_MS }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (nowMs, waitMs, random) => {
          const now = plusMs(Temporal.Instant.from('2026-11-23T00:00:00Z'), nowMs);
          const at = plusMs(now, waitMs);

          const look = lookAgainAt(at, now, () => random);

          const afterMs = msBetween(now, look);
          const minute = (look.epochMilliseconds / MINUTE_MS) % 15;
          expect(afterMs).toBeLessThanOrEqual(Math.min(waitMs, 1.75 * HOUR_MS));
          expect(look.equals(at) || (afterMs >= HOUR_MS / 2 && minute > 0)).toBe(true);
        },
      ),
    );
  });
});

describe('wasUnattended', () => {
  const localDelivery = { ...NINE, since: anInstant(), missedBefore: undefined };
  it.each([
    ['within the grace', { status: 'sending', localDelivery }, DAY_MS, DAY_MS, false],
    ['beyond the grace', { status: 'sending', localDelivery }, DAY_MS + 1, DAY_MS, true],
    ['for minutes, without any grace', { status: 'sending', localDelivery }, 5 * MINUTE_MS, 0, false],
    ['without waves', { status: 'sending' }, 2 * DAY_MS, DAY_MS, false],
    ['and not begun', { status: 'scheduled', localDelivery }, 2 * DAY_MS, DAY_MS, false],
  ] as const)('tells a message that has slept %s', (_what, fields, sleptMs, graceMs, expected) => {
    const message = aMessage({ ...fields, wakeAt: anInstant() });

    expect(wasUnattended(message, plusMs(anInstant(), sleptMs), graceMs)).toBe(expected);
  });
});

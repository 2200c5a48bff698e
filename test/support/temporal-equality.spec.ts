import { describe, expect, test } from 'vitest';

const INSTANT = Temporal.Instant.from('2026-03-01T09:00Z');
const LATER = INSTANT.add({ seconds: 1 });

describe('toMatchObject', () => {
  test.each([
    ['instants', INSTANT, LATER],
    ['times in a zone', INSTANT.toZonedDateTimeISO('UTC'), LATER.toZonedDateTimeISO('UTC')],
    ['zones of one time', INSTANT.toZonedDateTimeISO('UTC'), INSTANT.toZonedDateTimeISO('Europe/London')],
    ['local times', Temporal.PlainTime.from('09:00'), Temporal.PlainTime.from('09:01')],
  ])('tells %s from one another', (_, one, other) => {
    expect({ at: one, more: 1 }).not.toMatchObject({ at: other });
    expect({ at: one, more: 1 }).toMatchObject({ at: one });
  });

  test('tells an instant from none', () => {
    expect({ at: INSTANT }).not.toMatchObject({ at: undefined });
    expect({ at: undefined }).not.toMatchObject({ at: INSTANT });
  });
});

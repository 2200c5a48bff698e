import { ValidationPipe } from '@nestjs/common';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPlainDto } from '../../src/platform/http/plain-dto.ts';
import { MessageBody, MessagePatch } from '../../src/schedule/message.dto.ts';

const PLAIN = { subject: 'News', body: '<p>News</p>', schedule_on: '2100-01-01T09:00:00Z' };

const whole = new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true });

/** What class-validator makes of it; `undefined` where it refuses it. */
async function readWhole(body: object): Promise<unknown> {
  try {
    const read: unknown = await whole.transform(body, { type: 'body', metatype: MessageBody });
    return read;
  } catch {
    return undefined;
  }
}

const anything = fc.oneof(
  fc.string(),
  fc.double(),
  fc.boolean(),
  fc.constantFrom(null, undefined, '\0', 'a\nb', '\ud800', {}, []),
);
const usual = (...values: unknown[]): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...values) }, anything);
const FIELDS = {
  subject: usual('News'),
  body: usual('<p>News</p>'),
  text: usual('News'),
  from: usual('News <news@example.com>'),
  reply_to: usual('help@example.com'),
  template: usual('none', 'liquid'),
  schedule_on: usual(4_102_477_200_000, '2100-01-01T09:00[Europe/Paris]', { local: '2100-01-01T09:00' }),
  expires_at: usual('2100-01-02T09:00:00Z'),
  dst: usual('earlier'),
  on_missed: usual('skip'),
  on_unknown: usual('leave'),
  local_delivery: usual({ time: '09:00', date: '2100-01-01' }),
  repeat: usual({ rrule: 'FREQ=WEEKLY' }),
  urgent: anything,
};
const aField = fc.oneof(
  ...Object.entries(FIELDS).map(([name, value]) => value.map((one): [string, unknown] => [name, one])),
);
const aBody = fc
  .array(aField, { maxLength: 4 })
  .map((fields): object => ({ ...PLAIN, ...Object.fromEntries(fields) }));

describe('a body that is plain', () => {
  it('is read as class-validator reads it, and never where that refuses it', async () => {
    let plainCount = 0;
    await fc.assert(
      fc.asyncProperty(aBody, async (body) => {
        const plain = readPlainDto(MessageBody, body);
        plainCount += plain ? 1 : 0;
        expect(plain).toStrictEqual(plain && (await readWhole(body)));
      }),
    );
    expect(plainCount).toBeGreaterThan(5);
  });

  it('is what is usually sent', () => {
    expect(readPlainDto(MessageBody, PLAIN)).toBeInstanceOf(MessageBody);
    expect(
      readPlainDto(MessageBody, { ...PLAIN, schedule_on: 4_102_477_200_000, template: 'liquid' }),
    ).toEqual(expect.objectContaining({ schedule_on: 4_102_477_200_000, template: 'liquid' }));
  });

  it.each([
    ['breaks a rule', { ...PLAIN, subject: '' }],
    ['lacks something', { subject: 'News', body: '<p>News</p>' }],
    ['has something unknown', { ...PLAIN, urgent: true }],
    ['has an unknown name of every object', JSON.parse(`{"toString": 1, "subject": "News"}`)],
    ['has an object', { ...PLAIN, schedule_on: { local: '2100-01-01T09:00', time_zone: 'Europe/Paris' } }],
    ['has a series in another form', { ...PLAIN, repeat: 'weekly' }],
    ['is no object', 'News'],
  ])('is none that %s: the whole of class-validator says what of it', (_, body) => {
    expect(readPlainDto(MessageBody, body)).toBeUndefined();
  });

  it('is none of a DTO that is not said to be plain', () => {
    expect(readPlainDto(MessagePatch, { subject: 'News' })).toBeUndefined();
  });
});

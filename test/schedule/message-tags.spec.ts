import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeTags, encodeTags, type MessageTags, messageTags } from '../../src/schedule/message-tags.ts';

const KEY = '0199b6a0-7c1e-7d3a-9f00-3f1a2b4c5d6e';

function tagsOf(subject: string): MessageTags {
  return messageTags({
    group: 'serverless',
    subject,
    scheduleOn: Temporal.Instant.from('2026-11-23T14:10:00Z'),
    key: KEY,
  });
}

// As the S3 API Reference has it (S3Tag), to be independent of the code under test.
const S3_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

describe('messageTags', () => {
  it('labels a message with its group, subject, time and key', () => {
    const tags = tagsOf('Hello');

    expect(tags).toEqual({
      group: 'serverless',
      subject: 'Hello',
      scheduled: '2026-11-23T14:10:00.000Z',
      key: KEY,
    });
  });

  it.each([
    ['Hello SLS workshop!', 'Hello SLS workshop_'],
    ['a+b-c=d.e_f:g/h@i 1', 'a+b-c=d.e_f:g/h@i 1'],
    ['50% off, "now" & <here>', '50_ off_ _now_ _ _here_'],
    ['Grüße aus Köln', 'Grüße aus Köln'],
    ['こんにちは 世界', 'こんにちは 世界'],
    ['Cafe\u0301', 'Café'],
    ['party 🎉 time', 'party _ time'],
    ['𝒜 letter beyond 16 bits', '𝒜 letter beyond 16 bits'],
    ['a lone \ud83c surrogate', 'a lone _ surrogate'],
    ['tab\tand\u0000null\r\n', 'tab_and_null'],
    ['a line\u2028separator', 'a line_separator'],
    ['  trimmed  ', 'trimmed'],
    ['   ', ''],
    ['', ''],
    ['aws:reserved', 'aws_reserved'],
    ['  AwS:reserved', 'AwS_reserved'],
    ['laws: allowed', 'laws: allowed'],
  ])('keeps the subject %j as %j', (subject, expected) => {
    expect(tagsOf(subject).subject).toBe(expected);
  });

  it.each([
    ['has 256 characters', 'x'.repeat(256), 'x'.repeat(256)],
    ['has more', 'x'.repeat(300), 'x'.repeat(256)],
    ['would be cut within a surrogate pair', `${'x'.repeat(255)}𝒜`, 'x'.repeat(255)],
    ['would be cut behind a surrogate pair', `${'x'.repeat(254)}𝒜x`, `${'x'.repeat(254)}𝒜`],
    ['would be cut behind a space', `${'x'.repeat(255)} y`, 'x'.repeat(255)],
  ])('keeps 256 UTF-16 units of a subject that %s', (_, subject, expected) => {
    expect(tagsOf(subject).subject).toBe(expected);
  });

  it('keeps any subject at all within the rules of S3', () => {
    const units = fc.constantFrom<'binary' | 'grapheme' | fc.Arbitrary<string>>(
      'binary',
      'grapheme',
      fc.constantFrom('aws:', ' ', '𝒜', '\ud83c', '🎉', 'é', '\u0301', '\u00a0', '&'),
    );
    const anySubject = units.chain((unit) => fc.string({ unit, maxLength: 600, size: 'max' }));

    fc.assert(
      fc.property(anySubject, (subject) => {
        const value = tagsOf(subject).subject;

        expect(value).toMatch(S3_VALUE);
        expect(value.length).toBeLessThanOrEqual(256);
        expect(value.isWellFormed()).toBe(true);
        expect(value).not.toMatch(/^aws:/i);
        expect(value).toBe(value.trim());
        expect(tagsOf(value).subject).toBe(value); // what obeys the rules is left alone
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('encodeTags', () => {
  it('writes the tags as a URL query, with %20 for a space', () => {
    const encoded = encodeTags(tagsOf('a b+c=d/é'));

    expect(encoded).toBe(
      `group=serverless&subject=a%20b%2Bc%3Dd%2F%C3%A9&scheduled=2026-11-23T14%3A10%3A00.000Z&key=${KEY}`,
    );
  });

  it('writes any subject so that it is read back as it was, in a header that S3 has room for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600, size: 'max' }), (subject) => {
        const tags = tagsOf(subject);

        const encoded = encodeTags(tags);

        expect(encoded).toMatch(/^[\w.%=&-]+$/);
        expect(encoded.length).toBeLessThan(4096);
        expect(Object.fromEntries(new URLSearchParams(encoded))).toEqual(tags);
        expect(decodeTags(encoded)).toEqual(tags);
      }),
    );
  });
});

import { domainToASCII } from 'node:url';
import * as fc from 'fast-check';
import { isEmail } from 'class-validator';
import { describe, expect, it } from 'vitest';
import { isSubscriberEmail, parseEmail } from '../../src/groups/subscriber.ts';

// Those of which rules are made, so that most texts are nearly an address.
const CHARACTERS = [...'aZ09..--__++@@"\'!/ ()<>\u00e9\n'];
const nearlyAnAddress = fc
  .tuple(...[40, 40, 12].map((maxLength) => fc.string({ unit: fc.constantFrom(...CHARACTERS), maxLength })))
  .map(([name, host, top]) => `${name}@${host}.${top}`);
const part = fc.constantFrom(
  'Example',
  'xn--bcher-kva',
  'XN--a',
  'xn--',
  'a--b',
  '\u212a',
  'b\u00fccher',
  '\uff41',
  '127',
  '0x7f',
  'a_b',
  '-a',
);
const host = fc
  .tuple(
    fc.array(part, { maxLength: 3 }),
    fc.constantFrom('COM', 'com', '1', '0x1', 'xn--p1ai', '\u212a\u212a'),
  )
  .map(([labels, top]) => [...labels, top].join('.'));
const long = fc
  .tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 9 }))
  .map(([name, label, labels]) => `${'n'.repeat(name)}@${`${'l'.repeat(label)}.`.repeat(labels)}com`);

describe('an address', () => {
  it('is taken where class-validator takes it, and only there', () => {
    const byTheLibrary = (text: string): boolean =>
      isEmail(text, { allow_utf8_local_part: false, blacklisted_chars: '"' });

    fc.assert(
      fc.property(fc.oneof(nearlyAnAddress, long, fc.emailAddress()), (text) => {
        expect(isSubscriberEmail(text)).toBe(byTheLibrary(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('has its domain in lower case and in ASCII, as URLs have it', () => {
    fc.assert(
      fc.property(host, (domain) => {
        const email = `Ada@${domainToASCII(domain)}`;
        const parsed = parseEmail(`Ada@${domain}`);

        expect(parsed.kind === 'email' ? parsed.email : undefined).toBe(
          isSubscriberEmail(email) ? email : undefined,
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

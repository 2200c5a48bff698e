import * as fc from 'fast-check';
import { isEmail } from 'class-validator';
import { describe, expect, it } from 'vitest';
import { isSubscriberEmail } from '../../src/groups/subscriber.ts';

// Those of which rules are made, so that most texts are nearly an address.
const CHARACTERS = [...'aZ09..--__++@@"\'!/ ()<>\u00e9\n'];
const nearlyAnAddress = fc
  .tuple(...[40, 40, 12].map((maxLength) => fc.string({ unit: fc.constantFrom(...CHARACTERS), maxLength })))
  .map(([name, host, top]) => `${name}@${host}.${top}`);
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
});

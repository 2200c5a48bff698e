import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Mac } from '../../src/platform/http/mac.ts';

describe('a MAC', () => {
  it('is the HMAC-SHA-256 of all pieces', () => {
    const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
      fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

    fc.assert(
      fc.property(bytes(64), fc.array(bytes(200), { maxLength: 3 }), (key, pieces) => {
        const expected = createHmac('sha256', key).update(Buffer.concat(pieces)).digest('hex');

        expect(new Mac(key).of(...pieces).toString('hex')).toBe(expected);
      }),
    );
  });

  it('has no key that is longer than a block', () => {
    expect(() => new Mac(Buffer.alloc(65))).toThrow('64 bytes');
  });
});

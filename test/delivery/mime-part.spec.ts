import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodedPart } from '../../src/delivery/mime-part.ts';

const BOUNDARY = '=_0123456789abcdef';

function readPart(part: string): string {
  const [head = '', ...rest] = part.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  return head.includes('base64') ? Buffer.from(body, 'base64').toString() : body;
}

describe('a part of a mail', () => {
  it('reads as its literals and values together, however often and with whatever values they are encoded', () => {
    const pieces = fc.constantFrom('a', 'é', '大', '😀', '\r', '\n', '\r\n', 'From ', '.', ' ', 'word ');
    const short = fc.array(pieces, { maxLength: 8 }).map((all) => all.join(''));
    // Long enough for lines that are kept, at every distance from the next group of three bytes.
    const long = fc
      .tuple(short, fc.integer({ min: 0, max: 1_500 }), short)
      .map(([before, length, behind]) => {
        return before + 'é, x\n'.repeat(length).slice(0, length) + behind;
      });
    const literals = fc.array(fc.oneof(short, long), { minLength: 1, maxLength: 5 });
    const values = fc.array(short, { minLength: 4, maxLength: 4 });

    fc.assert(
      fc.property(literals, fc.array(values, { minLength: 1, maxLength: 4 }), (fixed, all) => {
        for (const some of all) {
          const own = some.slice(0, fixed.length - 1);
          const whole = fixed.map((literal, index) => literal + (own[index] ?? '')).join('');

          const part = encodedPart('text/html', { literals: fixed, values: own }, BOUNDARY).join('');

          expect(readPart(part)).toBe(whole.replaceAll(/\r\n?|\n/g, '\r\n') || '\r\n');
          expect(part.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
          expect(Math.max(...part.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('has no line of base64 with more than 76 characters, and none that is empty', () => {
    const literals = ['é'.repeat(2_000), 'é'.repeat(2_001), 'é'];

    for (const values of [
      ['', ''],
      ['a', 'bc'],
      ['x'.repeat(500), ''],
    ]) {
      const lines = encodedPart('text/html', { literals, values }, BOUNDARY).join('').split('\r\n').slice(3);
      expect(Math.max(...lines.map((line) => line.length))).toBe(76);
      expect(Math.min(...lines.map((line) => line.length))).toBeGreaterThan(0);
    }
  });
});

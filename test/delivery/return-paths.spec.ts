import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { ReturnPaths } from '../../src/delivery/return-paths.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { newMessageKey } from '../../src/schedule/message.ts';
import { aKey } from '../support/builders.ts';

const KEY = newMessageKey();
const ADA = aKey('ada.lovelace@example.com');

it.each(['a@b.example', 'ada.lovelace@example.com', `${'x'.repeat(64)}@example.com`])(
  'a return path of %s is an address that every mail server takes, and says whose it is',
  (address) => {
    const paths = open();
    const path = paths.of(KEY, aKey(address)) ?? '';

    const read = paths.read(path);

    expect(path).toMatch(/^bounce\+[a-z2-7]{56}@bounces\.example\.com$/);
    expect(path.indexOf('@')).toBeLessThanOrEqual(64); // RFC 5321, 4.5.3.1.1
    expect(read?.messageKey).toBe(KEY);
    expect(read?.isOf(aKey(address))).toBe(true);
    expect(read?.isOf(aKey('somebody.else@example.com'))).toBe(false);
    expect(address.startsWith(read?.beginning ?? '-')).toBe(true);
  },
);

it('is read whatever a server on the way did to its case, and in angle brackets', () => {
  const path = open().of(KEY, ADA) ?? '';

  expect(open().read(` <${path.toUpperCase()}> `)?.messageKey).toBe(KEY);
});

it('is not read with any character changed, cut off or added', () => {
  const paths = open();
  const path = paths.of(KEY, ADA) ?? '';
  const begin = 'bounce+'.length;

  fc.assert(
    fc.property(
      fc.integer({ min: begin, max: begin + 55 }),
      fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567'),
      (index, character) => {
        fc.pre(path.charAt(index) !== character);
        expect(paths.read(`${path.slice(0, index)}${character}${path.slice(index + 1)}`)).toBeUndefined();
        expect(paths.read(path.slice(0, index) + path.slice(index + 1))).toBeUndefined();
        expect(paths.read(path.slice(0, index) + character + path.slice(index))).toBeUndefined();
      },
    ),
  );
});

it('is not read of another installation, or of another domain', () => {
  const path = open().of(KEY, ADA) ?? '';

  expect(open({ key: 2 }).read(path)).toBeUndefined();
  expect(open({ domain: 'other.example.com' }).read(path)).toBeUndefined();
  expect(open().read('')).toBeUndefined();
});

it('is not made where there is no domain for it', () => {
  expect(open({ domain: '' }).of(KEY, ADA)).toBeUndefined();
});

function open({ key = 1, domain = 'bounces.example.com' } = {}): ReturnPaths {
  return new ReturnPaths(new SigningKey(Buffer.alloc(32, key)), parseSettings({ VERP_DOMAIN: domain }));
}

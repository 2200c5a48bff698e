import { describe, expect, it } from 'vitest';
import { etagOf, parseIfMatch } from '../../src/platform/http/etag.ts';
import { textFault } from '../../src/platform/http/is-plain-text.ts';
import { PageCursors } from '../../src/platform/http/page-cursor.ts';
import { openSigningKey, SigningKey } from '../../src/platform/http/signing-key.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { InvalidInputError } from '../../src/platform/errors/domain-error.ts';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { aDirectory } from './a-server.ts';

describe('text', () => {
  const rules = { min: 1, max: 10 };

  it.each([['Hello'], ['ÄÖ €'], ['👩‍🚀'], [' ']])('takes %j', (value) => {
    expect(textFault(value, rules)).toBeUndefined();
  });

  it.each([
    [undefined, 'missing'],
    [5, 'must be text'],
    [null, 'must be text'],
    ['', 'empty'],
    ['12345678901', '11 characters'],
    ['👩‍🚀👩‍🚀👩‍🚀', '15 characters (UTF-16 units)'],
    ['a\uD800b', 'surrogate'],
    ['\uDC00', 'surrogate'],
    ['a\0b', 'NUL'],
    ['a\r\nb', 'line break'],
    ['a\nb', 'line break'],
    ['a\tb', 'U+0009'],
    ['a\u001bb', 'U+001B'],
    ['a\u007fb', 'U+007F'],
  ])('refuses %j: %s', (value, reason) => {
    expect(textFault(value, rules)).toContain(reason);
  });

  it('of many lines keeps line breaks and tabs, and still refuses NUL', () => {
    const many = { ...rules, multiline: true };

    expect(textFault('a\r\n\tb', many)).toBeUndefined();
    expect(textFault('a\0b', many)).toContain('NUL');
  });

  it('that is too short is told how short', () => {
    expect(textFault('ab', { min: 3, max: 5 })).toBe('It has 2 characters; at least 3 are needed.');
  });
});

describe('entity tags', () => {
  it('come back as the version they were made of', () => {
    expect(parseIfMatch(etagOf(3))).toBe(3);
  });

  it.each([[undefined], ['*']])('ask for no version with If-Match: %s', (header) => {
    expect(parseIfMatch(header)).toBeUndefined();
  });

  it.each([['3'], ['W/"3"'], ['"3", "4"'], ['"x"'], ['""'], ['"0"'], ['"-1"'], ['"9999999999999999"'], ['']])(
    'are refused when they are %s',
    (header) => {
      expect(() => parseIfMatch(header)).toThrow(
        expect.objectContaining({
          kind: 'invalid',
          faults: [expect.objectContaining({ pointer: 'If-Match' })],
        }),
      );
    },
  );
});

describe('cursors', () => {
  const cursors = new PageCursors(new SigningKey(Buffer.alloc(32, 1)));

  it('open to what was sealed', () => {
    const cursor = cursors.seal('list', { after: 'ada@example.com' });

    expect(cursors.open('list', cursor)).toEqual({ after: 'ada@example.com' });
    expect(cursor).toMatch(/^[\w-]+$/);
  });

  it('are refused when a single bit is changed, wherever it is', () => {
    const bytes = Buffer.from(cursors.seal('list', ['a', 1]), 'base64url');
    const tampered = Array.from({ length: bytes.length * 8 }, (_, bit) => flip(bytes, bit));

    for (const cursor of tampered) {
      expect(() => cursors.open('list', cursor)).toThrow(InvalidInputError);
    }
  });

  it.each([
    ['empty', (): string => ''],
    ['cut off', (cursor: string): string => cursor.slice(0, -1)],
    ['only a signature', (cursor: string): string => cursor.slice(0, 22)],
    ['followed by something', (cursor: string): string => `${cursor}A`],
    ['spelled with padding', (cursor: string): string => `${cursor}=`],
    ['not base64url', (): string => '../../etc/passwd'],
    ['very long', (cursor: string): string => cursor.repeat(10_000)],
  ])('are refused when they are %s', (_name, spoil) => {
    const cursor = cursors.seal('list', 1);

    expect(() => cursors.open('list', spoil(cursor))).toThrow(
      expect.objectContaining({ faults: [expect.objectContaining({ pointer: 'cursor' })] }),
    );
  });

  it('are refused by another list and by another server', () => {
    const cursor = cursors.seal('list', 1);
    const elsewhere = new PageCursors(new SigningKey(Buffer.alloc(32, 2)));

    expect(() => cursors.open('lis', cursor)).toThrow(InvalidInputError);
    expect(() => elsewhere.open('list', cursor)).toThrow(InvalidInputError);
  });

  it('are opened after the key was rotated, for as long as the old one is kept', () => {
    const cursor = cursors.seal('list', 1);
    const rotated = new PageCursors(new SigningKey(Buffer.alloc(32, 2), [Buffer.alloc(32, 1)]));

    expect(rotated.open('list', cursor)).toBe(1);
    expect(() => cursors.open('list', rotated.seal('list', 1))).toThrow(InvalidInputError);
  });
});

describe('the signing key', () => {
  it('is SIGNING_SECRET where that is set', async () => {
    const secret = 'x'.repeat(32);

    const key = await openSigningKey(parseSettings({ SIGNING_SECRET: secret, DATA_DIR: '/nowhere' }));

    expect(key.bytes.toString()).toBe(secret);
  });

  it('is the first of several, and the others are kept for what they have signed', async () => {
    const secrets = ['x'.repeat(32), 'y'.repeat(40)];

    const key = await openSigningKey(parseSettings({ SIGNING_SECRET: secrets.join(', ') }));

    expect(key.all.map(({ bytes }) => bytes.toString())).toEqual(secrets);
  });

  it('is otherwise made once, for its owner only, and the same at every later start', async () => {
    const settings = parseSettings({ DATA_DIR: join(await aDirectory(), 'new') });

    const [first, atTheSameTime] = await Promise.all([openSigningKey(settings), openSigningKey(settings)]);
    const later = await openSigningKey(settings);

    const path = join(settings.dataDir, 'signing-secret');
    expect(first.bytes).toHaveLength(32);
    expect(atTheSameTime.bytes).toEqual(first.bytes);
    expect(later.bytes).toEqual(await readFile(path));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('is refused when its file is damaged, rather than used', async () => {
    const settings = parseSettings({ DATA_DIR: await aDirectory() });
    await writeFile(join(settings.dataDir, 'signing-secret'), 'short');

    await expect(openSigningKey(settings)).rejects.toThrow('damaged');
  });
});

function flip(bytes: Buffer, bit: number): string {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy.toString('base64url');
}

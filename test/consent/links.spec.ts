import { createCipheriv, createHmac } from 'node:crypto';
import { HttpAdapterHost } from '@nestjs/core';
import { describe, expect, it } from 'vitest';
import { Links, type LinkTarget } from '../../src/consent/links.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { PublicUrl } from '../../src/platform/http/public-url.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { newMessageKey } from '../../src/schedule/message.ts';
import { aGroupName, aKey } from '../support/builders.ts';

const OLD = Buffer.alloc(32, 1);
const NEW = Buffer.alloc(32, 2);

function linksOf(...secrets: readonly [Buffer, ...Buffer[]]): Links {
  const [first, ...older] = secrets;
  const settings = parseSettings({ PUBLIC_URL: 'https://news.example.com' });
  return new Links(new SigningKey(first, older), new PublicUrl(settings, new HttpAdapterHost()));
}

function aTarget(overrides: Partial<LinkTarget> = {}): LinkTarget {
  return {
    purpose: 'leave',
    group: aGroupName(),
    subscriber: aKey(),
    messageKey: newMessageKey(),
    ...overrides,
  };
}

describe('a link', () => {
  const links = linksOf(OLD);

  it.each([
    ['usual', aTarget()],
    ['of the longest names', aTarget({ group: aGroupName('g'.repeat(63)), subscriber: aKey(longest()) })],
    ['of the shortest names', aTarget({ group: aGroupName('g'), subscriber: aKey('a@b.co') })],
  ])('says what was sealed: %s', (_what, target) => {
    const token = links.seal(target);

    expect(links.open(token, 'leave')).toEqual(target);
    expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(token.length).toBeLessThan(480);
  });

  it('is encrypted with AES-256-CTR from its HMAC on, for ever', () => {
    const signing = new SigningKey(OLD);

    for (const target of Array.from({ length: 300 }, () => aTarget())) {
      const bytes = Buffer.from(links.seal(target), 'base64url');

      const [head, tag, sealed] = [bytes.subarray(0, 2), bytes.subarray(2, 18), bytes.subarray(18)];
      const plain = createCipheriv('aes-256-ctr', signing.derive('link encryption'), tag).update(sealed);
      const hmac = createHmac('sha256', signing.derive('link signature')).update(head).update(plain).digest();
      expect(hmac.subarray(0, 16)).toEqual(tag);
      expect(plain.toString('latin1')).toContain(target.group + target.subscriber);
    }
  });

  it('is the same for the same delivery, and under PUBLIC_URL', () => {
    const target = aTarget();

    const urls = links.leaveUrls(target);

    expect(links.leaveUrls(target)).toEqual(urls);
    expect(urls.unsubscribe).toMatch(/^https:\/\/news\.example\.com\/u\/[\w-]{60,120}$/);
    expect(urls.preferences).toBe(urls.unsubscribe.replace('/u/', '/p/'));
    expect(links.confirmUrl(target)).toMatch(/^https:\/\/news\.example\.com\/c\/[\w-]{60,120}$/);
  });

  it('shows neither address nor group', () => {
    const token = links.seal(aTarget());

    const bytes = Buffer.from(token, 'base64url').toString('latin1');
    expect(bytes).not.toContain('ada');
    expect(bytes).not.toContain('serverless');
  });

  it('is different for every message, subscriber and purpose from its first byte behind the head on', () => {
    const target = aTarget();
    const others = [
      aTarget({ ...target, messageKey: newMessageKey() }),
      aTarget({ ...target, subscriber: aKey('bob@example.com') }),
      aTarget({ ...target, purpose: 'confirm' }),
    ];

    const tokens = [target, ...others].map((one) => links.seal(one).slice(3, 20));
    expect(new Set(tokens).size).toBe(4);
  });

  it('is good for its purpose only', () => {
    expect(links.open(links.seal(aTarget({ purpose: 'leave' })), 'confirm')).toBeUndefined();
    expect(links.open(links.seal(aTarget({ purpose: 'confirm' })), 'leave')).toBeUndefined();
  });

  it('is nothing once any bit of it is changed, or any part is missing', () => {
    const token = links.seal(aTarget());
    const bytes = Buffer.from(token, 'base64url');

    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(links.open(changed.toString('base64url'), 'leave')).toBeUndefined();
    }
    for (let length = 0; length < token.length; length += 1) {
      expect(links.open(token.slice(0, length), 'leave')).toBeUndefined();
    }
  });

  it.each(['', 'x', 'A'.repeat(100), '🎉', 'A'.repeat(5_000)])('is nothing where it is made up', (text) => {
    expect(links.open(text, 'leave')).toBeUndefined();
  });

  it.each(['=', ' ', '.', 'A'])('is nothing with %j behind it', (end) => {
    expect(links.open(`${links.seal(aTarget())}${end}`, 'leave')).toBeUndefined();
  });

  it('is nothing where another secret signed it', () => {
    expect(linksOf(NEW).open(links.seal(aTarget()), 'leave')).toBeUndefined();
  });

  it('stays good after the secret was rotated, for as long as the old one is kept', () => {
    const target = aTarget();
    const rotated = linksOf(NEW, OLD);

    expect(rotated.open(links.seal(target), 'leave')).toEqual(target);
    expect(links.open(rotated.seal(target), 'leave')).toBeUndefined();
  });
});

function longest(): string {
  const domain = `${`${'d'.repeat(60)}.`.repeat(3)}com`;
  return `${'l'.repeat(64)}@${domain}`;
}

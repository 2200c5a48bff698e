import { type Cipheriv, createCipheriv, createHash, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type GroupName, isGroupName } from '../groups/group.ts';
import { isSubscriberKey, type SubscriberKey } from '../groups/subscriber.ts';
import { Mac } from '../platform/http/mac.ts';
import { PublicUrl } from '../platform/http/public-url.ts';
import { SigningKey } from '../platform/http/signing-key.ts';
import { isMessageKey, type MessageKey } from '../schedule/message.ts';

export const LINK_PURPOSES = ['leave', 'confirm'] as const;
/** `leave`: unsubscribe, and see one's preferences. `confirm`: say that the address is one's own. */
export type LinkPurpose = (typeof LINK_PURPOSES)[number];

/** What a link is about. */
export interface LinkTarget {
  readonly purpose: LinkPurpose;
  readonly group: GroupName;
  readonly subscriber: SubscriberKey;
  /** Of the mail that the link is in. */
  readonly messageKey: MessageKey;
}

export interface LeaveUrls {
  readonly unsubscribe: string;
  readonly preferences: string;
}

const VERSION = 1;
const HEAD_BYTES = 2;
const TAG_BYTES = 16;
const UUID_BYTES = 16;
const BLOCK_BYTES = 16;
// The longest there is: a group of 63 characters and an address of 254.
const TOKEN_MAX_LENGTH = 600;

/** Keys that come out of one secret. */
interface LinkKey {
  readonly id: number;
  readonly sign: Mac;
  /** AES-256 of blocks, each by itself. */
  readonly blocks: Cipheriv;
}

/**
 * Links in mails: opaque, signed, good for ever. A token is `version, key id, tag, ciphertext` in base64url; the tag is an HMAC-SHA-256 of
 * all that is said, and at the same time what the encryption (AES-256-CTR) begins with: the construction of RFC 5297, which needs no random
 * number, so that every attempt of a delivery has the same link.
 */
@Injectable()
export class Links {
  readonly #keys: readonly LinkKey[];

  constructor(
    key: SigningKey,
    private readonly publicUrl: PublicUrl,
  ) {
    this.#keys = key.all.map((one) => ({
      // Which of several secrets it was, told without telling anything of it.
      id: createHash('sha256').update(one.derive('link key id')).digest().readUInt8(0),
      sign: new Mac(one.derive('link signature')),
      blocks: createCipheriv('aes-256-ecb', one.derive('link encryption'), null).setAutoPadding(false),
    }));
  }

  /** Where the subscriber leaves the group, and where they see all their groups. */
  leaveUrls(target: Omit<LinkTarget, 'purpose'>): LeaveUrls {
    const token = this.seal({ purpose: 'leave', ...target });
    const { base } = this.publicUrl;
    return { unsubscribe: `${base}/u/${token}`, preferences: `${base}/p/${token}` };
  }

  confirmUrl(target: Omit<LinkTarget, 'purpose'>): string {
    return `${this.publicUrl.base}/c/${this.seal({ purpose: 'confirm', ...target })}`;
  }

  seal(target: LinkTarget): string {
    const [key] = this.#keys;
    if (!key) {
      throw new Error('There is no key to sign links with.');
    }
    const head = Buffer.from([VERSION, key.id]);
    const plain = encode(target);
    const tag = tagOf(key, head, plain);
    return Buffer.concat([head, tag, crypted(key, tag, plain)]).toString('base64url');
  }

  /** What was sealed; absent for anything else, whatever is wrong with it. */
  open(token: string, purpose: LinkPurpose): LinkTarget | undefined {
    const bytes = Buffer.from(token.slice(0, TOKEN_MAX_LENGTH), 'base64url');
    // The decoder skips what is not base64url, so one token would have many spellings without the comparison.
    if (bytes.length < HEAD_BYTES + TAG_BYTES || bytes.toString('base64url') !== token) {
      return undefined;
    }
    const head = bytes.subarray(0, HEAD_BYTES);
    const tag = bytes.subarray(HEAD_BYTES, HEAD_BYTES + TAG_BYTES);
    const sealed = bytes.subarray(HEAD_BYTES + TAG_BYTES);
    for (const key of this.#keys.filter(({ id }) => head.equals(Buffer.from([VERSION, id])))) {
      const plain = crypted(key, tag, sealed);
      if (timingSafeEqual(tag, tagOf(key, head, plain))) {
        const target = decode(plain);
        return target.purpose === purpose ? target : undefined;
      }
    }
    return undefined;
  }
}

function tagOf(key: LinkKey, head: Buffer, plain: Buffer): Buffer {
  return key.sign.of(head, plain).subarray(0, TAG_BYTES);
}

/**
 * AES-256-CTR, which is the same in both directions, beginning with `tag`. Node's cipher of that name takes as long to set up for each link as
 * everything else there is to a link; that of single blocks is set up once.
 */
function crypted({ blocks }: LinkKey, tag: Buffer, text: Buffer): Buffer {
  const counters = Buffer.allocUnsafe(Math.ceil(text.length / BLOCK_BYTES) * BLOCK_BYTES);
  for (let start = 0; start < counters.length; start += BLOCK_BYTES) {
    tag.copy(counters, start);
    raise(counters, start, start / BLOCK_BYTES);
  }
  const stream = blocks.update(counters).subarray(0, text.length);
  for (let index = 0; index < text.length; index += 1) {
    stream.writeUInt8(stream.readUInt8(index) ^ text.readUInt8(index), index);
  }
  return stream;
}

/** Adds to the number that the block at `start` is, the greatest byte first; what goes beyond it is lost. */
function raise(counters: Buffer, start: number, by: number): void {
  for (let index = start + BLOCK_BYTES - 1, carry = by; carry > 0 && index >= start; index -= 1) {
    const sum = counters.readUInt8(index) + carry;
    counters.writeUInt8(sum & 0xff, index);
    carry = sum >> 8;
  }
}

/** `purpose, message key, length of the group's name, that name, address`. */
function encode({ purpose, group, subscriber, messageKey }: LinkTarget): Buffer {
  return Buffer.concat([
    Buffer.from([LINK_PURPOSES.indexOf(purpose)]),
    Buffer.from(messageKey.replaceAll('-', ''), 'hex'),
    Buffer.from([group.length]),
    Buffer.from(group + subscriber),
  ]);
}

/** Throws on what `encode` does not make: it was signed, so that is a defect. */
function decode(plain: Buffer): LinkTarget {
  const purpose = LINK_PURPOSES[plain.readUInt8(0)];
  const messageKey = plain
    .toString('hex', 1, 1 + UUID_BYTES)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  const groupStart = 1 + UUID_BYTES + 1;
  const groupEnd = groupStart + plain.readUInt8(groupStart - 1);
  const group = plain.toString('utf8', groupStart, groupEnd);
  const subscriber = plain.toString('utf8', groupEnd);
  if (!purpose || !isMessageKey(messageKey) || !isGroupName(group) || !isSubscriberKey(subscriber)) {
    throw new Error('A signed link has another form than this version writes.');
  }
  return { purpose, group, subscriber, messageKey };
}

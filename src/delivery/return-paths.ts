import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { isSubscriberKey, type SubscriberKey } from '../groups/subscriber.ts';
import { Settings } from '../platform/config/settings.ts';
import { SigningKey } from '../platform/http/signing-key.ts';
import { isMessageKey, type MessageKey } from '../schedule/message.ts';

/*
 * Variable envelope return paths (D. J. Bernstein, "Variable Envelope Return Paths", 1997): every delivery has a return path of its own,
 * so that a bounce is told by the address that it comes to, whatever is in it.
 *
 * `bounce+{token}@{VERP_DOMAIN}`. A local part has at most 64 characters (RFC 5321, 4.5.3.1.1), and servers on the way may change their
 * case, so the token is 56 characters of base32: the message's key, the beginning and a hash of the subscriber's, and a MAC. An
 * address does not fit into that; its beginning says where in the ledger to look, and the hash which one it is.
 */

const LOCAL_PART = 'bounce';
const KEY_BYTES = 16;
const BEGINNING_BYTES = 7;
const HASH_BYTES = 4;
// 64 bits, beside a message key that nobody guesses either.
const MAC_BYTES = 8;
const PAYLOAD_BYTES = KEY_BYTES + BEGINNING_BYTES + HASH_BYTES;
const TOKEN_BYTES = PAYLOAD_BYTES + MAC_BYTES;

// RFC 4648, 6, in lower case.
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const BITS = 5;
const RETURN_PATH_PATTERN = /^<?bounce\+([a-z2-7]{56})@([^@<>\s]+)>?$/i;

/** What a return path says of the delivery that it is of. */
export interface ReturnPath {
  readonly messageKey: MessageKey;
  /** What the subscriber's key begins with; all of it where it is this short. */
  readonly beginning: string;
  isOf(subscriber: SubscriberKey): boolean;
}

/** Makes return paths, and reads those that it made. */
@Injectable()
export class ReturnPaths {
  readonly #signing: Buffer;
  /** That one, and those that signed before it. */
  readonly #keys: readonly Buffer[];

  constructor(
    key: SigningKey,
    private readonly settings: Settings,
  ) {
    this.#signing = key.derive('return-path');
    this.#keys = key.all.map((one) => one.derive('return-path'));
  }

  /** The same for every attempt; absent where VERP_DOMAIN is not set. */
  of(messageKey: MessageKey, subscriber: SubscriberKey): string | undefined {
    const { verpDomain } = this.settings;
    if (verpDomain === undefined) {
      return undefined;
    }
    const beginning = Buffer.alloc(BEGINNING_BYTES);
    beginning.write(subscriber, 'latin1');
    const payload = Buffer.concat([bytesOf(messageKey), beginning, hashOf(messageKey, subscriber)]);
    return `${LOCAL_PART}+${toBase32(Buffer.concat([payload, macOf(payload, this.#signing)]))}@${verpDomain}`;
  }

  /** Absent for whatever this installation has not made, or not with this domain. */
  read(address: string): ReturnPath | undefined {
    const [, token = '', domain = ''] = RETURN_PATH_PATTERN.exec(address.trim()) ?? [];
    if (token === '' || domain.toLowerCase() !== this.settings.verpDomain) {
      return undefined;
    }
    const bytes = fromBase32(token.toLowerCase());
    const payload = bytes.subarray(0, PAYLOAD_BYTES);
    const messageKey = toMessageKey(payload.subarray(0, KEY_BYTES));
    if (messageKey === undefined || !this.#hasSigned(payload, bytes.subarray(PAYLOAD_BYTES))) {
      return undefined;
    }
    const beginning = payload.subarray(KEY_BYTES, KEY_BYTES + BEGINNING_BYTES);
    const hash = payload.subarray(KEY_BYTES + BEGINNING_BYTES);
    return {
      messageKey,
      beginning: beginning.toString('latin1').replace(/\0+$/, ''),
      isOf: (subscriber) => hashOf(messageKey, subscriber).equals(hash),
    };
  }

  #hasSigned(payload: Buffer, mac: Buffer): boolean {
    return this.#keys.some((key) => timingSafeEqual(mac, macOf(payload, key)));
  }
}

/** A key that sorts before every longer one with this beginning, and behind all that sort before those: no address has a space. */
export function justBefore(beginning: string): SubscriberKey {
  const key = `${beginning} @`;
  if (!isSubscriberKey(key)) {
    throw new Error('The beginning of a key is not in lower case.');
  }
  return key;
}

function macOf(payload: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(payload).digest().subarray(0, MAC_BYTES);
}

function bytesOf(key: MessageKey): Buffer {
  return Buffer.from(key.replaceAll('-', ''), 'hex');
}

function toMessageKey(bytes: Buffer): MessageKey | undefined {
  const key = bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return isMessageKey(key) ? key : undefined;
}

function hashOf(messageKey: MessageKey, subscriber: SubscriberKey): Buffer {
  return createHash('sha256').update(`${messageKey}:${subscriber}`).digest().subarray(0, HASH_BYTES);
}

function toBase32(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let bits = 0; bits < bytes.length * 8; bits += BITS) {
    text = `${BASE32.charAt(Number(rest & 31n))}${text}`;
    rest >>= BigInt(BITS);
  }
  return text;
}

function fromBase32(text: string): Buffer {
  const value = [...text].reduce((sum, digit) => (sum << BigInt(BITS)) | BigInt(BASE32.indexOf(digit)), 0n);
  return Buffer.from(value.toString(16).padStart(TOKEN_BYTES * 2, '0'), 'hex');
}

import { createHmac, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InvalidInputError } from '../errors/domain-error.ts';
import { SigningKey } from './signing-key.ts';

// 128 bits: nobody guesses one, and a cursor stays short enough for a URL.
const MAC_BYTES = 16;
const CURSOR_MAX_LENGTH = 2_000;

/** Cursors that clients hand back as they are: signed, so that nobody else can make one, and bound to the list they are of. */
@Injectable()
export class PageCursors {
  constructor(private readonly key: SigningKey) {}

  /** `purpose` names the list, with everything that the position depends on: `subscribers/<group>`. */
  seal(purpose: string, value: unknown): string {
    const payload = Buffer.from(JSON.stringify(value));
    return Buffer.concat([macOf(this.key, purpose, payload), payload]).toString('base64url');
  }

  /**
   * What was sealed for the same purpose; the caller parses it.
   * @throws {InvalidInputError} for anything else.
   */
  open(purpose: string, text: string): unknown {
    const bytes = Buffer.from(text.slice(0, CURSOR_MAX_LENGTH), 'base64url');
    const mac = bytes.subarray(0, MAC_BYTES);
    const payload = bytes.subarray(MAC_BYTES);
    // The decoder skips what is not base64url, so one cursor would have many spellings without the first comparison.
    if (
      bytes.toString('base64url') !== text ||
      !this.key.all.some((key) => isSame(mac, macOf(key, purpose, payload)))
    ) {
      throw new InvalidInputError([
        {
          pointer: 'cursor',
          detail: 'This is not a cursor of this list. Take next_cursor from its previous page, as it is.',
        },
      ]);
    }
    return JSON.parse(payload.toString());
  }
}

function macOf(key: SigningKey, purpose: string, payload: Buffer): Buffer {
  const hmac = createHmac('sha256', key.bytes);
  // The length parts the two, so that no purpose can be a beginning of another with its payload.
  hmac.update(`cursor:${Buffer.byteLength(purpose)}:${purpose}`).update(payload);
  return hmac.digest().subarray(0, MAC_BYTES);
}

function isSame(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

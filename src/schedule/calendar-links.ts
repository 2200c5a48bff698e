import { createHmac, timingSafeEqual } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { GroupName } from '../groups/group.ts';
import { PublicUrl } from '../platform/http/public-url.ts';
import { SigningKey } from '../platform/http/signing-key.ts';

// 128 bits: nobody guesses one.
const TOKEN_BYTES = 16;

/** The address of the calendar feed of a group: whoever has it may read it, for as long as the key that signed it is known. */
@Injectable()
export class CalendarLinks {
  readonly #signing: Buffer;
  /** That one, and those that signed before it. */
  readonly #keys: readonly Buffer[];

  constructor(
    key: SigningKey,
    private readonly publicUrl: PublicUrl,
  ) {
    this.#signing = key.derive('calendar feed');
    this.#keys = key.all.map((one) => one.derive('calendar feed'));
  }

  /** The same each time, until the signing key is another. */
  urlOf(group: GroupName): string {
    const token = tokenOf(this.#signing, group).toString('base64url');
    return `${this.publicUrl.base}/v1/groups/${group}/calendar.ics?token=${token}`;
  }

  /** True where `token` is one that was told for this group. */
  opens(group: GroupName, token: unknown): boolean {
    if (typeof token !== 'string') {
      return false;
    }
    const bytes = Buffer.from(token, 'base64url');
    // The decoder skips what is not base64url, so one token would have many spellings without the first comparison.
    return (
      bytes.length === TOKEN_BYTES &&
      bytes.toString('base64url') === token &&
      this.#keys.some((key) => timingSafeEqual(bytes, tokenOf(key, group)))
    );
  }
}

function tokenOf(key: Buffer, group: GroupName): Buffer {
  return createHmac('sha256', key).update(group).digest().subarray(0, TOKEN_BYTES);
}

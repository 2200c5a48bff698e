import { hkdfSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Settings } from '../config/settings.ts';
import { createOnce } from '../files/create-once.ts';

const KEY_BYTES = 32;

/**
 * What signs cursors and links. Whoever has it can forge them: never logged, never shown.
 * There may be older ones behind it, which sign nothing any more but still open what they have signed.
 */
export class SigningKey {
  readonly bytes: Buffer;
  /** This one first. */
  readonly all: readonly SigningKey[];

  constructor(bytes: Buffer, older: readonly Buffer[] = []) {
    this.bytes = bytes;
    this.all = [this, ...older.map((other) => new SigningKey(other))];
  }

  /** A key of its own for each purpose, so that what is made for one means nothing for another (RFC 5869). */
  derive(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.bytes, '', `belfry ${purpose}`, KEY_BYTES));
  }
}

/** SIGNING_SECRET; without it the secret that the first start made and keeps in DATA_DIR. */
export async function openSigningKey(settings: Settings): Promise<SigningKey> {
  const [secret, ...older] = settings.signingSecrets;
  if (secret !== undefined) {
    return new SigningKey(
      Buffer.from(secret),
      older.map((other) => Buffer.from(other)),
    );
  }
  const path = join(settings.dataDir, 'signing-secret');
  const { content } = await createOnce(path, () => randomBytes(KEY_BYTES));
  if (content.length < KEY_BYTES) {
    throw new Error(`${path} is damaged: it must hold ${KEY_BYTES} bytes. Remove it to have a new one made.`);
  }
  return new SigningKey(content);
}

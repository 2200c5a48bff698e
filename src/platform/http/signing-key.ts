import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Settings } from '../config/settings.ts';
import { createOnce } from '../files/create-once.ts';

const KEY_BYTES = 32;

/** What signs cursors and links. Whoever has it can forge them: never logged, never shown. */
export class SigningKey {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/** SIGNING_SECRET; without it the secret that the first start made and keeps in DATA_DIR. */
export async function openSigningKey(settings: Settings): Promise<SigningKey> {
  if (settings.signingSecret !== undefined) {
    return new SigningKey(Buffer.from(settings.signingSecret));
  }
  const path = join(settings.dataDir, 'signing-secret');
  const { content } = await createOnce(path, () => randomBytes(KEY_BYTES));
  if (content.length < KEY_BYTES) {
    throw new Error(`${path} is damaged: it must hold ${KEY_BYTES} bytes. Remove it to have a new one made.`);
  }
  return new SigningKey(content);
}

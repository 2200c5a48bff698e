import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import type { ApiKey, Settings } from '../config/settings.ts';
import { createOnce } from '../files/create-once.ts';
import type { Log } from '../logging/log.ts';

/** Tells whoever started the server something, once, in plain lines that are not part of the log. */
export type Announce = (lines: readonly string[]) => void;
export const ANNOUNCE = Symbol('ANNOUNCE');

const MADE_KEY_NAME = 'first-start';
const MADE_KEY_BYTES = 32;

/** The keys that open this server. */
export class ApiKeys {
  /** No keys: whoever reaches the server is admin; only for a server that nobody else can reach. */
  constructor(private readonly keys: readonly ApiKey[]) {}

  get areNeeded(): boolean {
    return this.keys.length > 0;
  }

  /** Takes the same time whichever key it is, and whether it is one. */
  find(secret: string): ApiKey | undefined {
    const sha256 = createHash('sha256').update(secret).digest();
    let found: ApiKey | undefined;
    for (const key of this.keys) {
      if (timingSafeEqual(key.sha256, sha256)) {
        found = key;
      }
    }
    return found;
  }
}

/** True when only this machine can reach a server that listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/**
 * The configured keys. Without any: none on loopback; elsewhere one admin key, made and announced at the first start and
 * kept as a hash in DATA_DIR. A second run finds the hash and announces nothing.
 */
export async function openApiKeys(settings: Settings, announce: Announce, log: Log): Promise<ApiKeys> {
  if (settings.apiKeys.length > 0 || isLoopback(settings.host)) {
    return new ApiKeys(settings.apiKeys);
  }
  const path = join(settings.dataDir, 'api-key.json');
  const secret = `belfry_${randomBytes(MADE_KEY_BYTES).toString('base64url')}`;
  const sha256 = createHash('sha256').update(secret).digest();
  const { content, created } = await createOnce(path, () =>
    Buffer.from(JSON.stringify({ sha256: sha256.toString('hex') })),
  );
  if (created) {
    announce([
      `Belfry is reachable from other machines (HOST ${settings.host}) and has no API_KEYS, so it made an admin key:`,
      '',
      `  ${secret}`,
      '',
      `It is shown only now; ${path} keeps its hash. Send it as 'Authorization: Bearer <key>'.`,
    ]);
  } else {
    log.info('api-key.loaded', { path });
  }
  return new ApiKeys([{ name: MADE_KEY_NAME, role: 'admin', sha256: parseStoredKey(content, path) }]);
}

function parseStoredKey(content: Buffer, path: string): Buffer {
  const [, sha256] = /^\s*\{\s*"sha256"\s*:\s*"([0-9a-f]{64})"\s*\}\s*$/.exec(content.toString()) ?? [];
  if (sha256 === undefined) {
    throw new Error(`${path} is damaged. Remove it to have a new key made and announced, or set API_KEYS.`);
  }
  return Buffer.from(sha256, 'hex');
}

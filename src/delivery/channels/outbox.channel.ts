import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type OutboxId, outboxFolder, outboxPath, parseOutboxId } from '../outbox/outbox.ts';
import { Channel, type Mail, type SendResult } from './channel.ts';

// Without space or quota now, perhaps with it later. Everything else is a fault of the set-up that nobody foresaw.
const FULL_CODES = new Set<unknown>(['ENOSPC', 'EDQUOT']);

/**
 * Writes each mail to a file of its own, `DATA_DIR/outbox/{message key}/{hash}.eml`, instead of sending it.
 * The file is there whole or not at all, and survives a power cut once the result is `accepted`. The same delivery sent again
 * replaces its file, so nobody gets a mail twice.
 */
export class OutboxChannel extends Channel {
  override readonly name = 'outbox';
  // A batch; the directory is flushed once for all of it.
  override readonly window = 50;
  readonly #folder: string;

  constructor(dataDir: string) {
    super();
    this.#folder = outboxFolder(dataDir);
  }

  override async send(mails: readonly Mail[]): Promise<readonly SendResult[]> {
    const paths = mails.map((mail) => outboxPath(idOf(mail)));
    const folders = new Set(paths.map((path) => dirname(path)));
    try {
      await Promise.all([...folders].map((folder) => this.#makeFolder(folder)));
    } catch (error) {
      const result = deferredIfFull(error);
      return mails.map(() => result);
    }
    const results = await Promise.all(mails.map((mail, index) => this.#write(mail, paths[index] ?? '')));
    // A file whose name is not flushed is gone after a power cut.
    await Promise.all([...folders].map((folder) => flushDirectory(join(this.#folder, folder))));
    return results;
  }

  override close(): Promise<void> {
    return Promise.resolve();
  }

  async #makeFolder(folder: string): Promise<void> {
    const made = await mkdir(join(this.#folder, folder), { recursive: true });
    if (made !== undefined) {
      await flushDirectory(this.#folder);
    }
  }

  async #write(mail: Mail, path: string): Promise<SendResult> {
    const mime = mail.compose();
    const target = join(this.#folder, path);
    const temporary = `${target}.${randomUUID()}.tmp`;
    try {
      await writeDurably(temporary, mime);
      await rename(temporary, target);
      return { kind: 'accepted', providerId: path };
    } catch (error) {
      await rm(temporary, { force: true });
      return deferredIfFull(error);
    }
  }
}

/** The local part of the Message-ID names the delivery; anything else could lead out of the folder. */
function idOf(mail: Mail): OutboxId {
  const [, messageKey = '', hash = ''] = /^<([^.@]+)\.([^.@]+)@/.exec(mail.messageId) ?? [];
  const id = parseOutboxId(messageKey, hash);
  if (!id) {
    throw new Error('The Message-ID is not one that newMail makes.');
  }
  return id;
}

async function writeDurably(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function deferredIfFull(error: unknown): SendResult {
  if (error instanceof Error && 'code' in error && FULL_CODES.has(error.code)) {
    return { kind: 'deferred', reason: `The disk of the outbox is full (${String(error.code)}).` };
  }
  throw error;
}

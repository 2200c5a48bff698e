import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import type { Email } from 'postal-mime';
import { Settings } from '../../platform/config/settings.ts';
import { DomainError } from '../../platform/errors/domain-error.ts';
import { isMessageKey, type MessageKey } from '../../schedule/message.ts';

/** Names a mail in the outbox; made only of what was checked, so it is safe in a path. */
export interface OutboxId {
  readonly messageKey: MessageKey;
  /** 16 hexadecimal digits: the delivery, without showing the address. */
  readonly hash: string;
}

/** What the list shows of a mail. */
export interface OutboxItem {
  readonly id: OutboxId;
  /** When it was written. */
  readonly at: Temporal.Instant;
  readonly to: string;
  readonly subject: string;
}

export interface OutboxList {
  readonly items: readonly OutboxItem[];
  /** From 1. */
  readonly page: number;
  readonly hasMore: boolean;
}

/** A mail, as it was written and as it reads. */
export interface OutboxMail {
  readonly id: OutboxId;
  readonly eml: Buffer;
  readonly email: Email;
}

export class OutboxUnusedError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'outbox-unused';

  constructor(channel: string, options?: ErrorOptions) {
    super(`There is no outbox here: mail leaves through the channel '${channel}' (MAIL).`, options);
  }
}

export class OutboxMailNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'outbox-mail-not-found';

  constructor(options?: ErrorOptions) {
    super('There is no such mail in the outbox.', options);
  }
}

const PAGE_SIZE = 100;
// In a folder with more mails than this they come in the order of their names: to ask for the time of each takes too long.
const TIMED_LIMIT = 5_000;
// Headers are at the beginning; ours have less than 2 KB.
const HEAD_BYTES = 16 * 1024;

const HASH_PATTERN = /^[0-9a-f]{16}$/;
const FILE_ENDING = '.eml';

/** The folder that the channel `outbox` writes to, to be read. Files may come and go meanwhile. */
@Injectable()
export class Outbox {
  constructor(private readonly settings: Settings) {}

  /**
   * A page of mails, the newest message first.
   * @throws {OutboxUnusedError}
   */
  async list(page: number): Promise<OutboxList> {
    this.#mustBeUsed();
    const found = await this.#newestFirst((page - 1) * PAGE_SIZE, PAGE_SIZE + 1);
    const items = await Promise.all(found.slice(0, PAGE_SIZE).map((id) => this.#readItem(id)));
    return { items: items.filter((item) => item !== undefined), page, hasMore: found.length > PAGE_SIZE };
  }

  /**
   * @throws {OutboxMailNotFoundError}
   * @throws {OutboxUnusedError}
   */
  async get(messageKey: string, hash: string): Promise<OutboxMail> {
    this.#mustBeUsed();
    const id = parseOutboxId(messageKey, hash);
    const eml = id && (await orAbsent(readFile(this.#pathOf(id))));
    if (!eml) {
      throw new OutboxMailNotFoundError();
    }
    return { id, eml, email: await parseMail(eml) };
  }

  #mustBeUsed(): void {
    if (this.settings.mail !== 'outbox') {
      throw new OutboxUnusedError(this.settings.mail);
    }
  }

  async #newestFirst(skip: number, limit: number): Promise<readonly OutboxId[]> {
    const found: OutboxId[] = [];
    let toSkip = skip;
    for (const messageKey of await this.#folders()) {
      const ids = await this.#idsIn(messageKey);
      if (toSkip < ids.length) {
        const ordered = ids.length > TIMED_LIMIT ? ids : await byTime(ids, (id) => this.#pathOf(id));
        found.push(...ordered.slice(toSkip, toSkip + limit - found.length));
      }
      toSkip = Math.max(0, toSkip - ids.length);
      if (found.length >= limit) {
        break;
      }
    }
    return found;
  }

  async #folders(): Promise<readonly MessageKey[]> {
    const root = outboxFolder(this.settings.dataDir);
    const names = (await orAbsent(readdir(root))) ?? [];
    return byTime(names.filter(isMessageKey), (name) => join(root, name));
  }

  async #idsIn(messageKey: MessageKey): Promise<readonly OutboxId[]> {
    const folder = join(outboxFolder(this.settings.dataDir), messageKey);
    const names = (await orAbsent(readdir(folder))) ?? [];
    return names
      .filter((name) => name.endsWith(FILE_ENDING))
      .map((name) => parseOutboxId(messageKey, name.slice(0, -FILE_ENDING.length)))
      .filter((id) => id !== undefined);
  }

  async #readItem(id: OutboxId): Promise<OutboxItem | undefined> {
    const file = await orAbsent(open(this.#pathOf(id)));
    if (!file) {
      return undefined;
    }
    try {
      const { mtimeMs } = await file.stat();
      const { to, subject } = await parseMail(await readHead(file));
      return {
        id,
        at: Temporal.Instant.fromEpochMilliseconds(Math.trunc(mtimeMs)),
        to: to?.map(({ address }) => address ?? '').join(', ') ?? '',
        subject: subject ?? '',
      };
    } finally {
      await file.close();
    }
  }

  #pathOf(id: OutboxId): string {
    return join(outboxFolder(this.settings.dataDir), outboxPath(id));
  }
}

/** The folder of all mails. */
export function outboxFolder(dataDir: string): string {
  return join(dataDir, 'outbox');
}

/** Where a mail lies within the folder of all mails. */
export function outboxPath({ messageKey, hash }: OutboxId): string {
  return join(messageKey, `${hash}${FILE_ENDING}`);
}

/** The id that the two name; absent where either could be anything else than a name. */
export function parseOutboxId(messageKey: string, hash: string): OutboxId | undefined {
  return isMessageKey(messageKey) && HASH_PATTERN.test(hash) ? { messageKey, hash } : undefined;
}

async function readHead(file: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  const head = buffer.subarray(0, bytesRead);
  const end = head.indexOf('\r\n\r\n');
  return end === -1 ? head : head.subarray(0, end + 4);
}

/** The newest first; without what has vanished. */
async function byTime<Item>(
  items: readonly Item[],
  pathOf: (item: Item) => string,
): Promise<readonly Item[]> {
  const timed = await Promise.all(
    items.map(async (item) => ({ item, at: (await orAbsent(stat(pathOf(item))))?.mtimeMs })),
  );
  return timed
    .filter((entry): entry is { item: Item; at: number } => entry.at !== undefined)
    .toSorted((a, b) => b.at - a.at)
    .map(({ item }) => item);
}

/** What was asked of a file, or `undefined` where the file is not there. */
async function orAbsent<Value>(asked: Promise<Value>): Promise<Value | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return undefined;
    }
    throw error;
  }
}

/** The parser is loaded when somebody first looks into the outbox. */
async function parseMail(eml: Buffer): Promise<Email> {
  const { default: PostalMime } = await import('postal-mime');
  return PostalMime.parse(eml);
}

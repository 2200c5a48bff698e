import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import type { SealedContent } from '../../schedule/content.ts';
import { encodeTags, type MessageTags, messageTags } from '../../schedule/message-tags.ts';
import { ContentDamagedError, isMessageKey, type Message, type MessageKey } from '../../schedule/message.ts';
import { isSeriesKey, type SeriesKey } from '../../schedule/occurrence.ts';
import type { Series } from '../../schedule/series.ts';
import type { AwsClients } from './aws-clients.ts';
import type { AwsNames } from './aws-names.ts';
import { callAws } from './transact.ts';

/** S3 answers and removes at most so many keys at once (S3 API reference, ListObjectsV2 and DeleteObjects). */
export const OBJECTS_PER_REQUEST = 1_000;

/** One revision of a message's content; `{group}/{message_key}/{sha256}` is the key of its object. */
export interface ContentObject {
  readonly group: GroupName;
  /** Whose it is: a message's, or a series'. */
  readonly messageKey: MessageKey | SeriesOwner;
  readonly sha256: string;
}

/** An object as the bucket lists it. */
export interface ListedObject {
  readonly objectKey: string;
  /** Absent where the object's key is none that Belfry makes. */
  readonly content: ContentObject | undefined;
  readonly writtenAt: Temporal.Instant;
}

/** How a series is named where a message's key stands otherwise. */
export type SeriesOwner = `series-${SeriesKey}`;

/** What to call content of a message with this seal. */
export function contentObject(message: Message, sha256 = message.content.sha256): ContentObject {
  return { group: message.group, messageKey: message.key, sha256 };
}

/** The content of messages in S3. Each revision is an object of its own, so that whoever reads one never gets another. */
export class ContentBucket {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {}

  /** The same for the content of a series, from which that of its occurrences is copied. */
  async putOfSeries(series: Series, content: SealedContent): Promise<void> {
    const { group, subject, key, addedAt } = series;
    await this.#put(
      seriesObject(series, content.sha256),
      content,
      messageTags({ group, subject, key, scheduleOn: addedAt }),
    );
  }

  /** As `read`. */
  async readOfSeries(series: Series): Promise<Buffer> {
    return this.#read(seriesObject(series), series);
  }

  /** Stores the content with its tags; S3 refuses bytes that have another hash. A second run writes the same once more. */
  async put(message: Message, content: SealedContent): Promise<void> {
    await this.#put(contentObject(message, content.sha256), content, message.tags);
  }

  async #put(object: ContentObject, content: SealedContent, tags: MessageTags): Promise<void> {
    const command = new PutObjectCommand({
      ...this.#object(object),
      Body: content.bytes, // sent as it lies in memory
      ContentLength: content.bytes.length,
      ContentType: 'application/json',
      ChecksumSHA256: Buffer.from(content.sha256, 'hex').toString('base64'),
      Tagging: encodeTags(tags),
    });
    await callAws(() => this.clients.s3.send(command));
  }

  /** Gives the object of the message's present content the message's tags. A second run does the same once more. */
  async label(message: Message): Promise<void> {
    const { group, subject, scheduled, key } = message.tags;
    const command = new PutObjectTaggingCommand({
      ...this.#object(contentObject(message)),
      Tagging: {
        TagSet: Object.entries({ group, subject, scheduled, key }).map(([Key, Value]) => ({ Key, Value })),
      },
    });
    await callAws(() => this.clients.s3.send(command));
  }

  /**
   * The message's present content. It goes into one buffer piece by piece, and is hashed on the way.
   * @throws {ContentDamagedError} where it is missing or not what was sealed.
   */
  async read(message: Message): Promise<Buffer> {
    return this.#read(contentObject(message), message);
  }

  async #read(object: ContentObject, sealed: Sealed): Promise<Buffer> {
    return callAws(async () => {
      const { Body: body } = await this.#get(object, sealed);
      if (!(body instanceof Readable)) {
        throw new Error('S3 has answered an object without a body.');
      }
      return readSealed(sealed, body);
    });
  }

  /** A second run does nothing. */
  async remove(object: ContentObject): Promise<void> {
    await callAws(() => this.clients.s3.send(new DeleteObjectCommand(this.#object(object))));
  }

  /** Removes all of them, at most OBJECTS_PER_REQUEST, and answers how many S3 says are gone. A second run does nothing. */
  async removeAll(objectKeys: readonly string[]): Promise<number> {
    if (objectKeys.length === 0) {
      return 0;
    }
    const command = new DeleteObjectsCommand({
      Bucket: this.names.contentBucket,
      Delete: { Objects: objectKeys.map((Key) => ({ Key })), Quiet: true },
    });
    const { Errors: refused } = await callAws(() => this.clients.s3.send(command));
    return objectKeys.length - (refused?.length ?? 0);
  }

  /** The next objects behind `after`, in order of their keys; at most `limit` and OBJECTS_PER_REQUEST, and none only at the end. */
  async list(after: string | undefined, limit: number): Promise<readonly ListedObject[]> {
    const command = new ListObjectsV2Command({
      Bucket: this.names.contentBucket,
      MaxKeys: limit,
      StartAfter: after,
    });
    const { Contents: objects } = await callAws(() => this.clients.s3.send(command));
    return (objects ?? []).flatMap(({ Key: objectKey, LastModified: writtenAt }) =>
      objectKey !== undefined && writtenAt
        ? [{ objectKey, content: parseObjectKey(objectKey), writtenAt: writtenAt.toTemporalInstant() }]
        : [],
    );
  }

  async #get(object: ContentObject, { key }: Sealed): Promise<GetObjectCommandOutput> {
    try {
      return await this.clients.s3.send(new GetObjectCommand(this.#object(object)));
    } catch (error) {
      // Only that: a bucket that may not be read or is not there says nothing about the message.
      if (error instanceof NoSuchKey) {
        throw new ContentDamagedError(key, 'is missing', { cause: error });
      }
      throw error;
    }
  }

  #object({ group, messageKey, sha256 }: ContentObject): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.names.contentBucket, Key: `${group}/${messageKey}/${sha256}` };
  }
}

/** Whatever has content: a message, or a series. */
type Sealed = Pick<Message, 'content'> & { readonly key: string };

async function readSealed({ key, content }: Sealed, body: Readable): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(content.bytes);
  const hash = createHash('sha256');
  let filled = 0;
  for await (const piece of body.iterator()) {
    if (!(piece instanceof Uint8Array) || filled + piece.length > bytes.length) {
      throw new ContentDamagedError(key, 'is longer than what was sealed');
    }
    bytes.set(piece, filled);
    hash.update(piece);
    filled += piece.length;
  }
  if (filled !== bytes.length || hash.digest('hex') !== content.sha256) {
    throw new ContentDamagedError(key, 'does not have the hash that it was sealed with');
  }
  return bytes;
}

const SHA256_PATTERN = /^[0-9a-f]{64}$/;

function parseObjectKey(objectKey: string): ContentObject | undefined {
  const [group = '', messageKey = '', sha256 = '', ...rest] = objectKey.split('/');
  const owner = isMessageKey(messageKey) ? messageKey : parseSeriesOwner(messageKey);
  return isGroupName(group) && owner !== undefined && SHA256_PATTERN.test(sha256) && rest.length === 0
    ? { group, messageKey: owner, sha256 }
    : undefined;
}

const SERIES_OWNER_PREFIX = 'series-';

function seriesObject(series: Series, sha256 = series.content.sha256): ContentObject {
  return { group: series.group, messageKey: `${SERIES_OWNER_PREFIX}${series.key}`, sha256 };
}

function parseSeriesOwner(name: string): SeriesOwner | undefined {
  const key = seriesOf(name);
  return key && `${SERIES_OWNER_PREFIX}${key}`;
}

/** The series that is named so; absent where it is a message. */
export function seriesOf(owner: string): SeriesKey | undefined {
  const key = owner.slice(SERIES_OWNER_PREFIX.length);
  return owner.startsWith(SERIES_OWNER_PREFIX) && isSeriesKey(key) ? key : undefined;
}

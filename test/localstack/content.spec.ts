import { DynamoDBServiceException } from '@aws-sdk/client-dynamodb';
import {
  DeleteObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchBucket,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AwsNames } from '../../src/engines/aws/aws-names.ts';
import { ContentSweeper } from '../../src/engines/aws/content-sweeper.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { SystemClock } from '../../src/platform/clock/system-clock.ts';
import { StoreUnavailableError } from '../../src/platform/errors/domain-error.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import type { SealedContent } from '../../src/schedule/content.ts';
import type { Idempotency } from '../../src/schedule/message-store.ts';
import { messageTags } from '../../src/schedule/message-tags.ts';
import { ContentDamagedError, type Message } from '../../src/schedule/message.ts';
import { aMessage, aSealedContent, sealOf } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type AwsGround, openAwsGround } from './aws-ground.ts';

const OLD = aSealedContent();
const NEW = aSealedContent({ body: 'New' });

interface Loss {
  readonly lostCount: number;
  /** From then on answers arrive. */
  readonly restore: () => void;
}

describe('the content of the engine aws', () => {
  let ground: AwsGround;
  let clock: ManualClock;
  let store: AwsMessageStore;

  beforeEach(async () => {
    ground = await openAwsGround();
    clock = new ManualClock(new SystemClock().now()); // S3 dates its objects by its own clock
    store = new AwsMessageStore(ground.clients, ground.names, clock);
  });
  afterEach(async () => {
    await ground.close();
  });

  async function schedule(overrides: Partial<Message> = {}, content = OLD): Promise<Message> {
    const message = aMessage({ content: sealOf(content), ...overrides });
    await store.create(message, content);
    return message;
  }

  async function revise(message: Message, content: SealedContent): Promise<Message> {
    return store.change(message.group, message.key, message.version, { content: sealOf(content) }, content);
  }

  async function listObjects(): Promise<readonly string[]> {
    const { Contents: objects } = await ground.clients.s3.send(
      new ListObjectsV2Command({ Bucket: ground.names.contentBucket }),
    );
    return (objects ?? []).map(({ Key }) => Key ?? '');
  }

  function objectOf(message: Message, content = OLD): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: ground.names.contentBucket, Key: objectKey(message, content) };
  }

  async function readTags(message: Message, content = OLD): Promise<Record<string, string>> {
    const { TagSet: tags } = await ground.clients.s3.send(
      new GetObjectTaggingCommand(objectOf(message, content)),
    );
    return Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']));
  }

  async function putBytes(message: Message, bytes: Buffer): Promise<void> {
    await ground.clients.s3.send(new PutObjectCommand({ ...objectOf(message), Body: bytes }));
  }

  /** Loses answers of DynamoDB to commands of this kind, after they were carried out: the first to each, or all. */
  function loseAnswers(commandName: string, which: 'first' | 'all'): Loss {
    const disturbed = new Set<unknown>();
    const loss = {
      lostCount: 0,
      restore: (): void => {
        ground.clients.dynamo.middlewareStack.remove('loss');
      },
    };
    ground.clients.dynamo.middlewareStack.add(
      (next, context) =>
        async (args): ReturnType<typeof next> => {
          const isLost = context.commandName === commandName && (which === 'all' || !disturbed.has(context));
          disturbed.add(context); // of one command with all its tries
          if (!isLost) {
            return next(args);
          }
          await next(args).catch(() => undefined);
          loss.lostCount += 1;
          throw Object.assign(new Error('The answer was lost.'), { name: 'TimeoutError' });
        },
      { step: 'deserialize', name: 'loss', priority: 'high' },
    );
    return loss;
  }

  async function sweep(pages = 10, objectsPerPage = 1_000): ReturnType<ContentSweeper['runOnce']> {
    return new ContentSweeper(ground.clients, ground.names, clock).runOnce({ pages, objectsPerPage });
  }

  /** Content whose record was never written. */
  async function leaveOrphan(): Promise<string> {
    const message = aMessage();
    await putBytes(message, OLD.bytes);
    return objectKey(message, OLD);
  }

  describe('an object', () => {
    it('is named after group, message and hash, carries the hash and the tags, and came in one request', async () => {
      const requests: string[] = [];
      ground.clients.s3.middlewareStack.add(
        (next, { commandName }) =>
          async (args): ReturnType<typeof next> => {
            requests.push(commandName ?? '');
            return next(args);
          },
        { step: 'initialize' },
      );
      const subject = 'Grüße & "50% off" = now?';
      const message = await schedule({ subject });
      const sent = [...requests];

      const head = await ground.clients.s3.send(
        new HeadObjectCommand({ ...objectOf(message), ChecksumMode: 'ENABLED' }),
      );

      expect(sent).toEqual(['PutObjectCommand']);
      expect(await listObjects()).toEqual([objectKey(message, OLD)]);
      expect(head.ChecksumSHA256).toBe(Buffer.from(OLD.sha256, 'hex').toString('base64'));
      expect(head.ContentLength).toBe(OLD.bytes.length);
      expect(head.ContentType).toBe('application/json');
      expect(await readTags(message)).toEqual(message.tags);
    });

    it('is a new one for each revision, with its tags', async () => {
      const message = await schedule();
      const tags = messageTags({ ...message, subject: 'Another' });

      await store.change(
        message.group,
        message.key,
        1,
        { subject: 'Another', tags, content: sealOf(NEW) },
        NEW,
      );

      expect(await listObjects()).toEqual([objectKey(message, OLD), objectKey(message, NEW)].toSorted());
      expect(await readTags(message, NEW)).toEqual(tags);
      expect((await store.readContent(message)).equals(OLD.bytes)).toBe(true);
    });

    it('gets the tags of a message that is moved to another time', async () => {
      const message = await schedule();
      const scheduleOn = plusMs(message.scheduleOn, HOUR_MS);
      const tags = messageTags({ ...message, scheduleOn });

      await store.change(message.group, message.key, 1, { scheduleOn, tags });

      expect(await readTags(message)).toEqual(tags);
    });
  });

  describe('content that is read', () => {
    it.each([
      ['other bytes of the same length', Buffer.alloc(OLD.bytes.length, 'x')],
      ['fewer bytes', OLD.bytes.subarray(1)],
      ['more bytes', Buffer.concat([OLD.bytes, OLD.bytes])],
      ['none', Buffer.of()],
    ])('is refused where the object has %s', async (_, bytes) => {
      const message = await schedule();
      await putBytes(message, bytes);

      await expect(store.readContent(message)).rejects.toThrow(ContentDamagedError);
    });

    it('is refused where the object is gone', async () => {
      const message = await schedule();
      await ground.clients.s3.send(new DeleteObjectCommand(objectOf(message)));

      await expect(store.readContent(message)).rejects.toThrow(ContentDamagedError);
    });

    it('is not called damaged where the bucket is not there: that says nothing about the message', async () => {
      const message = await schedule();
      const { names } = ground;
      const elsewhere = new AwsNames({
        tablePrefix: prefixOf(names),
        contentBucket: `${names.contentBucket}-gone`,
        workQueueUrl: names.workQueueUrl,
      });

      const reading = new AwsMessageStore(ground.clients, elsewhere, clock).readContent(message);

      await expect(reading).rejects.toThrow(NoSuchBucket);
      await expect(reading).rejects.not.toThrow(ContentDamagedError);
    });
  });

  describe('a record that is not written', () => {
    it('takes its object with it', async () => {
      const message = aMessage({ subject: 'x'.repeat(500_000) }); // DynamoDB takes 400 KB an item

      await expect(store.create(message, OLD)).rejects.toThrow(DynamoDBServiceException);

      expect(await listObjects()).toEqual([]);
    });

    it('takes its object with it where the request was answered before', async () => {
      const idempotency = anIdempotency(clock);
      const first = aMessage({ addedAt: clock.now() });
      await store.create(first, OLD, { idempotency });

      const result = await store.create(aMessage({ addedAt: clock.now() }), OLD, { idempotency });

      expect(result.kind).toBe('repeated');
      expect(await listObjects()).toEqual([objectKey(first, OLD)]);
    });

    it('leaves the object of another message with its key and its content alone', async () => {
      const first = await schedule();

      expect(await store.create(first, OLD)).toEqual({ kind: 'exists' });

      expect((await store.readContent(first)).equals(OLD.bytes)).toBe(true);
    });

    it('leaves its object where nobody knows whether it was written', async () => {
      const message = aMessage();
      const { restore } = loseAnswers('PutItemCommand', 'all');

      await expect(store.create(message, OLD)).rejects.toThrow(StoreUnavailableError);
      restore();

      const stored = await store.find(message.group, message.key);
      expect(stored).toEqual(message);
      expect((await store.readContent(message)).equals(OLD.bytes)).toBe(true);
    });
  });

  describe('a write whose first answer is lost', () => {
    it('has created the message', async () => {
      const message = aMessage();
      const loss = loseAnswers('PutItemCommand', 'first');

      expect(await store.create(message, OLD)).toEqual({ kind: 'created' });
      expect(await store.find(message.group, message.key)).toEqual(message);
      expect(await listObjects()).toHaveLength(1);
      expect(loss.lostCount).toBe(1);
    });

    it('has created the message with its idempotency key', async () => {
      const message = aMessage({ addedAt: clock.now() });
      const loss = loseAnswers('TransactWriteItemsCommand', 'first');

      const result = await store.create(message, OLD, { idempotency: anIdempotency(clock) });
      loss.restore();

      expect(result).toEqual({ kind: 'created' });
      expect(loss.lostCount).toBeGreaterThan(0);
      expect(
        (await store.create(aMessage({ addedAt: clock.now() }), OLD, { idempotency: anIdempotency(clock) }))
          .kind,
      ).toBe('repeated');
    });

    it('has changed the message', async () => {
      const message = await schedule();
      const loss = loseAnswers('UpdateItemCommand', 'first');

      const changed = await store.change(message.group, message.key, 1, { subject: 'Another' });

      expect(changed).toEqual({ ...message, subject: 'Another', version: 2 });
      expect(loss.lostCount).toBe(1);
    });

    it('has claimed the message', async () => {
      const message = await schedule({ scheduleOn: clock.now() });
      const terms = { token: 'scanner', now: clock.now(), until: plusMs(clock.now(), MINUTE_MS) };
      const loss = loseAnswers('UpdateItemCommand', 'first');

      const claimed = await store.claim(message.group, message.key, terms);

      expect(claimed?.lease?.token).toBe('scanner');
      expect(claimed?.version).toBe(2);
      expect(loss.lostCount).toBe(1);
      expect(await store.claim(message.group, message.key, { ...terms, token: 'another' })).toBeUndefined();
    });

    it('has put the message to rest, and does not end the lease of whoever claimed it then', async () => {
      const message = await schedule({ scheduleOn: clock.now() });
      await store.claim(message.group, message.key, {
        token: 'scanner',
        now: clock.now(),
        until: plusMs(clock.now(), MINUTE_MS),
      });
      const loss = loseAnswers('UpdateItemCommand', 'first');

      await store.rest(message.group, message.key, {
        token: 'scanner',
        wakeAt: plusMs(clock.now(), HOUR_MS),
        lookedAt: undefined,
      });

      const resting = await store.find(message.group, message.key);
      expect(resting?.lease).toBeUndefined();
      expect(loss.lostCount).toBeGreaterThan(0);
      expect(resting?.wakeAt?.epochMilliseconds).toBe(plusMs(clock.now(), HOUR_MS).epochMilliseconds);
    });

    it('is told from one that another was quicker with', async () => {
      const message = await schedule();
      const loss = loseAnswers('UpdateItemCommand', 'first');

      const changes = await Promise.allSettled(
        ['One', 'Two', 'Three'].map((subject) => store.change(message.group, message.key, 1, { subject })),
      );

      const stored = await store.find(message.group, message.key);
      const fulfilled = changes.flatMap((change) => (change.status === 'fulfilled' ? [change.value] : []));
      const refused = changes.flatMap((change): unknown[] =>
        change.status === 'rejected' ? [change.reason] : [],
      );
      expect(fulfilled).toEqual([stored]);
      expect(refused.every((error) => error instanceof VersionMismatchError)).toBe(true);
      expect(loss.lostCount).toBeGreaterThan(0);
    });
  });

  describe('the sweeper', () => {
    it('removes content without a record after a day, and not before', async () => {
      const kept = await schedule();
      const orphan = await leaveOrphan();
      clock.advance(DAY_MS - HOUR_MS);
      const early = await sweep();
      const between = await listObjects();
      clock.advance(DAY_MS);

      const late = await sweep();

      expect(early).toEqual({ kind: 'swept', complete: true, seenCount: 2, removedCount: 0 });
      expect(between).toContain(orphan);
      expect(late).toEqual({ kind: 'swept', complete: true, seenCount: 2, removedCount: 1 });
      expect(await listObjects()).toEqual([objectKey(kept, OLD)]);
    });

    it('removes the revisions before, once the message can get no new one', async () => {
      const message = await schedule({ scheduleOn: clock.now() });
      const revised = await revise(message, NEW);
      clock.advance(2 * DAY_MS);
      await sweep();
      const whileWaiting = await listObjects();
      await store.claim(message.group, message.key, {
        token: 'scanner',
        now: clock.now(),
        until: plusMs(clock.now(), MINUTE_MS),
      });
      clock.advance(DAY_MS);

      await sweep();

      expect(whileWaiting).toHaveLength(2);
      expect(await listObjects()).toEqual([objectKey(message, NEW)]);
      expect((await store.readContent(revised)).equals(NEW.bytes)).toBe(true);
    });

    it('goes on where the run before has stopped, and begins again at the end', async () => {
      for (let made = 0; made < 5; made += 1) {
        await leaveOrphan();
        await schedule();
      }
      clock.advance(2 * DAY_MS);
      const runs = [];
      for (let run = 0; run < 5; run += 1) {
        runs.push(await sweep(1, 3));
      }

      const counts = runs.map((run) => (run.kind === 'swept' ? run.seenCount : undefined));
      const removed = runs.map((run) => (run.kind === 'swept' ? run.removedCount : 0));
      expect(counts).toEqual([3, 3, 3, 1, 0]);
      expect(removed.reduce((sum, count) => sum + count, 0)).toBe(5);
      expect(await listObjects()).toHaveLength(5);
      expect(runs.at(-1)).toMatchObject({ complete: true });
    });

    it('makes one pass a day, however many workers start one', async () => {
      const sweeps = await Promise.all([sweep(), sweep(), sweep()]);
      clock.advance(DAY_MS);
      const nextDay = await sweep();

      expect(sweeps.map(({ kind }) => kind).toSorted()).toEqual(['not-yet', 'not-yet', 'swept']);
      expect(nextDay.kind).toBe('swept');
    });

    it('is followed by another where one dies in the middle', async () => {
      const orphan = await leaveOrphan();
      clock.advance(2 * DAY_MS);
      const { restore } = loseAnswers('BatchGetItemCommand', 'all');
      await expect(sweep()).rejects.toThrow(StoreUnavailableError);
      restore();

      const tooSoon = await sweep();
      clock.advance(HOUR_MS);
      const next = await sweep();

      expect(tooSoon.kind).toBe('not-yet');
      expect(next).toEqual({ kind: 'swept', complete: true, seenCount: 1, removedCount: 1 });
      expect(await listObjects()).not.toContain(orphan);
    });

    it('leaves what is not of Belfry\u2019s making alone', async () => {
      await ground.clients.s3.send(
        new PutObjectCommand({ Bucket: ground.names.contentBucket, Key: 'notes/readme.txt', Body: 'mine' }),
      );
      clock.advance(2 * DAY_MS);

      await sweep();

      expect(await listObjects()).toEqual(['notes/readme.txt']);
    });

    it('keeps its place where no message of any group is found', async () => {
      const message = await schedule();
      await sweep();

      const { Item: item } = await ground.clients.dynamo.send(
        new GetCommand({
          TableName: ground.names.tables.messages,
          Key: { group_name: '#content', message_key: '#sweep' },
        }),
      );

      expect(item).toBeDefined();
      expect((await store.findLatest(message.group))?.key).toBe(message.key);
    });
  });
});

function objectKey({ group, key }: Message, { sha256 }: SealedContent): string {
  return `${group}/${key}/${sha256}`;
}

function prefixOf({ tables }: AwsNames): string {
  return tables.messages.slice(0, -'messages'.length);
}

function anIdempotency(clock: ManualClock): Idempotency {
  return {
    key: 'a-key',
    fingerprint: 'a request',
    answer: 'an answer',
    expiresAt: plusMs(clock.now(), DAY_MS),
  };
}

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LeaseLostError } from '../../src/delivery/delivery-store.ts';
import { MINUTE_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import type { SealedContent } from '../../src/schedule/content.ts';
import type {
  CreateResult,
  Idempotency,
  MessageChange,
  MessagePage,
} from '../../src/schedule/message-store.ts';
import { decodeLocalDelivery, type LocalDelivery } from '../../src/schedule/local-delivery.ts';
import { messageTags } from '../../src/schedule/message-tags.ts';
import {
  ContentDamagedError,
  type Message,
  MESSAGE_STATUSES,
  type MessageKey,
  MessageNotFoundError,
  type MessageStatus,
  newMessageKey,
} from '../../src/schedule/message.ts';
import {
  aGroupName,
  aMessage,
  anInstant,
  aSealedContent,
  aSeriesKey,
  groupSettings,
  sealOf,
} from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import {
  aCut,
  answersOf,
  aSettlement,
  at,
  atOnce,
  batchesOf,
  claimBatch,
  claimMessage,
  DISPATCHER,
  dispatchOne,
  faultsOf,
  LEASE_MS,
  read,
  readPages,
  schedule,
  startSending,
  termsOf,
  wakingKeys,
} from './steps.ts';

const GROUP = aGroupName();
const OTHER = aGroupName('other');
const DUE = anInstant();
const BODY_LIMIT_BYTES = 10 * 1024 * 1024;

function aLocalDelivery(): LocalDelivery {
  return decodeLocalDelivery(
    '{"time":"09:00:30","date":"2028-02-29","passed":"skip","since":1795443000000,"missed_before":1795443000001}',
  );
}

export function describeMessageStore(openEngine: OpenEngine): void {
  describe('MessageStore', () => {
    let engine: Engine;

    async function listAll(
      limit: number,
      overrides: Partial<MessagePage> = {},
    ): Promise<readonly MessageKey[]> {
      const messages = await readPages<Message>(limit, async (after) =>
        engine.messages.list(GROUP, aPage({ after, limit, ...overrides })),
      );
      return messages.map(({ key }) => key);
    }

    /** What the index finds. It may lag behind the records, so this is for `expect.poll`. */
    function wakingUntil(until: Temporal.Instant): () => Promise<readonly string[]> {
      return () => wakingKeys(engine, until);
    }

    function create(message: Message, idempotency: Idempotency): Promise<CreateResult> {
      return engine.messages.create(message, aSealedContent(), { idempotency });
    }

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    describe('create', () => {
      it('stores a message with everything that it can have', async () => {
        const key = newMessageKey();
        const subject = 'Grüße & "50% off" = now?';
        const message = aMessage({
          key,
          subject,
          from: 'Ada Lovelace <ada@example.com>',
          replyTo: 'office@example.com',
          content: { ...sealOf(aSealedContent()), template: 'liquid' },
          tags: messageTags({ group: GROUP, subject, scheduleOn: DUE, key }),
          status: 'held',
          reason: 'Its time had passed.',
          dueAt: plusMs(DUE, 1),
          time: {
            local: Temporal.PlainDateTime.from('2026-11-23T15:10'),
            timeZone: 'Europe/Paris',
            dst: 'earlier',
            tzdata: '2026b',
            moved: [{ from: plusMs(DUE, -MINUTE_MS), to: DUE, tzdata: '2026b', at: plusMs(DUE, -1) }],
          },
          occurrence: {
            series: aSeriesKey(),
            local: Temporal.PlainDateTime.from('2026-11-23T15:10'),
            followedAt: plusMs(DUE, MINUTE_MS),
          },
          localDelivery: aLocalDelivery(),
          expiresAt: plusMs(DUE, MINUTE_MS),
          onMissed: 'skip',
          onUnknown: 'leave',
        });

        const result = await engine.messages.create(message, aSealedContent());

        expect(result).toEqual({ kind: 'created' });
        expect(await engine.messages.find(GROUP, key)).toEqual(message);
      });

      it('stores a message with nothing that can be absent', async () => {
        const message = aMessage();

        await engine.messages.create(message, aSealedContent());

        expect(await engine.messages.find(GROUP, message.key)).toEqual(message);
      });

      it('makes the group where there is none', async () => {
        const message = await schedule(engine);

        const group = await engine.groups.find(GROUP);
        expect(group?.addedAt).toEqual(message.addedAt);
        expect(group?.version).toBe(1);
      });

      it('makes the group again that was removed since the caller found it', async () => {
        await engine.groups.put(GROUP, groupSettings());
        await engine.groups.remove(GROUP);

        await engine.messages.create(aMessage(), aSealedContent(), { isGroupFound: true });

        expect(await engine.groups.find(GROUP)).toMatchObject({ version: 1 });
      });

      it('leaves a group that is there as it is', async () => {
        const { group } = await engine.groups.put(GROUP, groupSettings({ from: 'a@example.com' }));

        await schedule(engine);

        expect(await engine.groups.find(GROUP)).toEqual(group);
      });

      it.each([
        ['a short one', aSealedContent()],
        ['one in many scripts', aSealedContent({ body: 'Grüße, こんにちは, 🎉, \u0000, \u2028' })],
        ['one of the largest size allowed', aSealedContent({ body: 'x'.repeat(BODY_LIMIT_BYTES) })],
      ])('keeps the content byte for byte: %s', async (_, content) => {
        const message = await schedule(engine, {}, content);

        const stored = await engine.messages.readContent(message);

        expect(stored.equals(content.bytes)).toBe(true);
      });

      it('stores nothing where the key is another message\u2019s, and leaves that one alone', async () => {
        const first = await schedule(engine);
        const content = aSealedContent({ subject: 'Second' });
        const second = aMessage({ key: first.key, subject: 'Second', content: sealOf(content) });
        const idempotency = anIdempotency();

        const creating = engine.messages.create(second, content, { idempotency });

        expect(await creating).toEqual({ kind: 'exists' });
        expect(await engine.messages.find(GROUP, first.key)).toEqual(first);
        expect((await engine.messages.readContent(first)).equals(aSealedContent().bytes)).toBe(true);
        // Nor is the idempotency key used up.
        expect(await engine.messages.create(aMessage(), aSealedContent(), { idempotency })).toEqual({
          kind: 'created',
        });
      });
    });

    describe('create with an idempotency key', () => {
      it('answers a second request as the first was answered, and stores nothing', async () => {
        const first = aMessage();
        const second = aMessage({ subject: 'Stored twice' });
        await create(first, anIdempotency({ answer: 'the first answer' }));

        const result = await create(second, anIdempotency({ answer: 'the second answer' }));

        expect(result).toEqual({ kind: 'repeated', key: first.key, answer: 'the first answer' });
        expect(await engine.messages.find(GROUP, second.key)).toBeUndefined();
        expect(await listAll(10)).toEqual([first.key]);
      });

      it('stores nothing under a key that was used for another request', async () => {
        const second = aMessage();
        const first = aMessage();
        await create(first, anIdempotency({ fingerprint: 'one request' }));

        const result = await create(second, anIdempotency({ fingerprint: 'another request' }));

        expect(result).toEqual({ kind: 'key-reused' });
        expect(await engine.messages.find(GROUP, second.key)).toBeUndefined();
        expect(await listAll(10)).toEqual([first.key]);
      });

      it.each(['one request', 'another request'])(
        'starts anew once the key has expired: with %s',
        async (fingerprint) => {
          const expiresAt = anInstant('2026-11-24T14:00:00Z');
          await create(
            aMessage({ addedAt: anInstant('2026-11-23T14:00:00Z') }),
            anIdempotency({ fingerprint: 'one request', expiresAt }),
          );
          const renewed = {
            fingerprint,
            answer: 'the second answer',
            expiresAt: anInstant('2026-11-25T14:00:00Z'),
          };
          const second = aMessage({ addedAt: expiresAt });

          const result = await create(second, anIdempotency(renewed));

          expect(result).toEqual({ kind: 'created' });
          const third = await create(aMessage({ addedAt: plusMs(expiresAt, 1) }), anIdempotency(renewed));
          expect(third).toEqual({ kind: 'repeated', key: second.key, answer: 'the second answer' });
        },
      );

      it('keeps the key until the moment before it expires', async () => {
        const first = aMessage();
        await create(first, anIdempotency({ expiresAt: DUE }));

        const result = await create(aMessage({ addedAt: plusMs(DUE, -1) }), anIdempotency());

        expect(result.kind).toBe('repeated');
      });

      it('keeps the same key of two groups apart', async () => {
        await create(aMessage(), anIdempotency());

        const result = await create(aMessage({ group: OTHER }), anIdempotency());

        expect(result).toEqual({ kind: 'created' });
      });

      it('keeps keys apart that differ in case', async () => {
        await create(aMessage(), anIdempotency({ key: 'a' }));

        const result = await create(aMessage(), anIdempotency({ key: 'A' }));

        expect(result).toEqual({ kind: 'created' });
      });

      it('stores one of many messages that come at once with one key', async () => {
        const messages = Array.from({ length: 10 }, () => aMessage());

        const creates = await atOnce(10, async (index) =>
          create(at(messages, index), anIdempotency({ answer: `answer ${index}` })),
        );

        const stored = await listAll(100);
        expect(stored).toHaveLength(1);
        const winner = messages.findIndex(({ key }) => key === stored.at(0));
        const repeated = { kind: 'repeated', key: at(stored, 0), answer: `answer ${winner}` };
        expect(answersOf(creates)).toEqual(
          messages.map((_, index) => (index === winner ? { kind: 'created' } : repeated)),
        );
      });

      it('stores one of many different requests that come at once with one key, and refuses the others', async () => {
        const creates = await atOnce(5, async (index) =>
          create(aMessage(), anIdempotency({ fingerprint: `request ${index}` })),
        );

        const kinds = answersOf(creates).map(({ kind }) => kind);
        expect(kinds.toSorted()).toEqual(['created', 'key-reused', 'key-reused', 'key-reused', 'key-reused']);
        expect(await listAll(100)).toHaveLength(1);
      });
    });

    describe('find', () => {
      it('finds no message that is not stored', async () => {
        await schedule(engine);

        expect(await engine.messages.find(GROUP, newMessageKey())).toBeUndefined();
      });

      it('finds no message under another group\u2019s name', async () => {
        const message = await schedule(engine);

        expect(await engine.messages.find(OTHER, message.key)).toBeUndefined();
      });
    });

    describe('findLatest', () => {
      it('finds the one that was added last, whenever it is due', async () => {
        const [first, second, third] = keysInOrder(3);
        await schedule(engine, { key: third, scheduleOn: plusMs(DUE, -MINUTE_MS), status: 'cancelled' });
        await schedule(engine, { key: first, scheduleOn: plusMs(DUE, MINUTE_MS) });
        await schedule(engine, { key: second });
        await schedule(engine, { group: OTHER });

        const latest = await engine.messages.findLatest(GROUP);

        expect(latest?.key).toBe(third);
      });

      it('finds none where the group has none', async () => {
        await schedule(engine, { group: OTHER });

        expect(await engine.messages.findLatest(GROUP)).toBeUndefined();
      });
    });

    describe('list', () => {
      it.each([1, 2, 3, 4, 7, 50])(
        'lists every message once, in order of time and then of key, in pages of %d',
        async (limit) => {
          // Three at one moment, so that pages end between messages of the same time.
          const minutes = [0, 1, 1, 1, 2, 3, 3];
          const expected = keysInOrder(minutes.length);
          const placed = minutes.map((index, position) => ({
            key: at(expected, position),
            scheduleOn: minute(index),
          }));
          for (const message of placed.toReversed()) {
            await schedule(engine, message);
          }
          await schedule(engine, { group: OTHER, scheduleOn: minute(1) });

          const listed = await listAll(limit);

          expect(listed).toEqual(expected);
        },
      );

      it('goes by time where that is not the order of the keys', async () => {
        const [first, second] = keysInOrder(2);
        await schedule(engine, { key: first, scheduleOn: minute(1) });
        await schedule(engine, { key: second, scheduleOn: minute(0) });

        expect(await listAll(10)).toEqual([second, first]);
      });

      it.each([
        ['from one moment on', { from: minute(1) }, [1, 2, 3]],
        ['until before another', { to: minute(2) }, [0, 1]],
        ['between the two', { from: minute(1), to: minute(3) }, [1, 2]],
        ['never, where the two are one', { from: minute(1), to: minute(1) }, []],
        ['a millisecond later', { from: plusMs(minute(1), 1), to: plusMs(minute(2), 1) }, [2]],
      ])('lists what is due %s', async (_, range, expected) => {
        const keys = keysInOrder(4);
        for (const [index, key] of keys.entries()) {
          await schedule(engine, { key, scheduleOn: minute(index) });
        }

        const listed = await listAll(1, range);

        expect(listed).toEqual(expected.map((index) => at(keys, index)));
      });

      it.each([1, 2, 50])(
        'lists those of some statuses, in pages of %d that are full while there are more',
        async (limit) => {
          const statuses: MessageStatus[] = [
            'sent',
            'sent',
            'held',
            'sent',
            'failed',
            'sent',
            'held',
            'cancelled',
          ];
          const keys = keysInOrder(statuses.length);
          for (const [index, status] of statuses.entries()) {
            await schedule(engine, { key: at(keys, index), status, scheduleOn: minute(index) });
          }

          const listed = await listAll(limit, { statuses: ['held', 'failed'] });

          expect(listed).toEqual([2, 4, 6].map((index) => at(keys, index)));
        },
      );

      it('lists what lies before 1970 and in 9999', async () => {
        const old = await schedule(engine, { scheduleOn: anInstant('1969-07-20T20:17:40Z') });
        const far = await schedule(engine, { scheduleOn: anInstant('9999-12-31T23:59:59.999Z') });

        expect(await listAll(1)).toEqual([old.key, far.key]);
      });

      it('lists messages as find answers them', async () => {
        const message = await schedule(engine);

        const listed = await engine.messages.list(GROUP, aPage());

        expect(listed).toEqual([await read(engine, message)]);
      });

      it('lists a message at its new time once it was changed', async () => {
        const [first, second] = keysInOrder(2);
        const moved = await schedule(engine, { key: first, scheduleOn: minute(0) });
        await schedule(engine, { key: second, scheduleOn: minute(1) });

        await engine.messages.change(GROUP, moved.key, 1, { scheduleOn: minute(2) });

        await expect.poll(async () => listAll(1)).toEqual([second, first]);
      });
    });

    describe('readContent', () => {
      it('says that the content is damaged where there is none', async () => {
        const neverStored = aMessage();

        const reading = engine.messages.readContent(neverStored);

        await expect(reading).rejects.toThrow(ContentDamagedError);
      });

      it('says that the content is damaged where it has another hash than the message', async () => {
        const message = await schedule(engine);

        const reading = engine.messages.readContent({
          ...message,
          content: sealOf(aSealedContent({ body: 'Another' })),
        });

        await expect(reading).rejects.toThrow(ContentDamagedError);
      });

      it('never answers the new content to whoever holds the old message', async () => {
        const before = await schedule(engine);
        await changeContent(before, aSealedContent({ body: 'New' }));

        const [reading] = await atOnce(1, async () => engine.messages.readContent(before));

        // An engine may keep what was before, or not have it any more.
        const answered = reading?.status === 'fulfilled' ? reading.value : aSealedContent().bytes;
        expect(answered.equals(aSealedContent().bytes)).toBe(true);
      });
    });

    async function changeContent(message: Message, content: SealedContent): Promise<Message> {
      return engine.messages.change(
        GROUP,
        message.key,
        message.version,
        { content: sealOf(content) },
        content,
      );
    }

    describe('change', () => {
      it.each<readonly [string, MessageChange]>([
        [
          'the subject',
          {
            subject: 'Another',
            tags: messageTags({ group: GROUP, subject: 'Another', scheduleOn: DUE, key: newMessageKey() }),
          },
        ],
        ['the sender', { from: 'eve@example.com', replyTo: 'bob@example.com' }],
        [
          'the time',
          {
            scheduleOn: plusMs(DUE, MINUTE_MS),
            dueAt: plusMs(DUE, MINUTE_MS),
            wakeAt: plusMs(DUE, MINUTE_MS),
          },
        ],
        ['the local time', { localDelivery: aLocalDelivery() }],
        ['the expiry', { expiresAt: plusMs(DUE, MINUTE_MS) }],
        ['what becomes of it in doubt', { onMissed: 'send', onUnknown: 'leave' }],
        ['the status', { status: 'paused', reason: 'Somebody paused it.', wakeAt: undefined }],
        ['nothing', {}],
      ])('writes %s, leaves the rest, and raises the version', async (_, change) => {
        const before = await schedule(engine, { reason: 'A reason.', replyTo: 'office@example.com' });

        const after = await engine.messages.change(GROUP, before.key, 1, change);

        expect(after).toEqual({ ...before, ...change, version: 2 });
        expect(await read(engine, before)).toEqual(after);
        expect((await engine.messages.readContent(after)).equals(aSealedContent().bytes)).toBe(true);
      });

      it('empties what is changed to undefined', async () => {
        const full = {
          from: 'a@example.com',
          replyTo: 'b@example.com',
          reason: 'A reason.',
          localDelivery: aLocalDelivery(),
          expiresAt: plusMs(DUE, MINUTE_MS),
        };
        const before = await schedule(engine, full);
        const emptied = {
          from: undefined,
          replyTo: undefined,
          reason: undefined,
          localDelivery: undefined,
          expiresAt: undefined,
          wakeAt: undefined,
        };

        await engine.messages.change(GROUP, before.key, 1, emptied);

        expect(await read(engine, before)).toEqual({ ...before, ...emptied, version: 2 });
      });

      it('writes new content with its seal', async () => {
        const before = await schedule(engine);
        const content = aSealedContent({ body: 'New' });

        const after = await changeContent(before, content);

        expect(after.content).toEqual(sealOf(content));
        expect((await engine.messages.readContent(await read(engine, before))).equals(content.bytes)).toBe(
          true,
        );
      });

      it('changes nothing for whoever decided upon another version', async () => {
        const before = await schedule(engine);
        const content = aSealedContent({ body: 'New' });

        const change = engine.messages.change(
          GROUP,
          before.key,
          2,
          { subject: 'New', content: sealOf(content) },
          content,
        );

        await expect(change).rejects.toThrow(VersionMismatchError);
        expect(await read(engine, before)).toEqual(before);
        expect((await engine.messages.readContent(before)).equals(aSealedContent().bytes)).toBe(true);
      });

      it('finds the next version when it runs twice, and throws', async () => {
        const before = await schedule(engine);
        await engine.messages.change(GROUP, before.key, 1, { subject: 'New' });

        const second = engine.messages.change(GROUP, before.key, 1, { subject: 'New' });

        await expect(second).rejects.toThrow(VersionMismatchError);
        expect((await read(engine, before)).version).toBe(2);
      });

      it('lets one of many win who decided upon the same version, with its own content', async () => {
        const before = await schedule(engine);
        const contents = Array.from({ length: 5 }, (_, index) => aSealedContent({ body: `Body ${index}` }));

        const changes = await atOnce(5, async (index) => changeContent(before, at(contents, index)));

        const stored = await read(engine, before);
        expect(answersOf(changes)).toEqual([stored]);
        const winner = contents.find(({ sha256 }) => sha256 === stored.content.sha256);
        expect((await engine.messages.readContent(stored)).equals(winner?.bytes ?? Buffer.of())).toBe(true);
        for (const fault of faultsOf(changes)) {
          expect(fault).toBeInstanceOf(VersionMismatchError);
        }
      });

      it.each([
        ['is not stored', GROUP, newMessageKey()],
        ['is another group\u2019s', OTHER, undefined],
      ])('throws where the message %s', async (_, group, key) => {
        const message = await schedule(engine);

        const change = engine.messages.change(group, key ?? message.key, 1, { subject: 'New' });

        await expect(change).rejects.toThrow(MessageNotFoundError);
        expect(await read(engine, message)).toEqual(message);
      });

      it('ends the lease, so that the dispatcher cuts nothing more and sets no wake', async () => {
        const claimed = await startSending(engine);
        const paused = await engine.messages.change(GROUP, claimed.key, claimed.version, {
          status: 'paused',
          wakeAt: undefined,
        });

        const batches = batchesOf(engine, claimed, ['ada@example.com'], 1);
        const cut = engine.deliveries.cut(aCut(engine, claimed, batches));

        await expect(cut).rejects.toThrow(LeaseLostError);
        await engine.messages.rest(GROUP, claimed.key, {
          token: DISPATCHER,
          wakeAt: DUE,
          lookedAt: undefined,
        });
        expect(paused.lease).toBeUndefined();
        expect(await read(engine, claimed)).toEqual(paused);
      });

      it('ends the lease, so that whoever comes next need not wait for its end', async () => {
        const claimed = await startSending(engine);
        await engine.messages.change(GROUP, claimed.key, claimed.version, {
          status: 'cancelled',
          wakeAt: engine.clock.now(),
        });

        const next = await engine.messages.claim(GROUP, claimed.key, termsOf(engine, 'another'));

        expect(next?.lease?.token).toBe('another');
        expect(next?.status).toBe('cancelled');
      });

      it('keeps what delivery has recorded', async () => {
        const { message } = await dispatchOne(engine);
        const before = await read(engine, message);

        const after = await engine.messages.change(GROUP, message.key, before.version, {
          status: 'paused',
          wakeAt: undefined,
        });

        expect(after.dispatch).toEqual(before.dispatch);
        expect(after.counts).toEqual(before.counts);
      });
    });

    describe('findWaking', () => {
      it('finds messages whose wake comes until a moment, that moment included, soonest first', async () => {
        const wakes = [3, 1, 4, 2].map((second) => plusMs(DUE, second * SECOND_MS));
        const messages: Message[] = [];
        for (const scheduleOn of wakes) {
          messages.push(await schedule(engine, { scheduleOn }));
        }
        const [third, first, , second] = messages.map(({ key }) => key);

        await expect.poll(wakingUntil(plusMs(DUE, 3 * SECOND_MS))).toEqual([first, second, third]);
        await expect.poll(wakingUntil(plusMs(DUE, 3 * SECOND_MS - 1))).toEqual([first, second]);
        await expect.poll(wakingUntil(DUE)).toEqual([]);
      });

      it('says of each where it belongs and when it wakes', async () => {
        const { group, key } = await schedule(engine, { group: OTHER });

        await expect.poll(async () => (await engine.messages.findWaking(DUE, 10)).length).toBe(1);
        expect(await engine.messages.findWaking(DUE, 10)).toEqual([
          { kind: 'message', group, key, wakeAt: DUE },
        ]);
      });

      it('finds the soonest where there are more than asked for', async () => {
        for (const second of [3, 1, 2]) {
          await schedule(engine, { scheduleOn: plusMs(DUE, second * SECOND_MS) });
        }

        const soonest = async (): Promise<readonly Temporal.Instant[]> =>
          (await engine.messages.findWaking(plusMs(DUE, MINUTE_MS), 2)).map(({ wakeAt }) => wakeAt);
        await expect.poll(soonest).toEqual([plusMs(DUE, SECOND_MS), plusMs(DUE, 2 * SECOND_MS)]);
      });

      it('finds what woke long ago, across hours, days and years', async () => {
        const wakes = [
          '2019-02-03T04:05:06Z',
          '2026-10-31T23:59:59.999Z',
          '2026-11-23T13:59:59Z',
          '2026-11-23T14:00:00Z',
        ];
        const messages: Message[] = [];
        for (const wake of wakes) {
          messages.push(await schedule(engine, { scheduleOn: anInstant(wake) }));
        }

        await expect.poll(wakingUntil(DUE)).toEqual(messages.map(({ key }) => key));
      });

      it.each(MESSAGE_STATUSES.filter((status) => status !== 'scheduled'))(
        'has no message in it that needs no attention: one that is %s',
        async (status) => {
          await schedule(engine, { status });
          const awake = await schedule(engine);

          await expect.poll(wakingUntil(plusMs(DUE, MINUTE_MS))).toEqual([awake.key]);
        },
      );

      it('follows a message whose wake is changed', async () => {
        const message = await schedule(engine);

        await engine.messages.change(GROUP, message.key, 1, { wakeAt: plusMs(DUE, MINUTE_MS) });

        await expect.poll(wakingUntil(plusMs(DUE, MINUTE_MS - 1))).toEqual([]);
        await expect.poll(wakingUntil(plusMs(DUE, MINUTE_MS))).toEqual([message.key]);
      });

      it('forgets a message whose wake is taken away', async () => {
        const message = await schedule(engine);

        await engine.messages.change(GROUP, message.key, 1, { status: 'paused', wakeAt: undefined });

        await expect.poll(wakingUntil(plusMs(DUE, MINUTE_MS))).toEqual([]);
      });

      it('finds a claimed message again at the end of the lease, where a claimer that died is found', async () => {
        const message = await startSending(engine);

        await expect.poll(wakingUntil(plusMs(DUE, LEASE_MS - 1))).toEqual([]);
        await expect.poll(wakingUntil(plusMs(DUE, LEASE_MS))).toEqual([message.key]);
      });
    });

    describe('claim', () => {
      it('makes a scheduled message sending, with a lease at whose end it wakes', async () => {
        const before = await schedule(engine);
        engine.clock.advance(SECOND_MS);
        const terms = termsOf(engine, DISPATCHER);

        const claimed = await engine.messages.claim(GROUP, before.key, terms);

        expect(claimed).toEqual({
          ...before,
          status: 'sending',
          version: 2,
          lease: { token: DISPATCHER, until: terms.until },
          wakeAt: terms.until,
          dispatch: { ...before.dispatch, begunAt: terms.now },
        });
        expect(await read(engine, before)).toEqual(claimed);
      });

      it('is possible at the very moment of the wake', async () => {
        const message = await schedule(engine, { scheduleOn: engine.clock.now() });

        expect(await engine.messages.claim(GROUP, message.key, termsOf(engine, DISPATCHER))).toBeDefined();
      });

      it('is not possible before that, not even a millisecond', async () => {
        const message = await schedule(engine, { scheduleOn: plusMs(engine.clock.now(), 1) });

        const claimed = await engine.messages.claim(GROUP, message.key, termsOf(engine, DISPATCHER));

        expect(claimed).toBeUndefined();
        expect(await read(engine, message)).toEqual(message);
      });

      it.each(MESSAGE_STATUSES)(
        'is not possible of a message without a wake: one that is %s',
        async (status) => {
          const message = await schedule(engine, { status, wakeAt: undefined });

          const claimed = await engine.messages.claim(GROUP, message.key, termsOf(engine, DISPATCHER));

          expect(claimed).toBeUndefined();
          expect(await read(engine, message)).toEqual(message);
        },
      );

      it.each<MessageStatus>(['sending', 'cancelled'])(
        'leaves status and version of a message that is %s',
        async (status) => {
          const message = await schedule(engine, { status, wakeAt: DUE });

          const claimed = await engine.messages.claim(GROUP, message.key, termsOf(engine, DISPATCHER));

          expect(claimed?.status).toBe(status);
          expect(claimed?.version).toBe(1);
          expect(claimed?.lease?.token).toBe(DISPATCHER);
        },
      );

      it('gives the message to one of many who claim it at once', async () => {
        const message = await schedule(engine);

        const claims = await atOnce(20, async (index) =>
          engine.messages.claim(GROUP, message.key, termsOf(engine, `scanner ${index}`)),
        );

        const winners = answersOf(claims).filter((claimed) => claimed !== undefined);
        expect(claims).toHaveLength(answersOf(claims).length);
        expect(winners).toEqual([await read(engine, message)]);
      });

      it('is not possible until the lease has ended', async () => {
        const message = await startSending(engine);
        engine.clock.advance(LEASE_MS - 1);

        const claimed = await engine.messages.claim(GROUP, message.key, termsOf(engine, 'another'));

        expect(claimed).toBeUndefined();
        expect(await read(engine, message)).toEqual(message);
      });

      it('is not possible until the lease has ended, though a retry makes the message wake sooner', async () => {
        const { message, batch } = await dispatchOne(engine);
        const retryAt = plusMs(engine.clock.now(), SECOND_MS);
        await engine.deliveries.settle(await claimBatch(engine, batch), aSettlement(engine, { retryAt }));
        engine.clock.advance(LEASE_MS - 1);

        const claimed = await engine.messages.claim(GROUP, message.key, termsOf(engine, 'another'));

        expect(claimed).toBeUndefined();
        expect((await read(engine, message)).lease?.token).toBe(DISPATCHER);
      });

      it('is possible to another as soon as the lease has ended, and remembers when the first began', async () => {
        const before = await startSending(engine);
        engine.clock.advance(LEASE_MS);

        const claimed = await claimMessage(engine, before, 'another');

        expect(claimed).toEqual({
          ...before,
          lease: { token: 'another', until: plusMs(engine.clock.now(), LEASE_MS) },
          wakeAt: plusMs(engine.clock.now(), LEASE_MS),
        });
      });

      it.each([
        ['is not stored', GROUP, newMessageKey()],
        ['is another group\u2019s', OTHER, undefined],
      ])('does nothing where the message %s', async (_, group, key) => {
        const message = await schedule(engine);

        const claimed = await engine.messages.claim(group, key ?? message.key, termsOf(engine, DISPATCHER));

        expect(claimed).toBeUndefined();
        expect(await read(engine, message)).toEqual(message);
      });
    });

    describe('postpone', () => {
      it('moves the wake and leaves the rest, the version too', async () => {
        const message = await schedule(engine);
        const wakeAt = plusMs(DUE, MINUTE_MS);

        await engine.messages.postpone(GROUP, message.key, 1, wakeAt);

        expect(await read(engine, message)).toEqual({ ...message, wakeAt });
        await expect.poll(wakingUntil(DUE)).toEqual([]);
        await expect.poll(wakingUntil(wakeAt)).toEqual([message.key]);
      });

      it('does nothing to a message that somebody has changed or claimed, nor to one that is not there', async () => {
        const changed = await schedule(engine);
        await engine.messages.change(GROUP, changed.key, 1, { subject: 'Other' });
        const claimed = await startSending(engine);
        const before = [await read(engine, changed), await read(engine, claimed)];
        const wakeAt = plusMs(DUE, MINUTE_MS);

        await engine.messages.postpone(GROUP, changed.key, 1, wakeAt);
        await engine.messages.postpone(GROUP, claimed.key, claimed.version, wakeAt);
        await engine.messages.postpone(GROUP, newMessageKey(), 1, wakeAt);

        expect([await read(engine, changed), await read(engine, claimed)]).toEqual(before);
      });
    });

    describe('noteFindings', () => {
      const FINDING = { rule: 'spf', result: 'fail', detail: 'There is none.', source: 'RFC 7208' } as const;
      const ANOTHER = { ...FINDING, rule: 'quota', result: 'warn' } as const;

      it('keeps the findings of the last look, and leaves content, version and lease', async () => {
        const contentFindings = [{ ...FINDING, rule: 'links' }];
        const { key, ...sending } = await startSending(engine, { contentFindings });

        await engine.messages.noteFindings(GROUP, key, [FINDING, ANOTHER]);
        await engine.messages.noteFindings(GROUP, key, [ANOTHER]);
        const noted = await engine.messages.find(GROUP, key);
        const changed = await engine.messages.change(GROUP, key, sending.version, { contentFindings: [] });
        await engine.messages.noteFindings(GROUP, key, []);

        expect(noted).toEqual({ ...sending, key, contentFindings, sendingFindings: [ANOTHER] });
        expect(changed).toMatchObject({ contentFindings: [], sendingFindings: [ANOTHER] });
        expect(await engine.messages.find(GROUP, key)).toEqual({ ...changed, sendingFindings: [] });
      });

      it('does nothing where there is no such message', async () => {
        const { key } = await schedule(engine);
        const absent = newMessageKey();

        await engine.messages.noteFindings(OTHER, key, [FINDING]);
        await engine.messages.noteFindings(GROUP, absent, [FINDING]);

        expect((await engine.messages.find(GROUP, key))?.sendingFindings).toEqual([]);
        expect(await engine.messages.find(GROUP, absent)).toBeUndefined();
      });
    });

    describe('rest', () => {
      it('ends the lease and sets the next wake', async () => {
        const claimed = await startSending(engine);
        const wakeAt = plusMs(engine.clock.now(), 5 * SECOND_MS);

        await engine.messages.rest(GROUP, claimed.key, { token: DISPATCHER, wakeAt, lookedAt: wakeAt });

        expect(await read(engine, claimed)).toEqual({
          ...claimed,
          lease: undefined,
          wakeAt,
          dispatch: { ...claimed.dispatch, lookedAt: wakeAt },
        });
        await expect.poll(wakingUntil(wakeAt)).toEqual([claimed.key]);
      });

      it('lets the message be claimed when the wake has come, and not before', async () => {
        const claimed = await startSending(engine);
        await engine.messages.rest(GROUP, claimed.key, {
          token: DISPATCHER,
          wakeAt: plusMs(engine.clock.now(), 5 * SECOND_MS),
          lookedAt: undefined,
        });

        engine.clock.advance(5 * SECOND_MS - 1);
        expect(await engine.messages.claim(GROUP, claimed.key, termsOf(engine, 'another'))).toBeUndefined();

        engine.clock.advance(1);
        expect(await engine.messages.claim(GROUP, claimed.key, termsOf(engine, 'another'))).toBeDefined();
      });

      it('keeps when it was last looked at, until its status changes', async () => {
        const claimed = await startSending(engine);
        const lookedAt = engine.clock.now();
        await engine.messages.rest(GROUP, claimed.key, { token: DISPATCHER, wakeAt: lookedAt, lookedAt });
        const { version } = claimed;

        const changed = await engine.messages.change(GROUP, claimed.key, version, { subject: 'Other' });
        const paused = await engine.messages.change(GROUP, claimed.key, version + 1, { status: 'paused' });

        expect(changed.dispatch.lookedAt).toEqual(lookedAt);
        expect(paused.dispatch.lookedAt).toBeUndefined();
        expect((await read(engine, claimed)).dispatch.lookedAt).toBeUndefined();
      });

      it('does nothing for whoever has never held the lease', async () => {
        const claimed = await startSending(engine);

        await engine.messages.rest(GROUP, claimed.key, {
          token: 'another',
          wakeAt: DUE,
          lookedAt: undefined,
        });

        expect(await read(engine, claimed)).toEqual(claimed);
      });

      it('does nothing for whoever held it until another took it', async () => {
        const message = await startSending(engine);
        engine.clock.advance(LEASE_MS);
        const claimed = await claimMessage(engine, message, 'another');

        await engine.messages.rest(GROUP, message.key, {
          token: DISPATCHER,
          wakeAt: DUE,
          lookedAt: undefined,
        });

        expect(await read(engine, message)).toEqual(claimed);
      });

      it('does nothing when it runs twice', async () => {
        const message = await startSending(engine);
        await engine.messages.rest(GROUP, message.key, {
          token: DISPATCHER,
          wakeAt: plusMs(DUE, SECOND_MS),
          lookedAt: undefined,
        });
        const resting = await read(engine, message);

        await engine.messages.rest(GROUP, message.key, {
          token: DISPATCHER,
          wakeAt: plusMs(DUE, MINUTE_MS),
          lookedAt: undefined,
        });

        expect(await read(engine, message)).toEqual(resting);
      });

      it('wakes no message that was finished meanwhile', async () => {
        const message = await startSending(engine);
        await engine.deliveries.cut(aCut(engine, message, []));
        const finished = await read(engine, message);

        await engine.messages.rest(GROUP, message.key, {
          token: DISPATCHER,
          wakeAt: plusMs(DUE, MINUTE_MS),
          lookedAt: undefined,
        });

        expect(finished.status).toBe('sent');
        expect(await read(engine, message)).toEqual(finished);
      });
    });
  });
}

/** From then on, minute by minute. */
function minute(index: number): Temporal.Instant {
  return plusMs(DUE, index * MINUTE_MS);
}

function aPage(overrides: Partial<MessagePage> = {}): MessagePage {
  return { after: undefined, limit: 100, statuses: undefined, from: undefined, to: undefined, ...overrides };
}

function anIdempotency(overrides: Partial<Idempotency> = {}): Idempotency {
  return {
    key: 'a-key',
    fingerprint: 'a request',
    answer: 'an answer',
    expiresAt: anInstant('2026-11-24T14:10:00Z'),
    ...overrides,
  };
}

/** Keys do not sort by the order in which they were made within one millisecond. */
function keysInOrder(count: 2): readonly [MessageKey, MessageKey];
function keysInOrder(count: 3): readonly [MessageKey, MessageKey, MessageKey];
function keysInOrder(count: number): readonly MessageKey[];
function keysInOrder(count: number): readonly MessageKey[] {
  return Array.from({ length: count }, () => newMessageKey()).toSorted();
}

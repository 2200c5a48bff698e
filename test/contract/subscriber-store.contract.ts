import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Member, SubscriberPage } from '../../src/groups/subscriber-store.ts';
import {
  type Subscriber,
  SubscriberNotFoundError,
  type SubscriberStatus,
} from '../../src/groups/subscriber.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import { addresses, aGroupName, aKey, aNewcomer, anInstant, groupSettings } from '../support/builders.ts';
import { until } from '../support/until.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { answersOf, at, atOnce, faultsOf, readPages } from './steps.ts';

const GROUP = aGroupName();
const OTHER = aGroupName('other');
const INDEX_LIMIT_MS = 20_000;

// In the order of their bytes: every engine must sort so, because ranges are compared with each other.
const SORTED = [
  '0@example.com',
  '1@example.com',
  'a+b@example.com',
  'a-b@example.com',
  'a.b@example.com',
  'a0@example.com',
  'a@a.example.com',
  'a@example.com',
  'a_b@example.com',
  'ab@example.com',
  'z@example.com',
];

export function describeSubscriberStore(openEngine: OpenEngine): void {
  describe('SubscriberStore', () => {
    let engine: Engine;

    async function add(...emails: readonly string[]): Promise<void> {
      await engine.subscribers.add(
        GROUP,
        emails.map((email) => aNewcomer(email)),
        anInstant(),
      );
    }

    async function addAs(status: SubscriberStatus, ...emails: readonly string[]): Promise<void> {
      await add(...emails);
      for (const email of emails) {
        await engine.subscribers.change(GROUP, aKey(email), { status }, 1);
      }
    }

    async function listAll(limit: number, status?: SubscriberStatus): Promise<readonly string[]> {
      const readPage = async (last: Subscriber | undefined): Promise<readonly Subscriber[]> => {
        const page: SubscriberPage = { after: last?.key, limit, status };
        return engine.subscribers.list(GROUP, page);
      };
      return (await readPages(limit, readPage)).map(({ key }) => key);
    }

    async function aSubscriber(): Promise<Subscriber> {
      const details = { name: 'Ada', attributes: { plan: 'free' }, timeZone: 'Europe/London' };
      return at(await engine.subscribers.add(GROUP, [aNewcomer('ada@example.com', details)], anInstant()), 0)
        .subscriber;
    }

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    describe('add', () => {
      it('adds an active subscriber, joined at the moment given', async () => {
        const joinedAt = anInstant('2026-11-01T08:00:00.123Z');
        const details = {
          name: 'Ada Lovelace',
          attributes: { plan: { seats: 3, tags: ['a', null] } },
          timeZone: 'Europe/London',
        };

        const added = await engine.subscribers.add(
          GROUP,
          [aNewcomer('Ada.Lovelace@Example.com', details)],
          joinedAt,
        );

        const subscriber: Subscriber = {
          group: GROUP,
          key: aKey('ada.lovelace@example.com'),
          email: aNewcomer('Ada.Lovelace@example.com').email,
          status: 'active',
          ...details,
          joinedAt,
          version: 1,
        };
        expect(added).toEqual([{ kind: 'added', subscriber }]);
        expect(await engine.subscribers.find(GROUP, aKey('ada.lovelace@example.com'))).toEqual(subscriber);
      });

      it('makes the group where there is none', async () => {
        await add('ada@example.com');

        const group = await engine.groups.find(GROUP);
        expect(group?.addedAt).toEqual(anInstant());
        expect(group?.version).toBe(1);
      });

      it('leaves a group that is there as it is', async () => {
        const { group } = await engine.groups.put(GROUP, groupSettings({ from: 'a@example.com' }));

        await add('ada@example.com');

        expect(await engine.groups.find(GROUP)).toEqual({ ...group, counts: { ...group.counts, active: 1 } });
      });

      it('answers for each in the order given', async () => {
        await add('bob@example.com');

        const added = await engine.subscribers.add(
          GROUP,
          ['zoe@example.com', 'bob@example.com', 'ada@example.com'].map((email) => aNewcomer(email)),
          anInstant(),
        );

        expect(added.map(({ kind, subscriber }) => `${subscriber.key} ${kind}`)).toEqual([
          'zoe@example.com added',
          'bob@example.com exists',
          'ada@example.com added',
        ]);
      });

      it.each(['ada@example.com', 'ADA@example.com', 'ada@EXAMPLE.com'])(
        'leaves who is there exactly as they were when %s is added again',
        async (email) => {
          await add('ada@example.com');
          const before = await engine.subscribers.change(
            GROUP,
            aKey(),
            { status: 'unsubscribed', name: 'Ada' },
            1,
          );

          const later = plusMs(anInstant(), 1_000);
          const added = await engine.subscribers.add(GROUP, [aNewcomer(email, { name: 'Eve' })], later);

          expect(added).toEqual([{ kind: 'exists', subscriber: before }]);
          expect(await engine.subscribers.find(GROUP, aKey())).toEqual(before);
        },
      );

      it('adds an address once that comes twice in one call, in whatever case', async () => {
        const newcomers = [
          aNewcomer('Ada@example.com', { name: 'first' }),
          aNewcomer('ada@example.com', { name: 'second' }),
        ];

        const added = await engine.subscribers.add(GROUP, newcomers, anInstant());

        expect(added.map(({ kind }) => kind)).toEqual(['added', 'exists']);
        expect(added.map(({ subscriber }) => subscriber.name)).toEqual(['first', 'first']);
        expect(await listAll(10)).toEqual(['ada@example.com']);
      });

      it('adds an address once that many add at the same time', async () => {
        const calls = await atOnce(10, async () => engine.subscribers.add(GROUP, [aNewcomer()], anInstant()));

        const kinds = answersOf(calls).map((added) => at(added, 0).kind);
        expect(kinds.toSorted()).toEqual(['added', ...Array.from({ length: 9 }, () => 'exists')]);
      });

      it('adds a thousand in one call, and none of them twice in a second', async () => {
        const newcomers = addresses(1_000).map((email) => aNewcomer(email));

        const first = await engine.subscribers.add(GROUP, newcomers, anInstant());
        const second = await engine.subscribers.add(GROUP, newcomers, anInstant());

        expect(first.every(({ kind }) => kind === 'added')).toBe(true);
        expect(second.every(({ kind }) => kind === 'exists')).toBe(true);
        expect(await listAll(300)).toEqual(addresses(1_000));
      });

      it('keeps the same address in two groups apart', async () => {
        await add('ada@example.com');
        await engine.subscribers.add(OTHER, [aNewcomer('ada@example.com')], anInstant());

        await engine.subscribers.change(OTHER, aKey(), { status: 'unsubscribed' }, 1);

        expect((await engine.subscribers.find(GROUP, aKey()))?.status).toBe('active');
      });
    });

    it('finds nobody in a group that is not there, and nobody who is not in it', async () => {
      await add('ada@example.com');

      expect(await engine.subscribers.find(OTHER, aKey('ada@example.com'))).toBeUndefined();
      expect(await engine.subscribers.find(GROUP, aKey('bob@example.com'))).toBeUndefined();
    });

    describe('list', () => {
      it.each([1, 2, 3, SORTED.length, 50])(
        'lists everybody once, in order of key, in pages of %d',
        async (limit) => {
          await add(...SORTED.toReversed());
          await engine.subscribers.add(OTHER, [aNewcomer('b@example.com')], anInstant());

          const listed = await listAll(limit);

          expect(listed).toEqual(SORTED);
        },
      );

      it.each([1, 2, 3, 50])(
        'lists those of one status, however rare, in pages of %d that are full while there are more',
        async (limit) => {
          await add(...addresses(9));
          await addAs('bounced', 'a@example.com', 's00004x@example.com', 'z@example.com');
          await addAs('complained', 'b@example.com');

          const listed = await listAll(limit, 'bounced');

          expect(listed).toEqual(['a@example.com', 's00004x@example.com', 'z@example.com']);
        },
      );

      it('goes on behind somebody who has left', async () => {
        await add('ada@example.com', 'bob@example.com', 'cyd@example.com');
        await engine.subscribers.remove(GROUP, aKey('bob@example.com'));

        const page = await engine.subscribers.list(GROUP, {
          after: aKey('bob@example.com'),
          limit: 10,
          status: undefined,
        });

        expect(page.map(({ key }) => key)).toEqual(['cyd@example.com']);
      });

      it('lists subscribers as find answers them', async () => {
        await engine.subscribers.add(
          GROUP,
          [aNewcomer('Ada@example.com', { name: 'Ada', attributes: { a: [1] } })],
          anInstant(),
        );

        const page = await engine.subscribers.list(GROUP, { after: undefined, limit: 10, status: 'active' });

        expect(page).toEqual([await engine.subscribers.find(GROUP, aKey())]);
      });

      it('lists nobody of a group that is not there', async () => {
        const page = await engine.subscribers.list(GROUP, { after: undefined, limit: 10, status: undefined });

        expect(page).toEqual([]);
      });
    });

    describe('change', () => {
      it.each([
        ['its status', { status: 'unsubscribed' as const }],
        ['its name', { name: 'Augusta' }],
        ['its attributes', { attributes: { plan: 'team', seats: 3 } }],
        ['its time zone', { timeZone: 'Asia/Tokyo' }],
        ['nothing', {}],
      ])('writes %s, leaves the rest, and raises the version', async (_, change) => {
        const before = await aSubscriber();

        const after = await engine.subscribers.change(GROUP, before.key, change, 1);

        expect(after).toEqual({ ...before, ...change, version: 2 });
        expect(await engine.subscribers.find(GROUP, before.key)).toEqual(after);
      });

      it('empties what is changed to undefined', async () => {
        const before = await aSubscriber();

        await engine.subscribers.change(
          GROUP,
          before.key,
          { name: undefined, timeZone: undefined, attributes: {} },
          1,
        );

        const after = { ...before, name: undefined, timeZone: undefined, attributes: {}, version: 2 };
        expect(await engine.subscribers.find(GROUP, before.key)).toEqual(after);
      });

      it('changes nothing for whoever decided upon another version', async () => {
        const before = await aSubscriber();

        const change = engine.subscribers.change(GROUP, before.key, { name: 'Eve' }, 2);

        await expect(change).rejects.toThrow(VersionMismatchError);
        expect(await engine.subscribers.find(GROUP, before.key)).toEqual(before);
      });

      it('throws where there is no such subscriber, and makes none', async () => {
        await add('bob@example.com');

        const change = engine.subscribers.change(GROUP, aKey('ada@example.com'), { name: 'Ada' }, 1);

        await expect(change).rejects.toThrow(SubscriberNotFoundError);
        expect(await engine.subscribers.find(GROUP, aKey('ada@example.com'))).toBeUndefined();
      });

      it('lets one of many win who decided upon the same version', async () => {
        const before = await aSubscriber();

        const changes = await atOnce(5, async (index) =>
          engine.subscribers.change(GROUP, before.key, { name: `${index}` }, 1),
        );

        expect(answersOf(changes)).toEqual([await engine.subscribers.find(GROUP, before.key)]);
        for (const fault of faultsOf(changes)) {
          expect(fault).toBeInstanceOf(VersionMismatchError);
        }
      });
    });

    describe('remove', () => {
      it('erases the subscriber, and finds nobody when it runs twice', async () => {
        await add('ada@example.com', 'bob@example.com');

        await engine.subscribers.remove(GROUP, aKey('ada@example.com'));
        const second = engine.subscribers.remove(GROUP, aKey('ada@example.com'));

        await expect(second).rejects.toThrow(SubscriberNotFoundError);
        expect(await listAll(10)).toEqual(['bob@example.com']);
      });

      it('lets somebody join anew who had left', async () => {
        await addAs('unsubscribed', 'ada@example.com');
        await engine.subscribers.remove(GROUP, aKey());

        const later = plusMs(anInstant(), 1_000);
        const added = await engine.subscribers.add(GROUP, [aNewcomer()], later);

        const { kind, subscriber } = at(added, 0);
        expect(kind).toBe('added');
        expect(subscriber.status).toBe('active');
        expect(subscriber.joinedAt).toEqual(later);
        expect(subscriber.version).toBe(1);
      });

      it('erases nobody for whoever names another version', async () => {
        await add('ada@example.com');

        const removal = engine.subscribers.remove(GROUP, aKey(), 2);

        await expect(removal).rejects.toThrow(VersionMismatchError);
        expect(await engine.subscribers.find(GROUP, aKey())).toBeDefined();
      });

      it('erases the subscriber for whoever names the version', async () => {
        await add('ada@example.com');

        await engine.subscribers.remove(GROUP, aKey(), 1);

        expect(await engine.subscribers.find(GROUP, aKey())).toBeUndefined();
      });
    });

    it('says in which groups an address is, and in no other', async () => {
      await add('ada@example.com', 'bob@example.com');
      await engine.subscribers.add(OTHER, [aNewcomer('ada@example.com')], anInstant());
      await engine.suppressions.add({
        subscriber: aKey(),
        reason: 'manual',
        detail: undefined,
        addedAt: anInstant(),
      });

      const groups = await until('The index has both groups', INDEX_LIMIT_MS, async () => {
        const found = await engine.subscribers.listGroups(aKey());
        return found.length === 2 ? found : undefined;
      });

      expect(groups).toEqual([OTHER, GROUP]);
      expect(await engine.subscribers.listGroups(aKey('cyd@example.com'))).toEqual([]);
    });

    describe('pageMembers', () => {
      it.each([1, 2, 3, SORTED.length, 50])(
        'pages through everybody once, in order of key, by %d',
        async (limit) => {
          await add(...SORTED.toReversed());

          const members = await readPages<Member>(limit, async (last) =>
            engine.subscribers.pageMembers(GROUP, last?.key, limit),
          );

          expect(members).toEqual(
            SORTED.map((email) => ({ key: aKey(email), joinedAtMs: anInstant().epochMilliseconds })),
          );
        },
      );

      it('has members whatever their status', async () => {
        await add('a@example.com');
        await addAs('pending', 'b@example.com');
        await addAs('unsubscribed', 'c@example.com');
        await addAs('bounced', 'd@example.com');
        await addAs('complained', 'e@example.com');

        const members = await engine.subscribers.pageMembers(GROUP, undefined, 10);

        expect(members.map(({ key }) => key.at(0)).join('')).toBe('abcde');
      });

      it('fills a large page, because a short one means the end', async () => {
        await add(...addresses(1_000));

        const members = await engine.subscribers.pageMembers(GROUP, undefined, 999);

        expect(members.map(({ key }) => key)).toEqual(addresses(999));
      });
    });

    describe('countZones', () => {
      async function counted(): Promise<Readonly<Record<string, number>>> {
        const zones = await engine.subscribers.countZones(GROUP);
        return Object.fromEntries(zones.map(({ timeZone, count }) => [timeZone ?? 'none', count]));
      }

      it('counts the active subscribers of each zone, whatever case it was given in, and those without one', async () => {
        const zones = ['Europe/Paris', 'europe/paris', 'Asia/Tokyo', undefined, undefined];
        const newcomers = addresses(5).map((email, index) => aNewcomer(email, { timeZone: zones[index] }));
        await engine.subscribers.add(aGroupName('other'), newcomers, anInstant());
        await engine.subscribers.add(GROUP, newcomers, anInstant());
        await engine.subscribers.add(GROUP, newcomers, anInstant());

        expect(await counted()).toEqual({ 'europe/paris': 2, 'asia/tokyo': 1, none: 2 });
      });

      it('follows whoever comes, leaves, moves, or is not written to any more', async () => {
        expect(await counted()).toEqual({});
        const newcomers = addresses(6).map((email) => aNewcomer(email, { timeZone: 'Europe/Paris' }));
        const [first, second, third, fourth, fifth] = newcomers.map(({ email }) => aKey(email));
        const { subscribers } = engine;
        await subscribers.add(GROUP, newcomers.slice(0, 3), anInstant());
        expect(await counted()).toEqual({ 'europe/paris': 3 });

        await subscribers.add(GROUP, newcomers, anInstant());
        await subscribers.change(GROUP, aKey(first), { timeZone: 'Asia/Tokyo' }, 1);
        await subscribers.change(GROUP, aKey(second), { status: 'unsubscribed' }, 1);
        await subscribers.change(GROUP, aKey(second), { timeZone: 'Asia/Tokyo' }, 2);
        await subscribers.change(GROUP, aKey(third), { status: 'bounced', timeZone: undefined }, 1);
        await subscribers.change(GROUP, aKey(third), { status: 'active' }, 2);
        await subscribers.change(GROUP, aKey(fourth), { name: 'Ada' }, 1);
        await subscribers.remove(GROUP, aKey(fifth));
        await subscribers.remove(GROUP, aKey(second));

        expect(await counted()).toEqual({ 'asia/tokyo': 1, none: 1, 'europe/paris': 2 });
      });

      it('is right after many have changed at once', async () => {
        await add(...addresses(20));

        await atOnce(20, async (index) =>
          engine.subscribers.change(GROUP, aKey(addresses(20)[index]), { timeZone: 'Asia/Tokyo' }, 1),
        );

        expect(await counted()).toEqual({ 'asia/tokyo': 20 });
      });

      it('forgets everybody with the group', async () => {
        await add(...addresses(3));
        expect(await counted()).toEqual({ none: 3 });

        await engine.groups.remove(GROUP);
        expect(await counted()).toEqual({});
        await add('ada@example.com');

        expect(await counted()).toEqual({ none: 1 });
      });
    });

    describe('readRange', () => {
      it.each([
        [
          'both its ends',
          'b@example.com',
          'd@example.com',
          ['b@example.com', 'c@example.com', 'd@example.com'],
        ],
        ['one subscriber', 'c@example.com', 'c@example.com', ['c@example.com']],
        [
          'whoever is between ends that have left',
          'aa@example.com',
          'cc@example.com',
          ['b@example.com', 'c@example.com'],
        ],
        ['nobody, where all have left', 'x@example.com', 'z@example.com', []],
      ])('has %s', async (_, first, last, expected) => {
        await add('a@example.com', 'b@example.com', 'c@example.com', 'd@example.com', 'e@example.com');
        await engine.subscribers.add(OTHER, [aNewcomer('bb@example.com')], anInstant());

        const subscribers = await engine.subscribers.readRange(GROUP, {
          first: aKey(first),
          last: aKey(last),
        });

        expect(subscribers.map(({ key }) => key)).toEqual(expected);
      });

      it('has subscribers as find answers them, whatever their status, and as they are now', async () => {
        await addAs('unsubscribed', 'ada@example.com');

        const subscribers = await engine.subscribers.readRange(GROUP, { first: aKey(), last: aKey() });

        expect(subscribers).toEqual([await engine.subscribers.find(GROUP, aKey())]);
      });

      it('has whoever joined the range since', async () => {
        await add('a@example.com', 'c@example.com');
        const range = { first: aKey('a@example.com'), last: aKey('c@example.com') };
        await add('b@example.com', 'd@example.com');

        const subscribers = await engine.subscribers.readRange(GROUP, range);

        expect(subscribers.map(({ key }) => key)).toEqual([
          'a@example.com',
          'b@example.com',
          'c@example.com',
        ]);
      });
    });
  });
}

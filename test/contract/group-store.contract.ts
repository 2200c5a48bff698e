import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GroupInUseError, GroupNotFoundError, type GroupSettings } from '../../src/groups/group.ts';
import { parseSendWindow } from '../../src/groups/send-window.ts';
import { SUBSCRIBER_STATUSES } from '../../src/groups/subscriber.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import type { MessageStatus } from '../../src/schedule/message.ts';
import {
  aDelivery,
  aGroupName,
  aKey,
  aNewcomer,
  anInstant,
  aSealedContent,
  groupSettings,
} from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import {
  answersOf,
  aSettlement,
  at,
  atOnce,
  claimBatch,
  dispatchOne,
  faultsOf,
  readPages,
  schedule,
} from './steps.ts';

const GROUP = aGroupName();
const NOBODY = { active: 0, pending: 0, unsubscribed: 0, bounced: 0, complained: 0 };
const SETTINGS: GroupSettings = {
  from: 'Ada Lovelace <ada@example.com>',
  replyTo: 'office@example.com',
  timeZone: 'Europe/Paris',
  maxSendRate: 0.5,
  kind: 'transactional',
  optIn: 'double',
  displayName: 'Freunde der Brücke',
  listHelp: 'https://example.com/help',
  listOwner: 'mailto:owner@example.com',
  unsubscribeMailto: 'leave@example.com',
  postalAddress: 'Example Ltd\n1 Example Street',
  language: 'de',
  sendWindow: parseSendWindow({ from: '22:00', to: '06:30', days: ['mo', 'fr'], zone: 'subscriber' }, ''),
};
const NO_SETTINGS = groupSettings();

export function describeGroupStore(openEngine: OpenEngine): void {
  describe('GroupStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    it('finds no group that nobody made', async () => {
      const found = await engine.groups.find(GROUP);

      expect(found).toBeUndefined();
    });

    describe('put', () => {
      it('makes a group', async () => {
        const { group, created } = await engine.groups.put(GROUP, SETTINGS);

        expect(created).toBe(true);
        expect(group).toEqual({ name: GROUP, ...SETTINGS, addedAt: anInstant(), version: 1, counts: NOBODY });
        expect(await engine.groups.find(GROUP)).toEqual(group);
      });

      it('replaces the settings of a group, raises its version and keeps when it was added', async () => {
        await engine.groups.put(GROUP, SETTINGS);
        engine.clock.advance(1_000);

        const { group, created } = await engine.groups.put(GROUP, {
          ...NO_SETTINGS,
          replyTo: 'new@example.com',
        });

        expect(created).toBe(false);
        expect(group).toEqual({
          name: GROUP,
          ...groupSettings({ replyTo: 'new@example.com' }),
          addedAt: anInstant(),
          version: 2,
          counts: NOBODY,
        });
        expect(await engine.groups.find(GROUP)).toEqual(group);
      });

      it('raises the version again when it runs twice', async () => {
        await engine.groups.put(GROUP, SETTINGS);

        const { group } = await engine.groups.put(GROUP, SETTINGS);

        expect(group.version).toBe(2);
      });

      it('takes a change from whoever names the stored version', async () => {
        await engine.groups.put(GROUP, NO_SETTINGS);

        const { group } = await engine.groups.put(GROUP, SETTINGS, 1);

        expect(group.version).toBe(2);
      });

      it('changes nothing for whoever names another version', async () => {
        const { group } = await engine.groups.put(GROUP, SETTINGS);

        const put = engine.groups.put(GROUP, NO_SETTINGS, 2);

        await expect(put).rejects.toThrow(VersionMismatchError);
        expect(await engine.groups.find(GROUP)).toEqual(group);
      });

      it('makes no group for whoever names the version of one that is not there', async () => {
        const put = engine.groups.put(GROUP, SETTINGS, 1);

        await expect(put).rejects.toThrow(VersionMismatchError);
        expect(await engine.groups.find(GROUP)).toBeUndefined();
      });

      it('lets one of many win who decided upon the same version', async () => {
        await engine.groups.put(GROUP, NO_SETTINGS);

        const puts = await atOnce(5, async (index) =>
          engine.groups.put(GROUP, { ...SETTINGS, replyTo: `${index}@example.com` }, 1),
        );

        const stored = await engine.groups.find(GROUP);
        expect(answersOf(puts)).toEqual([{ group: stored, created: false }]);
        expect(stored?.version).toBe(2);
        for (const fault of faultsOf(puts)) {
          expect(fault).toBeInstanceOf(VersionMismatchError);
        }
      });

      it('says to one of many who make a group at once that it made it', async () => {
        const puts = await atOnce(5, async () => engine.groups.put(GROUP, SETTINGS));

        const answers = answersOf(puts);
        expect(answers.filter(({ created }) => created)).toHaveLength(1);
        expect(new Set(answers.map(({ group }) => group.version))).toEqual(new Set([1, 2, 3, 4, 5]));
      });
    });

    describe('list', () => {
      it('lists nothing where there is no group', async () => {
        const groups = await engine.groups.list({ after: undefined, limit: 10 });

        expect(groups).toEqual([]);
      });

      it.each([1, 2, 3, 7, 10])('lists every group once, in order of name, in pages of %d', async (limit) => {
        const names = ['0', '9-lives', 'a', 'a-b', 'a0', 'a_b', 'zebra'].map(aGroupName);
        for (const name of names.toReversed()) {
          await engine.groups.put(name, NO_SETTINGS);
        }

        const groups = await readPages<{ readonly name: (typeof names)[number] }>(limit, async (last) =>
          engine.groups.list({ after: last?.name, limit }),
        );

        expect(groups.map(({ name }) => name)).toEqual(names);
      });

      it('goes on behind a name that is not there any more', async () => {
        await engine.groups.put(aGroupName('a'), NO_SETTINGS);
        await engine.groups.put(aGroupName('c'), NO_SETTINGS);

        const groups = await engine.groups.list({ after: aGroupName('b'), limit: 10 });

        expect(groups.map(({ name }) => name)).toEqual(['c']);
      });

      it('lists groups as find answers them', async () => {
        await engine.groups.put(GROUP, SETTINGS);
        await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());

        const groups = await engine.groups.list({ after: undefined, limit: 10 });

        expect(groups).toEqual([await engine.groups.find(GROUP)]);
      });
    });

    describe('counts', () => {
      it('counts whoever is added once, however often they are added', async () => {
        const newcomers = ['ada@example.com', 'bob@example.com', 'ADA@example.com'].map((email) =>
          aNewcomer(email),
        );

        await engine.subscribers.add(GROUP, newcomers, anInstant());
        await engine.subscribers.add(GROUP, newcomers, anInstant());

        expect((await engine.groups.find(GROUP))?.counts).toEqual({ ...NOBODY, active: 2 });
      });

      it('counts whoever many add at once only once', async () => {
        await atOnce(10, async () => engine.subscribers.add(GROUP, [aNewcomer()], anInstant()));

        expect((await engine.groups.find(GROUP))?.counts).toEqual({ ...NOBODY, active: 1 });
      });

      it.each(SUBSCRIBER_STATUSES)(
        'counts a subscriber who becomes %s there and nowhere else',
        async (status) => {
          await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());
          await engine.subscribers.change(GROUP, aKey(), { status: 'bounced' }, 1);

          await engine.subscribers.change(GROUP, aKey(), { status }, 2);

          expect((await engine.groups.find(GROUP))?.counts).toEqual({ ...NOBODY, [status]: 1 });
        },
      );

      it('counts as before after a change that leaves the status', async () => {
        await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());

        await engine.subscribers.change(GROUP, aKey(), { name: 'Ada' }, 1);

        expect((await engine.groups.find(GROUP))?.counts).toEqual({ ...NOBODY, active: 1 });
      });

      it('counts nobody who was removed or whose change was refused', async () => {
        await engine.subscribers.add(
          GROUP,
          [aNewcomer('ada@example.com'), aNewcomer('bob@example.com')],
          anInstant(),
        );

        await engine.subscribers.remove(GROUP, aKey('ada@example.com'));
        await atOnce(1, async () =>
          engine.subscribers.change(GROUP, aKey('bob@example.com'), { status: 'bounced' }, 9),
        );

        expect((await engine.groups.find(GROUP))?.counts).toEqual({ ...NOBODY, active: 1 });
      });

      it('leaves the version as it is, because counts are not settings', async () => {
        await engine.groups.put(GROUP, SETTINGS);

        await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());

        expect((await engine.groups.find(GROUP))?.version).toBe(1);
      });
    });

    describe('remove', () => {
      it('removes the group and all its subscribers', async () => {
        const other = aGroupName('other');
        await engine.subscribers.add(
          GROUP,
          [aNewcomer('ada@example.com'), aNewcomer('bob@example.com')],
          anInstant(),
        );
        await engine.subscribers.add(other, [aNewcomer('ada@example.com')], anInstant());

        await engine.groups.remove(GROUP);

        expect(await engine.groups.find(GROUP)).toBeUndefined();
        expect(await engine.subscribers.pageMembers(GROUP, undefined, 10)).toEqual([]);
        expect(await engine.subscribers.find(other, aKey('ada@example.com'))).toBeDefined();
      });

      it('leaves nobody behind for a group that is made again under the name', async () => {
        await engine.groups.put(GROUP, SETTINGS);
        await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());
        await engine.groups.remove(GROUP);
        engine.clock.advance(1_000);

        const { group, created } = await engine.groups.put(GROUP, NO_SETTINGS);

        expect(created).toBe(true);
        expect(group).toEqual({
          name: GROUP,
          ...NO_SETTINGS,
          addedAt: plusMs(anInstant(), 1_000),
          version: 1,
          counts: NOBODY,
        });
        expect(await engine.subscribers.find(GROUP, aKey())).toBeUndefined();
      });

      it('finds nothing when it runs twice', async () => {
        await engine.groups.put(GROUP, SETTINGS);
        await engine.groups.remove(GROUP);

        const removal = engine.groups.remove(GROUP);

        await expect(removal).rejects.toThrow(GroupNotFoundError);
      });

      it('removes nothing for whoever names another version', async () => {
        const { group } = await engine.groups.put(GROUP, SETTINGS);

        const removal = engine.groups.remove(GROUP, 2);

        await expect(removal).rejects.toThrow(VersionMismatchError);
        expect(await engine.groups.find(GROUP)).toEqual(group);
      });

      it('removes the group for whoever names its version', async () => {
        await engine.groups.put(GROUP, SETTINGS);

        await engine.groups.remove(GROUP, 1);

        expect(await engine.groups.find(GROUP)).toBeUndefined();
      });

      it.each<MessageStatus>(['scheduled', 'held', 'paused', 'sending', 'failed'])(
        'is refused while a message of the group is %s, and changes nothing',
        async (status) => {
          await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());
          await schedule(engine, { status });
          await schedule(engine, { status: 'sent' });

          const removal = engine.groups.remove(GROUP);

          await expect(removal).rejects.toThrow(GroupInUseError);
          expect((await engine.groups.find(GROUP))?.counts).toEqual({ ...NOBODY, active: 1 });
          expect(await engine.subscribers.find(GROUP, aKey())).toBeDefined();
        },
      );

      it.each<MessageStatus>(['sent', 'cancelled', 'skipped'])(
        'goes through once its messages are %s',
        async (status) => {
          await schedule(engine, { status });
          await schedule(engine, { group: aGroupName('other') });

          await engine.groups.remove(GROUP);

          expect(await engine.groups.find(GROUP)).toBeUndefined();
        },
      );

      it('leaves the record of who got what', async () => {
        const { message, batch } = await dispatchOne(engine, ['ada@example.com']);
        const delivery = aDelivery('ada@example.com');
        await engine.deliveries.settle(
          await claimBatch(engine, batch),
          aSettlement(engine, { results: [delivery] }),
        );

        await engine.groups.remove(GROUP);

        const stored = at(
          await engine.messages.list(GROUP, {
            after: undefined,
            limit: 10,
            statuses: undefined,
            from: undefined,
            to: undefined,
          }),
          0,
        );
        expect(stored).toEqual(await engine.messages.find(GROUP, message.key));
        expect(stored.counts).toEqual({ subscribers: 1, sent: 1, failed: 0, skipped: 0, unknown: 0 });
        expect(await engine.messages.readContent(stored)).toEqual(aSealedContent().bytes);
        expect(await engine.deliveries.findDelivery(message.key, aKey('ada@example.com'))).toEqual(delivery);
        expect(
          await engine.deliveries.listDeliveries(message.key, {
            after: undefined,
            limit: 10,
            outcome: undefined,
          }),
        ).toEqual([delivery]);
      });
    });
  });
}

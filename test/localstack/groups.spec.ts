import { DeleteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AwsGroupStore } from '../../src/engines/aws/group-store.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { AwsSubscriberStore } from '../../src/engines/aws/subscriber-store.ts';
import { GroupInUseError, GroupNotFoundError } from '../../src/groups/group.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import { answersOf, atOnce, faultsOf } from '../contract/steps.ts';
import {
  addresses,
  aGroupName,
  aKey,
  aMessage,
  aNewcomer,
  anInstant,
  aSealedContent,
  groupSettings,
} from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { type AwsGround, openAwsGround } from './aws-ground.ts';

/* What is true of groups and subscribers in DynamoDB only: pages of 1 MB, transactions of 100 items, and a removal in several steps. */

const GROUP = aGroupName();
// Three of these fill more than a page of a query: 1 MB.
const LARGE = { attributes: { text: 'x'.repeat(8_000) } };

describe('groups and subscribers in DynamoDB', () => {
  let ground: AwsGround;
  let groups: AwsGroupStore;
  let subscribers: AwsSubscriberStore;
  let messages: AwsMessageStore;

  beforeEach(async () => {
    ground = await openAwsGround();
    const clock = new ManualClock(anInstant());
    groups = new AwsGroupStore(ground.clients, ground.names, clock);
    subscribers = new AwsSubscriberStore(ground.clients, ground.names);
    messages = new AwsMessageStore(ground.clients, ground.names, clock);
  });
  afterEach(async () => {
    await ground.close();
  });

  it('reads a page of subscribers that DynamoDB gives in several', async () => {
    await add(300, LARGE);

    const listed = await subscribers.list(GROUP, { after: undefined, limit: 300, status: undefined });
    const members = await subscribers.pageMembers(GROUP, undefined, 300);
    const range = await subscribers.readRange(GROUP, {
      first: aKey(addresses(300).at(0)),
      last: aKey(addresses(300).at(-1)),
    });

    expect(listed.map(({ key }) => key)).toEqual(addresses(300));
    expect(members.map(({ key }) => key)).toEqual(addresses(300));
    expect(range).toEqual(listed);
  });

  it('finds those of a rare status behind several pages that hold none', async () => {
    await add(300, LARGE);
    const last = aKey(addresses(300).at(-1));
    await subscribers.change(GROUP, last, { status: 'bounced' }, 1);

    const listed = await subscribers.list(GROUP, { after: undefined, limit: 2, status: 'bounced' });

    expect(listed.map(({ key }) => key)).toEqual([last]);
  });

  it('counts right what many change at once', async () => {
    await atOnce(8, async () => add(150));
    await atOnce(20, async (index) =>
      subscribers.change(GROUP, aKey(addresses(20)[index]), { status: 'unsubscribed' }, 1),
    );
    await atOnce(10, async (index) => subscribers.remove(GROUP, aKey(addresses(30)[index + 20])));

    expect((await groups.find(GROUP))?.counts).toMatchObject({ active: 120, unsubscribed: 20 });
    expect(await countMembers()).toBe(140);
  });

  it('counts the zones of a group that is older than the counts, and keeps them from then on', async () => {
    await add(3);
    await ground.clients.dynamo.send(
      new DeleteCommand({ TableName: ground.names.tables.groups, Key: { group_name: `${GROUP}#zones` } }),
    );
    await subscribers.change(GROUP, aKey(addresses(1).at(0)), { timeZone: 'Asia/Tokyo' }, 1);

    const counted = await subscribers.countZones(GROUP);
    await subscribers.change(GROUP, aKey(addresses(2).at(1)), { timeZone: 'Asia/Tokyo' }, 1);
    const kept = await subscribers.countZones(GROUP);

    const tokyo = { timeZone: 'asia/tokyo', count: 1 };
    expect(counted).toEqual(expect.arrayContaining([tokyo, { timeZone: undefined, count: 2 }]));
    expect(kept).toEqual(
      expect.arrayContaining([
        { ...tokyo, count: 2 },
        { timeZone: undefined, count: 1 },
      ]),
    );
  });

  describe('remove', () => {
    it('removes a group of more subscribers than fit into a transaction', async () => {
      await add(250);

      await groups.remove(GROUP);

      expect(await groups.find(GROUP)).toBeUndefined();
      expect(await countMembers()).toBe(0);
    });

    it('goes on where a removal has died', async () => {
      await add(150);
      await ground.clients.dynamo.send(
        new UpdateCommand({
          TableName: ground.names.tables.groups,
          Key: { group_name: GROUP },
          UpdateExpression: 'SET removal = :removal',
          ExpressionAttributeValues: { ':removal': 'of somebody who is gone' },
        }),
      );

      await groups.remove(GROUP);

      expect(await groups.find(GROUP)).toBeUndefined();
    });

    it('starts over when somebody is added just before the group goes, and leaves nobody behind', async () => {
      await add(1);
      beforeTransaction('Delete', async () => {
        await subscribers.add(GROUP, [aNewcomer('late@example.com')], anInstant());
      });

      await groups.remove(GROUP);

      expect(await groups.find(GROUP)).toBeUndefined();
      expect(await countMembers()).toBe(0);
    });

    it('removes nothing any more once somebody has changed the version that was named', async () => {
      await add(1);
      beforeTransaction('Delete', async () => {
        await groups.put(GROUP, groupSettings({ timeZone: 'Asia/Tokyo' }));
      });

      await expect(groups.remove(GROUP, 1)).rejects.toThrow(VersionMismatchError);

      expect((await groups.find(GROUP))?.timeZone).toBe('Asia/Tokyo');
    });

    it('is refused, with the counts right, when subscribers change and a message is scheduled in the middle', async () => {
      await add(3);
      await subscribers.countZones(GROUP);
      beforeTransaction('Update', async () => {
        await subscribers.change(GROUP, aKey(addresses(1).at(0)), { status: 'unsubscribed' }, 1);
      });
      beforeTransaction('Delete', async () => {
        await messages.create(aMessage(), aSealedContent());
      });

      await expect(groups.remove(GROUP)).rejects.toThrow(GroupInUseError);

      const group = await groups.find(GROUP);
      expect(await subscribers.countZones(GROUP)).toEqual([]);
      expect(group?.counts).toEqual({ active: 0, pending: 0, unsubscribed: 0, bounced: 0, complained: 0 });
      expect(await countMembers()).toBe(0);
    });

    it('lets one of many win', async () => {
      await add(150);

      const removals = await atOnce(4, async () => {
        await groups.remove(GROUP);
      });

      expect(answersOf(removals)).toHaveLength(1);
      for (const fault of faultsOf(removals)) {
        expect(fault).toBeInstanceOf(GroupNotFoundError);
      }
      expect(await countMembers()).toBe(0);
    });

    it('leaves no message without its group that is scheduled at the same time', async () => {
      await add(450);
      const message = aMessage();

      const [removal] = await Promise.allSettled([
        groups.remove(GROUP),
        messages.create(message, aSealedContent()),
      ]);

      const group = await groups.find(GROUP);
      expect(group).toBeDefined();
      expect(await countMembers()).toBe(group?.counts.active);
      expect(removal.status === 'fulfilled' || removal.reason instanceof GroupInUseError).toBe(true);
    });
  });

  describe('a message that is scheduled', () => {
    const SOON_MS = 60_000;

    it('does not have its group read again that was seen a moment before', async () => {
      await groups.put(GROUP, groupSettings());
      ground.clients.groupSightings.note(GROUP, performance.now() + SOON_MS);
      const reads = countGroupReads();

      await messages.create(aMessage(), aSealedContent(), { isGroupFound: true });

      expect(reads()).toBe(0);
    });

    it('takes the mark of a removal away that may have come since its group was seen', async () => {
      await groups.put(GROUP, groupSettings());
      ground.clients.groupSightings.note(GROUP, performance.now() - SOON_MS);
      beforeTransaction('Delete', async () => {
        await messages.create(aMessage(), aSealedContent(), { isGroupFound: true });
      });

      await expect(groups.remove(GROUP)).rejects.toThrow(GroupInUseError);
    });
  });

  /** Tells how often a group was read since. */
  function countGroupReads(): () => number {
    let count = 0;
    ground.clients.dynamo.middlewareStack.add(
      (next, { commandName }) => {
        const handle: typeof next = async (args) => {
          count += commandName === 'GetItemCommand' ? 1 : 0;
          return next(args);
        };
        return handle;
      },
      { step: 'initialize' },
    );
    return () => count;
  }

  /** Runs `action` once, just before a removal sends its next transaction that begins so: `Update` takes subscribers away, `Delete` the group. */
  function beforeTransaction(begins: 'Update' | 'Delete', action: () => Promise<void>): void {
    let isOver = false;
    ground.clients.dynamo.middlewareStack.add(
      (next) => {
        const handle: typeof next = async (args) => {
          const items = 'TransactItems' in args.input ? (args.input.TransactItems ?? []) : [];
          const [first, second] = items.map(operationOf);
          const isIt =
            first === `${begins} ${ground.names.tables.groups}` &&
            (begins === 'Delete' || second?.startsWith('Delete') === true);
          if (isIt && !isOver) {
            isOver = true;
            await action();
          }
          return next(args);
        };
        return handle;
      },
      { step: 'initialize' },
    );
  }

  async function add(count: number, details: { attributes?: Record<string, string> } = {}): Promise<void> {
    const newcomers = addresses(count).map((email) => aNewcomer(email, details));
    await subscribers.add(GROUP, newcomers, anInstant());
  }

  async function countMembers(): Promise<number> {
    return (await subscribers.pageMembers(GROUP, undefined, 1_000)).length;
  }
});

function operationOf(item: object): string {
  return Object.entries(item)
    .map(([name, { TableName }]: [string, { TableName?: string }]) => `${name} ${TableName}`)
    .join();
}

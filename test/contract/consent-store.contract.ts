import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ConsentEntry, type ConsentRecord, originOf } from '../../src/groups/consent.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { addresses, aGroupName, aKey, aNewcomer, anInstant } from '../support/builders.ts';
import { until } from '../support/until.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { answersOf, atOnce, readPages } from './steps.ts';

const GROUP = aGroupName();
const INDEX_LIMIT_MS = 20_000;

function anEntry(overrides: Partial<ConsentEntry> = {}): ConsentEntry {
  return {
    ...originOf('page', { ip: '2001:db8::1', wording: 'Yes, send me news.', messageKey: 'x' }),
    what: 'unsubscribed',
    at: plusMs(anInstant(), 60_000),
    ...overrides,
  };
}

export function describeConsentStore(openEngine: OpenEngine): void {
  describe('ConsentStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    async function entriesOf(email = 'ada@example.com'): Promise<readonly ConsentEntry[]> {
      return (await engine.consents.find(GROUP, aKey(email)))?.entries ?? [];
    }

    it('has an entry for whoever is added, and none for who was there', async () => {
      const origin = originOf('import', { ip: '192.0.2.1', wording: 'News', reason: 'Moved' });
      await engine.subscribers.add(GROUP, [aNewcomer('ada@example.com', { origin })], anInstant());
      await engine.subscribers.add(
        GROUP,
        [aNewcomer('ada@example.com'), aNewcomer('bob@example.com', { status: 'pending' })],
        plusMs(anInstant(), 1_000),
      );

      expect(await entriesOf()).toEqual([{ ...origin, what: 'subscribed', at: anInstant() }]);
      expect(await entriesOf('bob@example.com')).toEqual([
        { ...originOf('api'), what: 'pending', at: plusMs(anInstant(), 1_000) },
      ]);
      const { counts } = (await engine.groups.find(GROUP)) ?? {};
      expect(counts).toMatchObject({ active: 1, pending: 1 });
    });

    it('gets an entry with the change that it is about, or neither', async () => {
      await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());
      const change = { status: 'unsubscribed' as const, consent: anEntry() };

      await engine.subscribers.change(GROUP, aKey(), change, 1);
      const second = engine.subscribers.change(GROUP, aKey(), change, 1);

      await expect(second).rejects.toThrow(VersionMismatchError);
      expect((await entriesOf()).map(({ what }) => what)).toEqual(['subscribed', 'unsubscribed']);
      expect((await entriesOf()).at(-1)).toEqual(anEntry());
      expect((await engine.subscribers.find(GROUP, aKey()))?.status).toBe('unsubscribed');
    });

    it('outlives the subscriber and the group', async () => {
      await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());

      await engine.subscribers.remove(GROUP, aKey(), 1, anEntry({ what: 'removed' }));
      await engine.groups.remove(GROUP);
      await engine.subscribers.add(GROUP, [aNewcomer()], anInstant());

      expect((await entriesOf()).map(({ what }) => what)).toEqual(['subscribed', 'removed', 'subscribed']);
    });

    it('keeps entries in the order in which they come, and each once', async () => {
      const early = anEntry({ what: 'bounced', at: anInstant('2020-01-01T00:00Z') });
      await engine.consents.append(GROUP, aKey(), anEntry());
      await engine.consents.append(GROUP, aKey(), early);
      await engine.consents.append(GROUP, aKey(), anEntry());

      expect(await entriesOf()).toEqual([anEntry(), early]);
    });

    it('keeps all that come at the same time', async () => {
      const calls = await atOnce(5, async (index) =>
        engine.consents.append(GROUP, aKey(), anEntry({ reason: `${index}` })),
      );

      expect(answersOf(calls)).toHaveLength(5);
      expect((await entriesOf()).map(({ reason }) => String(reason)).toSorted()).toEqual([
        '0',
        '1',
        '2',
        '3',
        '4',
      ]);
    });

    it('has nothing of others', async () => {
      await engine.consents.append(GROUP, aKey(), anEntry());

      expect(await engine.consents.find(aGroupName('other'), aKey())).toBeUndefined();
      expect(await engine.consents.find(GROUP, aKey('bob@example.com'))).toBeUndefined();
    });

    it.each([2, 5])('lists the records of a group in order of address, in pages of %d', async (limit) => {
      const newcomers = addresses(5).map((email) => aNewcomer(email));
      await engine.subscribers.add(GROUP, newcomers, anInstant());
      await engine.consents.append(GROUP, aKey('s00002@example.com'), anEntry());
      await engine.consents.append(aGroupName('other'), aKey(), anEntry());

      const records = await readPages<ConsentRecord>(limit, async (last) =>
        engine.consents.list(GROUP, { after: last?.subscriber, limit }),
      );

      expect(records.map(({ subscriber }) => subscriber)).toEqual(addresses(5));
      expect(records[2]?.entries.map(({ what }) => what)).toEqual(['subscribed', 'unsubscribed']);
    });

    it('says in which groups something is recorded, and nothing once it is erased', async () => {
      await engine.consents.append(GROUP, aKey(), anEntry());
      await engine.consents.append(aGroupName('other'), aKey(), anEntry());

      const groups = await until('The index has both groups', INDEX_LIMIT_MS, async () => {
        const found = await engine.consents.listGroups(aKey());
        return found.length === 2 ? found : undefined;
      });
      await engine.consents.erase(GROUP, aKey());
      await engine.consents.erase(GROUP, aKey());

      expect(groups).toEqual(['other', 'serverless']);
      expect(await engine.consents.find(GROUP, aKey())).toBeUndefined();
    });
  });
}

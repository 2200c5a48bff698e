import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Suppression } from '../../src/groups/suppression.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { addresses, aKey, aNewcomer, anInstant, aGroupName } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { answersOf, atOnce, readPages } from './steps.ts';

function aSuppression(address?: string, overrides: Partial<Suppression> = {}): Suppression {
  return {
    subscriber: aKey(address),
    reason: 'bounced',
    detail: '550 5.1.1 No such user',
    addedAt: anInstant('2026-11-01T08:00:00.123Z'),
    ...overrides,
  };
}

export function describeSuppressionStore(openEngine: OpenEngine): void {
  describe('SuppressionStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    async function addAll(...emails: readonly string[]): Promise<void> {
      await Promise.all(emails.map((email) => engine.suppressions.add(aSuppression(email))));
    }

    it('finds an address as it was added, and no other', async () => {
      const wasNew = await engine.suppressions.add(aSuppression());

      expect(wasNew).toBe(true);
      expect(await engine.suppressions.find(aKey())).toEqual(aSuppression());
      expect(await engine.suppressions.find(aKey('bob@example.com'))).toBeUndefined();
    });

    it('keeps the first when an address is added again', async () => {
      await engine.suppressions.add(aSuppression());

      const wasNew = await engine.suppressions.add(
        aSuppression(undefined, {
          reason: 'manual',
          detail: undefined,
          addedAt: plusMs(anInstant(), 1),
        }),
      );

      expect(wasNew).toBe(false);
      expect(await engine.suppressions.find(aKey())).toEqual(aSuppression());
    });

    it('is new once for many who add an address at the same time', async () => {
      const calls = await atOnce(5, async () => engine.suppressions.add(aSuppression()));

      expect(answersOf(calls).map(String).toSorted()).toEqual(['false', 'false', 'false', 'false', 'true']);
    });

    it('removes an address once, and lets it be added anew', async () => {
      await engine.suppressions.add(aSuppression());

      expect(await engine.suppressions.remove(aKey())).toBe(true);
      expect(await engine.suppressions.remove(aKey())).toBe(false);

      expect(await engine.suppressions.find(aKey())).toBeUndefined();
      const anew = aSuppression(undefined, { reason: 'complained', detail: undefined });
      expect(await engine.suppressions.add(anew)).toBe(true);
      expect(await engine.suppressions.find(aKey())).toEqual(anew);
    });

    it('finds those of many that are suppressed, however many are asked about', async () => {
      await addAll('s00003@example.com', 's00149@example.com', 'z@example.com');

      const found = await engine.suppressions.findAmong(
        [...addresses(150), 's00003@example.com'].map((email) => aKey(email)),
      );

      expect([...found.keys()].toSorted()).toEqual(['s00003@example.com', 's00149@example.com']);
      expect(found.get(aKey('s00003@example.com'))).toEqual(aSuppression('s00003@example.com'));
    });

    it('finds nobody among nobody', async () => {
      await addAll('ada@example.com');

      expect(await engine.suppressions.findAmong([])).toEqual(new Map());
    });

    it.each([1, 2, 5])('lists everybody once, in order of address, in pages of %d', async (limit) => {
      await addAll('z@example.com', 'a0@example.com', 'a@example.com', 'a.b@example.com', 'a-b@example.com');

      const listed = await readPages<Suppression>(limit, async (last) =>
        engine.suppressions.list({ after: last?.subscriber, limit }),
      );

      expect(listed.map(({ subscriber }) => subscriber)).toEqual([
        'a-b@example.com',
        'a.b@example.com',
        'a0@example.com',
        'a@example.com',
        'z@example.com',
      ]);
    });

    it('may have somebody who was erased once it has', async () => {
      await engine.suppressions.add(aSuppression(undefined, { reason: 'erased', detail: undefined }));

      expect(await engine.suppressions.mayHaveErased()).toBe(true);
    });

    it('has nothing to do with groups: what is removed with one leaves it as it is', async () => {
      await engine.suppressions.add(aSuppression());
      await engine.subscribers.add(aGroupName(), [aNewcomer()], anInstant());

      await engine.groups.remove(aGroupName());

      expect(await engine.suppressions.find(aKey())).toEqual(aSuppression());
    });
  });
}

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Confirmation } from '../../src/groups/confirmation-store.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { aGroupName, aKey, anInstant } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { answersOf, atOnce } from './steps.ts';

const LATER = plusMs(anInstant(), 60_000);

function aConfirmation(overrides: Partial<Confirmation> = {}): Confirmation {
  return {
    group: aGroupName(),
    subscriber: aKey(),
    requestedAt: anInstant(),
    isWanted: true,
    sentCount: 0,
    lastSentAt: undefined,
    dueAt: anInstant(),
    version: 1,
    ...overrides,
  };
}

export function describeConfirmationStore(openEngine: OpenEngine): void {
  describe('ConfirmationStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    it('finds what was put, and no other', async () => {
      const full = aConfirmation({ isWanted: false, sentCount: 2, lastSentAt: LATER, version: 4 });

      expect(await engine.confirmations.put(full, undefined)).toBe(true);

      expect(await engine.confirmations.find(aGroupName(), aKey())).toEqual(full);
      expect(await engine.confirmations.find(aGroupName('other'), aKey())).toBeUndefined();
    });

    it('lets one of many win who put upon the same version', async () => {
      const first = aConfirmation();
      const begun = await atOnce(3, async () => engine.confirmations.put(first, undefined));
      const next = aConfirmation({ version: 2, dueAt: LATER });
      const changed = await atOnce(3, async () => engine.confirmations.put(next, first));

      expect(answersOf(begun).map(String).toSorted()).toEqual(['false', 'false', 'true']);
      expect(answersOf(changed).map(String).toSorted()).toEqual(['false', 'false', 'true']);
      expect(await engine.confirmations.find(aGroupName(), aKey())).toEqual(next);
    });

    it('finds what is due, the longest overdue first, and nothing before its time', async () => {
      const early = aConfirmation({ subscriber: aKey('z@example.com'), dueAt: plusMs(anInstant(), -1) });
      const now = aConfirmation({ subscriber: aKey('b@example.com') });
      const late = aConfirmation({ subscriber: aKey('a@example.com'), dueAt: plusMs(anInstant(), 1) });
      for (const one of [late, now, early]) {
        await engine.confirmations.put(one, undefined);
      }

      expect(await engine.confirmations.findDue(anInstant(), 10)).toEqual([early, now]);
      expect(await engine.confirmations.findDue(anInstant(), 1)).toEqual([early]);
      expect(await engine.confirmations.findDue(plusMs(anInstant(), 1), 10)).toEqual([early, now, late]);
    });

    it('is due once at its new time when that is moved, and never when it is removed', async () => {
      const first = aConfirmation();
      const moved = aConfirmation({ dueAt: LATER, version: 2 });
      await engine.confirmations.put(first, undefined);
      await engine.confirmations.put(moved, first);

      expect(await engine.confirmations.findDue(anInstant(), 10)).toEqual([]);
      expect(await engine.confirmations.findDue(LATER, 10)).toEqual([moved]);
      await engine.confirmations.remove(moved);
      await engine.confirmations.remove(moved);
      expect(await engine.confirmations.findDue(LATER, 10)).toEqual([]);
      expect(await engine.confirmations.put(first, undefined)).toBe(true);
    });
  });
}

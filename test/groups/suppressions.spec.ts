import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Suppressions } from '../../src/groups/suppressions.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { openSqlite, type SqliteEngine } from '../contract/open-sqlite.ts';
import { aKey, anInstant } from '../support/builders.ts';

const OLD = Buffer.alloc(32, 1);
const NEW = Buffer.alloc(32, 2);

describe('the hash of somebody who was erased', () => {
  let engine: SqliteEngine;
  let before: Suppressions;

  beforeEach(async () => {
    engine = await openSqlite();
    before = new Suppressions(engine.suppressions, new SigningKey(OLD));
    await before.erase(aKey(), anInstant());
  });
  afterEach(async () => {
    await engine.close();
  });

  it('is known while its key is, and means nothing under another', async () => {
    const rotated = new Suppressions(engine.suppressions, new SigningKey(NEW, [OLD]));
    const foreign = new Suppressions(engine.suppressions, new SigningKey(NEW));

    const keys = [aKey(), aKey('bob@example.com')];
    expect([...(await rotated.findAmong(keys)).keys()]).toEqual([aKey()]);
    expect(await foreign.find(aKey())).toBeUndefined();
  });

  it('goes when they come back, under whatever key it was made', async () => {
    const rotated = new Suppressions(engine.suppressions, new SigningKey(NEW, [OLD]));

    await rotated.restore(aKey());

    expect(await before.find(aKey())).toBeUndefined();
  });

  it('keeps the address from being suppressed by itself', async () => {
    const wasNew = await before.add({
      subscriber: aKey(),
      reason: 'complained',
      detail: undefined,
      addedAt: anInstant(),
    });

    expect(wasNew).toBe(false);
    expect(await engine.suppressions.find(aKey())).toBeUndefined();
  });
});

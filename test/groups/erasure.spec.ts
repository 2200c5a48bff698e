import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Confirmations } from '../../src/groups/confirmations.ts';
import { Erasure } from '../../src/groups/erasure.ts';
import { Suppressions } from '../../src/groups/suppressions.ts';
import { StoreUnavailableError } from '../../src/platform/errors/domain-error.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { openSqlite, type SqliteEngine } from '../contract/open-sqlite.ts';
import { aGroupName, aKey, anInstant, aNewcomer } from '../support/builders.ts';

const GROUP = aGroupName();
const ignore = (): void => undefined;

describe('an erasure', () => {
  let engine: SqliteEngine;
  let erasure: Erasure;

  beforeEach(async () => {
    engine = await openSqlite();
    const { subscribers, confirmations, consents, clock } = engine;
    const suppressions = new Suppressions(engine.suppressions, new SigningKey(Buffer.alloc(32)));
    const log = new Log({ debug: ignore, info: ignore, warn: ignore, error: ignore });
    erasure = new Erasure(suppressions, subscribers, confirmations, consents, clock, log);
  });
  afterEach(async () => {
    await engine.close();
  });

  it('goes on where it was interrupted, whatever is left', async () => {
    await engine.subscribers.add(GROUP, [aNewcomer(undefined, { status: 'pending' })], anInstant());
    const confirmations = new Confirmations(engine.confirmations, engine.subscribers, engine.clock);
    await confirmations.begin(GROUP, aKey());
    vi.spyOn(engine.confirmations, 'remove').mockRejectedValueOnce(new StoreUnavailableError());
    await expect(erasure.erase(aKey())).rejects.toThrow(StoreUnavailableError);

    await erasure.erase(aKey());

    expect(await engine.confirmations.find(GROUP, aKey())).toBeUndefined();
    expect(await engine.consents.find(GROUP, aKey())).toBeUndefined();
    expect(await engine.subscribers.find(GROUP, aKey())).toBeUndefined();
  });
});

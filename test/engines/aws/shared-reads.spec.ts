import { describe, expect, it } from 'vitest';
import { SharedReads } from '../../../src/engines/aws/shared-reads.ts';

/** A store whose reads answer what was stored when they began. */
class CountingStore {
  stored = 0;
  readCount = 0;

  readonly read = async (): Promise<number> => {
    this.readCount += 1;
    return this.stored;
  };
}

describe('SharedReads', () => {
  it('shares one read between all who ask in one turn, and it sees what was written until then', async () => {
    const store = new CountingStore();
    const reads = new SharedReads<number>();

    const asked = Array.from({ length: 50 }, () => reads.read('a', store.read));
    store.stored = 1;

    expect(await Promise.all(asked)).toEqual(Array.from({ length: 50 }, () => 1));
    expect(store.readCount).toBe(1);
  });

  it('never answers with a read that began before it was asked', async () => {
    const store = new CountingStore();
    const reads = new SharedReads<number>();
    const { promise: slow, resolve: end } = Promise.withResolvers<number>();
    const begun = Promise.withResolvers<void>();
    const first = reads.read('a', () => {
      begun.resolve();
      return slow;
    });
    await begun.promise;
    store.stored = 1;

    const second = reads.read('a', store.read);

    expect(await second).toBe(1);
    end(0);
    expect(await first).toBe(0);
  });

  it('reads apart what has another name', async () => {
    const reads = new SharedReads<string>();

    const answers = await Promise.all([reads.read('a', async () => 'A'), reads.read('b', async () => 'B')]);

    expect(answers).toEqual(['A', 'B']);
  });

  it('fails for all who share a read that fails, and reads again for the next', async () => {
    const store = new CountingStore();
    const reads = new SharedReads<number>();
    const fail = async (): Promise<number> => {
      throw new Error('throttled');
    };

    const shared = await Promise.allSettled([reads.read('a', fail), reads.read('a', store.read)]);

    expect(shared.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await reads.read('a', store.read)).toBe(0);
  });
});

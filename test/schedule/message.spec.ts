import { describe, expect, it } from 'vitest';
import { newMessageKey } from '../../src/schedule/message.ts';

describe('newMessageKey', () => {
  it('makes keys that sort in the order in which they were made, within a millisecond too', () => {
    const keys = Array.from({ length: 2_000 }, () => newMessageKey());

    expect(keys.toSorted()).toEqual(keys);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

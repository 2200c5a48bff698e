import type { SubscriberKey } from '../subscriber.ts';

// Each grows by itself, so that there are never two copies of all of it.
const SHARDS = 256;
const FIRST_SLOTS = 16;
const GROWTH = 1.5;
// Fuller, and the search for a free slot gets long.
const MAX_LOAD = 0.8;

/**
 * Which addresses a file has had, by 64 bits of hash each: a million take at most 15 MB, where a Set of texts would take 80. Two of five million
 * addresses have the same hash with a probability of one in a million; then a report calls a row a duplicate that is none, and
 * nothing else depends on it.
 */
export class SeenAddresses {
  readonly #shards = Array.from({ length: SHARDS }, () => new Shard());

  /** Notes the address; true where it was noted before. */
  add(key: SubscriberKey): boolean {
    const { high, low } = hashesOf(key);
    return this.#shards[high % SHARDS]?.add(high, low) === true;
  }

  /** True where it was noted. */
  has(key: SubscriberKey): boolean {
    const { high, low } = hashesOf(key);
    return this.#shards[high % SHARDS]?.has(high, low) === true;
  }
}

class Shard {
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #count = 0;

  /** True where it was there. */
  add(high: number, low: number): boolean {
    if (this.#count >= (this.#slots.length / 2) * MAX_LOAD) {
      this.#grow();
    }
    const isSeen = put(this.#slots, high, low);
    this.#count += isSeen ? 0 : 1;
    return isSeen;
  }

  has(high: number, low: number): boolean {
    return this.#slots[placeOf(this.#slots, high, low) + 1] !== 0;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * Math.ceil((before.length / 2) * GROWTH));
    for (let slot = 0; slot < before.length; slot += 2) {
      const [high = 0, low = 0] = [before[slot], before[slot + 1]];
      if (low !== 0) {
        put(this.#slots, high, low);
      }
    }
  }
}

/** True where it was there. */
function put(slots: Uint32Array, high: number, low: number): boolean {
  const place = placeOf(slots, high, low);
  const isThere = slots[place + 1] !== 0;
  slots[place] = high;
  slots[place + 1] = low;
  return isThere;
}

/** Where it is, or the free slot that it would take. */
function placeOf(slots: Uint32Array, high: number, low: number): number {
  const count = slots.length / 2;
  for (let slot = low % count; ; slot = (slot + 1) % count) {
    const found = slots[2 * slot + 1];
    if (found === 0 || (found === low && slots[2 * slot] === high)) {
      return 2 * slot;
    }
  }
}

function hashesOf(key: SubscriberKey): { readonly high: number; readonly low: number } {
  // `low` is never 0, which marks a free slot.
  return { high: hash(key, 0x01000193), low: (hash(key, 0x5bd1e995) | 1) >>> 0 };
}

/** FNV-1a over the characters, and MurmurHash3's mixing at its end, so that every bit depends on every character. */
function hash(text: string, multiplier: number): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), multiplier);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}

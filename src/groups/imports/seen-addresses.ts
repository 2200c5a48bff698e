import type { SubscriberKey } from '../subscriber.ts';

const FIRST_SLOTS = 1 << 12;
// Fuller, and the search for a free slot gets long.
const MAX_LOAD = 0.7;

/**
 * Which addresses a file has had, by 64 bits of hash each: a million take 16 MB, where a Set of texts would take 80. Two of five million
 * addresses have the same hash with a probability of one in a million; then a report calls a row a duplicate that is none, and
 * nothing else depends on it.
 */
export class SeenAddresses {
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #count = 0;

  /** Notes the address; true where it was noted before. */
  add(key: SubscriberKey): boolean {
    if (this.#count >= (this.#slots.length / 2) * MAX_LOAD) {
      this.#grow();
    }
    const isSeen = put(this.#slots, hash(key, 0x01000193), (hash(key, 0x5bd1e995) | 1) >>> 0); // never 0, which marks a free slot
    this.#count += isSeen ? 0 : 1;
    return isSeen;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
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
  const mask = slots.length / 2 - 1;
  for (let slot = high & mask; ; slot = (slot + 1) & mask) {
    const found = slots[2 * slot + 1];
    if (found === 0) {
      slots[2 * slot] = high;
      slots[2 * slot + 1] = low;
      return false;
    }
    if (found === low && slots[2 * slot] === high) {
      return true;
    }
  }
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

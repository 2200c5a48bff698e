// A process that is killed leaves in doubt what it handed over within about this time.
const WITHIN_MS = 100;

/**
 * How many mails go in one call: as many as the other end has lately taken within a tenth of a second, and no fewer than `least`. So a server
 * that takes thousands a second does not wait for the ledger after every few of them, and of one that is slow no more are in doubt at
 * any moment than can be under way.
 */
export class HandOverWindow {
  #size: number;

  constructor(
    private readonly least: number,
    private readonly most: number,
  ) {
    this.#size = least;
  }

  get size(): number {
    return this.#size;
  }

  /** `count` mails of one call were answered for after `tookMs`, all of them so that the next may be as many. */
  took(count: number, tookMs: number): void {
    const within = Math.floor((count * WITHIN_MS) / Math.max(tookMs, 1));
    if (tookMs > WITHIN_MS) {
      this.#size = Math.max(this.least, Math.min(this.#size, within));
    } else if (count >= this.#size) {
      this.#size = Math.min(this.most, within, 2 * this.#size);
    }
  }

  /** Something went wrong: it begins anew. */
  shrink(): void {
    this.#size = this.least;
  }
}

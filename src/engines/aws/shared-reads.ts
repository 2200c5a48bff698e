import { setImmediate as endOfTurn } from 'node:timers/promises';

/**
 * Whoever asks for the same thing in one turn of the event loop shares a read of it. It begins at the end of the turn, after all of them have
 * asked, so it sees whatever was written until then.
 */
export class SharedReads<Value> {
  readonly #next = new Map<string, Promise<Value>>();

  /** @param read of what is called `name`; where it rejects, all who share it are told so. */
  async read(name: string, read: () => Promise<Value>): Promise<Value> {
    const shared = this.#next.get(name) ?? this.#readAtEndOfTurn(name, read);
    this.#next.set(name, shared);
    return shared;
  }

  async #readAtEndOfTurn(name: string, read: () => Promise<Value>): Promise<Value> {
    await endOfTurn();
    this.#next.delete(name);
    return read();
  }
}

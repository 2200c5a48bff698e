import type { ServerResponse } from 'node:http';

/** The requests that have come in and are not answered yet. */
export class RequestsInHand {
  readonly #responses = new Set<ServerResponse>();
  readonly #waiting: (() => void)[] = [];

  add(response: ServerResponse): void {
    this.#responses.add(response);
    // Comes when all of the answer was handed over, and when the client went away.
    response.once('close', () => this.#end(response));
  }

  /** Resolves once none is left. */
  async drained(): Promise<void> {
    if (this.#responses.size > 0) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #end(response: ServerResponse): void {
    this.#responses.delete(response);
    if (this.#responses.size === 0) {
      for (const resolve of this.#waiting.splice(0)) {
        resolve();
      }
    }
  }
}

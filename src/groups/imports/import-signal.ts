import { Injectable } from '@nestjs/common';

/**
 * Tells whoever works imports, in the same process, that there is one. Only a hint: asking from time to time finds whatever this misses.
 */
@Injectable()
export class ImportSignal {
  #listener: () => void = () => undefined;

  /** The listener replaces the one before. */
  listen(listener: () => void): void {
    this.#listener = listener;
  }

  announce(): void {
    this.#listener();
  }
}

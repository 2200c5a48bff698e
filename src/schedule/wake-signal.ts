import { Injectable } from '@nestjs/common';
import type { Waking } from './message-store.ts';

/**
 * Tells whoever scans for due messages, in the same process, of a wake that was just set, so that a message for the
 * next moment need not wait for the next scan. Only a hint: the scan finds whatever this misses.
 */
@Injectable()
export class WakeSignal {
  #listener: (waking: Waking) => void = () => undefined;

  /** The listener replaces the one before. */
  listen(listener: (waking: Waking) => void): void {
    this.#listener = listener;
  }

  announce(waking: Waking): void {
    this.#listener(waking);
  }
}

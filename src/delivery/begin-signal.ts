import { Injectable } from '@nestjs/common';
import type { Message } from '../schedule/message.ts';

/** Tells, in the same process, that a message was claimed for the first time. Nobody waits for whoever listens. */
@Injectable()
export class BeginSignal {
  #listener: (message: Message) => void = () => undefined;

  /** The listener replaces the one before; it must neither throw nor take long. */
  listen(listener: (message: Message) => void): void {
    this.#listener = listener;
  }

  announce(message: Message): void {
    this.#listener(message);
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import { messageKeyOf } from '../support/sink-process.ts';
import type { SmtpSink } from '../support/smtp-sink.ts';
import type { Moment } from './plan.ts';

// A mail takes longer than that.
const LOOK_EVERY_MS = 5;

/** How far a run has come, as the mail server sees it. */
export class Progress {
  #beganAtMs = nowMs();
  readonly #sink: SmtpSink;
  readonly #countByMessage = new Map<string, number>();
  #countedMails = 0;

  constructor(sink: SmtpSink) {
    this.#sink = sink;
  }

  /** From when times count. */
  begin(): void {
    this.#beganAtMs = nowMs();
  }

  get beganAtMs(): number {
    return this.#beganAtMs;
  }

  /** Resolves when so many mails were taken, of one message or of all; or when the time is up, which counts from `sinceMs`. */
  async reached({ mails, limitMs }: Moment, sinceMs: number, messageKey?: string): Promise<void> {
    const enough = mails ?? Number.POSITIVE_INFINITY;
    while (nowMs() < sinceMs + limitMs && this.#count(messageKey) < enough) {
      await delay(LOOK_EVERY_MS);
    }
  }

  #count(messageKey: string | undefined): number {
    if (messageKey === undefined) {
      return this.#sink.received.length;
    }
    for (const mail of this.#sink.received.slice(this.#countedMails)) {
      const key = messageKeyOf(mail);
      this.#countByMessage.set(key, (this.#countByMessage.get(key) ?? 0) + 1);
      this.#countedMails += 1;
    }
    return this.#countByMessage.get(messageKey) ?? 0;
  }
}

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

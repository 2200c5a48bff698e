import type { Disturbance, Received } from '../support/smtp-sink.ts';

/*
 * What a run leaves behind, apart from what Belfry itself says: what the callers asked and were answered, what the mail server took
 * and turned away, and which processes stood still. All times are epoch milliseconds of one machine's clock.
 */

/** A request that was sent until it was answered. */
export interface Exchange {
  /** When it was first sent. */
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

export interface Member {
  readonly email: string;
  readonly added: Exchange;
  unsubscribed?: Exchange;
  removed?: Exchange;
}

/** A message that was answered 201. */
export interface AskedMessage {
  readonly key: string;
  readonly group: string;
  readonly dueAtMs: number;
  readonly onUnknown: 'resend' | 'leave';
  readonly posted: Exchange;
  cancelled?: Exchange;
  readonly pauses: Pause[];
  readonly retries: Exchange[];
}

export interface Pause {
  readonly paused: Exchange;
  resumed?: Exchange;
}

export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Evidence {
  readonly groups: ReadonlyMap<string, readonly Member[]>;
  readonly messages: readonly AskedMessage[];
  readonly mails: AsyncIterable<Received> | Iterable<Received>;
  readonly disturbances: readonly Disturbance[];
  /** While a process stood still. */
  readonly stops: readonly Span[];
  /** After which a delivery that is deferred ends. */
  readonly maxAttempts: number;
}

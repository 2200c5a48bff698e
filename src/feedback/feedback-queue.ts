/** Something that a provider says of a mail, as it was taken from the queue. */
export interface FeedbackTask {
  /** As the provider wrote it. */
  readonly body: string;
  /** It is in the ledger, or says nothing that matters: it is gone. Never rejects. */
  done(): Promise<void>;
  /** Not now: it comes out again, later each time, and is set aside after a few. Never rejects. */
  again(): Promise<void>;
  /** Never: it is set aside for somebody to look at. Never rejects. */
  leave(): Promise<void>;
}

/** What providers say of mails that they took. At least once, in no promised order. Nobody but an engine that has such a queue provides it. */
export abstract class FeedbackQueue {
  /** Up to `limit`; waits for one until `signal` is aborted or for as long as the engine thinks fit, then answers none. */
  abstract pull(limit: number, signal: AbortSignal): Promise<readonly FeedbackTask[]>;
}

import type { GroupName } from './group.ts';
import type { SubscriberKey } from './subscriber.ts';

/** That somebody who is `pending` is to be asked whether the address is theirs, and how far that has come. */
export interface Confirmation {
  readonly group: GroupName;
  readonly subscriber: SubscriberKey;
  readonly requestedAt: Temporal.Instant;
  /** A mail is to be sent: the first, or another one that was asked for. */
  readonly isWanted: boolean;
  readonly sentCount: number;
  readonly lastSentAt: Temporal.Instant | undefined;
  /** When somebody has to look at it next: to send, or because the time to confirm is over. */
  readonly dueAt: Temporal.Instant;
  readonly version: number;
}

/** Where confirmations live that are waited for. */
export abstract class ConfirmationStore {
  /**
   * Writes `after` in the place of `before`, which is what was read (absent: there was none). False where something else is stored by now, so
   * a second call answers false.
   */
  abstract put(after: Confirmation, before: Confirmation | undefined): Promise<boolean>;

  abstract find(group: GroupName, subscriber: SubscriberKey): Promise<Confirmation | undefined>;

  /** The first `limit` whose time has come, the longest overdue first. */
  abstract findDue(now: Temporal.Instant, limit: number): Promise<readonly Confirmation[]>;

  /** A second call finds nothing to remove. */
  abstract remove(confirmation: Confirmation): Promise<void>;
}

import type { GroupName } from '../groups/group.ts';
import type { SealedContent } from './content.ts';
import type { Finding } from './finding.ts';
import type { Message, MessageKey, MessageStatus } from './message.ts';
import type { SeriesKey } from './occurrence.ts';
import type { Series } from './series.ts';

/** What makes a second POST the same as the first. Kept for a day; afterwards the same key starts anew. */
export interface Idempotency {
  readonly key: string;
  /** Of the request; another one under the same key is refused. */
  readonly fingerprint: string;
  /** What the first request was answered, to be answered again. */
  readonly answer: string;
  readonly expiresAt: Temporal.Instant;
}

export type CreateResult =
  | { readonly kind: 'created' }
  /** The same request was answered before: nothing was stored now. */
  | { readonly kind: 'repeated'; readonly key: MessageKey; readonly answer: string }
  /** The key was used for another request: nothing was stored. */
  | { readonly kind: 'key-reused' }
  /** There is a message of this key: nothing was stored. */
  | { readonly kind: 'exists' }
  /** The series has changed since it was read: nothing was stored. */
  | { readonly kind: 'series-changed' };

/** What goes with a message of a series: the series itself with its first, or that it is still the version which was read. */
export interface SeriesCondition {
  readonly kind: 'new' | 'unchanged';
  readonly series: Series;
}

/** What may go with a message that is stored. */
export interface CreateTerms {
  readonly idempotency?: Idempotency | undefined;
  readonly series?: SeriesCondition | undefined;
  /** The caller has found the group just before, so nobody need look for it before the message is stored. */
  readonly isGroupFound?: boolean;
}

/** In order of `scheduleOn`, then key. */
export interface MessagePage {
  readonly after: { readonly scheduleOn: Temporal.Instant; readonly key: MessageKey } | undefined;
  readonly limit: number;
  readonly statuses: readonly MessageStatus[] | undefined;
  /** Included. */
  readonly from: Temporal.Instant | undefined;
  /** Not included. */
  readonly to: Temporal.Instant | undefined;
}

/** What a change of a message may write. */
export type MessageChange = Partial<
  Pick<
    Message,
    | 'subject'
    | 'from'
    | 'replyTo'
    | 'content'
    | 'tags'
    | 'status'
    | 'reason'
    | 'scheduleOn'
    | 'time'
    | 'occurrence'
    | 'dueAt'
    | 'localDelivery'
    | 'expiresAt'
    | 'onMissed'
    | 'onUnknown'
    | 'wakeAt'
    | 'retry'
    | 'brakeFrom'
    | 'contentFindings'
  >
>;

/** A message, or a series, that may need attention; only a conditional write decides. */
export type Waking = { readonly group: GroupName; readonly wakeAt: Temporal.Instant } & (
  | { readonly kind: 'message'; readonly key: MessageKey }
  | { readonly kind: 'series'; readonly key: SeriesKey }
);

/** Until when a message is left alone, by whoever holds its lease. */
export interface Rest {
  readonly token: string;
  readonly wakeAt: Temporal.Instant;
  /** When batches that were left behind were last looked for. */
  readonly lookedAt: Temporal.Instant | undefined;
}

export interface ClaimTerms {
  readonly token: string;
  readonly now: Temporal.Instant;
  readonly until: Temporal.Instant;
}

/**
 * Where messages and their content live. Content never comes after its record: a record without content would be sent empty.
 * A store returns what it holds and decides only what must be decided in the same write.
 */
export abstract class MessageStore {
  /**
   * Stores content and record, and makes the group where there is none. Durable once it resolves.
   * A second run with the same idempotency key stores nothing; nor does one with the same message key.
   * A new series is stored with the message, and with the same content: both or neither.
   */
  abstract create(message: Message, content: SealedContent, terms?: CreateTerms): Promise<CreateResult>;

  abstract find(group: GroupName, key: MessageKey): Promise<Message | undefined>;

  /** The one that was added last. */
  abstract findLatest(group: GroupName): Promise<Message | undefined>;

  abstract list(group: GroupName, page: MessagePage): Promise<readonly Message[]>;

  /**
   * The stored content, verified against the message's seal.
   * @throws {ContentDamagedError} where it is missing or has another hash.
   */
  abstract readContent(message: Message): Promise<Buffer>;

  /**
   * Writes the change, raises the version and ends any lease, so that whoever worked on the message can write nothing more for it.
   * A new status forgets when batches that were left behind were last looked for. New content comes with its seal in the change. A second run finds the next version and throws.
   * @throws {MessageNotFoundError}
   * @throws {VersionMismatchError} where the stored version is not `expectedVersion`.
   */
  abstract change(
    group: GroupName,
    key: MessageKey,
    expectedVersion: number,
    change: MessageChange,
    content?: SealedContent,
  ): Promise<Message>;

  /** Messages and series whose wake comes at `until` or earlier, soonest first. May lag behind the records; never decides anything. */
  abstract findWaking(until: Temporal.Instant, limit: number): Promise<readonly Waking[]>;

  /**
   * Takes the lease of a message whose wake has come, and moves the wake to the end of the lease, where a claimer that dies is found.
   * A `scheduled` message becomes `sending`, which raises its version. Of many claimers one gets the message, the others `undefined`;
   * so does a claim whose wake has not come or that finds a lease which has not ended.
   */
  abstract claim(group: GroupName, key: MessageKey, terms: ClaimTerms): Promise<Message | undefined>;

  /**
   * Moves the wake of a message that is still `scheduled` and has this version, which stays; does nothing to another, and so does a second
   * run where somebody has changed it meanwhile.
   */
  abstract postpone(
    group: GroupName,
    key: MessageKey,
    expectedVersion: number,
    wakeAt: Temporal.Instant,
  ): Promise<void>;

  /**
   * Keeps what was found of the message's sending, instead of what was found before; version and lease stay, whoever has it. Does nothing
   * where there is no such message, and a second run changes nothing.
   */
  abstract noteFindings(group: GroupName, key: MessageKey, findings: readonly Finding[]): Promise<void>;

  /** Ends the lease and sets the next wake. Does nothing where the token is not the lease's any more. */
  abstract rest(group: GroupName, key: MessageKey, rest: Rest): Promise<void>;
}

import type { ConsentEntry, ConsentOrigin } from './consent.ts';
import type { GroupName } from './group.ts';
import type {
  Attributes,
  Subscriber,
  SubscriberEmail,
  SubscriberKey,
  SubscriberStatus,
} from './subscriber.ts';

/** A subscriber to be: everything that a caller may say about one. */
export interface Newcomer {
  readonly email: SubscriberEmail;
  readonly name: string | undefined;
  readonly attributes: Attributes;
  readonly timeZone: string | undefined;
  /** `pending` where they have to confirm first; absent: `active`. */
  readonly status?: 'active' | 'pending';
  /** They were erased, perhaps, and want to be written to again. */
  readonly isResubscribed?: boolean;
  /** How they came to be added, for the consent record; absent: by the API, and nothing more is known. */
  readonly origin?: ConsentOrigin;
}

/** `exists`: the address was in the group already, and is left exactly as it was. */
export interface Added {
  readonly kind: 'added' | 'exists';
  readonly subscriber: Subscriber;
}

export interface SubscriberPage {
  readonly after: SubscriberKey | undefined;
  readonly limit: number;
  readonly status: SubscriberStatus | undefined;
}

/** What changes; a field that is absent stays, `undefined` empties it. */
export interface SubscriberChange {
  readonly status?: SubscriberStatus;
  readonly name?: string | undefined;
  readonly attributes?: Attributes;
  readonly timeZone?: string | undefined;
  /** What the change means; written into the consent record with it, both or neither. */
  readonly consent?: ConsentEntry;
}

/** A contiguous range of a group's subscribers, both ends included, in the order of their keys. */
export interface SubscriberRange {
  readonly first: SubscriberKey;
  readonly last: SubscriberKey;
}

/** What dispatch needs of a subscriber. */
export interface Member {
  readonly key: SubscriberKey;
  /** Epoch milliseconds: an instant for each of a million members would take twice the time and memory. */
  readonly joinedAtMs: number;
}

/** How many active subscribers have a zone, in lower case; absent: none. */
export interface ZoneCount {
  readonly timeZone: string | undefined;
  readonly count: number;
}

/** Where subscribers live. */
export abstract class SubscriberStore {
  /**
   * Adds each newcomer, joined at `at`, says so in the consent record, and answers for each in the order given; makes the group where there is none.
   * An address that is there already (an earlier one of the same call too) is `exists`, so a second run changes nothing.
   */
  abstract add(
    group: GroupName,
    newcomers: readonly Newcomer[],
    at: Temporal.Instant,
  ): Promise<readonly Added[]>;

  abstract find(group: GroupName, key: SubscriberKey): Promise<Subscriber | undefined>;

  /** In order of key. */
  abstract list(group: GroupName, page: SubscriberPage): Promise<readonly Subscriber[]>;

  /**
   * Applies the change and raises the version; a second run raises it again.
   * The subscriber must have the version that the caller decided upon.
   * @throws {SubscriberNotFoundError}
   * @throws {VersionMismatchError}
   */
  abstract change(
    group: GroupName,
    key: SubscriberKey,
    change: SubscriberChange,
    expectedVersion: number,
  ): Promise<Subscriber>;

  /**
   * Takes the subscriber out of the group, and says so in the consent record where `consent` is given. A second run finds nobody and throws.
   * @throws {SubscriberNotFoundError}
   * @throws {VersionMismatchError} where `expectedVersion` is given and differs.
   */
  abstract remove(
    group: GroupName,
    key: SubscriberKey,
    expectedVersion?: number,
    consent?: ConsentEntry,
  ): Promise<void>;

  /** The groups that the address is in, whatever its status there, in order of name; one that it joined a moment ago may be missing. */
  abstract listGroups(key: SubscriberKey): Promise<readonly GroupName[]>;

  /** The next `limit` members after `after`, in order of key, whatever the status: dispatch cuts them into batches. */
  abstract pageMembers(
    group: GroupName,
    after: SubscriberKey | undefined,
    limit: number,
  ): Promise<readonly Member[]>;

  /** The active subscribers by zone, in no order; counted as they change, so it is quick however large the group. */
  abstract countZones(group: GroupName): Promise<readonly ZoneCount[]>;

  /** Everybody who is in the range now, in order of key; a range holds one batch (at most 50), and whoever joined it since. */
  abstract readRange(group: GroupName, range: SubscriberRange): Promise<readonly Subscriber[]>;
}

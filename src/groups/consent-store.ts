import type { ConsentEntry, ConsentRecord } from './consent.ts';
import type { GroupName } from './group.ts';
import type { SubscriberKey } from './subscriber.ts';

export interface ConsentPage {
  /** Addresses after this one; from the first where absent. */
  readonly after: SubscriberKey | undefined;
  readonly limit: number;
}

/**
 * Where it is recorded who agreed to what, and when. Entries are added and never changed; they outlive the subscriber and the group, and go
 * only when the person is erased. What a change of a subscriber means is recorded with it, by SubscriberStore.
 */
export abstract class ConsentStore {
  /** Adds an entry at the end of the record. A second call with the same entry changes nothing. */
  abstract append(group: GroupName, subscriber: SubscriberKey, entry: ConsentEntry): Promise<void>;

  abstract find(group: GroupName, subscriber: SubscriberKey): Promise<ConsentRecord | undefined>;

  /** Those of a group, in order of address. */
  abstract list(group: GroupName, page: ConsentPage): Promise<readonly ConsentRecord[]>;

  /** The groups in which something is recorded of the address; one that was recorded a moment ago may be missing. */
  abstract listGroups(subscriber: SubscriberKey): Promise<readonly GroupName[]>;

  /** Removes the whole record, because the person is erased. A second call finds nothing to remove. */
  abstract erase(group: GroupName, subscriber: SubscriberKey): Promise<void>;
}

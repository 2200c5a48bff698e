import type { SubscriberKey } from './subscriber.ts';
import type { Suppression } from './suppression.ts';

export interface SuppressionPage {
  /** Addresses after this one; from the first where absent. */
  readonly after: SubscriberKey | undefined;
  readonly limit: number;
}

/** Where the addresses stand to which nothing is sent, whatever group they are in. */
export abstract class SuppressionStore {
  /** Answers whether it was new. A second call for the same address keeps the first, whatever its reason. */
  abstract add(suppression: Suppression): Promise<boolean>;

  /** Answers whether it was there; so a second call answers false. */
  abstract remove(subscriber: SubscriberKey): Promise<boolean>;

  abstract find(subscriber: SubscriberKey): Promise<Suppression | undefined>;

  /** Of these, those that are suppressed. */
  abstract findAmong(subscribers: readonly SubscriberKey[]): Promise<ReadonlyMap<SubscriberKey, Suppression>>;

  /** False only where nobody was erased: spares whoever asks about many the hashing of each. True where knowing would cost more than that. */
  abstract mayHaveErased(): Promise<boolean>;

  /** In order of address. */
  abstract list(page: SuppressionPage): Promise<readonly Suppression[]>;
}

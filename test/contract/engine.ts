import type { DeliveryStore } from '../../src/delivery/delivery-store.ts';
import type { RateStore } from '../../src/delivery/rate/rate-store.ts';
import type { WorkQueue } from '../../src/delivery/work-queue.ts';
import type { GroupStore } from '../../src/groups/group-store.ts';
import type { ImportStore } from '../../src/groups/imports/import-store.ts';
import type { SubscriberStore } from '../../src/groups/subscriber-store.ts';
import type { ConfirmationStore } from '../../src/groups/confirmation-store.ts';
import type { ConsentStore } from '../../src/groups/consent-store.ts';
import type { SuppressionStore } from '../../src/groups/suppression-store.ts';
import type { MessageStore } from '../../src/schedule/message-store.ts';
import type { SeriesStore } from '../../src/schedule/series-store.ts';
import type { ManualClock } from '../support/manual-clock.ts';

/** Everything that an engine implements, on state of its own. */
export interface Engine {
  readonly groups: GroupStore;
  readonly subscribers: SubscriberStore;
  readonly suppressions: SuppressionStore;
  readonly consents: ConsentStore;
  readonly confirmations: ConfirmationStore;
  readonly imports: ImportStore;
  readonly messages: MessageStore;
  readonly series: SeriesStore;
  readonly deliveries: DeliveryStore;
  readonly queue: WorkQueue;
  readonly rates: RateStore;
  /** The clock that the stores were given; it stands at `anInstant()`. */
  readonly clock: ManualClock;
  close(): Promise<void>;
}

/** Opens an engine that holds nothing yet. */
export type OpenEngine = () => Promise<Engine>;

import { AwsConfirmationStore } from '../../src/engines/aws/confirmation-store.ts';
import { AwsConsentStore } from '../../src/engines/aws/consent-store.ts';
import { AwsDeliveryStore } from '../../src/engines/aws/delivery-store.ts';
import { AwsGroupStore } from '../../src/engines/aws/group-store.ts';
import { AwsImportStore } from '../../src/engines/aws/import-store.ts';
import { AwsMessageStore } from '../../src/engines/aws/message-store.ts';
import { AwsRateStore } from '../../src/engines/aws/rate-store.ts';
import { AwsSeriesStore } from '../../src/engines/aws/series-store.ts';
import { AwsSubscriberStore } from '../../src/engines/aws/subscriber-store.ts';
import { AwsSuppressionStore } from '../../src/engines/aws/suppression-store.ts';
import { SqsWorkQueue } from '../../src/engines/aws/work-queue.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { type AwsGround, openAwsGround } from '../localstack/aws-ground.ts';
import { anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { Engine } from './engine.ts';

const ignore = (): void => undefined;
const SILENT_LOG = new Log({ debug: ignore, info: ignore, warn: ignore, error: ignore });

/** The engine `aws`, on tables, a bucket and a queue of its own at AWS_ENDPOINT_URL; it removes them when it is closed. */
export async function openAws(): Promise<Engine> {
  return openAwsOn(await openAwsGround({ hasQueues: true }));
}

/** The same without a queue: nothing is there where its work queue would be. */
export async function openAwsStores(): Promise<Engine> {
  return openAwsOn(await openAwsGround());
}

/** The engine `aws` on what is there. */
export function openAwsOn(ground: Pick<AwsGround, 'clients' | 'names' | 'close'>): Engine {
  const { clients, names } = ground;
  const clock = new ManualClock(anInstant());
  return {
    groups: new AwsGroupStore(clients, names, clock),
    subscribers: new AwsSubscriberStore(clients, names),
    suppressions: new AwsSuppressionStore(clients, names),
    consents: new AwsConsentStore(clients, names),
    confirmations: new AwsConfirmationStore(clients, names),
    imports: new AwsImportStore(clients, names),
    messages: new AwsMessageStore(clients, names, clock),
    series: new AwsSeriesStore(clients, names, clock),
    deliveries: new AwsDeliveryStore(clients, names),
    queue: new SqsWorkQueue(clients, names, clock, SILENT_LOG, parseSettings({})),
    rates: new AwsRateStore(clients, names),
    clock,
    close: () => ground.close(),
  };
}

import { Global, Inject, Module, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { DeliveryStore } from '../../delivery/delivery-store.ts';
import { RateStore } from '../../delivery/rate/rate-store.ts';
import { WorkQueue } from '../../delivery/work-queue.ts';
import { ConfirmationStore } from '../../groups/confirmation-store.ts';
import { ConsentStore } from '../../groups/consent-store.ts';
import { FeedbackQueue } from '../../feedback/feedback-queue.ts';
import { GroupStore } from '../../groups/group-store.ts';
import { ImportStore } from '../../groups/imports/import-store.ts';
import { SubscriberStore } from '../../groups/subscriber-store.ts';
import { SuppressionStore } from '../../groups/suppression-store.ts';
import { type AwsSettings, Settings } from '../../platform/config/settings.ts';
import { Log } from '../../platform/logging/log.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { Metrics } from '../../platform/metrics/metrics.ts';
import { Readiness } from '../../platform/health/readiness.ts';
import { MessageStore } from '../../schedule/message-store.ts';
import { SeriesStore } from '../../schedule/series-store.ts';
import { AwsClients, openAwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { ContentSweeper } from './content-sweeper.ts';
import { AwsDeliveryStore } from './delivery-store.ts';
import { AwsConfirmationStore } from './confirmation-store.ts';
import { AwsConsentStore } from './consent-store.ts';
import { SqsFeedbackQueue } from './feedback-queue.ts';
import { AwsGroupStore } from './group-store.ts';
import { AwsImportStore } from './import-store.ts';
import { AwsMessageStore } from './message-store.ts';
import { readItem } from './read-items.ts';
import { AwsRateStore } from './rate-store.ts';
import { AwsSeriesStore } from './series-store.ts';
import { AwsSubscriberStore } from './subscriber-store.ts';
import { AwsSuppressionStore } from './suppression-store.ts';
import { SweepRunner } from './sweep-runner.ts';
import { SqsWorkQueue } from './work-queue.ts';

/** The `aws` engine: every store on DynamoDB, S3 and SQS. It is told the names of what is there, and makes nothing. */
@Global()
@Module({
  providers: [
    {
      provide: AwsClients,
      useFactory: (settings: Settings, metrics: Metrics): AwsClients =>
        openAwsClients(awsOf(settings).endpointUrl, metrics),
      inject: [Settings, Metrics],
    },
    {
      provide: AwsNames,
      useFactory: (settings: Settings): AwsNames => new AwsNames(awsOf(settings)),
      inject: [Settings],
    },
    { provide: GroupStore, useClass: AwsGroupStore },
    { provide: ConfirmationStore, useClass: AwsConfirmationStore },
    { provide: ConsentStore, useClass: AwsConsentStore },
    { provide: SubscriberStore, useClass: AwsSubscriberStore },
    { provide: SuppressionStore, useClass: AwsSuppressionStore },
    { provide: ImportStore, useClass: AwsImportStore },
    { provide: MessageStore, useClass: AwsMessageStore },
    { provide: SeriesStore, useClass: AwsSeriesStore },
    { provide: DeliveryStore, useClass: AwsDeliveryStore },
    { provide: RateStore, useClass: AwsRateStore },
    SqsWorkQueue,
    { provide: WorkQueue, useExisting: SqsWorkQueue },
    {
      provide: FeedbackQueue,
      useFactory: (
        clients: AwsClients,
        names: AwsNames,
        clock: Clock,
        log: Log,
      ): FeedbackQueue | undefined =>
        names.feedbackQueueUrl === undefined
          ? undefined
          : new SqsFeedbackQueue(clients, names.feedbackQueueUrl, clock, log),
      inject: [AwsClients, AwsNames, Clock, Log],
    },
    ContentSweeper,
    SweepRunner,
  ],
  exports: [
    GroupStore,
    ConfirmationStore,
    ConsentStore,
    SubscriberStore,
    ImportStore,
    SuppressionStore,
    MessageStore,
    SeriesStore,
    DeliveryStore,
    RateStore,
    WorkQueue,
    FeedbackQueue,
  ],
})
export class AwsEngineModule implements OnApplicationShutdown {
  constructor(
    readiness: Readiness,
    names: AwsNames,
    private readonly clients: AwsClients,
    private readonly queue: SqsWorkQueue,
    @Optional() @Inject(FeedbackQueue) private readonly feedback: SqsFeedbackQueue | undefined,
  ) {
    readiness.register({
      name: 'dynamodb',
      check: async () => {
        await readItem(clients.dynamo, names.tables.groups, { group_name: '#readiness' });
      },
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await Promise.all([this.queue.close(), this.feedback?.close()]); // a poll that were cut now would swallow what it takes
    this.clients.close();
  }
}

function awsOf(settings: Settings): AwsSettings {
  if (!settings.aws) {
    throw new Error('The aws engine was loaded without its settings.');
  }
  return settings.aws;
}

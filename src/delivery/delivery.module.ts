import { Module } from '@nestjs/common';
import { ConsentModule } from '../consent/consent.module.ts';
import { GroupsModule } from '../groups/groups.module.ts';
import { Clock } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { ScheduleModule } from '../schedule/schedule.module.ts';
import { BATCH_SIZE } from './batch.ts';
import { BatchesController } from './batches.controller.ts';
import { BatchWorker } from './batch-worker.ts';
import { BeginSignal } from './begin-signal.ts';
import { Brake } from './brake.ts';
import { Channel } from './channels/channel.ts';
import { OutboxChannel } from './channels/outbox.channel.ts';
import { SmtpChannel } from './channels/smtp.channel.ts';
import { ConfirmationSender } from './confirmation-sender.ts';
import { DeliveriesController } from './deliveries.controller.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import { DeliveryRunner } from './delivery-runner.ts';
import { Dispatcher } from './dispatcher.ts';
import { DueScanner } from './due-scanner.ts';
import { MailMakers } from './mail-maker.ts';
import { MessageStopper } from './message-stopper.ts';
import { Outbox } from './outbox/outbox.ts';
import { OutboxController } from './outbox/outbox.controller.ts';
import { DomainRecords } from './preflight/domain-records.ts';
import { Preflight } from './preflight/preflight.ts';
import { PreflightWatch } from './preflight/preflight-watch.ts';
import { PreflightController } from './preflight/preflight.controller.ts';
import { Pacer } from './rate/pacer.ts';
import { ReturnPaths } from './return-paths.ts';
import { BATCHES_AT_ONCE, Worker } from './worker.ts';

/** HOW IT GOES OUT: due scan, dispatch, batches, worker, ledger, channels. */
@Module({
  imports: [ConsentModule, GroupsModule, ScheduleModule],
  controllers: [BatchesController, DeliveriesController, PreflightController, OutboxController],
  providers: [
    { provide: Channel, useFactory: openChannel, inject: [Settings, Clock] },
    BatchWorker,
    BeginSignal,
    Brake,
    ConfirmationSender,
    DeliveryMetrics,
    DeliveryRunner,
    Dispatcher,
    DueScanner,
    MailMakers,
    MessageStopper,
    Outbox,
    Pacer,
    ReturnPaths,
    Preflight,
    PreflightWatch,
    {
      provide: DomainRecords,
      useFactory: (settings: Settings): DomainRecords => new DomainRecords(settings.dnsServers),
      inject: [Settings],
    },
    Worker,
  ],
  exports: [Brake, DeliveryMetrics, ReturnPaths],
})
export class DeliveryModule {}

async function openChannel(settings: Settings, clock: Clock): Promise<Channel> {
  switch (settings.mail) {
    case 'smtp':
      return new SmtpChannel({
        url: settings.smtpUrl ?? '',
        connections: settings.smtpConnections,
        // At the least, the windows of all batches together keep every connection busy, and no more is marked as in flight than can be.
        window: { least: Math.ceil(settings.smtpConnections / BATCHES_AT_ONCE), most: BATCH_SIZE },
        clock,
      });
    case 'ses': {
      // Loaded when it is chosen: nothing of the AWS SDK is read otherwise.
      const { SesChannel } = await import('./channels/ses.channel.ts');
      return SesChannel.open({ configurationSet: settings.sesConfigurationSet });
    }
    case 'outbox':
      return new OutboxChannel(settings.dataDir);
    default:
      return assertNever(settings.mail);
  }
}

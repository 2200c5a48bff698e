import { Module } from '@nestjs/common';
import { Confirmations } from './confirmations.ts';
import { ConsentController } from './consent.controller.ts';
import { ErasureController } from './erasure.controller.ts';
import { Erasure } from './erasure.ts';
import { GroupsController } from './groups.controller.ts';
import { ImportAsker } from './imports/import-asker.ts';
import { ImportRunner } from './imports/import-runner.ts';
import { ImportSignal } from './imports/import-signal.ts';
import { ImportWorker } from './imports/import-worker.ts';
import { ImportsController } from './imports/imports.controller.ts';
import { ImportsService } from './imports/imports.service.ts';
import { SubscriberExportController } from './subscriber-export.controller.ts';
import { SubscribersController } from './subscribers.controller.ts';
import { SubscribersService } from './subscribers.service.ts';
import { SuppressionsController } from './suppressions.controller.ts';
import { Suppressor } from './suppressor.ts';
import { Suppressions } from './suppressions.ts';

/** WHO RECEIVES: groups, their subscribers, and who gets nothing at all. */
@Module({
  controllers: [
    GroupsController,
    SubscribersController,
    SubscriberExportController,
    ImportsController,
    ConsentController,
    SuppressionsController,
    ErasureController,
  ],
  providers: [
    Confirmations,
    Erasure,
    SubscribersService,
    Suppressions,
    Suppressor,
    ImportsService,
    ImportSignal,
    ImportAsker,
    ImportWorker,
    ImportRunner,
  ],
  exports: [SubscribersService, Suppressions, Suppressor],
})
export class GroupsModule {}

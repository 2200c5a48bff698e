import { Module } from '@nestjs/common';
import { GroupsController } from './groups.controller.ts';
import { ImportRunner } from './imports/import-runner.ts';
import { ImportSignal } from './imports/import-signal.ts';
import { ImportWorker } from './imports/import-worker.ts';
import { ImportsController } from './imports/imports.controller.ts';
import { ImportsService } from './imports/imports.service.ts';
import { SubscriberExportController } from './subscriber-export.controller.ts';
import { SubscribersController } from './subscribers.controller.ts';
import { SubscribersService } from './subscribers.service.ts';

/** WHO RECEIVES: groups and their subscribers. */
@Module({
  controllers: [GroupsController, SubscribersController, SubscriberExportController, ImportsController],
  providers: [SubscribersService, ImportsService, ImportSignal, ImportWorker, ImportRunner],
})
export class GroupsModule {}

import { Module } from '@nestjs/common';
import { DeliveryModule } from './delivery/delivery.module.ts';
import { SqliteEngineModule } from './engines/sqlite/sqlite-engine.module.ts';
import { GroupsModule } from './groups/groups.module.ts';
import { PlatformModule } from './platform/platform.module.ts';
import { ScheduleModule } from './schedule/schedule.module.ts';

/** The only file that names every module. */
@Module({
  imports: [PlatformModule, SqliteEngineModule, GroupsModule, ScheduleModule, DeliveryModule],
})
export class AppModule {}

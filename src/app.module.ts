import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { ConsentModule } from './consent/consent.module.ts';
import { DeliveryModule } from './delivery/delivery.module.ts';
import { GroupsModule } from './groups/groups.module.ts';
import type { Settings } from './platform/config/settings.ts';
import { assertNever } from './platform/errors/assert-never.ts';
import { PlatformModule } from './platform/platform.module.ts';
import { ScheduleModule } from './schedule/schedule.module.ts';

/** The only file that names every module. */
@Module({})
export class AppModule {
  static async for(settings: Settings): Promise<DynamicModule> {
    return {
      module: AppModule,
      imports: [
        PlatformModule,
        await engineOf(settings),
        GroupsModule,
        ScheduleModule,
        ConsentModule,
        DeliveryModule,
      ],
    };
  }
}

/** Loaded when it is chosen: nothing of the AWS SDK is read on the embedded engine. */
async function engineOf(settings: Settings): Promise<Type> {
  switch (settings.engine) {
    case 'embedded':
      return (await import('./engines/sqlite/sqlite-engine.module.ts')).SqliteEngineModule;
    case 'aws':
      return (await import('./engines/aws/aws-engine.module.ts')).AwsEngineModule;
    default:
      return assertNever(settings.engine);
  }
}

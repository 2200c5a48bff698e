import { Module } from '@nestjs/common';
import { GroupsController } from './groups.controller.ts';
import { SubscribersController } from './subscribers.controller.ts';
import { SubscribersService } from './subscribers.service.ts';

/** WHO RECEIVES: groups and their subscribers. */
@Module({
  controllers: [GroupsController, SubscribersController],
  providers: [SubscribersService],
})
export class GroupsModule {}

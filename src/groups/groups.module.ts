import { Module } from '@nestjs/common';
import { GroupsController } from './groups.controller.ts';
import { SubscribersController } from './subscribers.controller.ts';
import { SubscribersService } from './subscribers.service.ts';
import { SuppressionsController } from './suppressions.controller.ts';

/** WHO RECEIVES: groups, their subscribers, and who gets nothing at all. */
@Module({
  controllers: [GroupsController, SubscribersController, SuppressionsController],
  providers: [SubscribersService],
})
export class GroupsModule {}

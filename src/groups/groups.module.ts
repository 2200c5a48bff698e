import { Module } from '@nestjs/common';
import { Confirmations } from './confirmations.ts';
import { ConsentController } from './consent.controller.ts';
import { GroupsController } from './groups.controller.ts';
import { SubscribersController } from './subscribers.controller.ts';
import { SubscribersService } from './subscribers.service.ts';
import { SuppressionsController } from './suppressions.controller.ts';

/** WHO RECEIVES: groups, their subscribers, and who gets nothing at all. */
@Module({
  controllers: [GroupsController, SubscribersController, ConsentController, SuppressionsController],
  providers: [Confirmations, SubscribersService],
  exports: [SubscribersService],
})
export class GroupsModule {}

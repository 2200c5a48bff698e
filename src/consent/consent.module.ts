import { Module } from '@nestjs/common';
import { GroupsModule } from '../groups/groups.module.ts';
import { Confirmer } from './confirmer.ts';
import { Links } from './links.ts';
import { LinksController } from './links.controller.ts';
import { Preferences } from './preferences.ts';
import { Unsubscriber } from './unsubscriber.ts';

/** WHETHER IT MAY: links in mails, and what their readers decide there. */
@Module({
  imports: [GroupsModule],
  controllers: [LinksController],
  providers: [Confirmer, Links, Preferences, Unsubscriber],
  exports: [Links],
})
export class ConsentModule {}

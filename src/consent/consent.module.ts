import { Module } from '@nestjs/common';
import { Links } from './links.ts';
import { LinksController } from './links.controller.ts';
import { Unsubscriber } from './unsubscriber.ts';

/** WHETHER IT MAY: links in mails, and what their readers decide there. */
@Module({
  controllers: [LinksController],
  providers: [Links, Unsubscriber],
  exports: [Links],
})
export class ConsentModule {}

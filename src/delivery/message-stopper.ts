import { Injectable } from '@nestjs/common';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { Log } from '../platform/logging/log.ts';
import { MessageStore } from '../schedule/message-store.ts';
import type { Message } from '../schedule/message.ts';

/** Stops a message whose fault every further delivery would meet too; `resume` lets it go on from where it was. */
@Injectable()
export class MessageStopper {
  constructor(
    private readonly messages: MessageStore,
    private readonly log: Log,
  ) {}

  /** Makes a message that is `sending` `failed`; leaves any other as it is, so a second call does nothing. */
  async stop({ group, key }: Message, reason: string): Promise<void> {
    const message = await this.messages.find(group, key);
    if (message?.status !== 'sending') {
      return;
    }
    try {
      await this.messages.change(group, key, message.version, {
        status: 'failed',
        reason,
        wakeAt: undefined,
      });
      this.log.error('message.stopped', { message_key: key, group, reason });
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) {
        throw error;
      }
      await this.stop(message, reason);
    }
  }
}

import { Injectable } from '@nestjs/common';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { Log } from '../platform/logging/log.ts';
import { MessageStore } from '../schedule/message-store.ts';
import type { Message } from '../schedule/message.ts';

/** Stops a message in its delivery; `resume` lets it go on from where it was. Leaves one that is not `sending` as it is, so a second call does nothing. */
@Injectable()
export class MessageStopper {
  constructor(
    private readonly messages: MessageStore,
    private readonly log: Log,
  ) {}

  /** Makes a message `failed` whose fault every further delivery would meet too. */
  async stop(message: Pick<Message, 'group' | 'key'>, reason: string): Promise<void> {
    await this.#end(message, 'failed', () => reason);
  }

  /** Makes a message `held`, where `judge` gives a reason as it stands now; answers whether it did. */
  async hold(
    message: Pick<Message, 'group' | 'key'>,
    judge: (message: Message) => string | undefined,
  ): Promise<boolean> {
    return this.#end(message, 'held', judge);
  }

  async #end(
    { group, key }: Pick<Message, 'group' | 'key'>,
    status: 'failed' | 'held',
    judge: (message: Message) => string | undefined,
  ): Promise<boolean> {
    const message = await this.messages.find(group, key);
    const reason = message?.status === 'sending' ? judge(message) : undefined;
    if (!message || reason === undefined) {
      return false;
    }
    try {
      await this.messages.change(group, key, message.version, { status, reason, wakeAt: undefined });
      this.log.error('message.stopped', { message_key: key, group, status, reason });
      return true;
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) {
        throw error;
      }
      return this.#end(message, status, judge);
    }
  }
}

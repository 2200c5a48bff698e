import { Channel, type Mail, type SendResult } from '../delivery/channels/channel.ts';

const WINDOW = 100;

/** Takes every mail and sends none: it only says of which message each was. */
export class NotingChannel extends Channel {
  override readonly name = 'outbox';
  override readonly window = WINDOW;

  constructor(private readonly note: (mail: Mail) => void) {
    super();
  }

  override async send(mails: readonly Mail[]): Promise<readonly SendResult[]> {
    return mails.map((mail) => {
      this.note(mail);
      return { kind: 'accepted', providerId: mail.messageId };
    });
  }

  override async close(): Promise<void> {}
}

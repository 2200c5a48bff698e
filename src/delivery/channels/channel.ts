import type { GroupName } from '../../groups/group.ts';
import type { SubscriberEmail } from '../../groups/subscriber.ts';
import type { Mailbox } from '../../platform/mail/mailbox.ts';
import type { Merge } from '../../schedule/compiled-content.ts';
import type { MessageKey } from '../../schedule/message.ts';

/** How a delivery leaves. */
export type ChannelName = 'ses' | 'smtp' | 'outbox';

/** A header beside those that every mail has; ASCII, on one line. */
export interface MailHeader {
  readonly name: string;
  readonly value: string;
}

/** One mail to one subscriber, ready to go: what it says, its envelope, and the MIME message where a channel asks for it. */
export interface Mail {
  readonly messageKey: MessageKey;
  readonly group: GroupName;
  readonly from: Mailbox;
  readonly replyTo: Mailbox | undefined;
  /** The bare address that bounces go to. */
  readonly envelopeFrom: string;
  readonly to: SubscriberEmail;
  /** One line; empty where the subscriber has no name. */
  readonly toName: string;
  /** One line. */
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  /** How HTML and text were put together, where that is known: for a provider that puts values into a template by itself. */
  readonly merge: Merge | undefined;
  /** In angle brackets; the same at every attempt of the same delivery, so that a receiver can tell a repeat. */
  readonly messageId: string;
  readonly headers: readonly MailHeader[];

  /** Composes the complete message, anew at every call: it is by far the largest that there is of a mail, and not every channel needs it. */
  compose(): Buffer;
}

/**
 * What became of one mail.
 * - `accepted`: the provider has taken the responsibility for it.
 * - `rejected`: permanent for this address; never tried again. `bounced` where a mail server has said so, rather than the provider's rules;
 *   `isDead` where it has said that of the address itself, whatever is sent to it.
 * - `deferred`: certainly not taken; trying later may help.
 * - `throttled`: certainly not taken, and not for anything about the mail: the provider wants it slower. That was no attempt.
 * - `unknown`: it may or may not have been taken (the connection broke after the content went out).
 * - `refused`: the fault is in the sender or its account, so every other mail would fare the same; certainly not taken.
 */
export type SendResult =
  | { readonly kind: 'accepted'; readonly providerId: string }
  | {
      readonly kind: 'rejected';
      readonly reason: string;
      readonly bounced?: true;
      readonly isDead?: true;
    }
  | { readonly kind: 'deferred'; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: 'throttled'; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** What a provider allows an account. */
export interface SendQuota {
  /** Mails per second. */
  readonly rate: number;
  /** Mails that may still go within the 24 hours; absent: without limit. */
  readonly left: number | undefined;
}

/** What a provider lets an account send, and from an address. */
export interface SenderStanding {
  /** Of the address, or of its domain or one above it; `unknown` where the provider does not say. */
  readonly identity: 'verified' | 'not-verified' | 'unknown';
  /** Only verified addresses are sent to. */
  readonly isSandbox: boolean;
  /** False where the provider takes no mail of the account at all. */
  readonly isEnabled: boolean;
}

/** A way out. It returns what the provider said, and throws only for what it did not foresee. */
export abstract class Channel {
  abstract readonly name: ChannelName;

  /** How many mails it takes in the next call at most. All of them are in doubt when the process dies during the call. */
  abstract readonly window: number;

  /**
   * Hands over every mail, side by side, and answers for each in the order given. A second call sends again.
   * Once `signal` has aborted, nothing that has not begun begins, and what can be broken off is: the right to send is another's.
   */
  abstract send(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]>;

  /** Asks the provider what it allows; absent where there is nobody to ask. Rejects where there is no answer. */
  readQuota?(): Promise<SendQuota>;

  /** Asks the provider whether it takes mail from this bare address; absent where there is nobody to ask. Rejects where there is no answer. */
  readSender?(address: string): Promise<SenderStanding>;

  /** Ends connections; called once, when nothing is being sent any more. */
  abstract close(): Promise<void>;
}

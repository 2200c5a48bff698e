import { isIP } from 'node:net';
import type { Group, GroupName } from '../groups/group.ts';
import { type MailingSettings, USUAL_MAILING } from '../groups/mailing-settings.ts';
import { parseMailbox } from '../platform/mail/mailbox.ts';
import type { MessageKey } from '../schedule/message.ts';
import type { MailHeader } from './channels/channel.ts';
import { mailboxText } from './mime.ts';

/** What the headers of the mails of one message to a group are about. */
export interface ListMail {
  readonly name: GroupName;
  /** Absent where the group is gone. */
  readonly group: Group | undefined;
  readonly messageKey: MessageKey;
  /** See `listDomain`. */
  readonly domain: string;
}

// RFC 5322, 2.1.1: a line has at most 998 characters. RFC 8058, 4 wants the two on one line each.
const LINE_MAX_LENGTH = 998;
// Feedback-ID ends with the sender, of 5 to 15 characters (Gmail Help, Feedback Loop).
const FEEDBACK_SENDER = 'belfry';

/** By which a mail's reader leaves the list at this link, with one click where they like (RFC 8058); goes with `listHeaders`. */
export function leaveHeader({ group }: Pick<ListMail, 'group'>, unsubscribeUrl: string): MailHeader {
  return {
    name: 'List-Unsubscribe',
    value: leaving(unsubscribeUrl, (group ?? USUAL_MAILING).unsubscribeMailto),
  };
}

/**
 * What is the same in every mail to a list: that it can be left with one click (RFC 8058), its name (RFC 2919), its help and its owner
 * (RFC 2369).
 */
export function listHeaders(list: ListMail): readonly MailHeader[] {
  const mailing: MailingSettings = list.group ?? USUAL_MAILING;
  return [
    { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' },
    { name: 'List-Id', value: listId(list, mailing.displayName) },
    ...(mailing.listHelp === undefined ? [] : [{ name: 'List-Help', value: `<${mailing.listHelp}>` }]),
    ...(mailing.listOwner === undefined ? [] : [{ name: 'List-Owner', value: `<${mailing.listOwner}>` }]),
    { name: 'Precedence', value: 'bulk' },
  ];
}

/** By which Gmail tells apart what its users complain about: message, group, sender. SES writes one by itself. */
export function feedbackHeader({ name, messageKey }: Pick<ListMail, 'name' | 'messageKey'>): MailHeader {
  return { name: 'Feedback-ID', value: `${messageKey}:${name}:bulk:${FEEDBACK_SENDER}` };
}

/**
 * The domain under which the names of lists stand: that of PUBLIC_URL, which is the installation's own and does not change with a message's
 * sender; where that is none, the domain of the group's sender.
 */
export function listDomain(publicUrl: string | undefined, from: string): string {
  const host = publicUrl === undefined ? '' : new URL(publicUrl).hostname;
  if (host.includes('.') && isIP(host) === 0) {
    return host;
  }
  const parse = parseMailbox(from);
  return parse.kind === 'mailbox'
    ? parse.mailbox.address.slice(parse.mailbox.address.lastIndexOf('@') + 1)
    : 'localhost';
}

/** The link first: readers take the first that they understand (RFC 2369, 2). */
function leaving(url: string, mailto: string | undefined): string {
  const link = `<${url}>`;
  const both = `${link}, <mailto:${mailto}?subject=unsubscribe>`;
  return mailto === undefined || 'List-Unsubscribe: '.length + both.length > LINE_MAX_LENGTH ? link : both;
}

function listId({ name, domain }: ListMail, displayName: string | undefined): string {
  const id = `${name}.${domain}`;
  return displayName === undefined ? `<${id}>` : mailboxText({ name: displayName, address: id });
}

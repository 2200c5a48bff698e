import { createHash } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer';
import { encodeWord } from 'nodemailer/lib/mime-funcs';
import { type Mailbox, parseMailbox } from '../platform/mail/mailbox.ts';
import type { GroupName } from '../groups/group.ts';
import { type SubscriberEmail, subscriberKey } from '../groups/subscriber.ts';
import type { Rendered } from '../schedule/compiled-content.ts';
import type { MessageKey } from '../schedule/message.ts';
import type { Mail, MailHeader } from './channels/channel.ts';

/** What a mail is made of. */
export interface MailParts extends Rendered {
  /** A mailbox such as `News <news@example.com>`. */
  readonly from: string;
  readonly replyTo: string | undefined;
  /** The address that bounces go to; absent: that of `from`. */
  readonly returnPath?: string | undefined;
  readonly to: SubscriberEmail;
  readonly toName: string | undefined;
  readonly messageKey: MessageKey;
  readonly group: GroupName;
  readonly headers: readonly MailHeader[];
  readonly date: Temporal.Instant;
}

/*
 * Measured (nodemailer 10.6, Node 26): 10 MB of HTML take 0.75 s in quoted-printable and 0.2 s in base64, in slices between which
 * other work runs. Small parts stay readable in the source.
 */
const BASE64_FROM_LENGTH = 100_000;

const DELIVERY_HASH_LENGTH = 16;

// RFC 5322, 2.1.1: a line should have at most 78 characters.
const LONG_WORD_PATTERN = /\S{78}/;
// RFC 2047, 2: an encoded word has at most 75 characters; nodemailer counts those before encoding, and uses this for itself.
const ENCODED_WORD_LENGTH = 52;

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_PATTERN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** A mail to one subscriber, with nobody else's address in it. The same parts give the same Message-ID every time. */
export function newMail(parts: MailParts): Mail {
  const from = mailboxOf(parts.from);
  const mail = {
    messageKey: parts.messageKey,
    group: parts.group,
    from,
    replyTo: parts.replyTo === undefined ? undefined : mailboxOf(parts.replyTo),
    envelopeFrom: parts.returnPath ?? from.address,
    to: parts.to,
    toName: oneLine(parts.toName ?? ''),
    subject: oneLine(parts.subject),
    html: parts.html,
    text: parts.text,
    merge: parts.merge,
    messageId: messageIdOf(parts, from),
    headers: parts.headers,
  };
  return { ...mail, compose: () => compose(mail, parts.date) };
}

/** multipart/alternative, the text first and the HTML last (RFC 2046, 5.1.4: the last is the best). */
async function compose(mail: Omit<Mail, 'compose'>, date: Temporal.Instant): Promise<Buffer> {
  const composer = new MailComposer({
    from: { ...mail.from },
    to: { name: mail.toName, address: mail.to },
    ...(mail.replyTo && { replyTo: { ...mail.replyTo } }),
    headers: [
      { key: 'Subject', value: subjectHeader(mail.subject) },
      // Never folded, though the line is longer than 78 characters: not every reader takes a Message-ID on a line of its own.
      { key: 'Message-ID', value: { prepared: true, value: mail.messageId } },
      ...mail.headers.map(({ name, value }) => ({ key: name, value })),
    ],
    date: new Date(date.epochMilliseconds),
    text: contentOf(mail.text),
    html: contentOf(mail.html),
    newline: 'win', // RFC 5322, 2.1: lines end with CRLF
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return composer.compile().build();
}

/** A mailbox as a header has it, in ASCII and on one line: as nodemailer writes those of a MIME message. */
export function mailboxText({ name, address }: Mailbox): string {
  if (name === '') {
    return address;
  }
  if (/^[\w ]*$/.test(name)) {
    return `${name} <${address}>`;
  }
  return /^[\x20-\x7e]*$/.test(name)
    ? `"${name.replaceAll(/["\\]/g, String.raw`\$&`)}" <${address}>`
    : `${encodeWord(name, 'Q', ENCODED_WORD_LENGTH)} <${address}>`;
}

/** Text with the line ends that mail has. RFC 2046, 4.1.1: lines end with CRLF, before they are encoded too; neither half of it stands alone. */
export function withMailLines(text: string): string {
  return text.replaceAll(/\r\n?|\n/g, '\r\n');
}

/** The hash by which a delivery is told from others of the same message, without showing the address. */
export function deliveryHash(messageKey: MessageKey, to: SubscriberEmail): string {
  return createHash('sha256')
    .update(subscriberKey(to) + messageKey)
    .digest('hex')
    .slice(0, DELIVERY_HASH_LENGTH);
}

function messageIdOf({ messageKey, to }: MailParts, from: Mailbox): string {
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);
  return `<${messageKey}.${deliveryHash(messageKey, to)}@${domain}>`;
}

/**
 * False in two cases in which a header that is written as usual would come out as something else: what looks encoded already is passed
 * on, to be decoded by the reader; and a word as long as a line cannot be folded.
 */
export function isUsualSubject(subject: string): boolean {
  return !subject.includes('=?') && !LONG_WORD_PATTERN.test(subject);
}

/** nodemailer encodes what has to be; what is unusual is encoded as a whole. */
function subjectHeader(subject: string): string | { prepared: true; foldLines: true; value: string } {
  return isUsualSubject(subject)
    ? subject
    : { prepared: true, foldLines: true, value: encodeWord(subject, 'Q', ENCODED_WORD_LENGTH) };
}

/** Whoever wrote the mailbox into a message, a group or the settings had it checked. */
function mailboxOf(text: string): Mailbox {
  const parse = parseMailbox(text);
  if (parse.kind === 'invalid') {
    throw new Error(`A mailbox that was accepted cannot be read any more. ${parse.detail}`);
  }
  return parse.mailbox;
}

function contentOf(text: string): { content: string; contentTransferEncoding: string } {
  return {
    // nodemailer takes an empty text for none, and fails on what is then left.
    content: withMailLines(text) || '\r\n',
    // Either keeps every line within 76 characters, whatever is in it (RFC 2045, 6.7 and 6.8).
    contentTransferEncoding: text.length < BASE64_FROM_LENGTH ? 'quoted-printable' : 'base64',
  };
}

// A name may hold what a header must not.
function oneLine(text: string): string {
  return text.replace(CONTROL_PATTERN, ' ').toWellFormed().trim();
}

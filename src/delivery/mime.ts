import { createHash } from 'node:crypto';
import { encodeWord, encodeWords, foldLines } from 'nodemailer/lib/mime-funcs';
import { type Mailbox, parseMailbox } from '../platform/mail/mailbox.ts';
import type { GroupName } from '../groups/group.ts';
import { type SubscriberEmail, subscriberKey } from '../groups/subscriber.ts';
import type { Rendered } from '../schedule/compiled-content.ts';
import type { MessageKey } from '../schedule/message.ts';
import type { Mail, MailHeader } from './channels/channel.ts';

/** What a mail is made of. */
export interface MailParts extends Rendered {
  /** A mailbox such as `News <news@example.com>`; its address is also where bounces go. */
  readonly from: string;
  readonly replyTo: string | undefined;
  readonly to: SubscriberEmail;
  readonly toName: string | undefined;
  readonly messageKey: MessageKey;
  readonly group: GroupName;
  readonly headers: readonly MailHeader[];
  readonly date: Temporal.Instant;
}

// RFC 2045, 6.8: base64 in lines of at most 76 characters.
const BASE64_LINE_LENGTH = 76;
// RFC 5322, 2.1.1: a line must not have more characters.
const TOO_LONG_LINE_PATTERN = /[^\n]{999}/;
const PLAIN_TEXT_PATTERN = /^[\t\r\n\x20-\x7e]*$/;
// Relays that keep mails in mbox files change it, and break a signature with that.
const FROM_LINE_PATTERN = /^From /m;

const DELIVERY_HASH_LENGTH = 16;

// RFC 5322, 2.1.1: a line should have at most 78 characters.
const LINE_LENGTH = 78;
const LONG_WORD_PATTERN = /\S{78}/;
const FOLDED_LENGTH = 76;
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
    envelopeFrom: from.address,
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
function compose(mail: Omit<Mail, 'compose'>, date: Temporal.Instant): Buffer {
  // No line of base64 and no header of a part begins like that; a part that is left as it is, is looked through.
  const boundary = `=_${deliveryHash(mail.messageKey, mail.to)}`;
  const head = [
    folded('From', mailboxText(mail.from)),
    folded('To', mailboxText({ name: mail.toName, address: mail.to })),
    ...(mail.replyTo ? [folded('Reply-To', mailboxText(mail.replyTo))] : []),
    folded('Subject', subjectText(mail.subject)),
    // Never folded, though a line is longer than 78 characters: not every reader takes a Message-ID on a line of its own, and
    // none should be kept from List-Unsubscribe (RFC 8058, 4).
    `Message-ID: ${mail.messageId}`,
    ...mail.headers.map(
      ({ name, value }) => `${name}: ${encodeWords(value, 'Q', ENCODED_WORD_LENGTH, true)}`,
    ),
    `Date: ${dateText(date)}`,
    'MIME-Version: 1.0',
    `Content-Type: multipart/alternative; boundary="${boundary}"`,
  ].join('\r\n');
  const text = partOf('text/plain', mail.text, boundary);
  const html = partOf('text/html', mail.html, boundary);
  return Buffer.from(
    `${head}\r\n\r\n--${boundary}\r\n${text}\r\n--${boundary}\r\n${html}\r\n--${boundary}--\r\n`,
    'latin1', // all of it is ASCII
  );
}

/** A part as it is, where every relay passes that on unchanged; otherwise in base64. */
function partOf(type: string, text: string, boundary: string): string {
  const content = withMailLines(text) || '\r\n'; // some readers take an empty part for none
  const isPlain =
    PLAIN_TEXT_PATTERN.test(content) &&
    !TOO_LONG_LINE_PATTERN.test(content) &&
    !FROM_LINE_PATTERN.test(content) &&
    !content.includes(boundary);
  return `Content-Type: ${type}; charset=utf-8\r\nContent-Transfer-Encoding: ${
    isPlain ? `7bit\r\n\r\n${content}` : `base64\r\n\r\n${base64Lines(content)}`
  }`;
}

function base64Lines(text: string): string {
  const base64 = Buffer.from(text).toString('base64');
  const lines: string[] = [];
  for (let begin = 0; begin < base64.length; begin += BASE64_LINE_LENGTH) {
    lines.push(base64.slice(begin, begin + BASE64_LINE_LENGTH));
  }
  return lines.join('\r\n');
}

function folded(name: string, value: string): string {
  const line = `${name}: ${value}`;
  return line.length <= LINE_LENGTH ? line : foldLines(line, FOLDED_LENGTH);
}

/** RFC 5322, 3.3. */
function dateText(date: Temporal.Instant): string {
  return new Date(date.epochMilliseconds).toUTCString().replace('GMT', '+0000');
}

/** A mailbox as a header has it, in ASCII and on one line. */
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

/** Words are encoded that have to be; what is unusual is encoded as a whole. */
function subjectText(subject: string): string {
  return isUsualSubject(subject)
    ? encodeWords(subject, 'Q', ENCODED_WORD_LENGTH, true)
    : encodeWord(subject, 'Q', ENCODED_WORD_LENGTH);
}

/** Whoever wrote the mailbox into a message, a group or the settings had it checked. */
function mailboxOf(text: string): Mailbox {
  const parse = parseMailbox(text);
  if (parse.kind === 'invalid') {
    throw new Error(`A mailbox that was accepted cannot be read any more. ${parse.detail}`);
  }
  return parse.mailbox;
}

// A name may hold what a header must not.
function oneLine(text: string): string {
  return text.replace(CONTROL_PATTERN, ' ').toWellFormed().trim();
}

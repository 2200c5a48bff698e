import { hash } from 'node:crypto';
import { encodeWord, encodeWords, foldLines } from 'nodemailer/lib/mime-funcs';
import { type Mailbox, parseMailbox } from '../platform/mail/mailbox.ts';
import type { GroupName } from '../groups/group.ts';
import { type SubscriberEmail, subscriberKey } from '../groups/subscriber.ts';
import type { MergedPart, Rendered } from '../schedule/compiled-content.ts';
import type { MessageKey } from '../schedule/message.ts';
import type { Mail, MailHeader } from './channels/channel.ts';
import { encodedPart } from './mime-part.ts';

/** What the mails of one message have in common. */
export interface MailFrame {
  /** A mailbox such as `News <news@example.com>`. */
  readonly from: string;
  readonly replyTo: string | undefined;
  readonly messageKey: MessageKey;
  readonly group: GroupName;
}

/** What a mail is made of beside that. */
export interface MailDetails extends Rendered {
  /** The address that bounces go to; absent: that of `from`. */
  readonly returnPath?: string | undefined;
  readonly to: SubscriberEmail;
  readonly toName: string | undefined;
  readonly headers: readonly MailHeader[];
  readonly date: Temporal.Instant;
}

export interface MailParts extends MailFrame, MailDetails {}

const DELIVERY_HASH_LENGTH = 16;

// RFC 5322, 2.1.1: a line should have at most 78 characters.
const LINE_LENGTH = 78;
const LONG_WORD_PATTERN = /\S{78}/;
const FOLDED_LENGTH = 76;
// RFC 2047, 2: an encoded word has at most 75 characters; nodemailer counts those before encoding, and uses this for itself.
const ENCODED_WORD_LENGTH = 52;

const ASCII_PATTERN = /^[\x20-\x7e]*$/;
// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL_PATTERN = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** A mail to one subscriber, with nobody else's address in it. The same parts give the same Message-ID every time. */
export function newMail(parts: MailParts): Mail {
  return new MailPress(parts).mail(parts);
}

/** Makes the mails of one message, and what is the same in all of them only once. */
export class MailPress {
  readonly #frame: Pick<Mail, 'messageKey' | 'group' | 'from' | 'replyTo'>;
  readonly #domain: string;
  readonly #fromLine: string;
  readonly #replyToLines: readonly string[];
  /** Of the last mail, which is mostly that of the next. */
  #dateLine: { readonly date: Temporal.Instant; readonly line: string } | undefined;

  constructor({ messageKey, group, from, replyTo }: MailFrame) {
    const sender = mailboxOf(from);
    const answers = replyTo === undefined ? undefined : mailboxOf(replyTo);
    this.#frame = { messageKey, group, from: sender, replyTo: answers };
    this.#domain = sender.address.slice(sender.address.lastIndexOf('@') + 1);
    this.#fromLine = folded('From', mailboxText(sender));
    this.#replyToLines = answers ? [folded('Reply-To', mailboxText(answers))] : [];
  }

  mail(details: MailDetails): Mail {
    const name = deliveryHash(this.#frame.messageKey, details.to);
    const mail = {
      ...this.#frame,
      envelopeFrom: details.returnPath ?? this.#frame.from.address,
      to: details.to,
      toName: oneLine(details.toName ?? ''),
      subject: oneLine(details.subject),
      html: details.html,
      text: details.text,
      merge: details.merge,
      messageId: `<${this.#frame.messageKey}.${name}@${this.#domain}>`,
      headers: details.headers,
    };
    return { ...mail, compose: () => this.#compose(mail, name, details.date) };
  }

  /** multipart/alternative, the text first and the HTML last (RFC 2046, 5.1.4: the last is the best). */
  #compose(mail: Omit<Mail, 'compose'>, name: string, date: Temporal.Instant): Buffer {
    // No line of base64 and no header of a part begins like that; a part that is left as it is, is looked through.
    const boundary = `=_${name}`;
    const head = [
      this.#fromLine,
      folded('To', mailboxText({ name: mail.toName, address: mail.to })),
      ...this.#replyToLines,
      folded('Subject', subjectText(mail.subject)),
      // Never folded, though a line is longer than 78 characters: not every reader takes a Message-ID on a line of its own, and
      // none should be kept from List-Unsubscribe (RFC 8058, 4).
      `Message-ID: ${mail.messageId}`,
      ...mail.headers.map((header) => `${header.name}: ${inWords(header.value)}`),
      this.#dated(date),
      'MIME-Version: 1.0',
      `Content-Type: multipart/alternative; boundary="${boundary}"`,
    ].join('\r\n');
    const pieces = [
      `${head}\r\n\r\n--${boundary}\r\n`,
      ...encodedPart('text/plain', mail.merge?.text ?? wholly(mail.text), boundary),
      `\r\n--${boundary}\r\n`,
      ...encodedPart('text/html', mail.merge?.html ?? wholly(mail.html), boundary),
      `\r\n--${boundary}--\r\n`,
    ];
    const mime = Buffer.allocUnsafe(pieces.reduce((sum, { length }) => sum + length, 0));
    let end = 0;
    for (const piece of pieces) {
      end += mime.write(piece, end, 'latin1'); // all of it is ASCII
    }
    return mime;
  }

  #dated(date: Temporal.Instant): string {
    if (this.#dateLine?.date !== date) {
      this.#dateLine = { date, line: `Date: ${dateText(date)}` };
    }
    return this.#dateLine.line;
  }
}

function wholly(text: string): MergedPart {
  return { literals: [text], values: [] };
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
  return ASCII_PATTERN.test(name)
    ? `"${name.replaceAll(/["\\]/g, String.raw`\$&`)}" <${address}>`
    : `${encodeWord(name, 'Q', ENCODED_WORD_LENGTH)} <${address}>`;
}

/** The hash by which a delivery is told from others of the same message, without showing the address. */
export function deliveryHash(messageKey: MessageKey, to: SubscriberEmail): string {
  return hash('sha256', subscriberKey(to) + messageKey).slice(0, DELIVERY_HASH_LENGTH);
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
  return isUsualSubject(subject) ? inWords(subject) : encodeWord(subject, 'Q', ENCODED_WORD_LENGTH);
}

function inWords(text: string): string {
  return ASCII_PATTERN.test(text) ? text : encodeWords(text, 'Q', ENCODED_WORD_LENGTH, true);
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

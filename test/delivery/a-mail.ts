import { type MailParts, newMail } from '../../src/delivery/mime.ts';
import type { Mail } from '../../src/delivery/channels/channel.ts';
import { type GroupName, parseGroupName } from '../../src/groups/group.ts';
import { parseEmail, type SubscriberEmail } from '../../src/groups/subscriber.ts';
import { isMessageKey, type MessageKey } from '../../src/schedule/message.ts';

export function anEmail(text = 'ada@example.com'): SubscriberEmail {
  const parse = parseEmail(text);
  if (parse.kind === 'invalid') {
    throw new Error(`${text}: ${parse.detail}`);
  }
  return parse.email;
}

export function aMessageKey(text = '01999999-0000-7000-8000-000000000001'): MessageKey {
  if (!isMessageKey(text)) {
    throw new Error(`${text} is no message key.`);
  }
  return text;
}

export function aGroup(name = 'serverless'): GroupName {
  return parseGroupName(name);
}

export function mailParts(parts: Partial<MailParts> = {}): MailParts {
  return {
    from: 'News <news@example.com>',
    replyTo: undefined,
    to: anEmail(),
    toName: 'Ada',
    subject: 'Hello',
    html: '<p>Hello</p>',
    text: 'Hello',
    merge: undefined,
    messageKey: aMessageKey(),
    group: aGroup(),
    headers: [],
    date: Temporal.Instant.from('2026-11-23T14:10:00Z'),
    ...parts,
  };
}

/** A mail that is composed already, so that what a channel did with it can be compared. */
export interface ComposedMail extends Mail {
  readonly mime: Buffer;
}

export function aMail(parts: Partial<MailParts> = {}): ComposedMail {
  const mail = newMail(mailParts(parts));
  const mime = mail.compose();
  return { ...mail, mime, compose: () => mime };
}

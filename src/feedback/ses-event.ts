import { detailOf, type Feedback } from '../delivery/feedback.ts';
import { isGroupName } from '../groups/group.ts';
import { parseEmail, type SubscriberKey, subscriberKey } from '../groups/subscriber.ts';
import { isMessageKey } from '../schedule/message.ts';
import type { FeedbackEvent } from './feedback-event.ts';

/*
 * What SES publishes through SNS: SES Developer Guide, "Contents of event data that Amazon SES publishes to Amazon SNS" and "Examples of
 * event data that Amazon SES publishes to Amazon SNS". In an envelope of SNS, unless the subscription has raw message delivery: SNS
 * Developer Guide, "Amazon SNS message and JSON formats". The mail is told by the tags that Belfry gives it (channels/ses.channel.ts),
 * and each has one recipient.
 *
 * | eventType         | what it becomes                                                                                                 |
 * |-------------------|-----------------------------------------------------------------------------------------------------------------|
 * | Send              | sent                                                                                                            |
 * | Delivery          | delivered                                                                                                       |
 * | Bounce            | bounced where bounceType is Permanent; Transient and Undetermined: delayed, because nothing is known for good   |
 * | Complaint         | complained                                                                                                      |
 * | DeliveryDelay     | delayed                                                                                                         |
 * | Reject            | rejected: SES had accepted it and found a virus                                                                 |
 * | Rendering Failure | rejected: SES had accepted it and could not fill in its template                                                |
 * | Open, Click,      | ignored: Belfry does not ask for them                                                                           |
 * | Subscription      |                                                                                                                 |
 */

export type SesReading =
  | { readonly kind: 'event'; readonly event: FeedbackEvent }
  | { readonly kind: 'ignored' }
  /** It is not what SES publishes, or not of a mail that Belfry sent; in words, without anything of what is in it. */
  | { readonly kind: 'unreadable'; readonly reason: string };

const IGNORED_TYPES: ReadonlySet<unknown> = new Set(['Open', 'Click', 'Subscription']);

// What SES sends when it is given the topic, as plain text.
const GREETING = 'Successfully validated SNS topic for Amazon SES';

// Longer than any that SES writes; what follows is no date.
const TIMESTAMP_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

class Unreadable extends Error {}

type Fields = Readonly<Record<string, unknown>>;

/** Reads one message of the queue. Never throws, whatever is in it. */
export function readSesEvent(body: string): SesReading {
  try {
    const text = openEnvelope(body);
    if (text.startsWith(GREETING)) {
      return { kind: 'ignored' };
    }
    const record = parseObject(text, 'The event');
    return IGNORED_TYPES.has(record['eventType'])
      ? { kind: 'ignored' }
      : { kind: 'event', event: { ...readMail(record), ...readFeedback(record) } };
  } catch (error) {
    if (!(error instanceof Unreadable)) {
      throw error;
    }
    return { kind: 'unreadable', reason: error.message };
  }
}

/** What is in the envelope; what has none is what it is. */
function openEnvelope(body: string): string {
  if (body.startsWith(GREETING)) {
    return body;
  }
  const outer = parseObject(body, 'The message');
  if (outer['eventType'] !== undefined) {
    return body;
  }
  const message = outer['Message'];
  if (outer['Type'] !== 'Notification' || typeof message !== 'string') {
    throw new Unreadable('The message is neither an event of SES nor a notification of SNS.');
  }
  return message;
}

function readMail(record: Fields): Pick<FeedbackEvent, 'group' | 'messageKey' | 'subscriber' | 'providerId'> {
  const mail = objectAt(record, 'mail');
  const tags = objectAt(mail, 'tags');
  const messageKey = onlyTextAt(tags, 'message_key');
  const group = onlyTextAt(tags, 'group');
  if (!isMessageKey(messageKey) || !isGroupName(group)) {
    throw new Unreadable('Its tags name no message of Belfry.');
  }
  return {
    group,
    messageKey,
    subscriber: readRecipient(onlyTextAt(mail, 'destination')),
    providerId: textAt(mail, 'messageId'),
  };
}

function readFeedback(record: Fields): Omit<Feedback, 'providerId'> {
  const mail = objectAt(record, 'mail');
  switch (record['eventType']) {
    case 'Send':
      return { kind: 'sent', at: instantAt(mail), detail: undefined };
    case 'Delivery': {
      const delivery = objectAt(record, 'delivery');
      return { kind: 'delivered', at: instantAt(delivery), detail: detailAt(delivery, 'smtpResponse') };
    }
    case 'Bounce':
      return readBounce(objectAt(record, 'bounce'));
    case 'Complaint': {
      const complaint = objectAt(record, 'complaint');
      recipientsAt(complaint, 'complainedRecipients');
      return {
        kind: 'complained',
        at: instantAt(complaint),
        detail: detailAt(complaint, 'complaintFeedbackType'),
      };
    }
    case 'DeliveryDelay': {
      const delay = objectAt(record, 'deliveryDelay');
      const detail = detailOfRecipient(textAt(delay, 'delayType'), recipientsAt(delay, 'delayedRecipients'));
      return { kind: 'delayed', at: instantAt(delay), detail };
    }
    case 'Reject':
      return {
        kind: 'rejected',
        at: instantAt(mail),
        detail: detailAt(objectAt(record, 'reject'), 'reason'),
      };
    case 'Rendering Failure':
      return {
        kind: 'rejected',
        at: instantAt(mail),
        detail: detailAt(objectAt(record, 'failure'), 'errorMessage'),
      };
    default:
      throw new Unreadable('Its eventType is none that SES publishes.');
  }
}

function readBounce(bounce: Fields): Omit<Feedback, 'providerId'> {
  const type = textAt(bounce, 'bounceType');
  if (type !== 'Permanent' && type !== 'Transient' && type !== 'Undetermined') {
    throw new Unreadable('Its bounceType is none that SES publishes.');
  }
  const cause = `${type}, ${textAt(bounce, 'bounceSubType')}`;
  return {
    kind: type === 'Permanent' ? 'bounced' : 'delayed',
    at: instantAt(bounce),
    detail: detailOfRecipient(cause, recipientsAt(bounce, 'bouncedRecipients')),
  };
}

/** As it is addressed: the bare address, or with a name before it. */
function readRecipient(destination: string): SubscriberKey {
  const [, bare = destination] = /<([^<>]+)>\s*$/.exec(destination) ?? [];
  const parsed = parseEmail(bare);
  if (parsed.kind === 'invalid') {
    throw new Unreadable('Its destination is no address.');
  }
  return subscriberKey(parsed.email);
}

function detailOfRecipient(cause: string, [recipient]: readonly Fields[]): string | undefined {
  const diagnosis = recipient?.['diagnosticCode'] ?? recipient?.['status'];
  return detailOf(typeof diagnosis === 'string' ? `${cause}: ${diagnosis}` : cause);
}

function recipientsAt(fields: Fields, name: string): readonly Fields[] {
  const value = fields[name];
  const recipients: readonly unknown[] = Array.isArray(value) ? value : [];
  if (recipients.length === 0) {
    throw new Unreadable(`Its ${name} are missing.`);
  }
  return recipients.map((recipient) => fieldsOf(recipient, name));
}

function parseObject(text: string, what: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Unreadable(`${what} is not JSON.`, { cause: error });
  }
  return fieldsOf(value, what);
}

function objectAt(fields: Fields, name: string): Fields {
  return fieldsOf(fields[name], `Its ${name}`);
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Unreadable(`${what} is no object.`);
  }
  return { ...value };
}

function textAt(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') {
    throw new Unreadable(`Its ${name} is no text.`);
  }
  return value;
}

function onlyTextAt(fields: Fields, name: string): string {
  const value = fields[name];
  const texts: readonly unknown[] = Array.isArray(value) ? value : [];
  const [only, another] = texts;
  if (typeof only !== 'string' || another !== undefined) {
    throw new Unreadable(`Its ${name} is not a list of one text.`);
  }
  return only;
}

function detailAt(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? detailOf(value) : undefined;
}

/** At its `timestamp`, to the millisecond, as engines store it. */
function instantAt(fields: Fields): Temporal.Instant {
  const text = textAt(fields, 'timestamp');
  if (TIMESTAMP_PATTERN.test(text)) {
    const ms = Date.parse(text);
    if (!Number.isNaN(ms)) {
      return Temporal.Instant.fromEpochMilliseconds(ms);
    }
  }
  throw new Unreadable('Its timestamp is no time.');
}

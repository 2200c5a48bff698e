import type { Batch } from '../../src/delivery/batch.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import type { Feedback } from '../../src/delivery/feedback.ts';
import { type GroupName, type GroupSettings, parseGroupName } from '../../src/groups/group.ts';
import { USUAL_MAILING } from '../../src/groups/mailing-settings.ts';
import type { Newcomer } from '../../src/groups/subscriber-store.ts';
import {
  parseEmail,
  type SubscriberEmail,
  type SubscriberKey,
  subscriberKey,
} from '../../src/groups/subscriber.ts';
import { MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { type Content, type SealedContent, sealContent } from '../../src/schedule/content.ts';
import { messageTags } from '../../src/schedule/message-tags.ts';
import { isSeriesKey, type SeriesKey } from '../../src/schedule/occurrence.ts';
import type { Series } from '../../src/schedule/series.ts';
import { type ContentSeal, type Message, newMessageKey } from '../../src/schedule/message.ts';

/* Everything that tests are about, valid as it stands: a test states only what matters to it. */

/** The moment at which tests begin unless they say otherwise. */
export function anInstant(text = '2026-11-23T14:10:00Z'): Temporal.Instant {
  return Temporal.Instant.from(text);
}

export function aGroupName(name = 'serverless'): GroupName {
  return parseGroupName(name);
}

/** Of a group of which nobody has said anything. */
export function groupSettings(overrides: Partial<GroupSettings> = {}): GroupSettings {
  return {
    from: undefined,
    replyTo: undefined,
    timeZone: undefined,
    maxSendRate: undefined,
    sendWindow: undefined,
    ...USUAL_MAILING,
    ...overrides,
  };
}

export function anEmail(address = 'ada@example.com'): SubscriberEmail {
  const parse = parseEmail(address);
  if (parse.kind === 'invalid') {
    throw new Error(`${address} is no address: ${parse.detail}`);
  }
  return parse.email;
}

export function aKey(address = 'ada@example.com'): SubscriberKey {
  return subscriberKey(anEmail(address));
}

export function aNewcomer(
  address = 'ada@example.com',
  overrides: Partial<Omit<Newcomer, 'email'>> = {},
): Newcomer {
  return { email: anEmail(address), name: undefined, attributes: {}, timeZone: undefined, ...overrides };
}

/** `count` addresses in the order of their keys: `s00000@example.com` and so on. */
export function addresses(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `s${String(index).padStart(5, '0')}@example.com`);
}

export function aSeriesKey(): SeriesKey {
  const key: string = newMessageKey();
  if (!isSeriesKey(key)) {
    throw new Error(`${key} is no key of a series.`);
  }
  return key;
}

export function aContent(overrides: Partial<Content> = {}): Content {
  return {
    subject: 'Hello SLS workshop!',
    body: 'The workshop is not recorded.<h1>Welcome dear friends</h1>',
    text: undefined,
    template: 'none',
    from: undefined,
    replyTo: undefined,
    ...overrides,
  };
}

export function aSealedContent(overrides: Partial<Content> = {}): SealedContent {
  return sealContent(aContent(overrides));
}

/** The seal that a message must have to go with `content`. */
export function sealOf(content: SealedContent): ContentSeal {
  return { sha256: content.sha256, bytes: content.bytes.length, template: 'none' };
}

/** A message that is due when tests begin. It wakes at its time while it is `scheduled`, and not at all otherwise. */
export function aMessage(overrides: Partial<Message> = {}): Message {
  const key = overrides.key ?? newMessageKey();
  const group = overrides.group ?? aGroupName();
  const subject = overrides.subject ?? aContent().subject;
  const scheduleOn = overrides.scheduleOn ?? anInstant();
  const status = overrides.status ?? 'scheduled';
  return {
    key,
    group,
    subject,
    from: undefined,
    replyTo: undefined,
    content: sealOf(aSealedContent()),
    tags: messageTags({ group, subject, scheduleOn, key }),
    status,
    reason: undefined,
    scheduleOn,
    time: undefined,
    occurrence: undefined,
    dueAt: scheduleOn,
    addedAt: plusMs(anInstant(), -10 * MINUTE_MS),
    localDelivery: undefined,
    expiresAt: undefined,
    onMissed: 'hold',
    onUnknown: 'resend',
    version: 1,
    wakeAt: status === 'scheduled' ? scheduleOn : undefined,
    lease: undefined,
    dispatch: {
      begunAt: undefined,
      through: undefined,
      complete: false,
      batchesCut: 0,
      batchesSettled: 0,
      batchesSetAside: 0,
      lookedAt: undefined,
    },
    retry: undefined,
    counts: { subscribers: 0, sent: 0, failed: 0, skipped: 0, unknown: 0 },
    feedback: { delivered: 0, bounced: 0, complained: 0 },
    brakeFrom: undefined,
    attempts: { firstAt: undefined, lastAt: undefined, lastAcceptedAt: undefined, lastDueAt: undefined },
    contentFindings: [],
    sendingFindings: [],
    ...overrides,
  };
}

/** A weekly series whose next occurrence is due when tests begin. */
export function aSeries(overrides: Partial<Series> = {}): Series {
  const local = Temporal.PlainDateTime.from('2026-11-23T15:10');
  return {
    key: aSeriesKey(),
    group: aGroupName(),
    status: 'active',
    reason: 'It was resumed.',
    recurrence: {
      rule: { kind: 'rrule', text: 'FREQ=WEEKLY' },
      start: local,
      timeZone: 'Europe/Paris',
      until: plusMs(anInstant(), 1_000 * MINUTE_MS),
      count: 3,
      except: ['2026-12-24'],
      dstGap: 'shift',
    },
    revision: 1,
    subject: aContent().subject,
    from: 'ada@example.com',
    replyTo: 'office@example.com',
    content: sealOf(aSealedContent()),
    onMissed: 'hold',
    onUnknown: 'resend',
    next: {
      index: 1,
      local,
      at: anInstant(),
      bent: 'overlap',
      message: newMessageKey(),
      followedAt: plusMs(anInstant(), MINUTE_MS),
    },
    retired: [{ message: newMessageKey(), local, reason: 'It was skipped.' }],
    addedAt: anInstant(),
    version: 1,
    wakeAt: anInstant(),
    ...overrides,
  };
}

/** A batch of `message` that reaches from the first of `emails` to the last. */
export function aBatch(
  message: Pick<Message, 'group' | 'key'>,
  emails: readonly string[],
  overrides: Partial<Batch> = {},
): Batch {
  return {
    group: message.group,
    messageKey: message.key,
    first: aKey(emails.at(0)),
    last: aKey(emails.at(-1)),
    count: emails.length,
    cutAt: anInstant(),
    ...overrides,
  };
}

/** That the subscriber's mail server took it, unless told otherwise. */
export function aFeedback(overrides: Partial<Feedback> = {}): Feedback {
  return { kind: 'delivered', at: anInstant(), detail: undefined, providerId: undefined, ...overrides };
}

/** One that went out at the first attempt. */
export function aDelivery(address = 'ada@example.com', overrides: Partial<Delivery> = {}): Delivery {
  return {
    key: aKey(address),
    email: anEmail(address),
    outcome: 'sent',
    at: anInstant(),
    attempt: 1,
    unknownAttempts: 0,
    providerId: undefined,
    reason: undefined,
    heard: {},
    ...overrides,
  };
}

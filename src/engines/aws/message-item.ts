import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberKey } from '../../groups/subscriber.ts';
import { isReached } from '../../platform/clock/clock.ts';
import { TEMPLATES } from '../../schedule/content.ts';
import {
  decodeLocalDelivery,
  encodeLocalDelivery,
  type LocalDelivery,
} from '../../schedule/local-delivery.ts';
import { decodeMeant, encodeMeant, type MeantTime } from '../../schedule/meant-time.ts';
import { decodeFindings, encodeFindings } from '../../schedule/finding.ts';
import { decodeTags, encodeTags } from '../../schedule/message-tags.ts';
import {
  type BrakeCounts,
  type Counts,
  type FeedbackCounts,
  isMessageKey,
  type Lease,
  type Message,
  MESSAGE_STATUSES,
  type MessageKey,
  ON_MISSED,
  ON_UNKNOWN,
  type Retry,
  RETRYABLE_OUTCOMES,
} from '../../schedule/message.ts';
import type { Waking } from '../../schedule/message-store.ts';
import { isSeriesKey, type Occurrence } from '../../schedule/occurrence.ts';
import { duePartition, nameOf } from './due-index.ts';
import {
  branded,
  flag,
  instant,
  integer,
  type Item,
  oneOf,
  optionalBranded,
  optionalInstant,
  optionalInteger,
  optionalText,
  text,
} from './item.ts';

/*
 * A message as an item of the table `messages`, for whoever writes to it: this engine's stores of messages and of deliveries.
 *
 * Instants are epoch milliseconds. Always there: subject, template, content_sha256, content_bytes, tags (URL-encoded, as S3 takes them),
 * status, schedule_on, due_at, message_added, on_missed, on_unknown, version, dispatch_complete (a boolean), and the numbers
 * batches_cut, batches_settled, batches_set_aside and those of COUNT_ATTRIBUTES. Where there is something to say: from_mailbox, reply_to, reason, expires_at,
 * meant (JSON: the local time that schedule_on stands for), series_key with occurrence (its local time) and followed_at,
 * local_delivery (JSON), last_due_at, wake_at with scheduled_date, lease_token with lease_until, dispatch_begun_at, dispatched_through, looked_at, first_attempt_at,
 * last_attempt_at, last_accepted_at, retry_outcomes (with commas, perhaps none) with retried_through, the numbers of
 * FEEDBACK_ATTRIBUTES, brake_handed_over with brake_bounced and brake_complained, and content_findings and sending_findings (JSON). `status` is a reserved word: expressions call it #status.
 */

/** Numbers that are always there, so that `SET a = a + :n` and `ADD` both do. */
export const COUNT_ATTRIBUTES: Readonly<Record<keyof Counts, string>> = {
  subscribers: 'subscriber_count',
  sent: 'sent_count',
  failed: 'failed_count',
  skipped: 'skipped_count',
  unknown: 'unknown_count',
};

/** Numbers that are absent while they are 0. */
export const FEEDBACK_ATTRIBUTES: Readonly<Record<keyof FeedbackCounts, string>> = {
  delivered: 'delivered_count',
  bounced: 'bounced_count',
  complained: 'complained_count',
};

// Clauses of condition expressions; the values are :now and :token.
export const leaseFree = '(attribute_not_exists(lease_until) OR lease_until <= :now)';
export const leaseHeld = 'lease_token = :token AND lease_until > :now';
export const wakeCome = 'wake_at <= :now';
/** A claim and each cut put the wake at the end of the lease; a batch that waits for its retry brings it forward, and it stays so. */
export const broughtForward = 'wake_at < lease_until';

export type MessageItemKey = {
  readonly group_name: GroupName;
  readonly message_key: MessageKey;
};

export function messageItemKey(group: GroupName, key: MessageKey): MessageItemKey {
  return { group_name: group, message_key: key };
}

/** What is written together and removed together, or a message is not found when it wakes. */
export type WakeAttributes = {
  readonly wake_at: number;
  readonly scheduled_date: string;
};

export const WAKE_ATTRIBUTES: readonly (keyof WakeAttributes)[] = ['wake_at', 'scheduled_date'];
export const LEASE_ATTRIBUTES = ['lease_token', 'lease_until'] as const;

/** `now` is the moment of writing, asked of the clock just before: what was decided long ago would land in an hour that nobody asks any more. */
export function wakeAttributes(
  key: Waking['key'],
  wakeAt: Temporal.Instant,
  now: Temporal.Instant,
): WakeAttributes {
  return { wake_at: wakeAt.epochMilliseconds, scheduled_date: nameOf(duePartition(key, wakeAt, now)) };
}

/** What a change of the message may change, but for its wake; an attribute that is `undefined` is not stored. */
export function changeableAttributes(message: Message): Record<string, string | number | undefined> {
  return {
    subject: message.subject,
    from_mailbox: message.from,
    reply_to: message.replyTo,
    template: message.content.template,
    content_sha256: message.content.sha256,
    content_bytes: message.content.bytes,
    tags: encodeTags(message.tags),
    status: message.status,
    reason: message.reason,
    schedule_on: message.scheduleOn.epochMilliseconds,
    meant: message.time && encodeMeant(message.time),
    followed_at: message.occurrence?.followedAt?.epochMilliseconds,
    due_at: message.dueAt.epochMilliseconds,
    local_delivery: message.localDelivery && encodeLocalDelivery(message.localDelivery),
    expires_at: message.expiresAt?.epochMilliseconds,
    on_missed: message.onMissed,
    on_unknown: message.onUnknown,
    version: message.version,
    brake_handed_over: message.brakeFrom?.handedOver,
    brake_bounced: message.brakeFrom?.bounced,
    brake_complained: message.brakeFrom?.complained,
    content_findings: encodeFindings(message.contentFindings),
  };
}

/** What says which batches are being opened again, and how far that has come. */
export function retryAttributes(retry: Retry | undefined): Record<string, string | undefined> {
  return { retry_outcomes: retry?.outcomes.join(','), retried_through: retry?.through };
}

/** `now` as for `wakeAttributes`. */
export function toMessageItem(message: Message, now: Temporal.Instant): Item {
  return {
    ...messageItemKey(message.group, message.key),
    ...changeableAttributes(message),
    ...(message.wakeAt && wakeAttributes(message.key, message.wakeAt, now)),
    series_key: message.occurrence?.series,
    occurrence: message.occurrence?.local.toString(),
    message_added: message.addedAt.epochMilliseconds,
    lease_token: message.lease?.token,
    lease_until: message.lease?.until.epochMilliseconds,
    dispatch_begun_at: message.dispatch.begunAt?.epochMilliseconds,
    dispatched_through: message.dispatch.through,
    dispatch_complete: message.dispatch.complete,
    batches_cut: message.dispatch.batchesCut,
    batches_settled: message.dispatch.batchesSettled,
    batches_set_aside: message.dispatch.batchesSetAside,
    looked_at: message.dispatch.lookedAt?.epochMilliseconds,
    ...retryAttributes(message.retry),
    [COUNT_ATTRIBUTES.subscribers]: message.counts.subscribers,
    [COUNT_ATTRIBUTES.sent]: message.counts.sent,
    [COUNT_ATTRIBUTES.failed]: message.counts.failed,
    [COUNT_ATTRIBUTES.skipped]: message.counts.skipped,
    [COUNT_ATTRIBUTES.unknown]: message.counts.unknown,
    first_attempt_at: message.attempts.firstAt?.epochMilliseconds,
    last_attempt_at: message.attempts.lastAt?.epochMilliseconds,
    last_accepted_at: message.attempts.lastAcceptedAt?.epochMilliseconds,
    last_due_at: message.attempts.lastDueAt?.epochMilliseconds,
    sending_findings: encodeFindings(message.sendingFindings),
  };
}

export function toMessage(item: Item): Message {
  return {
    key: branded(item, 'message_key', isMessageKey),
    group: branded(item, 'group_name', isGroupName),
    subject: text(item, 'subject'),
    from: optionalText(item, 'from_mailbox'),
    replyTo: optionalText(item, 'reply_to'),
    content: {
      sha256: text(item, 'content_sha256'),
      bytes: integer(item, 'content_bytes'),
      template: oneOf(item, 'template', TEMPLATES),
    },
    tags: decodeTags(text(item, 'tags')),
    status: oneOf(item, 'status', MESSAGE_STATUSES),
    reason: optionalText(item, 'reason'),
    scheduleOn: instant(item, 'schedule_on'),
    time: toMeant(item),
    occurrence: toOccurrence(item),
    dueAt: instant(item, 'due_at'),
    addedAt: instant(item, 'message_added'),
    localDelivery: toLocalDelivery(optionalText(item, 'local_delivery')),
    expiresAt: optionalInstant(item, 'expires_at'),
    onMissed: oneOf(item, 'on_missed', ON_MISSED),
    onUnknown: oneOf(item, 'on_unknown', ON_UNKNOWN),
    version: integer(item, 'version'),
    wakeAt: optionalInstant(item, 'wake_at'),
    lease: toLease(item),
    dispatch: {
      begunAt: optionalInstant(item, 'dispatch_begun_at'),
      through: optionalBranded(item, 'dispatched_through', isSubscriberKey),
      complete: flag(item, 'dispatch_complete'),
      batchesCut: integer(item, 'batches_cut'),
      batchesSettled: integer(item, 'batches_settled'),
      batchesSetAside: integer(item, 'batches_set_aside'),
      lookedAt: optionalInstant(item, 'looked_at'),
    },
    retry: toRetry(item),
    counts: {
      subscribers: integer(item, COUNT_ATTRIBUTES.subscribers),
      sent: integer(item, COUNT_ATTRIBUTES.sent),
      failed: integer(item, COUNT_ATTRIBUTES.failed),
      skipped: integer(item, COUNT_ATTRIBUTES.skipped),
      unknown: integer(item, COUNT_ATTRIBUTES.unknown),
    },
    feedback: {
      delivered: optionalInteger(item, FEEDBACK_ATTRIBUTES.delivered) ?? 0,
      bounced: optionalInteger(item, FEEDBACK_ATTRIBUTES.bounced) ?? 0,
      complained: optionalInteger(item, FEEDBACK_ATTRIBUTES.complained) ?? 0,
    },
    brakeFrom: toBrakeFrom(item),
    attempts: {
      firstAt: optionalInstant(item, 'first_attempt_at'),
      lastAt: optionalInstant(item, 'last_attempt_at'),
      lastAcceptedAt: optionalInstant(item, 'last_accepted_at'),
      lastDueAt: optionalInstant(item, 'last_due_at'),
    },
    contentFindings: decodeFindings(optionalText(item, 'content_findings')),
    sendingFindings: decodeFindings(optionalText(item, 'sending_findings')),
  };
}

function toMeant(item: Item): MeantTime | undefined {
  const meant = optionalText(item, 'meant');
  return meant === undefined ? undefined : decodeMeant(meant);
}

function toOccurrence(item: Item): Occurrence | undefined {
  const series = optionalBranded(item, 'series_key', isSeriesKey);
  return (
    series && {
      series,
      local: Temporal.PlainDateTime.from(text(item, 'occurrence')),
      followedAt: optionalInstant(item, 'followed_at'),
    }
  );
}

function toLocalDelivery(json: string | undefined): LocalDelivery | undefined {
  return json === undefined ? undefined : decodeLocalDelivery(json);
}

function toRetry(item: Item): Retry | undefined {
  const outcomes = optionalText(item, 'retry_outcomes')?.split(',');
  return (
    outcomes && {
      outcomes: RETRYABLE_OUTCOMES.filter((outcome) => outcomes.includes(outcome)),
      through: optionalBranded(item, 'retried_through', isSubscriberKey),
    }
  );
}

function toBrakeFrom(item: Item): BrakeCounts | undefined {
  return item['brake_handed_over'] === undefined
    ? undefined
    : {
        handedOver: integer(item, 'brake_handed_over'),
        bounced: integer(item, 'brake_bounced'),
        complained: integer(item, 'brake_complained'),
      };
}

function toLease(item: Item): Lease | undefined {
  const token = optionalText(item, 'lease_token');
  const until = optionalInstant(item, 'lease_until');
  return token !== undefined && until ? { token, until } : undefined;
}

/** True where the wake has come and no lease keeps others away; the same as `wakeCome` and `leaseFree`. */
export function isClaimable({ wakeAt, lease }: Message, now: Temporal.Instant): boolean {
  return wakeAt !== undefined && isReached(wakeAt, now) && (!lease || isReached(lease.until, now));
}

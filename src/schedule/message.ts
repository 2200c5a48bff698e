/*
 * The words of Belfry, used everywhere and without synonyms:
 *   group       a named audience
 *   subscriber  one address in a group
 *   message     content, a group, and a time; its key is a UUIDv7
 *   batch       a contiguous range of a group's subscribers, for one message: the unit of work
 *   delivery    one message to one subscriber; its outcome is sent, failed, skipped or unknown
 *   channel     how a delivery leaves
 *   engine      where the state lives
 *   wake        the moment at which a message, or a series, next needs attention
 *   series      what repeats; each of its occurrences is a message of its own
 */
import { randomUUIDv7 } from 'node:crypto';
import type { GroupName } from '../groups/group.ts';
import type { SubscriberKey } from '../groups/subscriber.ts';
import { formatInstant } from '../platform/clock/clock.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import type { Brand } from '../platform/ids/brand.ts';
import type { Template } from './content.ts';
import type { Finding } from './finding.ts';
import type { LocalDelivery } from './local-delivery.ts';
import type { MeantTime } from './meant-time.ts';
import type { MessageTags } from './message-tags.ts';
import type { Occurrence } from './occurrence.ts';

/** A UUIDv7, lower case: keys sort by the time at which they were made. */
export type MessageKey = Brand<string, 'MessageKey'>;

export const MESSAGE_STATUSES = [
  'scheduled',
  'held',
  'paused',
  'sending',
  'sent',
  'failed',
  'cancelled',
  'skipped',
] as const;

/**
 * - `scheduled`: goes out at its time.
 * - `held`: Belfry stopped it, before it began because its time had passed too long ago, or later because too many of its deliveries
 *   bounced or were complained about; an operator decides.
 * - `paused`: somebody stopped it.
 * - `sending`: claimed; batches are cut and worked.
 * - `sent`: finished, whatever the counts.
 * - `failed`: stopped by a fault of the message as a whole, or finished but for batches that were set aside; `resume` goes on
 *   from where it was.
 * - `cancelled`: somebody ended it.
 * - `skipped`: its time, or its expiry, had passed and the message says that it is not sent then.
 */
export type MessageStatus = (typeof MESSAGE_STATUSES)[number];

export const ON_MISSED = ['hold', 'send', 'skip'] as const;
/** What becomes of a message that is found due later than the grace allows. */
export type OnMissed = (typeof ON_MISSED)[number];

export const ON_UNKNOWN = ['resend', 'leave'] as const;
/** What becomes of a delivery that may or may not have gone out. */
export type OnUnknown = (typeof ON_UNKNOWN)[number];

export const RETRYABLE_OUTCOMES = ['failed', 'unknown'] as const;
/** An outcome that somebody may take back, to have the delivery tried again. */
export type RetryableOutcome = (typeof RETRYABLE_OUTCOMES)[number];

/** Batches are being opened again: those that were set aside, and those that hold deliveries of these outcomes. */
export interface Retry {
  readonly outcomes: readonly RetryableOutcome[];
  /** The batch up to which that is done; absent while none is. */
  readonly through: SubscriberKey | undefined;
}

/** Deliveries by what became of them. Those of `subscribers` that are in none of the others are pending. */
export interface Counts {
  /** Subscribers in the batches cut so far. */
  readonly subscribers: number;
  readonly sent: number;
  readonly failed: number;
  readonly skipped: number;
  readonly unknown: number;
}

/** What was heard of deliveries, most of it after they had left: each counted once for a delivery. */
export interface FeedbackCounts {
  /** Taken by the subscriber's mail server. */
  readonly delivered: number;
  /** Refused for good by the subscriber's mail server, at once or later. */
  readonly bounced: number;
  /** Marked as unwanted by the subscriber. */
  readonly complained: number;
}

/** What the brake looks at. */
export interface BrakeCounts extends Pick<FeedbackCounts, 'bounced' | 'complained'> {
  /** Deliveries of which the channel said that it took them, or did not. */
  readonly handedOver: number;
}

/** How far the cutting of batches has come. */
export interface Dispatch {
  readonly begunAt: Temporal.Instant | undefined;
  /** The last subscriber who is in a batch. */
  readonly through: SubscriberKey | undefined;
  readonly complete: boolean;
  readonly batchesCut: number;
  readonly batchesSettled: number;
  /** Those that failed again and again for a reason nobody foresaw; they are not worked until somebody says so. */
  readonly batchesSetAside: number;
  /** When batches that were left behind were last looked for; absent where all must be, because the status has changed since. */
  readonly lookedAt: Temporal.Instant | undefined;
}

/** The moments from which the latencies are computed. */
export interface Attempts {
  readonly firstAt: Temporal.Instant | undefined;
  readonly lastAt: Temporal.Instant | undefined;
  readonly lastAcceptedAt: Temporal.Instant | undefined;
  /** The latest moment from which a delivery that was attempted could go: its wave, or the start of the send window. */
  readonly lastDueAt: Temporal.Instant | undefined;
}

/** The right to work on something until a moment; whoever holds the token may write, nobody else. */
export interface Lease {
  readonly token: string;
  readonly until: Temporal.Instant;
}

/** Content, a group, and a time. */
export interface Message {
  readonly key: MessageKey;
  readonly group: GroupName;
  readonly subject: string;
  readonly from: string | undefined;
  readonly replyTo: string | undefined;
  readonly content: ContentSeal;
  readonly tags: MessageTags;
  readonly status: MessageStatus;
  /** Why it has this status, where that is not plain; for people. */
  readonly reason: string | undefined;
  /** When it was asked to go out; with `localDelivery`, when its first wave goes. */
  readonly scheduleOn: Temporal.Instant;
  /** What was meant by that, where it is a local time. */
  readonly time: MeantTime | undefined;
  /** Absent where it is of no series. */
  readonly occurrence: Occurrence | undefined;
  /** From when its lateness counts: `scheduleOn`, or the moment at which somebody released it after that. */
  readonly dueAt: Temporal.Instant;
  readonly addedAt: Temporal.Instant;
  /** Absent where it goes to everybody at the same time. */
  readonly localDelivery: LocalDelivery | undefined;
  /** Nothing of it is sent from this moment on. */
  readonly expiresAt: Temporal.Instant | undefined;
  readonly onMissed: OnMissed;
  readonly onUnknown: OnUnknown;
  /** Rises with every change of what its owner may see change: content, times, status. Counts do not raise it. */
  readonly version: number;
  /** When it next needs attention; absent where it needs none. */
  readonly wakeAt: Temporal.Instant | undefined;
  readonly lease: Lease | undefined;
  readonly dispatch: Dispatch;
  /** Absent where nothing is to be tried again. */
  readonly retry: Retry | undefined;
  readonly counts: Counts;
  readonly feedback: FeedbackCounts;
  /** What had happened when somebody resumed it after a brake: the next brake judges what came after. Absent: all of it. */
  readonly brakeFrom: BrakeCounts | undefined;
  readonly attempts: Attempts;
  /** What is wrong with its content. */
  readonly contentFindings: readonly Finding[];
  /** What was wrong with its sender, its group and its audience when it was last looked at, shortly before it began. */
  readonly sendingFindings: readonly Finding[];
}

/** What ties a message to its content: whatever is read must have this hash. */
export interface ContentSeal {
  /** SHA-256 of the stored content, in lower-case hexadecimal. */
  readonly sha256: string;
  /** Size of the stored content. */
  readonly bytes: number;
  readonly template: Template;
}

export class MessageNotFoundError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'message-not-found';

  constructor(group: GroupName, options?: ErrorOptions) {
    super(`The group '${group}' has no such message.`, options);
  }
}

/** Thrown on asking of a message what its status does not allow any more. */
export class MessageStatusConflictError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'message-status-conflict';

  constructor(status: MessageStatus, wanted: string, options?: ErrorOptions) {
    super(`This message is ${status}, so it cannot be ${wanted}.`, options);
  }
}

/** Thrown on asking to send of a message what its owner does not want sent any more. */
export class MessageExpiredError extends DomainError {
  readonly kind = 'conflict';
  readonly code = 'message-expired';

  constructor(expiresAt: Temporal.Instant, options?: ErrorOptions) {
    super(`This message expired at ${formatInstant(expiresAt)}: nothing more of it is sent.`, options);
  }
}

/** What is read is not what was scheduled, or is not there; it must not be sent. */
export class ContentDamagedError extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'content-damaged';

  /** @param key of the message, or of the series. */
  constructor(key: string, detail: string, options?: ErrorOptions) {
    super(`The stored content of message ${key} ${detail}.`, options);
  }
}

const MESSAGE_KEY_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

// The part of a UUIDv7 that is its millisecond, and the part at its end that counts further within one.
const MILLISECOND_LENGTH = 13;
const COUNTER_LENGTH = 12;
const COUNTER_END = 16 ** COUNTER_LENGTH;
let lastKey = '';

/** A key that no other message has, and that sorts behind those that this process made before in the same millisecond. */
export function newMessageKey(): MessageKey {
  const key = newKeyBehind(lastKey);
  if (!isMessageKey(key)) {
    throw new Error('randomUUIDv7 has made something that is no UUIDv7.');
  }
  lastKey = key;
  return key;
}

/** Within a millisecond, the key before is counted further (RFC 9562, 6.2, method 2): its digits at the end are random, so there is room. */
function newKeyBehind(last: string): string {
  const key = randomUUIDv7();
  if (key > last || key.slice(0, MILLISECOND_LENGTH) !== last.slice(0, MILLISECOND_LENGTH)) {
    return key;
  }
  const counter = Number.parseInt(last.slice(-COUNTER_LENGTH), 16) + 1;
  return counter === COUNTER_END
    ? newKeyBehind(last) // once in a very long time; the next millisecond ends it
    : last.slice(0, -COUNTER_LENGTH) + counter.toString(16).padStart(COUNTER_LENGTH, '0');
}

export function isMessageKey(text: string): text is MessageKey {
  return MESSAGE_KEY_PATTERN.test(text);
}

/** The trace of a message: the digits of its key, which are as many as a trace id has (W3C Trace Context). */
export function traceOf(key: MessageKey): string {
  return key.replaceAll('-', '');
}

/** What the brake looks at, as it stands now. */
export function brakeCounts({ counts, feedback }: Pick<Message, 'counts' | 'feedback'>): BrakeCounts {
  const { bounced, complained } = feedback;
  return { handedOver: counts.sent + counts.failed, bounced, complained };
}

/** Deliveries that have no outcome yet. */
export function pendingCount(counts: Counts): number {
  return counts.subscribers - counts.sent - counts.failed - counts.skipped - counts.unknown;
}

/** Why a message has `failed` of which every batch but these is settled. */
export function setAsideReason(batchCount: number): string {
  return `${batchCount === 1 ? 'One batch was' : `${batchCount} batches were`} set aside after failing again and again.`;
}

/** True once nothing more will happen to it by itself or by `resume`. */
export function isFinished(status: MessageStatus): boolean {
  return status === 'sent' || status === 'cancelled' || status === 'skipped';
}

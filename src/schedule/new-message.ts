import { isReached } from '../platform/clock/clock.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import type { SealedContent, Template } from './content.ts';
import { messageTags } from './message-tags.ts';
import { type ContentSeal, type Message, newMessageKey } from './message.ts';
import { placeInTime } from './missed-rule.ts';

/** What decides about a message before it is stored; the rest of it is the same for all. */
type Origin = Pick<
  Message,
  'group' | 'subject' | 'from' | 'replyTo' | 'scheduleOn' | 'time' | 'expiresAt' | 'onMissed' | 'onUnknown'
> &
  Partial<Pick<Message, 'key' | 'occurrence' | 'localDelivery'>>;

/**
 * A message that has not begun: scheduled, or what the missed rule makes of its time.
 * @throws {InvalidInputError} where it expires before its time.
 */
export function newMessage(
  origin: Origin,
  content: ContentSeal,
  now: Temporal.Instant,
  graceMs: number,
): Message {
  const { group, subject, from, replyTo, scheduleOn, time, expiresAt, onMissed, onUnknown } = origin;
  requireExpiryAfterTime(scheduleOn, expiresAt, now);
  const { key = newMessageKey(), occurrence, localDelivery } = origin;
  return {
    key,
    group,
    subject,
    from,
    replyTo,
    content,
    tags: messageTags({ group, subject, scheduleOn, key }),
    scheduleOn,
    time,
    occurrence,
    dueAt: scheduleOn,
    addedAt: now,
    localDelivery,
    expiresAt,
    onMissed,
    onUnknown,
    version: 1,
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
    ...placeInTime({ dueAt: scheduleOn, onMissed, expiresAt, occurrence, localDelivery, time }, now, graceMs),
  };
}

export function sealOf(content: SealedContent, template: Template): ContentSeal {
  return { sha256: content.sha256, bytes: content.bytes.length, template };
}

/** @throws {InvalidInputError} where nothing could ever be sent. */
export function requireExpiryAfterTime(
  scheduleOn: Temporal.Instant,
  expiresAt: Temporal.Instant | undefined,
  now: Temporal.Instant,
): void {
  if (!expiresAt) {
    return;
  }
  if (isReached(expiresAt, scheduleOn) || isReached(expiresAt, now)) {
    throw new InvalidInputError([
      {
        pointer: '/expires_at',
        detail: 'It must come after schedule_on (or the first wave of local_delivery), and after now.',
      },
    ]);
  }
}

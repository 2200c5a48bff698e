import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import type { GroupName } from '../groups/group.ts';
import { Clock, DAY_MS, isReached, plusMs } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { DomainError, InvalidInputError } from '../platform/errors/domain-error.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { Tracing } from '../platform/tracing/tracing.ts';
import { compileContent } from './compiled-content.ts';
import {
  type Content,
  ContentTooLargeError,
  openContent,
  type SealedContent,
  sealContent,
  type Template,
} from './content.ts';
import { earliestWave, type LocalTime, localTimeFields } from './local-delivery.ts';
import { type MessageChange, MessageStore } from './message-store.ts';
import { messageTags } from './message-tags.ts';
import { answerScheduled } from './message-view.ts';
import {
  type ContentSeal,
  isFinished,
  type Message,
  type MessageKey,
  MessageExpiredError,
  MessageNotFoundError,
  MessageStatusConflictError,
  newMessageKey,
  type OnMissed,
  type OnUnknown,
  type Retry,
  RETRYABLE_OUTCOMES,
  type RetryableOutcome,
  traceOf,
} from './message.ts';
import { judgeLateness } from './missed-rule.ts';
import { Planner } from './planner.ts';
import { WakeSignal } from './wake-signal.ts';

/** A message to be. */
export interface Draft extends Content {
  /** Absent where `localDelivery` says when. */
  readonly scheduleOn: Temporal.Instant | undefined;
  readonly localDelivery?: LocalTime | undefined;
  readonly expiresAt: Temporal.Instant | undefined;
  readonly onMissed: OnMissed;
  readonly onUnknown: OnUnknown;
}

/** What changes; a field that is absent stays, `undefined` empties it. */
export type Redraft = Partial<Draft>;

export interface Scheduled {
  readonly key: MessageKey;
  /** What the first request was answered, as JSON; the same for its repetitions. */
  readonly answer: string;
}

/** Thrown where an Idempotency-Key comes again with another request. */
export class IdempotencyKeyReusedError extends DomainError {
  readonly kind = 'unprocessable';
  readonly code = 'idempotency-key-reused';

  constructor(options?: ErrorOptions) {
    super('This Idempotency-Key was used for another message within the last day. Use a new key.', options);
  }
}

// As long as Stripe keeps theirs at least (docs.stripe.com/api/idempotent_requests); clients that retry give up long before.
const IDEMPOTENCY_MS = DAY_MS;

// Two people changing one message at once is rare; many in a row means that something is wrong.
const CHANGE_TRIES = 5;

/** Decides what may become of a message, and when; what then happens to it is delivery's. */
@Injectable()
export class ScheduleService {
  constructor(
    private readonly messages: MessageStore,
    private readonly groups: GroupStore,
    private readonly planner: Planner,
    private readonly wakes: WakeSignal,
    private readonly tracing: Tracing,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /**
   * Stores a message; durable once it resolves. With an idempotency key, a second call with the same draft stores nothing and
   * gives the same answer.
   * @throws {IdempotencyKeyReusedError} @throws {InvalidInputError} @throws {ContentTooLargeError}
   */
  async schedule(group: GroupName, draft: Draft, idempotencyKey: string | undefined): Promise<Scheduled> {
    const now = this.clock.now();
    const content = this.#seal(draft);
    const message = this.#newMessage(group, draft, content, await this.#timesOf(group, draft, now), now);
    const audience = await this.groups.find(group);
    const plan = message.localDelivery && (await this.planner.plan(message));
    const answer = JSON.stringify(answerScheduled(message, audience, this.settings.publicUrl, plan));

    const idempotency =
      idempotencyKey === undefined
        ? undefined
        : {
            key: idempotencyKey,
            fingerprint: fingerprint(draft, content),
            answer,
            expiresAt: plusMs(now, IDEMPOTENCY_MS),
          };
    const result = await this.tracing.run(
      { trace: traceOf(message.key), name: 'message.schedule', isRoot: true, attributes: { group } },
      () => this.messages.create(message, content, idempotency),
    );

    switch (result.kind) {
      case 'created':
        this.#announce(message);
        return { key: message.key, answer };
      case 'repeated':
        return { key: result.key, answer: result.answer };
      case 'key-reused':
        throw new IdempotencyKeyReusedError();
      default:
        return assertNever(result);
    }
  }

  /** @throws {MessageNotFoundError} */
  async get(group: GroupName, key: MessageKey | 'latest'): Promise<Message> {
    const message =
      key === 'latest' ? await this.messages.findLatest(group) : await this.messages.find(group, key);
    if (!message) {
      throw new MessageNotFoundError(group);
    }
    return message;
  }

  /**
   * Changes a message that has not begun. A new time may release a held one, and holds one where it lies too far in the past.
   * @throws {MessageStatusConflictError} once it has begun or ended.
   */
  async change(
    group: GroupName,
    key: MessageKey | 'latest',
    redraft: Redraft,
    ifVersion?: number,
  ): Promise<Message> {
    return this.#change(group, key, ifVersion, async (message) => {
      if (message.dispatch.begunAt || !['scheduled', 'held', 'paused'].includes(message.status)) {
        throw new MessageStatusConflictError(message.status, 'changed');
      }
      const now = this.clock.now();
      const isMoved = redraft.scheduleOn !== undefined || redraft.localDelivery !== undefined;
      const times = isMoved ? await this.#timesOf(group, redraft, now) : undefined;
      const after = { ...message, ...pick(redraft), ...times };
      if (times || 'expiresAt' in redraft) {
        requireExpiryAfterTime(after.scheduleOn, after.expiresAt, now);
      }
      const content = touchesContent(redraft)
        ? this.#seal({ ...(await this.#readContent(message)), ...redraft })
        : undefined;
      return {
        content,
        change: {
          ...pick(redraft),
          tags: messageTags(after),
          ...(content && { content: sealOf(content, redraft.template ?? message.content.template) }),
          ...times,
          ...(times && { dueAt: times.scheduleOn }),
          ...(times &&
            message.status !== 'paused' &&
            this.#placeInTime({ ...after, dueAt: times.scheduleOn }, now)),
        },
      };
    });
  }

  /** Stops a message, before or while it is sent; a second call changes nothing. */
  async pause(group: GroupName, key: MessageKey | 'latest', ifVersion?: number): Promise<Message> {
    return this.#change(group, key, ifVersion, (message) => {
      switch (message.status) {
        case 'scheduled':
        case 'sending':
          return { change: { status: 'paused', reason: undefined, wakeAt: undefined } };
        case 'paused':
          return undefined;
        default:
          throw new MessageStatusConflictError(message.status, 'paused');
      }
    });
  }

  /**
   * Lets a message that was paused, held or stopped go on from where it was; sends it at once where its time has passed.
   * A second call changes nothing.
   */
  async resume(group: GroupName, key: MessageKey | 'latest', ifVersion?: number): Promise<Message> {
    return this.#change(group, key, ifVersion, (message) => {
      switch (message.status) {
        case 'paused':
        case 'held':
        case 'failed':
          return { change: this.#resumption(message) };
        case 'scheduled':
        case 'sending':
          return undefined;
        default:
          throw new MessageStatusConflictError(message.status, 'resumed');
      }
    });
  }

  /**
   * Tries deliveries of this outcome again, and batches that were set aside: only those, with the attempts of a new delivery.
   * Nothing changes where there are none.
   * @throws {MessageStatusConflictError} of a message that has not begun, is paused or was ended.
   * @throws {MessageExpiredError}
   */
  async retry(
    group: GroupName,
    key: MessageKey | 'latest',
    outcome: RetryableOutcome,
    ifVersion?: number,
  ): Promise<Message> {
    return this.#change(group, key, ifVersion, (message) => {
      const { status, expiresAt, dispatch, counts } = message;
      const isAtRest = status === 'sent' || status === 'failed';
      if (!dispatch.begunAt || (!isAtRest && status !== 'sending')) {
        throw new MessageStatusConflictError(status, 'retried');
      }
      const now = this.clock.now();
      if (expiresAt && isReached(expiresAt, now)) {
        throw new MessageExpiredError(expiresAt);
      }
      if (counts[outcome] + dispatch.batchesSetAside === 0) {
        return undefined;
      }
      const outcomes = RETRYABLE_OUTCOMES.filter(
        (one) => one === outcome || message.retry?.outcomes.includes(one) === true,
      );
      return {
        change: {
          status: 'sending',
          reason: undefined,
          wakeAt: now,
          retry: { outcomes, through: undefined },
        },
      };
    });
  }

  /** Ends a message: what has not been handed to the channel by now is not sent. A second call changes nothing. */
  async cancel(group: GroupName, key: MessageKey | 'latest', ifVersion?: number): Promise<Message> {
    return this.#change(group, key, ifVersion, (message) => {
      if (message.status === 'cancelled') {
        return undefined;
      }
      if (isFinished(message.status)) {
        throw new MessageStatusConflictError(message.status, 'cancelled');
      }
      // What has begun wakes once more, so that every delivery of its batches gets its outcome.
      return {
        change: {
          status: 'cancelled',
          reason: undefined,
          wakeAt: message.dispatch.begunAt ? this.clock.now() : undefined,
          retry: retrySetAside(message),
        },
      };
    });
  }

  async #change(
    group: GroupName,
    key: MessageKey | 'latest',
    ifVersion: number | undefined,
    decide: (message: Message) => Decision | undefined | Promise<Decision | undefined>,
  ): Promise<Message> {
    for (let tries = 1; ; tries += 1) {
      const message = await this.get(group, key);
      if (ifVersion !== undefined && ifVersion !== message.version) {
        throw new VersionMismatchError(ifVersion, message.version);
      }
      try {
        const decision = await decide(message);
        if (!decision) {
          return message;
        }
        const changed = await this.messages.change(
          group,
          message.key,
          message.version,
          decision.change,
          decision.content,
        );
        this.#announce(changed);
        return changed;
      } catch (error) {
        if (!(error instanceof VersionMismatchError) || ifVersion !== undefined || tries === CHANGE_TRIES) {
          throw error;
        }
      }
    }
  }

  async #readContent(message: Message): Promise<Content> {
    try {
      return openContent(await this.messages.readContent(message));
    } catch (error) {
      const { version } = await this.get(message.group, message.key);
      if (version === message.version) {
        throw error;
      }
      // Somebody gave it new content after it was read: not damaged, only newer.
      throw new VersionMismatchError(message.version, version, { cause: error });
    }
  }

  /** When a message begins that is drafted so, and whether each subscriber's zone decides. */
  async #timesOf(
    group: GroupName,
    { scheduleOn, localDelivery: local }: Pick<Redraft, 'scheduleOn' | 'localDelivery'>,
    now: Temporal.Instant,
  ): Promise<Times> {
    if (local) {
      const since = Temporal.Instant.fromEpochMilliseconds(now.epochMilliseconds); // as it is once stored
      return {
        scheduleOn: await this.planner.firstSending(group, local, since),
        localDelivery: { ...local, since, missedBefore: undefined },
      };
    }
    if (!scheduleOn) {
      throw new Error('A draft says neither when to send nor at which local time.');
    }
    return { scheduleOn, localDelivery: undefined };
  }

  #newMessage(
    group: GroupName,
    draft: Draft,
    content: SealedContent,
    { scheduleOn, localDelivery }: Times,
    now: Temporal.Instant,
  ): Message {
    requireExpiryAfterTime(scheduleOn, draft.expiresAt, now);
    const key = newMessageKey();
    const { subject, from, replyTo, expiresAt, onMissed, onUnknown } = draft;
    return {
      key,
      group,
      subject,
      from,
      replyTo,
      content: sealOf(content, draft.template),
      tags: messageTags({ group, subject, scheduleOn, key }),
      scheduleOn,
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
      attempts: { firstAt: undefined, lastAt: undefined, lastAcceptedAt: undefined, lastDueAt: undefined },
      ...this.#placeInTime({ expiresAt, onMissed, localDelivery, dueAt: scheduleOn }, now),
    };
  }

  #placeInTime(
    times: Pick<Message, 'dueAt' | 'onMissed' | 'expiresAt' | 'localDelivery'>,
    now: Temporal.Instant,
  ): Pick<Message, 'status' | 'reason' | 'wakeAt'> {
    const verdict = judgeLateness(times, now, this.settings.missedGraceMs);
    switch (verdict.kind) {
      case 'go':
        return { status: 'scheduled', reason: undefined, wakeAt: firstWake(times) };
      case 'hold':
        return { status: 'held', reason: verdict.reason, wakeAt: undefined };
      case 'skip':
        return { status: 'skipped', reason: verdict.reason, wakeAt: undefined };
      default:
        return assertNever(verdict);
    }
  }

  #resumption(message: Message): MessageChange {
    const now = this.clock.now();
    if (message.dispatch.begunAt) {
      const retry = message.retry ?? retrySetAside(message);
      return { status: 'sending', reason: undefined, wakeAt: now, retry };
    }
    const dueAt = isReached(message.scheduleOn, now) ? now : message.scheduleOn;
    return { dueAt, ...this.#placeInTime({ ...message, dueAt }, now) };
  }

  #seal(content: Content): SealedContent {
    const bytes = Buffer.byteLength(content.body) + Buffer.byteLength(content.text ?? '');
    if (bytes > this.settings.bodyLimitBytes) {
      throw new ContentTooLargeError(bytes, this.settings.bodyLimitBytes);
    }
    compileContent(content); // refuses a template that does not parse: now, not when it is due
    return sealContent(content);
  }

  #announce(message: Message): void {
    if (message.wakeAt) {
      this.wakes.announce({ group: message.group, key: message.key, wakeAt: message.wakeAt });
    }
  }
}

/** What is set aside has deliveries without an outcome: whatever becomes of the message, they get one. */
function retrySetAside({ dispatch }: Message): Retry | undefined {
  return dispatch.batchesSetAside > 0 ? { outcomes: [], through: undefined } : undefined;
}

type Times = Pick<Message, 'scheduleOn' | 'localDelivery'>;

/** Before its first wave, because until then somebody may come whose wave is earlier. */
function firstWake({ dueAt, localDelivery }: Pick<Message, 'dueAt' | 'localDelivery'>): Temporal.Instant {
  const earliest = localDelivery ? earliestWave(localDelivery) : dueAt;
  return isReached(earliest, dueAt) ? earliest : dueAt;
}

interface Decision {
  readonly change: MessageChange;
  readonly content?: SealedContent | undefined;
}

function sealOf(content: SealedContent, template: Template): ContentSeal {
  return { sha256: content.sha256, bytes: content.bytes.length, template };
}

function touchesContent(redraft: Redraft): boolean {
  return ['subject', 'body', 'text', 'template', 'from', 'replyTo'].some((field) => field in redraft);
}

/** What of a redraft stands in the record itself, but for its times. */
function pick({
  body: _body,
  text: _text,
  template: _template,
  scheduleOn: _scheduleOn,
  localDelivery: _localDelivery,
  ...recorded
}: Redraft): Omit<MessageChange, keyof Times> {
  return recorded;
}

function requireExpiryAfterTime(
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

function fingerprint(draft: Draft, content: SealedContent): string {
  const local = draft.localDelivery && JSON.stringify(localTimeFields(draft.localDelivery));
  const parts = [content.sha256, draft.scheduleOn ?? local, draft.expiresAt, draft.onMissed, draft.onUnknown];
  return createHash('sha256').update(parts.map(String).join(' ')).digest('hex');
}

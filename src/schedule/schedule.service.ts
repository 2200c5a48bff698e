import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import type { GroupName } from '../groups/group.ts';
import { Clock, DAY_MS, isReached, plusMs } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { DomainError } from '../platform/errors/domain-error.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { Tracing } from '../platform/tracing/tracing.ts';
import { compileContent } from './compiled-content.ts';
import { contentFindings } from './content-rules.ts';
import {
  type Content,
  ContentTooLargeError,
  openContent,
  type SealedContent,
  sealContent,
} from './content.ts';
import { type LocalTime, localTimeFields } from './local-delivery.ts';
import { type MessageChange, MessageStore } from './message-store.ts';
import { messageTags } from './message-tags.ts';
import { type MeantTime, resolveAnew } from './meant-time.ts';
import { answerScheduled } from './message-view.ts';
import {
  brakeCounts,
  isFinished,
  type Message,
  type MessageKey,
  MessageExpiredError,
  MessageNotFoundError,
  MessageStatusConflictError,
  type OnMissed,
  type OnUnknown,
  type Retry,
  RETRYABLE_OUTCOMES,
  type RetryableOutcome,
  traceOf,
} from './message.ts';
import { placeInTime } from './missed-rule.ts';
import { newMessage, requireExpiryAfterTime, sealOf } from './new-message.ts';
import { announceSeries, newSeries, occurrenceMessage } from './new-series.ts';
import type { Recurrence } from './recurrence.ts';
import type { Retired } from './series.ts';
import { Planner } from './planner.ts';
import { WakeSignal } from './wake-signal.ts';
import { ZoneRules } from './zone-rules.ts';

/** A message to be. */
export interface Draft extends Content {
  /** Absent where `localDelivery` says when. */
  readonly scheduleOn: Temporal.Instant | undefined;
  readonly localDelivery?: LocalTime | undefined;
  /** What was meant by `scheduleOn`, where it is a local time. */
  readonly time: MeantTime | undefined;
  readonly expiresAt: Temporal.Instant | undefined;
  readonly onMissed: OnMissed;
  readonly onUnknown: OnUnknown;
  /** Absent where it goes out once; the time is then that of its first occurrence at the earliest. */
  readonly repeat: Recurrence | undefined;
}

/** What changes; a field that is absent stays, `undefined` empties it. */
export type Redraft = Partial<Omit<Draft, 'repeat'>>;

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
    private readonly rules: ZoneRules,
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
    const content = this.seal(draft);
    const seal = sealOf(content, draft.template);
    const series = draft.repeat && newSeries(group, draft, draft.repeat, { seal, rules: this.rules, now });
    const placed = series
      ? occurrenceMessage(series, this.rules, now, this.settings.missedGraceMs)
      : newMessage(
          { ...draft, ...(await this.#timesOf(group, draft, now)), group },
          seal,
          now,
          this.settings.missedGraceMs,
        );
    const message = { ...placed, contentFindings: contentFindings(draft) };
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
      () =>
        this.messages.create(message, content, {
          idempotency,
          series: series && { kind: 'new', series },
          isGroupFound: audience !== undefined,
        }),
    );

    switch (result.kind) {
      case 'created':
        this.#announce(message);
        if (series) {
          announceSeries(this.wakes, series);
        }
        return { key: message.key, answer };
      case 'repeated':
        return { key: result.key, answer: result.answer };
      case 'key-reused':
        throw new IdempotencyKeyReusedError();
      case 'exists':
      case 'series-changed':
        throw new Error(`There is a message ${message.key} already.`); // its key is new: a defect
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
      const revised = touchesContent(redraft)
        ? { ...(await this.#readContent(message)), ...redraft }
        : undefined;
      const content = revised && this.seal(revised);
      return {
        content,
        change: {
          ...pick(redraft),
          tags: messageTags(after),
          ...(content && { content: sealOf(content, redraft.template ?? message.content.template) }),
          ...(revised && { contentFindings: contentFindings(revised) }),
          ...times,
          ...(times && { dueAt: times.scheduleOn, occurrence: withoutFollower(message) }),
          ...(times &&
            message.status !== 'paused' &&
            placeInTime(
              { ...after, dueAt: times.scheduleOn, occurrence: withoutFollower(message) },
              now,
              this.settings.missedGraceMs,
            )),
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

  /**
   * Cancels messages of a series that have not begun. Answers the local times of those that have, and so go out. A second run does the
   * same once more.
   */
  async retire(group: GroupName, retired: readonly Retired[]): Promise<readonly Temporal.PlainDateTime[]> {
    const begun: Temporal.PlainDateTime[] = [];
    for (const { message, local, reason } of retired) {
      if (!(await this.#cancelBeforeItBegins(group, message, reason))) {
        begun.push(local);
      }
    }
    return begun;
  }

  /** False where it has begun. */
  async #cancelBeforeItBegins(group: GroupName, key: MessageKey, reason: string): Promise<boolean> {
    for (;;) {
      const message = await this.messages.find(group, key);
      if (!message || message.status === 'cancelled' || message.status === 'skipped') {
        return true;
      }
      if (message.dispatch.begunAt) {
        return false;
      }
      try {
        await this.messages.change(group, key, message.version, {
          status: 'cancelled',
          reason,
          wakeAt: undefined,
        });
        return true;
      } catch (error) {
        if (!(error instanceof VersionMismatchError)) {
          throw error;
        }
      }
    }
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
    { scheduleOn, localDelivery: local, time }: Pick<Redraft, 'scheduleOn' | 'localDelivery' | 'time'>,
    now: Temporal.Instant,
  ): Promise<Times> {
    if (local) {
      const since = Temporal.Instant.fromEpochMilliseconds(now.epochMilliseconds); // as it is once stored
      return {
        scheduleOn: await this.planner.firstSending(group, local, since),
        localDelivery: { ...local, since, missedBefore: undefined },
        time: undefined,
      };
    }
    if (!scheduleOn) {
      throw new Error('A draft says neither when to send nor at which local time.');
    }
    return { scheduleOn, localDelivery: undefined, time };
  }

  #resumption(message: Message): MessageChange {
    const now = this.clock.now();
    if (message.dispatch.begunAt) {
      const retry = message.retry ?? retrySetAside(message);
      // Held once it has begun: by the brake, whose cause somebody has seen by now.
      const brakeFrom = message.status === 'held' ? brakeCounts(message) : message.brakeFrom;
      return { status: 'sending', reason: undefined, wakeAt: now, retry, brakeFrom };
    }
    const { scheduleOn } = message;
    const anew = resolveAnew(message, this.rules, now);
    const goesOn = anew?.scheduleOn ?? scheduleOn;
    const isLate = isReached(goesOn, now);
    const dueAt = isLate ? now : goesOn;
    const occurrence = isLate ? withoutFollower(message) : message.occurrence;
    return {
      ...anew,
      ...(anew && { tags: messageTags({ ...message, ...anew }) }),
      occurrence,
      dueAt,
      ...placeInTime({ ...message, occurrence, dueAt }, now, this.settings.missedGraceMs),
    };
  }

  /**
   * Content as it is stored, once it is known that it can be sent.
   * @throws {ContentTooLargeError} @throws {InvalidInputError}
   */
  seal(content: Content): SealedContent {
    const bytes = Buffer.byteLength(content.body) + Buffer.byteLength(content.text ?? '');
    if (bytes > this.settings.bodyLimitBytes) {
      throw new ContentTooLargeError(bytes, this.settings.bodyLimitBytes);
    }
    compileContent(content); // refuses a template that does not parse: now, not when it is due
    return sealContent(content);
  }

  #announce(message: Message): void {
    if (message.wakeAt) {
      const { group, key, wakeAt } = message;
      this.wakes.announce({ kind: 'message', group, key, wakeAt });
    }
  }
}

/** Whoever gives an occurrence another time, or sends a late one, wants it whatever comes after it. */
function withoutFollower({ occurrence }: Message): Message['occurrence'] {
  return occurrence && { ...occurrence, followedAt: undefined };
}

/** What is set aside has deliveries without an outcome: whatever becomes of the message, they get one. */
function retrySetAside({ dispatch }: Message): Retry | undefined {
  return dispatch.batchesSetAside > 0 ? { outcomes: [], through: undefined } : undefined;
}

type Times = Pick<Message, 'scheduleOn' | 'localDelivery' | 'time'>;

interface Decision {
  readonly change: MessageChange;
  readonly content?: SealedContent | undefined;
}

export function touchesContent(redraft: object): boolean {
  return ['subject', 'body', 'text', 'template', 'from', 'replyTo'].some((field) => field in redraft);
}

/** What of a redraft stands in the record itself, but for its times. */
function pick({
  body: _body,
  text: _text,
  template: _template,
  scheduleOn: _scheduleOn,
  localDelivery: _localDelivery,
  time: _time,
  ...recorded
}: Redraft): Omit<MessageChange, keyof Times> {
  return recorded;
}

function fingerprint(draft: Draft, content: SealedContent): string {
  const local = draft.localDelivery && JSON.stringify(localTimeFields(draft.localDelivery));
  const repeat = draft.repeat && JSON.stringify(draft.repeat);
  const parts = [
    content.sha256,
    draft.scheduleOn ?? local,
    draft.expiresAt,
    draft.onMissed,
    draft.onUnknown,
    ...(repeat === undefined ? [] : [repeat]),
  ];
  return hash('sha256', parts.map(String).join(' '), 'hex');
}

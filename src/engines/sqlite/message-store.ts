import { Injectable } from '@nestjs/common';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberKey } from '../../groups/subscriber.ts';
import { requireVersion } from '../../platform/errors/version-mismatch-error.ts';
import { type SealedContent, sha256Hex, TEMPLATES } from '../../schedule/content.ts';
import {
  type ClaimTerms,
  type CreateResult,
  type CreateTerms,
  type Idempotency,
  type MessageChange,
  type MessagePage,
  MessageStore,
  type Rest,
  type Waking,
} from '../../schedule/message-store.ts';
import {
  decodeLocalDelivery,
  encodeLocalDelivery,
  type LocalDelivery,
} from '../../schedule/local-delivery.ts';
import { decodeMeant, encodeMeant, type MeantTime } from '../../schedule/meant-time.ts';
import { decodeFindings, encodeFindings, type Finding } from '../../schedule/finding.ts';
import { decodeTags, encodeTags } from '../../schedule/message-tags.ts';
import {
  ContentDamagedError,
  isMessageKey,
  type Lease,
  type Message,
  MESSAGE_STATUSES,
  type MessageKey,
  MessageNotFoundError,
  ON_MISSED,
  ON_UNKNOWN,
  type Retry,
  RETRYABLE_OUTCOMES,
} from '../../schedule/message.ts';
import { isSeriesKey, type Occurrence } from '../../schedule/occurrence.ts';
import { ensureGroup } from './group-store.ts';
import { insertSeries, isStored } from './series-store.ts';
import { branded, bytes, instant, integer, oneOf, optionalInstant, optionalText, text } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

const leaseFree = '(lease_until IS NULL OR lease_until <= :now)';
const wakeCome = 'wake_at <= :now';
/** A claim and each cut put the wake at the end of the lease; a batch that waits for its retry brings it forward, and it stays so. */
export const broughtForward = 'wake_at < lease_until';

@Injectable()
export class SqliteMessageStore extends MessageStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override create(
    message: Message,
    content: SealedContent,
    { idempotency, series }: CreateTerms = {},
  ): Promise<CreateResult> {
    return this.database.write(() => {
      const repeated = idempotency && this.#findRepeated(message, idempotency);
      if (repeated) {
        return repeated;
      }
      if (series?.kind === 'unchanged' && !isStored(this.database, series.series)) {
        return { kind: 'series-changed' };
      }
      ensureGroup(this.database, message.group, message.addedAt);
      if (!this.#insert(message)) {
        return { kind: 'exists' };
      }
      this.#writeContent(message.key, content);
      if (series?.kind === 'new') {
        insertSeries(this.database, series.series, content);
      }
      if (idempotency) {
        this.#writeIdempotency(message, idempotency);
      }
      return { kind: 'created' };
    });
  }

  override async find(group: GroupName, key: MessageKey): Promise<Message | undefined> {
    return this.#find(group, key);
  }

  override async findLatest(group: GroupName): Promise<Message | undefined> {
    const row = this.database.get(
      'SELECT * FROM messages WHERE group_name = :group ORDER BY message_key DESC LIMIT 1',
      { group },
    );
    return row && toMessage(row);
  }

  override async list(group: GroupName, page: MessagePage): Promise<readonly Message[]> {
    return this.database
      .all(
        `SELECT * FROM messages
         WHERE group_name = :group AND (schedule_on, message_key) > (:afterTime, :afterKey)
           AND schedule_on >= :from AND schedule_on < :to
           AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
         ORDER BY schedule_on, message_key LIMIT +:limit`,
        {
          group,
          afterTime: page.after?.scheduleOn.epochMilliseconds ?? Number.MIN_SAFE_INTEGER,
          afterKey: page.after?.key ?? '',
          from: page.from?.epochMilliseconds ?? Number.MIN_SAFE_INTEGER,
          to: page.to?.epochMilliseconds ?? Number.MAX_SAFE_INTEGER,
          statuses: page.statuses ? JSON.stringify(page.statuses) : null,
          limit: page.limit,
        },
      )
      .map(toMessage);
  }

  override async readContent(message: Message): Promise<Buffer> {
    const row = this.database.get('SELECT content FROM contents WHERE message_key = :key', {
      key: message.key,
    });
    if (!row) {
      throw new ContentDamagedError(message.key, 'is missing');
    }
    const content = bytes(row, 'content');
    if (sha256Hex(content) !== message.content.sha256) {
      throw new ContentDamagedError(message.key, 'does not have the hash that it was sealed with');
    }
    return content;
  }

  override change(
    group: GroupName,
    key: MessageKey,
    expectedVersion: number,
    change: MessageChange,
    content?: SealedContent,
  ): Promise<Message> {
    return this.database.write(() => {
      const before = this.#find(group, key);
      if (!before) {
        throw new MessageNotFoundError(group);
      }
      requireVersion(expectedVersion, before.version);
      const dispatch = 'status' in change ? { ...before.dispatch, lookedAt: undefined } : before.dispatch;
      const after: Message = {
        ...before,
        ...change,
        dispatch,
        version: before.version + 1,
        lease: undefined,
      };
      this.database.run(
        `UPDATE messages SET
           subject = :subject, from_mailbox = :from, reply_to = :replyTo, template = :template, content_sha256 = :sha256,
           content_bytes = :bytes, tags = :tags, status = :status, reason = :reason, schedule_on = :scheduleOn,
           meant = :meant, tzdata = :tzdata, followed_at = :followedAt,
           due_at = :dueAt, local_delivery = :localDelivery, expires_at = :expiresAt, on_missed = :onMissed, on_unknown = :onUnknown, version = :version,
           wake_at = :wakeAt, lease_token = NULL, lease_until = NULL, content_findings = :contentFindings,
           retry_outcomes = :retryOutcomes, retried_through = :retriedThrough,
           looked_at = :lookedAt, brake_handed_over = :brakeHandedOver, brake_bounced = :brakeBounced, brake_complained = :brakeComplained
         WHERE message_key = :key`,
        {
          ...changeable(after),
          key,
          retryOutcomes: after.retry?.outcomes.join(',') ?? null,
          retriedThrough: after.retry?.through ?? null,
          lookedAt: after.dispatch.lookedAt?.epochMilliseconds ?? null,
          brakeHandedOver: after.brakeFrom?.handedOver ?? null,
          brakeBounced: after.brakeFrom?.bounced ?? null,
          brakeComplained: after.brakeFrom?.complained ?? null,
        },
      );
      if (content) {
        this.#writeContent(key, content);
      }
      return after;
    });
  }

  override async findWaking(until: Temporal.Instant, limit: number): Promise<readonly Waking[]> {
    return this.database
      .all(
        `SELECT 'message' AS kind, group_name, message_key AS key, wake_at FROM messages WHERE wake_at <= :until
         UNION ALL
         SELECT 'series', group_name, series_key, wake_at FROM series WHERE wake_at <= :until
         ORDER BY wake_at LIMIT +:limit`,
        { until: until.epochMilliseconds, limit },
      )
      .map(toWaking);
  }

  override claim(group: GroupName, key: MessageKey, terms: ClaimTerms): Promise<Message | undefined> {
    return this.database.write(() => {
      const row = this.database.get(
        `UPDATE messages SET
           lease_token = :token, lease_until = :until, wake_at = :until,
           version = version + (status = 'scheduled'),
           status = CASE status WHEN 'scheduled' THEN 'sending' ELSE status END,
           dispatch_begun_at = COALESCE(dispatch_begun_at, :now)
         WHERE message_key = :key AND group_name = :group AND ${wakeCome} AND ${leaseFree}
         RETURNING *`,
        {
          group,
          key,
          token: terms.token,
          until: terms.until.epochMilliseconds,
          now: terms.now.epochMilliseconds,
        },
      );
      return row && toMessage(row);
    });
  }

  override postpone(
    group: GroupName,
    key: MessageKey,
    expectedVersion: number,
    wakeAt: Temporal.Instant,
  ): Promise<void> {
    return this.database.write(() => {
      this.database.run(
        `UPDATE messages SET wake_at = :wakeAt
         WHERE message_key = :key AND group_name = :group AND status = 'scheduled' AND version = :expectedVersion`,
        { group, key, expectedVersion, wakeAt: wakeAt.epochMilliseconds },
      );
    });
  }

  override noteFindings(group: GroupName, key: MessageKey, findings: readonly Finding[]): Promise<void> {
    return this.database.write(() => {
      this.database.run(
        'UPDATE messages SET sending_findings = :findings WHERE message_key = :key AND group_name = :group',
        { group, key, findings: encodeFindings(findings) ?? null },
      );
    });
  }

  override rest(group: GroupName, key: MessageKey, { token, wakeAt, lookedAt }: Rest): Promise<void> {
    return this.database.write(() => {
      this.database.run(
        `UPDATE messages SET lease_token = NULL, lease_until = NULL, looked_at = :lookedAt,
           wake_at = CASE WHEN ${broughtForward} THEN MIN(wake_at, :wakeAt) ELSE :wakeAt END
         WHERE message_key = :key AND group_name = :group AND lease_token = :token`,
        {
          group,
          key,
          token,
          wakeAt: wakeAt.epochMilliseconds,
          lookedAt: lookedAt?.epochMilliseconds ?? null,
        },
      );
    });
  }

  /** False where there is one of this key. */
  #insert(message: Message): boolean {
    const its = changeable(message);
    const inserted = this.database.runInPlace(
      `INSERT INTO messages (
         message_key, group_name, subject, from_mailbox, reply_to, template, content_sha256, content_bytes, tags,
         status, reason, schedule_on, meant, tzdata, series_key, occurrence,
         followed_at, due_at, local_delivery, message_added, expires_at,
         on_missed, on_unknown, version, wake_at, content_findings)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      [
        message.key,
        message.group,
        its.subject,
        its.from,
        its.replyTo,
        its.template,
        its.sha256,
        its.bytes,
        its.tags,
        its.status,
        its.reason,
        its.scheduleOn,
        its.meant,
        its.tzdata,
        message.occurrence?.series ?? null,
        message.occurrence?.local.toString() ?? null,
        its.followedAt,
        its.dueAt,
        its.localDelivery,
        message.addedAt.epochMilliseconds,
        its.expiresAt,
        its.onMissed,
        its.onUnknown,
        its.version,
        its.wakeAt,
        its.contentFindings,
      ],
    );
    return inserted === 1;
  }

  #find(group: GroupName, key: MessageKey): Message | undefined {
    const row = this.database.get('SELECT * FROM messages WHERE message_key = :key AND group_name = :group', {
      group,
      key,
    });
    return row && toMessage(row);
  }

  #writeContent(key: MessageKey, content: SealedContent): void {
    this.database.runInPlace(
      'INSERT INTO contents VALUES (?, ?) ON CONFLICT DO UPDATE SET content = excluded.content',
      [key, content.bytes],
    );
  }

  #findRepeated(message: Message, idempotency: Idempotency): CreateResult | undefined {
    const row = this.database.get(
      `SELECT fingerprint, message_key, answer FROM idempotency_keys
       WHERE group_name = :group AND idempotency_key = :key AND expires_at > :now`,
      { group: message.group, key: idempotency.key, now: message.addedAt.epochMilliseconds },
    );
    if (!row) {
      return undefined;
    }
    return text(row, 'fingerprint') === idempotency.fingerprint
      ? { kind: 'repeated', key: branded(row, 'message_key', isMessageKey), answer: text(row, 'answer') }
      : { kind: 'key-reused' };
  }

  #writeIdempotency(message: Message, idempotency: Idempotency): void {
    this.database.run('DELETE FROM idempotency_keys WHERE expires_at <= :now', {
      now: message.addedAt.epochMilliseconds,
    });
    this.database.run(
      'INSERT INTO idempotency_keys VALUES (:group, :key, :fingerprint, :messageKey, :answer, :expiresAt)',
      {
        group: message.group,
        key: idempotency.key,
        fingerprint: idempotency.fingerprint,
        messageKey: message.key,
        answer: idempotency.answer,
        expiresAt: idempotency.expiresAt.epochMilliseconds,
      },
    );
  }
}

function toWaking(row: Row): Waking {
  const found = { group: branded(row, 'group_name', isGroupName), wakeAt: instant(row, 'wake_at') };
  const kind = oneOf(row, 'kind', ['message', 'series']);
  return kind === 'message'
    ? { ...found, kind, key: branded(row, 'key', isMessageKey) }
    : { ...found, kind, key: branded(row, 'key', isSeriesKey) };
}

type Changeable =
  | ('subject' | 'from' | 'replyTo' | 'template' | 'sha256' | 'bytes' | 'tags' | 'status' | 'reason')
  | ('scheduleOn' | 'meant' | 'tzdata' | 'followedAt' | 'dueAt' | 'localDelivery' | 'expiresAt')
  | ('onMissed' | 'onUnknown' | 'version' | 'wakeAt' | 'contentFindings');

function changeable(message: Message): Readonly<Record<Changeable, string | number | null>> {
  return {
    subject: message.subject,
    from: message.from ?? null,
    replyTo: message.replyTo ?? null,
    template: message.content.template,
    sha256: message.content.sha256,
    bytes: message.content.bytes,
    tags: encodeTags(message.tags),
    status: message.status,
    reason: message.reason ?? null,
    scheduleOn: message.scheduleOn.epochMilliseconds,
    meant: message.time ? encodeMeant(message.time) : null,
    tzdata: message.time?.tzdata ?? null,
    followedAt: message.occurrence?.followedAt?.epochMilliseconds ?? null,
    dueAt: message.dueAt.epochMilliseconds,
    localDelivery: message.localDelivery ? encodeLocalDelivery(message.localDelivery) : null,
    expiresAt: message.expiresAt?.epochMilliseconds ?? null,
    onMissed: message.onMissed,
    onUnknown: message.onUnknown,
    version: message.version,
    wakeAt: message.wakeAt?.epochMilliseconds ?? null,
    contentFindings: encodeFindings(message.contentFindings) ?? null,
  };
}

function toMessage(row: Row): Message {
  return {
    key: branded(row, 'message_key', isMessageKey),
    group: branded(row, 'group_name', isGroupName),
    subject: text(row, 'subject'),
    from: optionalText(row, 'from_mailbox'),
    replyTo: optionalText(row, 'reply_to'),
    content: {
      sha256: text(row, 'content_sha256'),
      bytes: integer(row, 'content_bytes'),
      template: oneOf(row, 'template', TEMPLATES),
    },
    tags: decodeTags(text(row, 'tags')),
    status: oneOf(row, 'status', MESSAGE_STATUSES),
    reason: optionalText(row, 'reason'),
    scheduleOn: instant(row, 'schedule_on'),
    time: toMeant(row),
    occurrence: toOccurrence(row),
    dueAt: instant(row, 'due_at'),
    addedAt: instant(row, 'message_added'),
    localDelivery: toLocalDelivery(optionalText(row, 'local_delivery')),
    expiresAt: optionalInstant(row, 'expires_at'),
    onMissed: oneOf(row, 'on_missed', ON_MISSED),
    onUnknown: oneOf(row, 'on_unknown', ON_UNKNOWN),
    version: integer(row, 'version'),
    wakeAt: optionalInstant(row, 'wake_at'),
    lease: toLease(row),
    dispatch: {
      begunAt: optionalInstant(row, 'dispatch_begun_at'),
      through:
        row['dispatched_through'] === null ? undefined : branded(row, 'dispatched_through', isSubscriberKey),
      complete: integer(row, 'dispatch_complete') === 1,
      batchesCut: integer(row, 'batches_cut'),
      batchesSettled: integer(row, 'batches_settled'),
      batchesSetAside: integer(row, 'batches_set_aside'),
      lookedAt: optionalInstant(row, 'looked_at'),
    },
    retry: toRetry(row),
    counts: {
      subscribers: integer(row, 'subscriber_count'),
      sent: integer(row, 'sent_count'),
      failed: integer(row, 'failed_count'),
      skipped: integer(row, 'skipped_count'),
      unknown: integer(row, 'unknown_count'),
    },
    feedback: {
      delivered: integer(row, 'delivered_count'),
      bounced: integer(row, 'bounced_count'),
      complained: integer(row, 'complained_count'),
    },
    brakeFrom:
      row['brake_handed_over'] === null
        ? undefined
        : {
            handedOver: integer(row, 'brake_handed_over'),
            bounced: integer(row, 'brake_bounced'),
            complained: integer(row, 'brake_complained'),
          },
    attempts: {
      firstAt: optionalInstant(row, 'first_attempt_at'),
      lastAt: optionalInstant(row, 'last_attempt_at'),
      lastAcceptedAt: optionalInstant(row, 'last_accepted_at'),
      lastDueAt: optionalInstant(row, 'last_due_at'),
    },
    contentFindings: decodeFindings(optionalText(row, 'content_findings')),
    sendingFindings: decodeFindings(optionalText(row, 'sending_findings')),
  };
}

function toMeant(row: Row): MeantTime | undefined {
  const meant = optionalText(row, 'meant');
  return meant === undefined ? undefined : decodeMeant(meant);
}

function toOccurrence(row: Row): Occurrence | undefined {
  return row['series_key'] === null
    ? undefined
    : {
        series: branded(row, 'series_key', isSeriesKey),
        local: Temporal.PlainDateTime.from(text(row, 'occurrence')),
        followedAt: optionalInstant(row, 'followed_at'),
      };
}

function toLocalDelivery(json: string | undefined): LocalDelivery | undefined {
  return json === undefined ? undefined : decodeLocalDelivery(json);
}

function toRetry(row: Row): Retry | undefined {
  const outcomes = optionalText(row, 'retry_outcomes');
  return outcomes === undefined
    ? undefined
    : {
        outcomes: RETRYABLE_OUTCOMES.filter((outcome) => outcomes.split(',').includes(outcome)),
        through:
          row['retried_through'] === null ? undefined : branded(row, 'retried_through', isSubscriberKey),
      };
}

function toLease(row: Row): Lease | undefined {
  const token = optionalText(row, 'lease_token');
  const until = optionalInstant(row, 'lease_until');
  return token !== undefined && until ? { token, until } : undefined;
}

import { Injectable } from '@nestjs/common';
import {
  type Batch,
  BATCH_STATES,
  type BatchPointer,
  type BatchRecord,
  type ClaimedBatch,
} from '../../delivery/batch.ts';
import {
  type BatchPage,
  type ClaimablePage,
  type Cut,
  type DeliveryPage,
  DeliveryStore,
  LeaseLostError,
  type Mishap,
  type Progress,
  type Reopening,
  type Report,
  type Settlement,
} from '../../delivery/delivery-store.ts';
import { type Delivery, type Outcome, OUTCOMES } from '../../delivery/delivery.ts';
import {
  afterFeedback,
  decodeHeard,
  encodeHeard,
  type Feedback,
  feedbackGained,
} from '../../delivery/feedback.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberEmail, isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import type { ClaimTerms } from '../../schedule/message-store.ts';
import {
  isMessageKey,
  MESSAGE_STATUSES,
  type MessageKey,
  type MessageStatus,
  setAsideReason,
} from '../../schedule/message.ts';
import { later } from '../../platform/clock/clock.ts';
import { broughtForward } from './message-store.ts';
import { branded, instant, integer, oneOf, optionalInstant, optionalText, text } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

const leaseFree = '(lease_until IS NULL OR lease_until <= :now)';
const leaseHeld = 'lease_token = :token AND lease_until > :now';
const thisBatch = 'message_key = :messageKey AND first_subscriber = :first';
const inBatch = 'message_key = :messageKey AND subscriber BETWEEN :first AND :last';
const inOutcomes = 'outcome IN (SELECT value FROM json_each(:outcomes))';
/** Of a batch, at `:now`. */
export const claimable = `state = 'open' AND available_at <= :now AND (batches.lease_until IS NULL OR batches.lease_until <= :now)`;
const leaseEnded = `lease_token = NULL, lease_until = NULL, in_flight_first = NULL, in_flight_last = NULL, tries = 0, mishaps = 0`;
/** What a report adds to the counters of its message, and its attempts. */
const reported = `sent_count = sent_count + :sent, failed_count = failed_count + :failed,
  skipped_count = skipped_count + :skipped, unknown_count = unknown_count + :unknown,
  bounced_count = bounced_count + :bounced,
  first_attempt_at = COALESCE(MIN(first_attempt_at, :attemptAt), first_attempt_at, :attemptAt),
  last_attempt_at = COALESCE(MAX(last_attempt_at, :attemptAt), last_attempt_at, :attemptAt),
  last_accepted_at = COALESCE(MAX(last_accepted_at, :acceptedAt), last_accepted_at, :acceptedAt),
  last_due_at = COALESCE(MAX(last_due_at, :dueAt), last_due_at, :dueAt)`;
/** Of a message with nothing left to do; one that was cancelled stays so. */
const finished = `version = version + (status = 'sending'), reason = CASE status WHEN 'sending' THEN :reason ELSE reason END,
  status = CASE status WHEN 'sending' THEN :status ELSE status END, wake_at = NULL, lease_token = NULL, lease_until = NULL`;
const SELECT_BATCH = 'SELECT batches.*, group_name FROM batches JOIN messages USING (message_key)';

@Injectable()
export class SqliteDeliveryStore extends DeliveryStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override cut(cut: Cut): Promise<void> {
    return this.database.write(() => {
      const moved = this.database.run(
        `UPDATE messages SET
           dispatched_through = :through, dispatch_complete = :complete, batches_cut = batches_cut + :batches,
           subscriber_count = subscriber_count + :subscribers, lease_until = :leaseUntil,
           wake_at = CASE WHEN ${broughtForward} THEN wake_at ELSE :leaseUntil END
         WHERE message_key = :messageKey AND status = 'sending' AND ${leaseHeld} AND dispatched_through IS :after`,
        {
          messageKey: cut.messageKey,
          token: cut.token,
          now: cut.now.epochMilliseconds,
          leaseUntil: cut.leaseUntil.epochMilliseconds,
          after: cut.after ?? null,
          through: cut.batches.at(-1)?.last ?? cut.after ?? null,
          complete: cut.complete ? 1 : 0,
          batches: cut.batches.length,
          subscribers: cut.batches.reduce((sum, batch) => sum + batch.count, 0),
        },
      );
      if (moved !== 1) {
        throw new LeaseLostError(`message ${cut.messageKey}`);
      }
      for (const batch of cut.batches) {
        this.#insertBatch(batch, cut.now);
      }
      if (cut.complete && cut.batches.length === 0) {
        this.#finish(cut.group, cut.messageKey); // otherwise a batch is open, and the last to settle does it
      }
    });
  }

  override async findClaimable(
    messageKey: MessageKey,
    now: Temporal.Instant,
    page: ClaimablePage,
  ): Promise<readonly BatchPointer[]> {
    return findClaimable(this.database, messageKey, now, page).map(({ pointer }) => pointer);
  }

  override async findNextAt(
    messageKey: MessageKey,
    soon: Temporal.Instant,
  ): Promise<Temporal.Instant | undefined> {
    const row = this.database.get(
      `SELECT MIN(MAX(available_at, COALESCE(lease_until, available_at))) AS next_at FROM batches INDEXED BY batches_open
       WHERE message_key = :messageKey AND state = 'open'`,
      { messageKey },
    );
    const nextAt = row && optionalInstant(row, 'next_at');
    return nextAt && later(nextAt, soon);
  }

  override hasten(messageKey: MessageKey, now: Temporal.Instant): Promise<void> {
    return this.database.write(() => {
      this.database.run(
        `UPDATE batches SET available_at = :now
         WHERE message_key = :messageKey AND state = 'open' AND available_at > :now AND ${leaseFree}`,
        { messageKey, now: now.epochMilliseconds },
      );
    });
  }

  override async listBatches(messageKey: MessageKey, page: BatchPage): Promise<readonly BatchRecord[]> {
    return this.database
      .all(
        `${SELECT_BATCH} WHERE message_key = :messageKey AND first_subscriber > :after
           AND (:state IS NULL OR state = :state)
         ORDER BY first_subscriber LIMIT +:limit`,
        { messageKey, after: page.after ?? '', state: page.state ?? null, limit: page.limit },
      )
      .map(toBatchRecord);
  }

  override async findBatch(messageKey: MessageKey, key: SubscriberKey): Promise<Batch | undefined> {
    const row = this.database.get(
      `${SELECT_BATCH} WHERE message_key = :messageKey AND first_subscriber <= :key
       ORDER BY first_subscriber DESC LIMIT 1`,
      { messageKey, key },
    );
    const batch = row && toBatch(row);
    return batch && batch.last >= key ? batch : undefined;
  }

  override claim(pointer: BatchPointer, terms: ClaimTerms): Promise<ClaimedBatch | undefined> {
    return this.database.write(() => {
      const row = this.database.get(
        `UPDATE batches SET lease_token = :token, lease_until = :until, tries = tries + 1
         WHERE ${thisBatch} AND state = 'open' AND available_at <= :now AND ${leaseFree}
         RETURNING *, (SELECT group_name FROM messages WHERE message_key = :messageKey) AS group_name`,
        {
          messageKey: pointer.messageKey,
          first: pointer.first,
          token: terms.token,
          now: terms.now.epochMilliseconds,
          until: terms.until.epochMilliseconds,
        },
      );
      return (
        row && {
          ...toBatch(row),
          lease: { token: terms.token, until: terms.until },
          tries: integer(row, 'tries'),
          mishaps: integer(row, 'mishaps'),
          inFlight:
            row['in_flight_first'] === null
              ? undefined
              : {
                  first: branded(row, 'in_flight_first', isSubscriberKey),
                  last: branded(row, 'in_flight_last', isSubscriberKey),
                  count: integer(row, 'in_flight_count'),
                },
        }
      );
    });
  }

  override renew(batch: ClaimedBatch, now: Temporal.Instant, until: Temporal.Instant): Promise<void> {
    return this.database.write(() => {
      this.#requireLease(batch, now);
      this.database.run(`UPDATE batches SET lease_until = :until WHERE ${thisBatch}`, {
        messageKey: batch.messageKey,
        first: batch.first,
        until: until.epochMilliseconds,
      });
    });
  }

  override advance(batch: ClaimedBatch, progress: Progress): Promise<MessageStatus> {
    return this.database.write(() => {
      const { status } = this.#requireLease(batch, progress.now);
      this.#writeReport(batch, progress);
      const next = status === 'sending' ? progress.next : undefined;
      this.database.run(
        `UPDATE batches SET in_flight_first = :nextFirst, in_flight_last = :nextLast, in_flight_count = :nextCount,
           lease_until = :leaseUntil, left_count = left_count + :goneInDoubt,
           tries = CASE WHEN :gotOn THEN 0 ELSE tries END, mishaps = CASE WHEN :gotOn THEN 0 ELSE mishaps END
         WHERE ${thisBatch}`,
        {
          gotOn: progress.results.some(({ outcome }) => outcome) ? 1 : 0,
          messageKey: batch.messageKey,
          first: batch.first,
          nextFirst: next?.first ?? null,
          nextLast: next?.last ?? null,
          nextCount: next?.count ?? 0,
          leaseUntil: progress.leaseUntil.epochMilliseconds,
          goneInDoubt: progress.goneInDoubt,
        },
      );
      return status;
    });
  }

  override settle(batch: ClaimedBatch, settlement: Settlement): Promise<MessageStatus> {
    return this.database.write(() => {
      const held = this.#requireLease(batch, settlement.now);
      if (!settlement.retryAt) {
        return this.#settle(batch, settlement, held);
      }
      this.#writeReport(batch, settlement);
      this.database.run(
        `UPDATE batches SET ${leaseEnded}, available_at = :retryAt, left_count = left_count + :goneInDoubt WHERE ${thisBatch}`,
        {
          messageKey: batch.messageKey,
          first: batch.first,
          retryAt: settlement.retryAt.epochMilliseconds,
          goneInDoubt: settlement.goneInDoubt,
        },
      );
      this.database.run(
        'UPDATE messages SET wake_at = MIN(wake_at, :retryAt) WHERE message_key = :messageKey',
        { messageKey: batch.messageKey, retryAt: settlement.retryAt.epochMilliseconds },
      );
      return held.status;
    });
  }

  override putBack(batch: ClaimedBatch, mishap: Mishap, retryAt: Temporal.Instant): Promise<void> {
    return this.database.write(() => {
      this.#requireLease(batch, mishap.now);
      this.database.run(
        `UPDATE batches SET lease_token = NULL, lease_until = NULL, available_at = :retryAt, error = :error,
           mishaps = mishaps + 1 WHERE ${thisBatch}`,
        {
          messageKey: batch.messageKey,
          first: batch.first,
          retryAt: retryAt.epochMilliseconds,
          error: mishap.error,
        },
      );
    });
  }

  override setAside(batch: ClaimedBatch, mishap: Mishap): Promise<MessageStatus> {
    return this.database.write(() => {
      this.#requireLease(batch, mishap.now);
      this.database.run(
        `UPDATE batches SET lease_token = NULL, lease_until = NULL, state = 'set_aside', error = :error WHERE ${thisBatch}`,
        { messageKey: batch.messageKey, first: batch.first, error: mishap.error },
      );
      this.database.run(
        'UPDATE messages SET batches_set_aside = batches_set_aside + 1 WHERE message_key = :messageKey',
        { messageKey: batch.messageKey },
      );
      this.#finish(batch.group, batch.messageKey);
      return this.#status(batch.messageKey);
    });
  }

  override reopen(
    reopening: Reopening,
  ): Promise<{ readonly pointers: readonly BatchPointer[]; readonly complete: boolean }> {
    return this.database.write(() => {
      const { messageKey, now, limit } = reopening;
      const outcomes = JSON.stringify(reopening.outcomes);
      const found = this.database.all(
        `${SELECT_BATCH} WHERE message_key = :messageKey AND first_subscriber > :after
           AND (state = 'set_aside' OR (state = 'settled' AND EXISTS (
             SELECT 1 FROM deliveries WHERE deliveries.message_key = batches.message_key
               AND subscriber BETWEEN first_subscriber AND last_subscriber AND ${inOutcomes})))
         ORDER BY first_subscriber LIMIT +:limit`,
        { messageKey, after: reopening.after ?? '', outcomes, limit },
      );
      const complete = found.length < limit;
      const pointers = found.map(toPointer);
      this.#moveRetry(reopening, pointers.at(-1)?.first ?? reopening.after, complete);
      for (const row of found) {
        this.#reopen(toBatchRecord(row), outcomes, now);
      }
      return { pointers, complete };
    });
  }

  override release(batch: ClaimedBatch, now: Temporal.Instant): Promise<void> {
    return this.database.write(() => {
      this.database.run(
        `UPDATE batches SET lease_token = NULL, lease_until = NULL, available_at = :now, tries = 0, mishaps = 0
         WHERE ${thisBatch} AND lease_token = :token`,
        {
          messageKey: batch.messageKey,
          first: batch.first,
          token: batch.lease.token,
          now: now.epochMilliseconds,
        },
      );
    });
  }

  override async findDelivery(messageKey: MessageKey, key: SubscriberKey): Promise<Delivery | undefined> {
    return this.#findDelivery(messageKey, key);
  }

  override async listDeliveries(messageKey: MessageKey, page: DeliveryPage): Promise<readonly Delivery[]> {
    return this.database
      .all(
        `SELECT * FROM deliveries WHERE message_key = :messageKey AND subscriber > :after
           AND (:outcome IS NULL OR outcome = :outcome)
         ORDER BY subscriber LIMIT +:limit`,
        { messageKey, after: page.after ?? '', outcome: page.outcome ?? null, limit: page.limit },
      )
      .map(toDelivery);
  }

  override async readDeliveries(batch: Batch): Promise<readonly Delivery[]> {
    return this.database
      .all(`SELECT * FROM deliveries WHERE ${inBatch} ORDER BY subscriber`, {
        messageKey: batch.messageKey,
        first: batch.first,
        last: batch.last,
      })
      .map(toDelivery);
  }

  override recordFeedback(
    { group, messageKey }: { readonly group: GroupName; readonly messageKey: MessageKey },
    key: SubscriberKey,
    feedback: Feedback,
  ): Promise<'recorded' | 'repeated' | 'pending'> {
    return this.database.write(() => {
      const before = this.#findDelivery(messageKey, key);
      if (!before?.outcome) {
        return 'pending';
      }
      const after = afterFeedback(before, feedback);
      if (after === before) {
        return 'repeated';
      }
      this.database.run(
        `UPDATE deliveries SET outcome = :outcome, provider_id = :providerId, reason = :reason, heard = :heard
         WHERE message_key = :messageKey AND subscriber = :key`,
        {
          messageKey,
          key,
          outcome: after.outcome ?? null,
          providerId: after.providerId ?? null,
          reason: after.reason ?? null,
          heard: heardColumn(after),
        },
      );
      this.database.run(
        `UPDATE messages SET
           sent_count = sent_count + :sent, failed_count = failed_count + :failed, unknown_count = unknown_count + :unknown,
           delivered_count = delivered_count + :delivered, bounced_count = bounced_count + :bounced,
           complained_count = complained_count + :complained
         WHERE message_key = :messageKey AND group_name = :group`,
        {
          group,
          messageKey,
          sent: outcomeDelta(before, after, 'sent'),
          failed: outcomeDelta(before, after, 'failed'),
          unknown: outcomeDelta(before, after, 'unknown'),
          ...feedbackGained(before.heard, after.heard),
        },
      );
      return 'recorded';
    });
  }

  override finish(group: GroupName, messageKey: MessageKey): Promise<void> {
    return this.database.write(() => this.#finish(group, messageKey));
  }

  #findDelivery(messageKey: MessageKey, key: SubscriberKey): Delivery | undefined {
    const row = this.database.get(
      'SELECT * FROM deliveries WHERE message_key = :messageKey AND subscriber = :key',
      { messageKey, key },
    );
    return row && toDelivery(row);
  }

  #insertBatch(batch: Batch, availableAt: Temporal.Instant): void {
    this.database.run(
      `INSERT INTO batches (message_key, first_subscriber, last_subscriber, count, cut_at, state, available_at)
       VALUES (:messageKey, :first, :last, :count, :cutAt, 'open', :availableAt)`,
      {
        messageKey: batch.messageKey,
        first: batch.first,
        last: batch.last,
        count: batch.count,
        cutAt: batch.cutAt.epochMilliseconds,
        availableAt: availableAt.epochMilliseconds,
      },
    );
  }

  /** Answers what is settled by: how the batch and its message stand. */
  #requireLease(batch: ClaimedBatch, now: Temporal.Instant): Held {
    const row = this.database.get(
      `SELECT left_count, status, dispatch_complete, batches_cut, batches_settled, batches_set_aside, retry_outcomes
       FROM batches JOIN messages USING (message_key)
       WHERE ${thisBatch} AND batches.lease_token = :token AND batches.lease_until > :now`,
      {
        messageKey: batch.messageKey,
        first: batch.first,
        token: batch.lease.token,
        now: now.epochMilliseconds,
      },
    );
    if (!row) {
      throw new LeaseLostError(`a batch of message ${batch.messageKey}`);
    }
    return { row, status: oneOf(row, 'status', MESSAGE_STATUSES) };
  }

  #writeReport(batch: ClaimedBatch, report: Report): void {
    if (isEmpty(report)) {
      return; // as mostly before the first window
    }
    const gained = this.#writeDeliveries(batch, report);
    this.database.run(`UPDATE messages SET ${reported} WHERE message_key = :messageKey`, gained);
  }

  /** Answers the values of `reported`. */
  #writeDeliveries(batch: ClaimedBatch, { results, attempts, goneInDoubt, bounced }: Report): Reported {
    const gained: Record<Outcome, number> = { sent: 0, failed: 0, skipped: 0, unknown: goneInDoubt };
    for (const delivery of results) {
      this.#writeDelivery(batch.messageKey, delivery);
      if (delivery.outcome) {
        gained[delivery.outcome] += 1;
      }
    }
    return {
      messageKey: batch.messageKey,
      ...gained,
      bounced,
      attemptAt: attempts?.at.epochMilliseconds ?? null,
      acceptedAt: attempts?.acceptedAt?.epochMilliseconds ?? null,
      dueAt: attempts?.dueAt?.epochMilliseconds ?? null,
    };
  }

  #settle(batch: ClaimedBatch, report: Report, held: Held): MessageStatus {
    const gained = this.#writeDeliveries(batch, report);
    const { leftCount, joinedCount } = this.#countWhoLeft(batch);
    this.database.run(
      `UPDATE batches SET ${leaseEnded}, state = 'settled', error = NULL, left_count = :leftCount, count = count + :joinedCount
       WHERE ${thisBatch}`,
      { messageKey: batch.messageKey, first: batch.first, leftCount, joinedCount },
    );
    const end = endAfterSettlement(held);
    this.database.run(
      `UPDATE messages SET ${reported}, subscriber_count = subscriber_count + :joinedCount,
         batches_settled = batches_settled + 1 ${end ? `, ${finished}` : ''}
       WHERE message_key = :messageKey`,
      {
        ...gained,
        // Those of before are counted already, and those in doubt as unknown.
        skipped: gained.skipped + leftCount - integer(held.row, 'left_count') - report.goneInDoubt,
        joinedCount,
        ...end,
      },
    );
    return end && held.status === 'sending' ? end.status : held.status;
  }

  #writeDelivery(messageKey: MessageKey, delivery: Delivery): void {
    // An outcome is final: whoever would write a second one has worked without the lease.
    const written = this.database.runInPlace(
      `INSERT INTO deliveries (message_key, subscriber, email, outcome, at, attempt, unknown_attempts, provider_id, reason, heard)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET outcome = excluded.outcome, at = excluded.at, attempt = excluded.attempt,
         unknown_attempts = excluded.unknown_attempts, provider_id = excluded.provider_id, reason = excluded.reason,
         heard = excluded.heard
       WHERE outcome IS NULL`,
      [
        messageKey,
        delivery.key,
        delivery.email,
        delivery.outcome ?? null,
        delivery.at.epochMilliseconds,
        delivery.attempt,
        delivery.unknownAttempts,
        delivery.providerId ?? null,
        delivery.reason ?? null,
        heardColumn(delivery),
      ],
    );
    if (written !== 1) {
      throw new Error(`A delivery of message ${messageKey} has an outcome already.`);
    }
  }

  #status(messageKey: MessageKey): MessageStatus {
    const row = this.database.get('SELECT status FROM messages WHERE message_key = :messageKey', {
      messageKey,
    });
    if (!row) {
      throw new LeaseLostError(`message ${messageKey}`);
    }
    return oneOf(row, 'status', MESSAGE_STATUSES);
  }

  /**
   * Whoever was in the range when it was cut and has no delivery now has left the group, and the ledger keeps no address of theirs.
   * A batch that was opened again is counted once more.
   */
  #countWhoLeft(batch: ClaimedBatch): { readonly leftCount: number; readonly joinedCount: number } {
    const worked = this.database.get(
      `SELECT COUNT(*) AS count FROM deliveries WHERE ${inBatch} AND outcome IS NOT NULL`,
      { messageKey: batch.messageKey, first: batch.first, last: batch.last },
    );
    const workedCount = worked ? integer(worked, 'count') : 0;
    return {
      leftCount: Math.max(batch.count - workedCount, 0),
      joinedCount: Math.max(workedCount - batch.count, 0),
    };
  }

  #moveRetry(reopening: Reopening, through: SubscriberKey | undefined, complete: boolean): void {
    const moved = this.database.run(
      `UPDATE messages SET
         retried_through = CASE WHEN :complete THEN NULL ELSE :through END,
         retry_outcomes = CASE WHEN :complete THEN NULL ELSE retry_outcomes END, lease_until = :leaseUntil,
         wake_at = CASE WHEN ${broughtForward} THEN wake_at ELSE :leaseUntil END
       WHERE message_key = :messageKey AND ${leaseHeld} AND retry_outcomes IS NOT NULL AND retried_through IS :after`,
      {
        messageKey: reopening.messageKey,
        token: reopening.token,
        now: reopening.now.epochMilliseconds,
        leaseUntil: reopening.leaseUntil.epochMilliseconds,
        after: reopening.after ?? null,
        through: through ?? null,
        complete: complete ? 1 : 0,
      },
    );
    if (moved !== 1) {
      throw new LeaseLostError(`message ${reopening.messageKey}`);
    }
  }

  #reopen(batch: BatchRecord, outcomes: string, now: Temporal.Instant): void {
    const range = { messageKey: batch.messageKey, first: batch.first };
    const deliveries = { ...range, last: batch.last, outcomes };
    const gone = this.database.get(
      `SELECT TOTAL(outcome = 'failed') AS failed, TOTAL(outcome = 'unknown') AS unknown
       FROM deliveries WHERE ${inBatch} AND ${inOutcomes}`,
      deliveries,
    );
    this.database.run(`UPDATE deliveries SET outcome = NULL WHERE ${inBatch} AND ${inOutcomes}`, deliveries);
    this.database.run(
      `UPDATE batches SET state = 'open', available_at = :now, tries = 0, mishaps = 0, error = NULL WHERE ${thisBatch}`,
      { ...range, now: now.epochMilliseconds },
    );
    this.database.run(
      `UPDATE messages SET failed_count = failed_count - :failed, unknown_count = unknown_count - :unknown,
         batches_settled = batches_settled - :settled, batches_set_aside = batches_set_aside - :setAside
       WHERE message_key = :messageKey`,
      {
        messageKey: batch.messageKey,
        failed: gone ? integer(gone, 'failed') : 0,
        unknown: gone ? integer(gone, 'unknown') : 0,
        settled: batch.state === 'settled' ? 1 : 0,
        setAside: batch.state === 'set_aside' ? 1 : 0,
      },
    );
  }

  #finish(group: GroupName, messageKey: MessageKey): void {
    const row = this.database.get(
      'SELECT batches_set_aside FROM messages WHERE message_key = :messageKey AND group_name = :group',
      { messageKey, group },
    );
    this.database.run(
      `UPDATE messages SET ${finished}
       WHERE message_key = :messageKey AND group_name = :group AND batches_settled + batches_set_aside = batches_cut
         AND retry_outcomes IS NULL AND ((status = 'sending' AND dispatch_complete = 1) OR status = 'cancelled')`,
      { group, messageKey, ...endWith(row ? integer(row, 'batches_set_aside') : 0) },
    );
  }
}

/** A batch under its lease, as a row with columns of its message. */
interface Held {
  readonly row: Row;
  readonly status: MessageStatus;
}

type Reported = Readonly<
  Record<Outcome | 'bounced', number> &
    Record<'attemptAt' | 'acceptedAt' | 'dueAt', number | null> & { messageKey: MessageKey }
>;

/** How a message ends. */
interface End {
  readonly status: 'sent' | 'failed';
  readonly reason: string | null;
}

function endWith(setAsideCount: number): End {
  return setAsideCount === 0
    ? { status: 'sent', reason: null }
    : { status: 'failed', reason: setAsideReason(setAsideCount) };
}

/** Absent where the batch was not the last. */
function endAfterSettlement({ row, status }: Held): End | undefined {
  const setAsideCount = integer(row, 'batches_set_aside');
  const isLast = integer(row, 'batches_settled') + 1 + setAsideCount === integer(row, 'batches_cut');
  const isThrough =
    (status === 'sending' && integer(row, 'dispatch_complete') === 1) || status === 'cancelled';
  return isLast && isThrough && row['retry_outcomes'] === null ? endWith(setAsideCount) : undefined;
}

/** A batch that may be claimed, and how many subscribers are in it. */
export interface Claimable {
  readonly pointer: BatchPointer;
  readonly count: number;
}

/** `DeliveryStore.findClaimable` at one stroke, for the work queue: nothing happens between finding a batch and handing it out. */
export function findClaimable(
  database: SqliteDatabase,
  messageKey: MessageKey,
  now: Temporal.Instant,
  page: ClaimablePage,
): readonly Claimable[] {
  // The index by name: the primary key looks as good to SQLite, but leads over every batch that is settled already.
  return database
    .all(
      `SELECT message_key, first_subscriber, group_name, count FROM batches INDEXED BY batches_open JOIN messages USING (message_key)
       WHERE message_key = :messageKey AND first_subscriber > :after AND ${claimable}
         AND (available_at > :since OR batches.lease_until > :since)
       ORDER BY first_subscriber LIMIT +:limit`,
      {
        messageKey,
        now: now.epochMilliseconds,
        after: page.after ?? '',
        limit: page.limit,
        since: page.since?.epochMilliseconds ?? Number.MIN_SAFE_INTEGER,
      },
    )
    .map((row) => ({ pointer: toPointer(row), count: integer(row, 'count') }));
}

function toPointer(row: Row): BatchPointer {
  return {
    group: branded(row, 'group_name', isGroupName),
    messageKey: branded(row, 'message_key', isMessageKey),
    first: branded(row, 'first_subscriber', isSubscriberKey),
  };
}

function toBatch(row: Row): Batch {
  return {
    ...toPointer(row),
    last: branded(row, 'last_subscriber', isSubscriberKey),
    count: integer(row, 'count'),
    cutAt: instant(row, 'cut_at'),
  };
}

function toBatchRecord(row: Row): BatchRecord {
  return {
    ...toBatch(row),
    state: oneOf(row, 'state', BATCH_STATES),
    tries: integer(row, 'tries'),
    error: optionalText(row, 'error'),
  };
}

function toDelivery(row: Row): Delivery {
  return {
    key: branded(row, 'subscriber', isSubscriberKey),
    email: branded(row, 'email', isSubscriberEmail),
    outcome: row['outcome'] === null ? undefined : oneOf(row, 'outcome', OUTCOMES),
    at: instant(row, 'at'),
    attempt: integer(row, 'attempt'),
    unknownAttempts: integer(row, 'unknown_attempts'),
    providerId: optionalText(row, 'provider_id'),
    reason: optionalText(row, 'reason'),
    heard: row['heard'] === null ? {} : decodeHeard(JSON.parse(text(row, 'heard'))),
  };
}

function isEmpty({ results, attempts, goneInDoubt, bounced }: Report): boolean {
  return results.length === 0 && !attempts && goneInDoubt === 0 && bounced === 0;
}

function heardColumn({ heard }: Delivery): string | null {
  return Object.keys(heard).length === 0 ? null : JSON.stringify(encodeHeard(heard));
}

/** What a delivery that changes its outcome adds to the count of this one. */
function outcomeDelta(before: Delivery, after: Delivery, outcome: Outcome): number {
  return Number(after.outcome === outcome) - Number(before.outcome === outcome);
}

import { Injectable } from '@nestjs/common';
import { type Confirmation, ConfirmationStore } from '../../groups/confirmation-store.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { branded, instant, integer, optionalInstant } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

@Injectable()
export class SqliteConfirmationStore extends ConfirmationStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override put(after: Confirmation, before: Confirmation | undefined): Promise<boolean> {
    return this.database.write(() => {
      if (this.#find(after.group, after.subscriber)?.version !== before?.version) {
        return false;
      }
      this.database.run(
        `INSERT INTO confirmations (group_name, subscriber, requested_at, is_wanted, sent_count, last_sent_at, due_at, version)
         VALUES (:group, :subscriber, :requestedAt, :isWanted, :sentCount, :lastSentAt, :dueAt, :version)
         ON CONFLICT DO UPDATE SET requested_at = :requestedAt, is_wanted = :isWanted, sent_count = :sentCount,
           last_sent_at = :lastSentAt, due_at = :dueAt, version = :version`,
        {
          group: after.group,
          subscriber: after.subscriber,
          requestedAt: after.requestedAt.epochMilliseconds,
          isWanted: after.isWanted ? 1 : 0,
          sentCount: after.sentCount,
          lastSentAt: after.lastSentAt?.epochMilliseconds ?? null,
          dueAt: after.dueAt.epochMilliseconds,
          version: after.version,
        },
      );
      return true;
    });
  }

  override async find(group: GroupName, subscriber: SubscriberKey): Promise<Confirmation | undefined> {
    return this.#find(group, subscriber);
  }

  override async findDue(now: Temporal.Instant, limit: number): Promise<readonly Confirmation[]> {
    return this.database
      .all('SELECT * FROM confirmations WHERE due_at <= :now ORDER BY due_at LIMIT +:limit', {
        now: now.epochMilliseconds,
        limit,
      })
      .map(toConfirmation);
  }

  override remove({ group, subscriber }: Confirmation): Promise<void> {
    return this.database.write(() => {
      this.database.run('DELETE FROM confirmations WHERE group_name = :group AND subscriber = :subscriber', {
        group,
        subscriber,
      });
    });
  }

  #find(group: GroupName, subscriber: SubscriberKey): Confirmation | undefined {
    const row = this.database.get(
      'SELECT * FROM confirmations WHERE group_name = :group AND subscriber = :subscriber',
      { group, subscriber },
    );
    return row && toConfirmation(row);
  }
}

function toConfirmation(row: Row): Confirmation {
  return {
    group: branded(row, 'group_name', isGroupName),
    subscriber: branded(row, 'subscriber', isSubscriberKey),
    requestedAt: instant(row, 'requested_at'),
    isWanted: integer(row, 'is_wanted') === 1,
    sentCount: integer(row, 'sent_count'),
    lastSentAt: optionalInstant(row, 'last_sent_at'),
    dueAt: instant(row, 'due_at'),
    version: integer(row, 'version'),
  };
}

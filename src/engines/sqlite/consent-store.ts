import { Injectable } from '@nestjs/common';
import { type ConsentPage, ConsentStore } from '../../groups/consent-store.ts';
import { CONSENT_EVENTS, CONSENT_WAYS, type ConsentEntry, type ConsentRecord } from '../../groups/consent.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { branded, instant, oneOf, optionalText } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

@Injectable()
export class SqliteConsentStore extends ConsentStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override append(group: GroupName, subscriber: SubscriberKey, entry: ConsentEntry): Promise<void> {
    return this.database.write(() => {
      const { entries } = this.#find(group, subscriber) ?? { entries: [] };
      if (!entries.some((known) => isSame(known, entry))) {
        recordConsent(this.database, group, subscriber, entry);
      }
    });
  }

  override async find(group: GroupName, subscriber: SubscriberKey): Promise<ConsentRecord | undefined> {
    return this.#find(group, subscriber);
  }

  override async list(group: GroupName, { after, limit }: ConsentPage): Promise<readonly ConsentRecord[]> {
    return this.database
      .all(
        `SELECT DISTINCT subscriber FROM consents WHERE group_name = :group AND subscriber > :after
         ORDER BY subscriber LIMIT +:limit`,
        { group, after: after ?? '', limit },
      )
      .map((row) => this.#find(group, branded(row, 'subscriber', isSubscriberKey)))
      .filter((record) => record !== undefined);
  }

  override async listGroups(subscriber: SubscriberKey): Promise<readonly GroupName[]> {
    return this.database
      .all('SELECT DISTINCT group_name FROM consents WHERE subscriber = :subscriber ORDER BY group_name', {
        subscriber,
      })
      .map((row) => branded(row, 'group_name', isGroupName));
  }

  override erase(group: GroupName, subscriber: SubscriberKey): Promise<void> {
    return this.database.write(() => {
      this.database.run('DELETE FROM consents WHERE group_name = :group AND subscriber = :subscriber', {
        group,
        subscriber,
      });
    });
  }

  #find(group: GroupName, subscriber: SubscriberKey): ConsentRecord | undefined {
    const rows = this.database.all(
      'SELECT * FROM consents WHERE group_name = :group AND subscriber = :subscriber ORDER BY position',
      { group, subscriber },
    );
    return rows.length === 0 ? undefined : { group, subscriber, entries: rows.map(toEntry) };
  }
}

/** Adds the entry, inside `write` only; a second run adds it again. */
export function recordConsent(
  database: SqliteDatabase,
  group: GroupName,
  subscriber: SubscriberKey,
  { what, how, at, ip, wording, reason, messageKey }: ConsentEntry,
): void {
  database.run(
    `INSERT INTO consents (group_name, subscriber, position, what, how, at, ip, wording, reason, message_key)
     VALUES (:group, :subscriber,
       (SELECT COUNT(*) FROM consents WHERE group_name = :group AND subscriber = :subscriber),
       :what, :how, :at, :ip, :wording, :reason, :messageKey)`,
    {
      group,
      subscriber,
      what,
      how,
      at: at.epochMilliseconds,
      ip: ip ?? null,
      wording: wording ?? null,
      reason: reason ?? null,
      messageKey: messageKey ?? null,
    },
  );
}

function isSame(a: ConsentEntry, b: ConsentEntry): boolean {
  return (
    a.what === b.what &&
    a.how === b.how &&
    a.at.epochMilliseconds === b.at.epochMilliseconds &&
    a.ip === b.ip &&
    a.wording === b.wording &&
    a.reason === b.reason &&
    a.messageKey === b.messageKey
  );
}

function toEntry(row: Row): ConsentEntry {
  return {
    what: oneOf(row, 'what', CONSENT_EVENTS),
    how: oneOf(row, 'how', CONSENT_WAYS),
    at: instant(row, 'at'),
    ip: optionalText(row, 'ip'),
    wording: optionalText(row, 'wording'),
    reason: optionalText(row, 'reason'),
    messageKey: optionalText(row, 'message_key'),
  };
}

import { Injectable } from '@nestjs/common';
import { type ConsentEntry, originOf } from '../../groups/consent.ts';
import { parseAttributes } from '../../groups/attributes.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import {
  type Added,
  type Member,
  type Newcomer,
  type SubscriberChange,
  type SubscriberPage,
  type SubscriberRange,
  SubscriberStore,
  type ZoneCount,
} from '../../groups/subscriber-store.ts';
import {
  isSubscriberEmail,
  isSubscriberKey,
  SUBSCRIBER_STATUSES,
  type Subscriber,
  type SubscriberKey,
  SubscriberNotFoundError,
  subscriberKey,
} from '../../groups/subscriber.ts';
import { requireVersion } from '../../platform/errors/version-mismatch-error.ts';
import { recordConsent } from './consent-store.ts';
import { ensureGroup } from './group-store.ts';
import { branded, instant, integer, oneOf, optionalText, text } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

@Injectable()
export class SqliteSubscriberStore extends SubscriberStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override add(
    group: GroupName,
    newcomers: readonly Newcomer[],
    at: Temporal.Instant,
  ): Promise<readonly Added[]> {
    return this.database.write(() => {
      ensureGroup(this.database, group, at);
      const results = newcomers.map((newcomer) => this.#add(group, newcomer, at));
      countAdded(
        this.database,
        group,
        results.flatMap(({ kind, subscriber }) => (kind === 'added' ? [subscriber] : [])),
      );
      return results;
    });
  }

  override async find(group: GroupName, key: SubscriberKey): Promise<Subscriber | undefined> {
    return this.#find(group, key);
  }

  override async list(group: GroupName, page: SubscriberPage): Promise<readonly Subscriber[]> {
    return this.database
      .all(
        `SELECT * FROM subscribers WHERE group_name = :group AND subscriber > :after
         ${page.status === undefined ? '' : 'AND status = :status'} ORDER BY subscriber LIMIT +:limit`,
        {
          group,
          after: page.after ?? '',
          limit: page.limit,
          ...(page.status === undefined ? {} : { status: page.status }),
        },
      )
      .map(toSubscriber);
  }

  override change(
    group: GroupName,
    key: SubscriberKey,
    change: SubscriberChange,
    expectedVersion: number,
  ): Promise<Subscriber> {
    return this.database.write(() => {
      const before = this.#find(group, key);
      if (!before) {
        throw new SubscriberNotFoundError(group);
      }
      requireVersion(expectedVersion, before.version);
      const { consent, ...fields } = change;
      const after = { ...before, ...fields, version: before.version + 1 };
      this.database.run(
        `UPDATE subscribers SET status = :status, name = :name, attributes = :attributes, time_zone = :timeZone, version = :version
         WHERE group_name = :group AND subscriber = :key`,
        {
          group,
          key,
          status: after.status,
          name: after.name ?? null,
          attributes: JSON.stringify(after.attributes),
          timeZone: after.timeZone ?? null,
          version: after.version,
        },
      );
      this.#record(after, consent);
      return after;
    });
  }

  override remove(
    group: GroupName,
    key: SubscriberKey,
    expectedVersion?: number,
    consent?: ConsentEntry,
  ): Promise<void> {
    return this.database.write(() => {
      const before = this.#find(group, key);
      if (!before) {
        throw new SubscriberNotFoundError(group);
      }
      requireVersion(expectedVersion, before.version);
      this.database.run('DELETE FROM subscribers WHERE group_name = :group AND subscriber = :key', {
        group,
        key,
      });
      this.#record(before, consent);
    });
  }

  override async listGroups(key: SubscriberKey): Promise<readonly GroupName[]> {
    return this.database
      .all('SELECT group_name FROM subscribers WHERE subscriber = :key ORDER BY group_name', { key })
      .map((row) => branded(row, 'group_name', isGroupName));
  }

  override async pageMembers(
    group: GroupName,
    after: SubscriberKey | undefined,
    limit: number,
  ): Promise<readonly Member[]> {
    return this.database
      .all(
        `SELECT subscriber, date_joined FROM subscribers WHERE group_name = :group AND subscriber > :after
         ORDER BY subscriber LIMIT +:limit`,
        { group, after: after ?? '', limit },
      )
      .map((row) => ({
        key: branded(row, 'subscriber', isSubscriberKey),
        joinedAtMs: integer(row, 'date_joined'),
      }));
  }

  override async countZones(group: GroupName): Promise<readonly ZoneCount[]> {
    return this.database
      .all('SELECT time_zone, count FROM subscriber_zones WHERE group_name = :group', { group })
      .map((row) => ({ timeZone: text(row, 'time_zone') || undefined, count: integer(row, 'count') }));
  }

  override async readRange(group: GroupName, range: SubscriberRange): Promise<readonly Subscriber[]> {
    return this.database
      .all(
        `SELECT * FROM subscribers WHERE group_name = :group AND subscriber BETWEEN :first AND :last ORDER BY subscriber`,
        { group, first: range.first, last: range.last },
      )
      .map(toSubscriber);
  }

  #add(group: GroupName, newcomer: Newcomer, at: Temporal.Instant): Added {
    const { origin = originOf('api'), status = 'active', ...details } = newcomer;
    const subscriber: Subscriber = {
      ...details,
      group,
      key: subscriberKey(newcomer.email),
      status,
      joinedAt: at,
      version: 1,
    };
    const inserted = this.database.run(
      `INSERT INTO subscribers (group_name, subscriber, email, status, name, attributes, time_zone, date_joined, version)
       VALUES (:group, :key, :email, :status, :name, :attributes, :timeZone, :joinedAt, :version)
       ON CONFLICT DO NOTHING`,
      {
        group,
        key: subscriber.key,
        email: subscriber.email,
        status: subscriber.status,
        name: subscriber.name ?? null,
        attributes: JSON.stringify(subscriber.attributes),
        timeZone: subscriber.timeZone ?? null,
        joinedAt: at.epochMilliseconds,
        version: subscriber.version,
      },
    );
    if (inserted === 1) {
      const what = status === 'active' ? 'subscribed' : 'pending';
      this.#record(subscriber, { ...origin, what, at });
      return { kind: 'added', subscriber };
    }
    const existing = this.#find(group, subscriber.key);
    if (!existing) {
      throw new SubscriberNotFoundError(group);
    }
    return { kind: 'exists', subscriber: existing };
  }

  #record({ group, key }: Subscriber, consent: ConsentEntry | undefined): void {
    if (consent) {
      recordConsent(this.database, group, key, consent);
    }
  }

  #find(group: GroupName, key: SubscriberKey): Subscriber | undefined {
    const row = this.database.get(
      'SELECT * FROM subscribers WHERE group_name = :group AND subscriber = :key',
      {
        group,
        key,
      },
    );
    return row && toSubscriber(row);
  }
}

/** Counts subscribers who were inserted, inside the `write` that did; triggers count those who change or leave. */
export function countAdded(database: SqliteDatabase, group: GroupName, added: readonly Subscriber[]): void {
  for (const [status, { length }] of Map.groupBy(added, (subscriber) => subscriber.status)) {
    database.run(
      `INSERT INTO subscriber_counts (group_name, status, count) VALUES (:group, :status, :length)
       ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      { group, status, length },
    );
  }
  const active = added.filter(({ status }) => status === 'active');
  for (const [timeZone, { length }] of Map.groupBy(active, (subscriber) => subscriber.timeZone ?? '')) {
    database.run(
      `INSERT INTO subscriber_zones (group_name, time_zone, count) VALUES (:group, LOWER(:timeZone), :length)
       ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      { group, timeZone, length },
    );
  }
}

export function toSubscriber(row: Row): Subscriber {
  return {
    group: branded(row, 'group_name', isGroupName),
    key: branded(row, 'subscriber', isSubscriberKey),
    email: branded(row, 'email', isSubscriberEmail),
    status: oneOf(row, 'status', SUBSCRIBER_STATUSES),
    name: optionalText(row, 'name'),
    attributes: parseAttributes(text(row, 'attributes')),
    timeZone: optionalText(row, 'time_zone'),
    joinedAt: instant(row, 'date_joined'),
    version: integer(row, 'version'),
  };
}

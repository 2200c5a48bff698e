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
  type SubscriberStatus,
} from '../../groups/subscriber.ts';
import { requireVersion } from '../../platform/errors/version-mismatch-error.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { consentUpdate } from './consent-store.ts';
import { countBy, countChanges, groupUpdate, toStored } from './group-store.ts';
import { branded, instant, integer, type Item, oneOf, optionalText, text } from './item.ts';
import { type ItemQuery, type Key, queryItems, readItem, readItems } from './read-items.ts';
import { transact, TRANSACTION_MAX_ITEMS, type TransactItem } from './transact.ts';
import { countZones, zonesUpdate } from './zone-counts.ts';

// Two items of the transaction are the group and its zones, and each newcomer has two: at most 33 KB (254 + 256 + 8,192 characters of up to four bytes), and
// what is recorded of them.
const ADD_MAX = Math.floor((TRANSACTION_MAX_ITEMS - 2) / 2);

/** A subscriber to be, and what is recorded of that. */
interface Joining {
  readonly subscriber: Subscriber;
  readonly consent: ConsentEntry;
}

/** Every write changes the counts of the group in the same transaction, and is done once: see AwsGroupStore. */
@Injectable()
export class AwsSubscriberStore extends SubscriberStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
  }

  /** A chunk after the other, because each counts in the same group: one that fails leaves those before it added. */
  override async add(
    group: GroupName,
    newcomers: readonly Newcomer[],
    at: Temporal.Instant,
  ): Promise<readonly Added[]> {
    const joining = newcomers.map((newcomer) => toJoining(group, newcomer, toStored(at)));
    const firsts = new Map(joining.toReversed().map((one) => [one.subscriber.key, one]));
    const distinct = [...firsts.values()];
    const added = new Map<SubscriberKey, Added>();
    for (let start = 0; start < distinct.length; start += ADD_MAX) {
      for (const answer of await this.#addChunk(group, distinct.slice(start, start + ADD_MAX), at)) {
        added.set(answer.subscriber.key, answer);
      }
    }
    return joining.map((one) => {
      const answer = added.get(one.subscriber.key);
      if (!answer) {
        throw new SubscriberNotFoundError(group);
      }
      return firsts.get(one.subscriber.key) === one ? answer : { ...answer, kind: 'exists' };
    });
  }

  override async find(group: GroupName, key: SubscriberKey): Promise<Subscriber | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.subscribers, keyOf(group, key));
    return item && toSubscriber(item);
  }

  override async list(group: GroupName, page: SubscriberPage): Promise<readonly Subscriber[]> {
    const query = this.#behind(group, page.after);
    const items = await queryItems(
      this.clients.dynamo,
      page.status === undefined ? query : withStatus(query, page.status),
      page.limit,
    );
    return items.map(toSubscriber);
  }

  override async change(
    group: GroupName,
    key: SubscriberKey,
    change: SubscriberChange,
    expectedVersion: number,
  ): Promise<Subscriber> {
    for (;;) {
      const before = await this.#get(group, key, expectedVersion);
      const { consent, ...fields } = change;
      const after: Subscriber = { ...before, ...fields, version: before.version + 1 };
      const write = {
        Put: { TableName: this.names.tables.subscribers, Item: toItem(after), ...isStill(before) },
      };
      if (await this.#write([write, ...this.#record(before, consent)], before, after)) {
        return after;
      }
    }
  }

  override async remove(
    group: GroupName,
    key: SubscriberKey,
    expectedVersion?: number,
    consent?: ConsentEntry,
  ): Promise<void> {
    for (;;) {
      const before = await this.#get(group, key, expectedVersion);
      const write = {
        Delete: { TableName: this.names.tables.subscribers, Key: keyOf(group, key), ...isStill(before) },
      };
      if (await this.#write([write, ...this.#record(before, consent)], before, undefined)) {
        return;
      }
    }
  }

  override async listGroups(key: SubscriberKey): Promise<readonly GroupName[]> {
    const found = await queryItems(this.clients.dynamo, {
      TableName: this.names.tables.subscribers,
      IndexName: 'by_subscriber',
      KeyConditionExpression: 'subscriber = :key',
      ExpressionAttributeValues: { ':key': key },
    });
    // What is no group's name is another kind of item of the same address: see tables.ts.
    return found.map((item) => text(item, 'group_name')).filter(isGroupName);
  }

  override async pageMembers(
    group: GroupName,
    after: SubscriberKey | undefined,
    limit: number,
  ): Promise<readonly Member[]> {
    const query = { ...this.#behind(group, after), ProjectionExpression: 'subscriber, date_joined' };
    const items = await queryItems(this.clients.dynamo, query, limit);
    return items.map((item) => ({
      key: branded(item, 'subscriber', isSubscriberKey),
      joinedAtMs: integer(item, 'date_joined'),
    }));
  }

  override async readRange(group: GroupName, range: SubscriberRange): Promise<readonly Subscriber[]> {
    const items = await queryItems(this.clients.dynamo, {
      TableName: this.names.tables.subscribers,
      ConsistentRead: true,
      KeyConditionExpression: 'group_name = :group AND subscriber BETWEEN :first AND :last',
      ExpressionAttributeValues: { ':group': group, ':first': range.first, ':last': range.last },
    });
    return items.map(toSubscriber);
  }

  override async countZones(group: GroupName): Promise<readonly ZoneCount[]> {
    return countZones(this.clients.dynamo, this.names, group);
  }

  /** Adds whoever is not there; where somebody else adds one of them at the same moment, looks again who is there. */
  async #addChunk(
    group: GroupName,
    joining: readonly Joining[],
    at: Temporal.Instant,
  ): Promise<readonly Added[]> {
    const subscribers = joining.map(({ subscriber }) => subscriber);
    for (;;) {
      const present = await this.#findAll(group, subscribers);
      const missing = joining.filter(({ subscriber }) => !present.has(subscriber.key));
      if (missing.length === 0 || (await this.#insert(group, missing, at))) {
        return subscribers.map((subscriber) => {
          const found = present.get(subscriber.key);
          return found ? { kind: 'exists', subscriber: found } : { kind: 'added', subscriber };
        });
      }
    }
  }

  async #findAll(
    group: GroupName,
    subscribers: readonly Subscriber[],
  ): Promise<ReadonlyMap<SubscriberKey, Subscriber>> {
    const keys = subscribers.map(({ key }) => keyOf(group, key));
    const items = await readItems(this.clients.dynamo, this.names.tables.subscribers, keys);
    return new Map(items.map(toSubscriber).map((subscriber) => [subscriber.key, subscriber]));
  }

  /** Adds them all with the group and its count; false where one of them is there already, and then adds nobody. */
  async #insert(group: GroupName, joining: readonly Joining[], at: Temporal.Instant): Promise<boolean> {
    const puts = joining.map(({ subscriber }) => ({
      Put: {
        TableName: this.names.tables.subscribers,
        Item: toItem(subscriber),
        ConditionExpression: 'attribute_not_exists(subscriber)',
      },
    }));
    const { kind } = await transact(this.clients.dynamo, [
      ...puts,
      ...joining.flatMap(({ subscriber, consent }) => this.#record(subscriber, consent)),
      groupUpdate(this.names, group, at, countBy(joining.map(({ subscriber }) => subscriber.status))),
      ...zonesUpdate(
        this.names,
        group,
        joining.map(({ subscriber }) => ({ before: undefined, after: subscriber })),
      ),
    ]);
    return kind === 'done';
  }

  /**
   * @throws {SubscriberNotFoundError}
   * @throws {VersionMismatchError} where a version is given and differs.
   */
  async #get(group: GroupName, key: SubscriberKey, expectedVersion: number | undefined): Promise<Subscriber> {
    const subscriber = await this.find(group, key);
    if (!subscriber) {
      throw new SubscriberNotFoundError(group);
    }
    requireVersion(expectedVersion, subscriber.version);
    return subscriber;
  }

  /** Writes one subscriber, and counts them as `after` from now on; false where they have changed since `before` was read. */
  async #write(
    writes: readonly TransactItem[],
    before: Subscriber,
    after: Subscriber | undefined,
  ): Promise<boolean> {
    const recount = before.status === after?.status ? [] : [this.#recount(before, after?.status)];
    const zones = zonesUpdate(this.names, before.group, [{ before, after }]);
    const { kind } = await transact(this.clients.dynamo, [...writes, ...recount, ...zones]);
    return kind === 'done';
  }

  #record({ group, key }: Subscriber, consent: ConsentEntry | undefined): readonly TransactItem[] {
    return consent ? [consentUpdate(this.names, group, key, consent)] : [];
  }

  #recount(before: Subscriber, status: SubscriberStatus | undefined): TransactItem {
    const changes = new Map([[before.status, -1]]);
    if (status !== undefined) {
      changes.set(status, 1);
    }
    const { add, values } = countChanges(changes);
    return {
      Update: {
        TableName: this.names.tables.groups,
        Key: { group_name: before.group },
        UpdateExpression: add,
        ConditionExpression: 'attribute_exists(group_name)', // an update makes what is not there
        ExpressionAttributeValues: values,
      },
    };
  }

  #behind(group: GroupName, after: SubscriberKey | undefined): ItemQuery {
    return {
      TableName: this.names.tables.subscribers,
      ConsistentRead: true,
      KeyConditionExpression:
        after === undefined ? 'group_name = :group' : 'group_name = :group AND subscriber > :after',
      ExpressionAttributeValues: { ':group': group, ':after': after },
    };
  }
}

export function keyOf(group: GroupName, key: SubscriberKey): Key {
  return { group_name: group, subscriber: key };
}

function withStatus(query: ItemQuery, status: SubscriberStatus): ItemQuery {
  return {
    ...query,
    FilterExpression: '#status = :status',
    ExpressionAttributeNames: { '#status': 'status' },
    ExpressionAttributeValues: { ...query.ExpressionAttributeValues, ':status': status },
  };
}

function toJoining(group: GroupName, newcomer: Newcomer, joinedAt: Temporal.Instant): Joining {
  const { origin = originOf('api'), status = 'active', ...details } = newcomer;
  const what = status === 'active' ? 'subscribed' : 'pending';
  return {
    subscriber: { ...details, group, key: subscriberKey(newcomer.email), status, joinedAt, version: 1 },
    consent: { ...origin, what, at: joinedAt },
  };
}

/** The condition that the subscriber has the version that was read. */
function isStill({ version }: Subscriber): {
  readonly ConditionExpression: string;
  readonly ExpressionAttributeNames: Record<string, string>;
  readonly ExpressionAttributeValues: Record<string, number>;
} {
  return {
    ConditionExpression: '#version = :read',
    ExpressionAttributeNames: { '#version': 'version' },
    ExpressionAttributeValues: { ':read': version },
  };
}

export function toItem(subscriber: Subscriber): Record<string, string | number | undefined> {
  return {
    group_name: subscriber.group,
    subscriber: subscriber.key,
    email: subscriber.email,
    status: subscriber.status,
    name: subscriber.name,
    // As JSON: DynamoDB's own numbers have other limits than JSON's.
    attributes: JSON.stringify(subscriber.attributes),
    time_zone: subscriber.timeZone,
    date_joined: subscriber.joinedAt.epochMilliseconds,
    version: subscriber.version,
  };
}

export function toSubscriber(item: Item): Subscriber {
  return {
    group: branded(item, 'group_name', isGroupName),
    key: branded(item, 'subscriber', isSubscriberKey),
    email: branded(item, 'email', isSubscriberEmail),
    status: oneOf(item, 'status', SUBSCRIBER_STATUSES),
    name: optionalText(item, 'name'),
    attributes: parseAttributes(text(item, 'attributes')),
    timeZone: optionalText(item, 'time_zone'),
    joinedAt: instant(item, 'date_joined'),
    version: integer(item, 'version'),
  };
}

import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type GroupPage, GroupStore, type PutGroup } from '../../groups/group-store.ts';
import {
  type Group,
  GroupInUseError,
  type GroupName,
  GroupNotFoundError,
  type GroupSettings,
  isGroupName,
} from '../../groups/group.ts';
import { LANGUAGES } from '../../groups/language.ts';
import { GROUP_KINDS, OPT_INS, USUAL_MAILING } from '../../groups/mailing-settings.ts';
import { parseSendWindow, type SendWindow, windowFields } from '../../groups/send-window.ts';
import { SUBSCRIBER_STATUSES, type SubscriberStatus } from '../../groups/subscriber.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { type ExpectedVersion, requireVersion } from '../../platform/errors/version-mismatch-error.ts';
import { isFinished, MESSAGE_STATUSES } from '../../schedule/message.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { pauseForSightings } from './group-sightings.ts';
import {
  branded,
  instant,
  integer,
  type Item,
  oneOf,
  optionalInteger,
  optionalNumber,
  optionalOneOf,
  optionalText,
  text,
} from './item.ts';
import { queryItems, readItem, readItems } from './read-items.ts';
import { transact, TRANSACTION_MAX_ITEMS, type TransactItem } from './transact.ts';
import { zonesKey, zonesUpdate } from './zone-counts.ts';

type Update = NonNullable<TransactItem['Update']>;

// The partition of the index `by_name`.
const KIND = 'group';

const NOBODY: Group['counts'] = { active: 0, pending: 0, unsubscribed: 0, bounced: 0, complained: 0 };

// What waits for an operator who has to mend something (`failed`) is unfinished too.
const UNFINISHED = MESSAGE_STATUSES.filter((status) => !isFinished(status));

// `removal` is the token of a removal that has begun. Whatever is added to the group takes it away, so a removal that still finds it knows
// that nothing was added since it began (but for messages that its look has found: see group-sightings.ts). One that is left behind means nothing.
const isBeingRemoved = 'removal = :removal';

/*
 * A group is one item: its settings, its version, and the number of its subscribers by status, which changes in the very transaction
 * that changes a subscriber. Every write is a transaction, of a single item too: its token makes one whose answer was lost look done.
 */
@Injectable()
export class AwsGroupStore extends GroupStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
    private readonly clock: Clock,
  ) {
    super();
  }

  /** Decides upon what it reads and writes on that version; whoever was quicker makes it decide again. */
  override async put(
    name: GroupName,
    settings: GroupSettings,
    expectedVersion?: ExpectedVersion,
  ): Promise<PutGroup> {
    for (;;) {
      const before = await this.find(name);
      requireVersion(expectedVersion, before?.version);
      const group = {
        name,
        addedAt: before?.addedAt ?? toStored(this.clock.now()),
        counts: before?.counts ?? NOBODY,
        version: (before?.version ?? 0) + 1,
        ...settings,
      };
      const { kind } = await transact(this.clients.dynamo, [{ Update: this.#settingsUpdate(group, before) }]);
      if (kind === 'done') {
        return { group, created: before === undefined };
      }
    }
  }

  override async find(name: GroupName): Promise<Group | undefined> {
    const item = await readGroup(this.clients, this.names, name);
    return item && toGroup(item);
  }

  /** A group that was made a moment ago may be missing: the index of names lags. */
  override async list(page: GroupPage): Promise<readonly Group[]> {
    const groups: Group[] = [];
    let { after } = page;
    for (;;) {
      const limit = page.limit - groups.length;
      const names = await this.#listNames(after, limit);
      groups.push(...(await this.#readAll(names)));
      // The index may still name groups that are gone: a page that is not full would be taken for the last.
      if (names.length < limit || groups.length === page.limit) {
        return groups;
      }
      after = names.at(-1);
    }
  }

  /**
   * The subscribers go first, a transaction for each page of them, and then the group. A removal that dies in the middle leaves a group with
   * fewer subscribers, and the next one goes on. A message that is scheduled in the middle ends it with GroupInUseError.
   */
  override async remove(name: GroupName, expectedVersion?: number): Promise<void> {
    for (;;) {
      const group = await this.find(name);
      if (!group) {
        throw new GroupNotFoundError(name);
      }
      requireVersion(expectedVersion, group.version);
      const removal = await this.#beginRemoval(group);
      if (
        removal !== undefined &&
        (await this.#removeSubscribers(name, removal)) &&
        (await this.#endRemoval(name, removal))
      ) {
        return;
      }
    }
  }

  #settingsUpdate(group: Group, before: Group | undefined): Update {
    const given = Object.entries({
      from_mailbox: group.from,
      reply_to: group.replyTo,
      time_zone: group.timeZone,
      max_send_rate: group.maxSendRate,
      mail_kind: group.kind,
      opt_in: group.optIn,
      display_name: group.displayName,
      list_help: group.listHelp,
      list_owner: group.listOwner,
      unsubscribe_mailto: group.unsubscribeMailto,
      postal_address: group.postalAddress,
      language_code: group.language, // `language` is a reserved word
      send_window: group.sendWindow && JSON.stringify(windowFields(group.sendWindow)),
    });
    const set = given.filter(([, value]) => value !== undefined);
    const removed = given.filter(([, value]) => value === undefined);
    return {
      TableName: this.names.tables.groups,
      Key: { group_name: group.name },
      UpdateExpression: `SET ${[
        'kind = :kind',
        'date_added = :added',
        '#version = :version',
        ...set.map(([attribute]) => `${attribute} = :${attribute}`),
      ].join(', ')} REMOVE ${['removal', ...removed.map(([attribute]) => attribute)].join(', ')}`,
      ConditionExpression: before ? '#version = :before' : 'attribute_not_exists(group_name)',
      ExpressionAttributeNames: { '#version': 'version' },
      ExpressionAttributeValues: {
        ':kind': KIND,
        ':added': group.addedAt.epochMilliseconds,
        ':version': group.version,
        ...(before && { ':before': before.version }),
        ...Object.fromEntries(set.map(([attribute, value]) => [`:${attribute}`, value])),
      },
    };
  }

  async #listNames(after: GroupName | undefined, limit: number): Promise<readonly GroupName[]> {
    const items = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.groups,
        IndexName: 'by_name',
        KeyConditionExpression: after === undefined ? 'kind = :kind' : 'kind = :kind AND group_name > :after',
        ExpressionAttributeValues: { ':kind': KIND, ':after': after },
      },
      limit,
    );
    return items.map((item) => branded(item, 'group_name', isGroupName));
  }

  async #readAll(names: readonly GroupName[]): Promise<readonly Group[]> {
    const items = await readItems(
      this.clients.dynamo,
      this.names.tables.groups,
      names.map((name) => ({ group_name: name })),
    );
    const groups = new Map(items.map(toGroup).map((group) => [group.name, group]));
    return names.flatMap((name) => groups.get(name) ?? []);
  }

  /**
   * Marks the group, waits for those who have seen it without the mark, then looks for messages: one that is scheduled later takes the mark
   * away. Answers the mark; removals at the same time share one, or each would take away the other's for ever. Absent where the group has
   * another version by now, or something was added to it.
   * @throws {GroupInUseError}
   */
  async #beginRemoval(group: Group): Promise<string | undefined> {
    const Key = { group_name: group.name };
    const TableName = this.names.tables.groups;
    const { kind } = await transact(this.clients.dynamo, [
      {
        Update: {
          TableName,
          Key,
          UpdateExpression: 'SET removal = if_not_exists(removal, :removal)',
          ConditionExpression: '#version = :version',
          ExpressionAttributeNames: { '#version': 'version' },
          ExpressionAttributeValues: { ':removal': randomUUID(), ':version': group.version },
        },
      },
    ]);
    if (kind === 'failed') {
      return undefined;
    }
    const marked = await readItem(this.clients.dynamo, TableName, Key);
    await pauseForSightings();
    const unfinished = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.messages,
        ConsistentRead: true,
        KeyConditionExpression: 'group_name = :group',
        // What has no status is not a message: the partition holds idempotency keys too.
        FilterExpression: `#status IN (${UNFINISHED.map((status) => `:${status}`).join(', ')})`,
        ProjectionExpression: 'message_key',
        ExpressionAttributeNames: { '#status': 'status' },
        ExpressionAttributeValues: {
          ':group': group.name,
          ...Object.fromEntries(UNFINISHED.map((status) => [`:${status}`, status])),
        },
      },
      1,
    );
    if (unfinished.length > 0) {
      throw new GroupInUseError(group.name);
    }
    return marked && optionalText(marked, 'removal');
  }

  /** False where something was added to the group since. */
  async #removeSubscribers(name: GroupName, removal: string): Promise<boolean> {
    for (;;) {
      const page = await this.#pageSubscribers(name);
      if (page.length === 0) {
        return true;
      }
      const items = page.map((item) => this.#subscriberDelete(name, item));
      const result = await transact(this.clients.dynamo, [
        { Update: this.#leaversUpdate(name, removal, page) },
        ...items,
        ...this.#leaversZones(name, page),
      ]);
      // Where the condition of a subscriber failed, who was changed meanwhile, the page is read again.
      if (result.kind === 'failed' && result.reasons[0] === 'condition-failed') {
        return false;
      }
    }
  }

  async #pageSubscribers(name: GroupName): Promise<readonly Item[]> {
    return queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.subscribers,
        ConsistentRead: true,
        KeyConditionExpression: 'group_name = :group',
        ProjectionExpression: 'subscriber, #status, #version, time_zone',
        ExpressionAttributeNames: { '#status': 'status', '#version': 'version' },
        ExpressionAttributeValues: { ':group': name },
      },
      TRANSACTION_MAX_ITEMS - 2,
    );
  }

  #subscriberDelete(name: GroupName, item: Item): TransactItem {
    return {
      Delete: {
        TableName: this.names.tables.subscribers,
        Key: { group_name: name, subscriber: text(item, 'subscriber') },
        ConditionExpression: '#version = :version',
        ExpressionAttributeNames: { '#version': 'version' },
        ExpressionAttributeValues: { ':version': integer(item, 'version') },
      },
    };
  }

  #leaversUpdate(name: GroupName, removal: string, leavers: readonly Item[]): Update {
    const changes = countBy(leavers.map((item) => oneOf(item, 'status', SUBSCRIBER_STATUSES)));
    const { add, values } = countChanges(
      new Map([...changes].map(([status, leaving]) => [status, -leaving])),
    );
    return {
      TableName: this.names.tables.groups,
      Key: { group_name: name },
      UpdateExpression: add,
      ConditionExpression: isBeingRemoved,
      ExpressionAttributeValues: { ...values, ':removal': removal },
    };
  }

  #leaversZones(name: GroupName, leavers: readonly Item[]): readonly TransactItem[] {
    const changes = leavers.map((item) => ({
      before: {
        status: oneOf(item, 'status', SUBSCRIBER_STATUSES),
        timeZone: optionalText(item, 'time_zone'),
      },
      after: undefined,
    }));
    return zonesUpdate(this.names, name, changes);
  }

  /** False where something was added to the group since. */
  async #endRemoval(name: GroupName, removal: string): Promise<boolean> {
    const { kind } = await transact(this.clients.dynamo, [
      {
        Delete: {
          TableName: this.names.tables.groups,
          Key: { group_name: name },
          ConditionExpression: isBeingRemoved,
          ExpressionAttributeValues: { ':removal': removal },
        },
      },
      { Delete: { TableName: this.names.tables.groups, Key: zonesKey(name) } },
    ]);
    return kind === 'done';
  }
}

/** The item of a group as it is now: every message that is scheduled for it asks, so those at the same time share what they read. */
export async function readGroup(
  clients: AwsClients,
  names: AwsNames,
  name: GroupName,
): Promise<Item | undefined> {
  return clients.groupReads.read(name, async () => {
    const askedAtMs = performance.now();
    const item = await readItem(clients.dynamo, names.tables.groups, { group_name: name });
    if (isUnmarked(item)) {
      clients.groupSightings.note(name, askedAtMs);
    }
    return item;
  });
}

/** There, and nobody was removing it. */
export function isUnmarked(item: Item | undefined): item is Item {
  return item !== undefined && !('removal' in item);
}

/**
 * Makes the group where there is none, ends a removal that is under way, and counts whoever is added; part of the transaction that adds
 * them or a message. A second run counts them again, so that transaction has a condition which does not hold twice.
 */
export function groupUpdate(
  names: AwsNames,
  name: GroupName,
  at: Temporal.Instant,
  added: ReadonlyMap<SubscriberStatus, number> = new Map(),
): TransactItem {
  const { add, values } = countChanges(added);
  return {
    Update: {
      TableName: names.tables.groups,
      Key: { group_name: name },
      UpdateExpression: `SET kind = :kind, date_added = if_not_exists(date_added, :at), #version = if_not_exists(#version, :first)
        REMOVE removal ${add}`,
      ExpressionAttributeNames: { '#version': 'version' },
      ExpressionAttributeValues: { ...values, ':kind': KIND, ':at': at.epochMilliseconds, ':first': 1 },
    },
  };
}

/** The clause that changes the counts of a group, and its values. */
export function countChanges(changes: ReadonlyMap<SubscriberStatus, number>): {
  readonly add: string;
  readonly values: Readonly<Record<string, number>>;
} {
  const statuses = [...changes.keys()];
  return {
    add:
      statuses.length === 0 ? '' : `ADD ${statuses.map((status) => `${status}_count :${status}`).join(', ')}`,
    values: Object.fromEntries([...changes].map(([status, change]) => [`:${status}`, change])),
  };
}

/** `at` as it is once stored: in whole milliseconds. */
export function toStored(at: Temporal.Instant): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(at.epochMilliseconds);
}

function toGroup(item: Item): Group {
  return {
    name: branded(item, 'group_name', isGroupName),
    from: optionalText(item, 'from_mailbox'),
    replyTo: optionalText(item, 'reply_to'),
    timeZone: optionalText(item, 'time_zone'),
    maxSendRate: optionalNumber(item, 'max_send_rate'),
    // Absent where the first subscriber or message made the group.
    kind: optionalOneOf(item, 'mail_kind', GROUP_KINDS) ?? USUAL_MAILING.kind,
    optIn: optionalOneOf(item, 'opt_in', OPT_INS) ?? USUAL_MAILING.optIn,
    displayName: optionalText(item, 'display_name'),
    listHelp: optionalText(item, 'list_help'),
    listOwner: optionalText(item, 'list_owner'),
    unsubscribeMailto: optionalText(item, 'unsubscribe_mailto'),
    postalAddress: optionalText(item, 'postal_address'),
    language: optionalOneOf(item, 'language_code', LANGUAGES),
    sendWindow: toSendWindow(optionalText(item, 'send_window')),
    addedAt: instant(item, 'date_added'),
    version: integer(item, 'version'),
    counts: {
      active: count(item, 'active'),
      pending: count(item, 'pending'),
      unsubscribed: count(item, 'unsubscribed'),
      bounced: count(item, 'bounced'),
      complained: count(item, 'complained'),
    },
  };
}

function toSendWindow(json: string | undefined): SendWindow | undefined {
  return json === undefined ? undefined : parseSendWindow(JSON.parse(json), 'send_window');
}

function count(item: Item, status: SubscriberStatus): number {
  return optionalInteger(item, `${status}_count`) ?? 0;
}

export function countBy<Value>(values: readonly Value[]): ReadonlyMap<Value, number> {
  const counts = new Map<Value, number>();
  for (const value of values) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}

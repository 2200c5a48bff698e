import { Injectable } from '@nestjs/common';
import { type ConsentPage, ConsentStore } from '../../groups/consent-store.ts';
import { CONSENT_EVENTS, CONSENT_WAYS, type ConsentEntry, type ConsentRecord } from '../../groups/consent.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { branded, instant, type Item, items, oneOf, optionalText, text } from './item.ts';
import { type Key, queryItems, readItem } from './read-items.ts';
import { transact, type TransactItem } from './transact.ts';

// Before the group's name; no group has such a name.
const PREFIX = 'consent#';

const ADD_ENTRY = 'SET entries = list_append(if_not_exists(entries, :none), :entry)';

/** A record is an item of the table of subscribers with all its entries, a few hundred bytes each: an item has room for a thousand. */
@Injectable()
export class AwsConsentStore extends ConsentStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
  }

  override async append(group: GroupName, subscriber: SubscriberKey, entry: ConsentEntry): Promise<void> {
    // Where the condition fails, the entry is there.
    await transact(this.clients.dynamo, [
      {
        Update: {
          TableName: this.names.tables.subscribers,
          Key: keyOf(group, subscriber),
          UpdateExpression: ADD_ENTRY,
          ConditionExpression: 'attribute_not_exists(entries) OR NOT contains(entries, :one)',
          ExpressionAttributeValues: { ...entryValues(entry), ':one': toStoredEntry(entry) },
        },
      },
    ]);
  }

  override async find(group: GroupName, subscriber: SubscriberKey): Promise<ConsentRecord | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.subscribers, keyOf(group, subscriber));
    return item && toRecord(item);
  }

  override async list(group: GroupName, { after, limit }: ConsentPage): Promise<readonly ConsentRecord[]> {
    const found = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.subscribers,
        ConsistentRead: true,
        KeyConditionExpression:
          after === undefined ? 'group_name = :group' : 'group_name = :group AND subscriber > :after',
        ExpressionAttributeValues: { ':group': PREFIX + group, ':after': after },
      },
      limit,
    );
    return found.map(toRecord);
  }

  override async listGroups(subscriber: SubscriberKey): Promise<readonly GroupName[]> {
    const found = await queryItems(this.clients.dynamo, {
      TableName: this.names.tables.subscribers,
      IndexName: 'by_subscriber',
      KeyConditionExpression: 'subscriber = :subscriber AND begins_with(group_name, :prefix)',
      ExpressionAttributeValues: { ':subscriber': subscriber, ':prefix': PREFIX },
    });
    return found.map(groupOf);
  }

  override async erase(group: GroupName, subscriber: SubscriberKey): Promise<void> {
    await transact(this.clients.dynamo, [
      { Delete: { TableName: this.names.tables.subscribers, Key: keyOf(group, subscriber) } },
    ]);
  }
}

/** Adds the entry to the record; part of the transaction that makes it true. A second run adds it again, so that has a condition. */
export function consentUpdate(
  names: AwsNames,
  group: GroupName,
  subscriber: SubscriberKey,
  entry: ConsentEntry,
): TransactItem {
  return {
    Update: {
      TableName: names.tables.subscribers,
      Key: keyOf(group, subscriber),
      UpdateExpression: ADD_ENTRY,
      ExpressionAttributeValues: entryValues(entry),
    },
  };
}

function keyOf(group: GroupName, subscriber: SubscriberKey): Key {
  return { group_name: PREFIX + group, subscriber };
}

function entryValues(entry: ConsentEntry): Record<string, readonly Item[]> {
  return { ':none': [], ':entry': [toStoredEntry(entry)] };
}

function toStoredEntry({ what, how, at, ip, wording, reason, messageKey }: ConsentEntry): Item {
  return { what, how, at: at.epochMilliseconds, ip, wording, reason, message_key: messageKey };
}

function toRecord(item: Item): ConsentRecord {
  return {
    group: groupOf(item),
    subscriber: branded(item, 'subscriber', isSubscriberKey),
    entries: items(item, 'entries').map(toEntry),
  };
}

function groupOf(item: Item): GroupName {
  return branded({ group_name: text(item, 'group_name').slice(PREFIX.length) }, 'group_name', isGroupName);
}

function toEntry(entry: Item): ConsentEntry {
  return {
    what: oneOf(entry, 'what', CONSENT_EVENTS),
    how: oneOf(entry, 'how', CONSENT_WAYS),
    at: instant(entry, 'at'),
    ip: optionalText(entry, 'ip'),
    wording: optionalText(entry, 'wording'),
    reason: optionalText(entry, 'reason'),
    messageKey: optionalText(entry, 'message_key'),
  };
}

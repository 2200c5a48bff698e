import { Injectable } from '@nestjs/common';
import { type Confirmation, ConfirmationStore } from '../../groups/confirmation-store.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { branded, flag, instant, integer, type Item, optionalInstant, text } from './item.ts';
import { type Key, queryItems, readItem, readItems } from './read-items.ts';
import { transact } from './transact.ts';

// No group has such names. Of each confirmation there is an item by its subscriber, and a pointer to it by the time at which it is due.
const BY_SUBSCRIBER = '#confirmations';
const BY_TIME = '#confirmations-due';

// Epoch milliseconds, so that texts sort as times do; 15 digits are enough for 30,000 years.
const TIME_LENGTH = 15;

@Injectable()
export class AwsConfirmationStore extends ConfirmationStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
  }

  override async put(after: Confirmation, before: Confirmation | undefined): Promise<boolean> {
    const isMoved = before && before.dueAt.epochMilliseconds !== after.dueAt.epochMilliseconds;
    const { kind } = await transact(this.clients.dynamo, [
      {
        Put: {
          TableName: this.names.tables.messages,
          Item: toItem(after),
          ConditionExpression: before ? '#version = :before' : 'attribute_not_exists(#version)',
          ExpressionAttributeNames: { '#version': 'version' },
          ...(before && { ExpressionAttributeValues: { ':before': before.version } }),
        },
      },
      { Put: { TableName: this.names.tables.messages, Item: pointerOf(after) } },
      ...(isMoved === true
        ? [{ Delete: { TableName: this.names.tables.messages, Key: pointerOf(before) } }]
        : []),
    ]);
    return kind === 'done';
  }

  override async find(group: GroupName, subscriber: SubscriberKey): Promise<Confirmation | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, keyOf(group, subscriber));
    return item && toConfirmation(item);
  }

  override async findDue(now: Temporal.Instant, limit: number): Promise<readonly Confirmation[]> {
    const pointers = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.messages,
        ConsistentRead: true,
        KeyConditionExpression: 'group_name = :time AND message_key < :until',
        ExpressionAttributeValues: { ':time': BY_TIME, ':until': timeText(now.add({ milliseconds: 1 })) },
      },
      limit,
    );
    const keys = pointers.map((pointer) => ({
      group_name: BY_SUBSCRIBER,
      message_key: text(pointer, 'message_key').slice(TIME_LENGTH + 1),
    }));
    const found = await readItems(this.clients.dynamo, this.names.tables.messages, keys);
    return found.map(toConfirmation).toSorted((a, b) => Temporal.Instant.compare(a.dueAt, b.dueAt));
  }

  override async remove(confirmation: Confirmation): Promise<void> {
    await transact(this.clients.dynamo, [
      {
        Delete: {
          TableName: this.names.tables.messages,
          Key: keyOf(confirmation.group, confirmation.subscriber),
        },
      },
      { Delete: { TableName: this.names.tables.messages, Key: pointerOf(confirmation) } },
    ]);
  }
}

function keyOf(group: GroupName, subscriber: SubscriberKey): Key {
  return { group_name: BY_SUBSCRIBER, message_key: `${group}#${subscriber}` };
}

function pointerOf({ group, subscriber, dueAt }: Confirmation): Key {
  return { group_name: BY_TIME, message_key: `${timeText(dueAt)}#${group}#${subscriber}` };
}

function timeText(at: Temporal.Instant): string {
  return String(at.epochMilliseconds).padStart(TIME_LENGTH, '0');
}

function toItem(confirmation: Confirmation): Item {
  return {
    ...keyOf(confirmation.group, confirmation.subscriber),
    group_of: confirmation.group,
    subscriber: confirmation.subscriber,
    requested_at: confirmation.requestedAt.epochMilliseconds,
    is_wanted: confirmation.isWanted,
    sent_count: confirmation.sentCount,
    last_sent_at: confirmation.lastSentAt?.epochMilliseconds,
    due_at: confirmation.dueAt.epochMilliseconds,
    version: confirmation.version,
  };
}

function toConfirmation(item: Item): Confirmation {
  return {
    group: branded(item, 'group_of', isGroupName),
    subscriber: branded(item, 'subscriber', isSubscriberKey),
    requestedAt: instant(item, 'requested_at'),
    isWanted: flag(item, 'is_wanted'),
    sentCount: integer(item, 'sent_count'),
    lastSentAt: optionalInstant(item, 'last_sent_at'),
    dueAt: instant(item, 'due_at'),
    version: integer(item, 'version'),
  };
}

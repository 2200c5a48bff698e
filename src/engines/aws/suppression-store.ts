import { Injectable } from '@nestjs/common';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { type SuppressionPage, SuppressionStore } from '../../groups/suppression-store.ts';
import { type Suppression, SUPPRESSION_REASONS } from '../../groups/suppression.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { branded, instant, type Item, oneOf, optionalText } from './item.ts';
import { type Key, queryItems, readItem, readItems } from './read-items.ts';
import { transact } from './transact.ts';

// No group has such a name.
const GROUP_NAME = '#suppressed';

/** Items of the table of subscribers. Each write is a transaction: its token makes one whose answer was lost look done, and new. */
@Injectable()
export class AwsSuppressionStore extends SuppressionStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
  }

  override async add(suppression: Suppression): Promise<boolean> {
    const { kind } = await transact(this.clients.dynamo, [
      {
        Put: {
          TableName: this.names.tables.subscribers,
          Item: toItem(suppression),
          ConditionExpression: 'attribute_not_exists(subscriber)',
        },
      },
    ]);
    return kind === 'done';
  }

  override async remove(subscriber: SubscriberKey): Promise<boolean> {
    const { kind } = await transact(this.clients.dynamo, [
      {
        Delete: {
          TableName: this.names.tables.subscribers,
          Key: keyOf(subscriber),
          ConditionExpression: 'attribute_exists(subscriber)',
        },
      },
    ]);
    return kind === 'done';
  }

  override async find(subscriber: SubscriberKey): Promise<Suppression | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.subscribers, keyOf(subscriber));
    return item && toSuppression(item);
  }

  override async findAmong(
    subscribers: readonly SubscriberKey[],
  ): Promise<ReadonlyMap<SubscriberKey, Suppression>> {
    const keys = [...new Set(subscribers)].map(keyOf);
    const items = await readItems(this.clients.dynamo, this.names.tables.subscribers, keys);
    return new Map(items.map(toSuppression).map((suppression) => [suppression.subscriber, suppression]));
  }

  /** DynamoDB is asked by key: an item that knows would be read as often as those of a chunk. */
  override async mayHaveErased(): Promise<boolean> {
    return true;
  }

  override async list({ after, limit }: SuppressionPage): Promise<readonly Suppression[]> {
    const items = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.subscribers,
        ConsistentRead: true,
        KeyConditionExpression:
          after === undefined ? 'group_name = :group' : 'group_name = :group AND subscriber > :after',
        ExpressionAttributeValues: { ':group': GROUP_NAME, ':after': after },
      },
      limit,
    );
    return items.map(toSuppression);
  }
}

function keyOf(subscriber: SubscriberKey): Key {
  return { group_name: GROUP_NAME, subscriber };
}

function toItem({ subscriber, reason, detail, addedAt }: Suppression): Item {
  return { ...keyOf(subscriber), reason, detail, added_at: addedAt.epochMilliseconds };
}

function toSuppression(item: Item): Suppression {
  return {
    subscriber: branded(item, 'subscriber', isSubscriberKey),
    reason: oneOf(item, 'reason', SUPPRESSION_REASONS),
    detail: optionalText(item, 'detail'),
    addedAt: instant(item, 'added_at'),
  };
}

import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { GroupName } from '../../groups/group.ts';
import type { ZoneCount } from '../../groups/subscriber-store.ts';
import type { SubscriberStatus } from '../../groups/subscriber.ts';
import type { AwsNames } from './aws-names.ts';
import { integer, type Item, optionalInteger, optionalText } from './item.ts';
import { eachItem, type Key, readItem } from './read-items.ts';
import { transact, type TransactItem } from './transact.ts';

/*
 * The active subscribers of a group by zone: an item of the table `groups` beside that of the group, because they may be some hundred
 * numbers, and the group is read with every batch. They change in the very transaction that changes a subscriber.
 *
 * A group that is older than these counts has not all of them. Until its item says `is_whole`, they are counted anew for each question,
 * which takes a second for every 50,000 subscribers or so, and kept unless a subscriber has changed meanwhile.
 */

const ZONE_PREFIX = 'zone#'; // and the zone in lower case, since zones are compared so; none behind it: no zone
const CHANGES = 'changes';

/** A subscriber, as far as the counts are concerned; absent: not there. */
export type Counted =
  { readonly status: SubscriberStatus; readonly timeZone: string | undefined } | undefined;

export function zonesKey(group: GroupName): Key {
  return { group_name: `${group}#zones` };
}

/** Part of the transaction that changes these subscribers from the one state to the other; nothing where no count changes. */
export function zonesUpdate(
  names: AwsNames,
  group: GroupName,
  changes: readonly { readonly before: Counted; readonly after: Counted }[],
): readonly TransactItem[] {
  const byZone = new Map<string, number>();
  for (const { before, after } of changes) {
    count(byZone, before, -1);
    count(byZone, after, 1);
  }
  const changed = [...byZone].filter(([, change]) => change !== 0);
  if (changed.length === 0) {
    return [];
  }
  const added = changed.map((_zone, index) => `#zone${index} :zone${index}`);
  return [
    {
      Update: {
        TableName: names.tables.groups,
        Key: zonesKey(group),
        UpdateExpression: `ADD ${[`${CHANGES} :one`, ...added].join(', ')}`,
        ExpressionAttributeNames: Object.fromEntries(
          changed.map(([attribute], index) => [`#zone${index}`, attribute]),
        ),
        ExpressionAttributeValues: {
          ':one': 1,
          ...Object.fromEntries(changed.map(([, change], index) => [`:zone${index}`, change])),
        },
      },
    },
  ];
}

export async function countZones(
  dynamo: DynamoDBDocumentClient,
  names: AwsNames,
  group: GroupName,
): Promise<readonly ZoneCount[]> {
  const item = await readItem(dynamo, names.tables.groups, zonesKey(group));
  return item?.['is_whole'] === true ? toCounts(item) : countAnew(dynamo, names, group, item);
}

async function countAnew(
  dynamo: DynamoDBDocumentClient,
  names: AwsNames,
  group: GroupName,
  before: Item | undefined,
): Promise<readonly ZoneCount[]> {
  const counts = new Map<string, number>();
  const query = {
    TableName: names.tables.subscribers,
    ConsistentRead: true,
    KeyConditionExpression: 'group_name = :group',
    FilterExpression: '#status = :active',
    ProjectionExpression: 'time_zone',
    ExpressionAttributeNames: { '#status': 'status' },
    ExpressionAttributeValues: { ':group': group, ':active': 'active' },
  };
  for await (const item of eachItem(dynamo, query)) {
    count(counts, { status: 'active', timeZone: optionalText(item, 'time_zone') }, 1);
  }
  const counted = Object.fromEntries(counts);
  const changes = optionalInteger(before ?? {}, CHANGES) ?? 0;
  // Where somebody has changed meanwhile, nothing is written, and the next question counts again.
  await transact(dynamo, [
    {
      Put: {
        TableName: names.tables.groups,
        Item: { ...zonesKey(group), ...counted, is_whole: true, [CHANGES]: changes },
        ConditionExpression: before ? `${CHANGES} = :changes` : 'attribute_not_exists(group_name)',
        ...(before && { ExpressionAttributeValues: { ':changes': changes } }),
      },
    },
  ]);
  return toCounts(counted);
}

function toCounts(item: Item): readonly ZoneCount[] {
  return zoneAttributes(item)
    .map((attribute) => ({
      timeZone: attribute.slice(ZONE_PREFIX.length) || undefined,
      count: integer(item, attribute),
    }))
    .filter(({ count: active }) => active > 0);
}

function zoneAttributes(item: Item): readonly string[] {
  return Object.keys(item).filter((attribute) => attribute.startsWith(ZONE_PREFIX));
}

function count(counts: Map<string, number>, subscriber: Counted, change: number): void {
  if (subscriber?.status === 'active') {
    const attribute = `${ZONE_PREFIX}${(subscriber.timeZone ?? '').toLowerCase()}`;
    counts.set(attribute, (counts.get(attribute) ?? 0) + change);
  }
}

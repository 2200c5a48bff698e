import { QueryCommand, type QueryCommandInput } from '@aws-sdk/lib-dynamodb';
import { isGroupName } from '../../groups/group.ts';
import type { Waking } from '../../schedule/message-store.ts';
import { isMessageKey } from '../../schedule/message.ts';
import type { AwsClients } from './aws-clients.ts';
import type { AwsNames } from './aws-names.ts';
import { branded, instant, type Item, text } from './item.ts';
import { parseSeriesItemKey } from './series-item.ts';
import { callAws } from './transact.ts';

/** What a partition of the due index holds that wakes at `until` or before, soonest first; at most `limit`. */
export type QueryDue = (
  partitionName: string,
  until: Temporal.Instant,
  limit: number,
) => Promise<readonly Waking[]>;

/** Asks the index itself, which lags behind the records. Costs half a read unit, and another half for each 4 KB that it finds (some 40 messages). */
export function queryDue(clients: AwsClients, names: AwsNames): QueryDue {
  return async (partitionName, until, limit) => {
    const found: Waking[] = [];
    let start: QueryCommandInput['ExclusiveStartKey'];
    do {
      const command = new QueryCommand({
        TableName: names.tables.messages,
        IndexName: 'due',
        KeyConditionExpression: 'scheduled_date = :partition AND wake_at <= :until',
        ExpressionAttributeValues: { ':partition': partitionName, ':until': until.epochMilliseconds },
        Limit: limit - found.length,
        ExclusiveStartKey: start,
      });
      const { Items: items, LastEvaluatedKey: next } = await callAws(() => clients.dynamo.send(command));
      for (const item of items ?? []) {
        found.push(toWaking(item));
      }
      start = next;
    } while (start !== undefined && found.length < limit);
    return found;
  };
}

function toWaking(item: Item): Waking {
  const found = { group: branded(item, 'group_name', isGroupName), wakeAt: instant(item, 'wake_at') };
  const series = parseSeriesItemKey(text(item, 'message_key'));
  return series
    ? { ...found, kind: 'series', key: series }
    : { ...found, kind: 'message', key: branded(item, 'message_key', isMessageKey) };
}

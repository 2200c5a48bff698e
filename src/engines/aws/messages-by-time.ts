import { QueryCommand, type QueryCommandInput } from '@aws-sdk/lib-dynamodb';
import type { GroupName } from '../../groups/group.ts';
import type { MessagePage } from '../../schedule/message-store.ts';
import { isMessageKey, type Message, type MessageKey } from '../../schedule/message.ts';
import type { AwsClients } from './aws-clients.ts';
import type { AwsNames } from './aws-names.ts';
import { branded, integer } from './item.ts';
import { messageItemKey, toMessage } from './message-item.ts';
import { readItems } from './read-items.ts';
import { callAws } from './transact.ts';

// With a filter most of what the index holds may not fit; half a megabyte of it at a time.
const FILTERED_PAGE = 2_000;

/** A message where the index `by_time` has it. */
interface Listed {
  readonly key: MessageKey;
  readonly scheduleOn: number;
}

/** The messages of a group in order of their time: the index `by_time` finds them, the records say what they are. */
export class MessagesByTime {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {}

  /** What was scheduled or moved a moment ago may be missing: the index lags. What is listed is as it is now. */
  async list(group: GroupName, page: MessagePage): Promise<readonly Message[]> {
    const listed = this.#listInOrder(group, page);
    const messages: Message[] = [];
    while (messages.length < page.limit) {
      const next = await take(listed, page.limit - messages.length);
      if (next.length === 0) {
        break;
      }
      messages.push(...(await this.#readListed(group, next, page)));
    }
    return messages;
  }

  /** In order of time and then of key. The index knows no order among messages of one moment, so all of a moment are read before the first is given. */
  async *#listInOrder(group: GroupName, page: MessagePage): AsyncGenerator<Listed> {
    let moment: Listed[] = [];
    for await (const listed of this.#listByTime(group, page)) {
      if (moment.at(0)?.scheduleOn !== listed.scheduleOn) {
        yield* inOrderOfKey(moment, page.after);
        moment = [];
      }
      moment.push(listed);
    }
    yield* inOrderOfKey(moment, page.after);
  }

  async *#listByTime(group: GroupName, page: MessagePage): AsyncGenerator<Listed> {
    const from = Math.max(
      page.from?.epochMilliseconds ?? Number.MIN_SAFE_INTEGER,
      page.after?.scheduleOn.epochMilliseconds ?? Number.MIN_SAFE_INTEGER,
    );
    const last = (page.to?.epochMilliseconds ?? Number.MAX_SAFE_INTEGER) - 1;
    if (from > last) {
      return; // DynamoDB refuses bounds in the wrong order
    }
    const filter = statusFilter(page.statuses);
    let start: QueryCommandInput['ExclusiveStartKey'];
    do {
      const command = new QueryCommand({
        TableName: this.names.tables.messages,
        IndexName: 'by_time',
        KeyConditionExpression: 'group_name = :group AND schedule_on BETWEEN :from AND :last',
        ...filter,
        ExpressionAttributeValues: {
          ':group': group,
          ':from': from,
          ':last': last,
          ...filter?.ExpressionAttributeValues,
        },
        Limit: filter ? FILTERED_PAGE : page.limit + 1, // one more shows that a moment has ended
        ExclusiveStartKey: start,
      });
      const { Items: items, LastEvaluatedKey: next } = await callAws(() => this.clients.dynamo.send(command));
      yield* (items ?? []).map((item) => ({
        key: branded(item, 'message_key', isMessageKey),
        scheduleOn: integer(item, 'schedule_on'),
      }));
      start = next;
    } while (start !== undefined);
  }

  /** As they are now, without those that were moved or have another status since the index saw them: they are listed where they belong then. */
  async #readListed(
    group: GroupName,
    listed: readonly Listed[],
    { statuses }: MessagePage,
  ): Promise<readonly Message[]> {
    const items = await readItems(
      this.clients.dynamo,
      this.names.tables.messages,
      listed.map(({ key }) => messageItemKey(group, key)),
    );
    const messages = new Map(items.map(toMessage).map((message) => [message.key, message]));
    return listed.flatMap(({ key, scheduleOn }) => {
      const message = messages.get(key);
      return message?.scheduleOn.epochMilliseconds === scheduleOn &&
        (statuses?.includes(message.status) ?? true)
        ? message
        : [];
    });
  }
}

function statusFilter(
  statuses: MessagePage['statuses'],
):
  | Pick<QueryCommandInput, 'FilterExpression' | 'ExpressionAttributeNames' | 'ExpressionAttributeValues'>
  | undefined {
  return (
    statuses && {
      FilterExpression: `#status IN (${statuses.map((status) => `:${status}`).join(', ')})`,
      ExpressionAttributeNames: { '#status': 'status' },
      ExpressionAttributeValues: Object.fromEntries(statuses.map((status) => [`:${status}`, status])),
    }
  );
}

function inOrderOfKey(moment: readonly Listed[], after: MessagePage['after']): readonly Listed[] {
  return moment
    .filter(
      ({ key, scheduleOn }) => !after || scheduleOn > after.scheduleOn.epochMilliseconds || key > after.key,
    )
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

async function take<Value>(values: AsyncGenerator<Value>, count: number): Promise<readonly Value[]> {
  const taken: Value[] = [];
  while (taken.length < count) {
    const next = await values.next();
    if (next.done === true) {
      break;
    }
    taken.push(next.value);
  }
  return taken;
}

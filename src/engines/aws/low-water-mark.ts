import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { ScanCommand, type ScanCommandInput, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { AwsClients } from './aws-clients.ts';
import type { AwsNames } from './aws-names.ts';
import { hourOf, IMPORTS_PARTITION, oldestUnsettledHour, parseName, startOf } from './due-index.ts';
import { instant, type Item, text } from './item.ts';
import { readItem } from './read-items.ts';
import { callAws } from './transact.ts';

// No group has such a name, and no message such a key.
const KEY = { group_name: '#due', message_key: '#low-water' };

// Some 150 KB: answered long before the client gives up.
const SCAN_PAGE = 1_000;

/** The oldest hour of the due index that may still hold something, as all scanners know it. */
export class LowWaterMark {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {}

  /** Where there is none yet, it is made: at the oldest hour of all that the index holds. A second run finds it. */
  async get(now: Temporal.Instant): Promise<number> {
    return (await this.#find()) ?? (await this.#begin(now));
  }

  /**
   * Moves it to `to`, for a scanner that has found every hour from `from` on until there over and empty. Answers where it stands then:
   * elsewhere, where another scanner has moved it since this one read `from`; so it never moves back. A second run does nothing.
   */
  async move(from: number, to: number): Promise<number> {
    const command = new UpdateCommand({
      TableName: this.names.tables.messages,
      Key: KEY,
      UpdateExpression: 'SET oldest_hour_at = :to',
      ConditionExpression: 'oldest_hour_at = :from',
      ExpressionAttributeValues: { ':from': millisecondsOf(from), ':to': millisecondsOf(to) },
    });
    try {
      await callAws(() => this.clients.dynamo.send(command));
      return to;
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) {
        throw error;
      }
      return (await this.#find()) ?? from;
    }
  }

  async #find(): Promise<number | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, KEY);
    return item && toHour(item);
  }

  /** Whatever the index does not show yet was written just now, into an hour that is not settled. Of several who begin, the first is right. */
  async #begin(now: Temporal.Instant): Promise<number> {
    const oldest = Math.min(oldestUnsettledHour(now), await this.#oldestInIndex());
    const command = new UpdateCommand({
      TableName: this.names.tables.messages,
      Key: KEY,
      UpdateExpression: 'SET oldest_hour_at = if_not_exists(oldest_hour_at, :oldest)',
      ExpressionAttributeValues: { ':oldest': millisecondsOf(oldest) },
      ReturnValues: 'ALL_NEW',
    });
    const { Attributes: item } = await callAws(() => this.clients.dynamo.send(command));
    return item ? toHour(item) : oldest;
  }

  /** Reads the whole index, which holds no message that needs no attention; once in the life of an installation. */
  async #oldestInIndex(): Promise<number> {
    let oldest = Number.POSITIVE_INFINITY;
    let start: ScanCommandInput['ExclusiveStartKey'];
    do {
      const command = new ScanCommand({
        TableName: this.names.tables.messages,
        IndexName: 'due',
        ProjectionExpression: 'scheduled_date',
        Limit: SCAN_PAGE,
        ExclusiveStartKey: start,
      });
      const { Items: items, LastEvaluatedKey: next } = await callAws(() => this.clients.dynamo.send(command));
      const names = (items ?? []).map((item) => text(item, 'scheduled_date'));
      for (const name of names.filter((partition) => partition !== IMPORTS_PARTITION)) {
        oldest = Math.min(oldest, parseName(name).hour);
      }
      start = next;
    } while (start !== undefined);
    return oldest;
  }
}

function toHour(item: Item): number {
  return hourOf(instant(item, 'oldest_hour_at'));
}

function millisecondsOf(hour: number): number {
  return startOf(hour).epochMilliseconds;
}

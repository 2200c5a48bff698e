import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { Injectable } from '@nestjs/common';
import type { Pace } from '../../delivery/rate/pace.ts';
import { type RateKey, RateStore } from '../../delivery/rate/rate-store.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { instant, integer, type Item, number, optionalInstant, optionalInteger } from './item.ts';
import { readItem } from './read-items.ts';
import { callAws, pauseAfter } from './transact.ts';

// No group has such a name.
const GROUP_NAME = '#rate';

/** A pace is an item, written on the version that was read: of two workers who take the next chunk, one reads again. */
@Injectable()
export class AwsRateStore extends RateStore {
  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
  }

  override async find(key: RateKey): Promise<Pace | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, keyOf(key));
    return item && toPace(item);
  }

  override async change<Answer>(
    key: RateKey,
    change: (pace: Pace | undefined) => { readonly pace: Pace; readonly answer: Answer },
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      const item = await readItem(this.clients.dynamo, this.names.tables.messages, keyOf(key));
      const { pace, answer } = change(item && toPace(item));
      try {
        await this.#write(key, pace, item && integer(item, 'version'));
        return answer;
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) {
          throw error;
        }
        await pauseAfter(attempt, error);
      }
    }
  }

  async #write(key: RateKey, { nextAt, lowered, quota }: Pace, before: number | undefined): Promise<void> {
    const given = Object.entries({
      lowered_rate: lowered?.rate,
      lowered_at: lowered?.at.epochMilliseconds,
      quota_rate: quota?.rate,
      quota_left: quota?.left,
      quota_read_at: quota?.readAt.epochMilliseconds,
    });
    const set = given.filter(([, value]) => value !== undefined);
    const removed = given.filter(([, value]) => value === undefined).map(([attribute]) => attribute);
    const command = new UpdateCommand({
      TableName: this.names.tables.messages,
      Key: keyOf(key),
      UpdateExpression: [
        `SET ${['#version = :version', 'next_at = :next_at', ...set.map(([name]) => `${name} = :${name}`)].join(', ')}`,
        ...(removed.length > 0 ? [`REMOVE ${removed.join(', ')}`] : []),
      ].join(' '),
      ConditionExpression: before === undefined ? 'attribute_not_exists(#version)' : '#version = :before',
      ExpressionAttributeNames: { '#version': 'version' },
      ExpressionAttributeValues: {
        ':version': (before ?? 0) + 1,
        ':next_at': nextAt.epochMilliseconds,
        ...(before !== undefined && { ':before': before }),
        ...Object.fromEntries(set.map(([name, value]) => [`:${name}`, value])),
      },
    });
    await callAws(() => this.clients.dynamo.send(command));
  }
}

function keyOf(key: RateKey): Readonly<Record<string, string>> {
  return { group_name: GROUP_NAME, message_key: key };
}

function toPace(item: Item): Pace {
  const loweredAt = optionalInstant(item, 'lowered_at');
  const readAt = optionalInstant(item, 'quota_read_at');
  return {
    nextAt: instant(item, 'next_at'),
    lowered: loweredAt && { rate: number(item, 'lowered_rate'), at: loweredAt },
    quota: readAt && { rate: number(item, 'quota_rate'), left: optionalInteger(item, 'quota_left'), readAt },
  };
}

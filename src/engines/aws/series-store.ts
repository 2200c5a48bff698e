import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { Injectable } from '@nestjs/common';
import { newToken } from '../../delivery/lease.ts';
import type { GroupName } from '../../groups/group.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { VersionMismatchError } from '../../platform/errors/version-mismatch-error.ts';
import type { SealedContent } from '../../schedule/content.ts';
import type { SeriesKey } from '../../schedule/occurrence.ts';
import { type SeriesPage, SeriesStore } from '../../schedule/series-store.ts';
import { type Series, SeriesNotFoundError } from '../../schedule/series.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { ContentBucket } from './content-bucket.ts';
import { integer, optionalText } from './item.ts';
import { queryItems, readItem } from './read-items.ts';
import { seriesItemKey, seriesItemRange, toSeries, toSeriesItem } from './series-item.ts';
import { callAws } from './transact.ts';

@Injectable()
export class AwsSeriesStore extends SeriesStore {
  readonly #content: ContentBucket;

  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
    private readonly clock: Clock,
  ) {
    super();
    this.#content = new ContentBucket(clients, names);
  }

  override async find(group: GroupName, key: SeriesKey): Promise<Series | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, seriesItemKey(group, key));
    return item && toSeries(item);
  }

  override async findLatest(group: GroupName): Promise<Series | undefined> {
    const [latest] = await this.#query(group, undefined, 1, false);
    return latest;
  }

  override async list(group: GroupName, { after, limit }: SeriesPage): Promise<readonly Series[]> {
    return this.#query(group, after, limit, true);
  }

  async #query(
    group: GroupName,
    after: SeriesKey | undefined,
    limit: number,
    isForward: boolean,
  ): Promise<readonly Series[]> {
    const { first, last } = seriesItemRange(after);
    const items = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.messages,
        KeyConditionExpression: 'group_name = :group AND message_key BETWEEN :first AND :last',
        ExpressionAttributeValues: { ':group': group, ':first': first, ':last': last },
        ConsistentRead: true,
        ScanIndexForward: isForward,
      },
      limit,
    );
    return items.map(toSeries);
  }

  override async readContent(series: Series): Promise<Buffer> {
    return this.#content.readOfSeries(series);
  }

  /** The content first; what a write that comes to nothing leaves behind, the sweeper removes. */
  override async replace(after: Series, content?: SealedContent): Promise<void> {
    if (content) {
      await this.#content.putOfSeries(after, content);
    }
    const token = newToken();
    const command = new PutCommand({
      TableName: this.names.tables.messages,
      Item: toSeriesItem(after, this.clock.now(), token),
      ConditionExpression: 'version = :before',
      ExpressionAttributeValues: { ':before': after.version - 1 },
    });
    try {
      await callAws(() => this.clients.dynamo.send(command));
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) {
        throw error;
      }
      await this.#explain(after, token, error);
    }
  }

  /** Returns where the write has arrived, though its answer was lost. */
  async #explain(after: Series, token: string, cause: Error): Promise<void> {
    const key = seriesItemKey(after.group, after.key);
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, key);
    if (!item) {
      throw new SeriesNotFoundError(after.group, { cause });
    }
    if (optionalText(item, 'written_by') !== token) {
      throw new VersionMismatchError(after.version - 1, integer(item, 'version'), { cause });
    }
  }
}

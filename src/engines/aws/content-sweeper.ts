import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { Injectable } from '@nestjs/common';
import { Clock, DAY_MS, HOUR_MS, isReached, MINUTE_MS, plusMs } from '../../platform/clock/clock.ts';
import { isFinished, isMessageKey, type Message } from '../../schedule/message.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import {
  ContentBucket,
  type ContentObject,
  type ListedObject,
  OBJECTS_PER_REQUEST,
  seriesOf,
} from './content-bucket.ts';
import { type Item, optionalText, text } from './item.ts';
import { type MessageItemKey, messageItemKey, toMessage } from './message-item.ts';
import { readItems } from './read-items.ts';
import { parseSeriesItemKey, type SeriesItemKey, seriesItemKey, toSeries } from './series-item.ts';
import { callAws } from './transact.ts';

// Longer than any request can take from its object to its record.
const MIN_AGE_MS = DAY_MS;
// Some minutes of quiet work.
const RUN: SweepBounds = { pages: 100, objectsPerPage: OBJECTS_PER_REQUEST };
// Longer than a page takes; whoever sweeps keeps others away so long, and is followed by another once it dies.
const TURN_MS = 10 * MINUTE_MS;
// Every worker starts a pass a day; one of them makes it.
const REST_MS = 20 * HOUR_MS;

// No group has such a name, and no message such a key.
const KEY = { group_name: '#content', message_key: '#sweep' };

const itsTime = '(attribute_not_exists(next_sweep_at) OR next_sweep_at <= :now)';

/** How much of the bucket one run looks at. */
export interface SweepBounds {
  readonly pages: number;
  readonly objectsPerPage: number;
}

export type Sweep =
  /** Another one sweeps, or the last pass ended less than a day ago. */
  | { readonly kind: 'not-yet' }
  /** `complete` where the bucket's end was reached; otherwise the next run goes on from there. */
  | {
      readonly kind: 'swept';
      readonly complete: boolean;
      readonly seenCount: number;
      readonly removedCount: number;
    };

/**
 * Removes content that no message needs: what a creation left behind whose record was not written, and revisions that another has replaced.
 *
 * An object goes where it is a day old and either there is no record of its message, or that record has other content and can get no
 * new one any more. While it still can, the old revisions stay: otherwise a change back to one of them could lose its object here
 * between being written and being recorded.
 */
@Injectable()
export class ContentSweeper {
  readonly #bucket: ContentBucket;

  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
    private readonly clock: Clock,
  ) {
    this.#bucket = new ContentBucket(clients, names);
  }

  /**
   * A bounded piece of a pass over the bucket. What it has swept is noted page by page, so a run that dies is followed by one that goes on
   * from there; doing a page twice removes nothing more.
   */
  async runOnce({ pages, objectsPerPage } = RUN): Promise<Sweep> {
    const turn = await this.#takeTurn();
    if (!turn) {
      return { kind: 'not-yet' };
    }
    let after = optionalText(turn, 'swept_through');
    let seenCount = 0;
    let removedCount = 0;
    for (let page = 0; page < pages; page += 1) {
      const objects = await this.#bucket.list(after, objectsPerPage);
      after = objects.at(-1)?.objectKey;
      removedCount += await this.#bucket.removeAll(await this.#findOrphans(objects));
      seenCount += objects.length;
      if (after === undefined) {
        await this.#note(undefined, REST_MS);
        return { kind: 'swept', complete: true, seenCount, removedCount };
      }
      await this.#note(after, TURN_MS);
    }
    await this.#note(after, 0);
    return { kind: 'swept', complete: false, seenCount, removedCount };
  }

  async #findOrphans(objects: readonly ListedObject[]): Promise<readonly string[]> {
    const isOld = plusMs(this.clock.now(), -MIN_AGE_MS);
    const candidates = objects.flatMap(({ content, objectKey, writtenAt }) =>
      content && isReached(writtenAt, isOld) ? [{ content, objectKey }] : [],
    );
    const owners = await this.#readOwners(candidates.map(({ content }) => content));
    return candidates
      .filter(({ content }) => isOrphan(content, owners.get(ownerKey(content).message_key)))
      .map(({ objectKey }) => objectKey);
  }

  /** By the key of their items. */
  async #readOwners(contents: readonly ContentObject[]): Promise<ReadonlyMap<string, Owner>> {
    // The revisions of one message lie side by side; DynamoDB refuses a key that comes twice.
    const keys = new Map(
      contents.map((content) => [`${content.group}/${content.messageKey}`, ownerKey(content)]),
    );
    const items = await readItems(this.clients.dynamo, this.names.tables.messages, [...keys.values()]);
    return new Map(items.map((item) => [text(item, 'message_key'), toOwner(item)]));
  }

  /** Where the last run has got to; `undefined` where it is not this one's turn. A second run, where the first has arrived, waits for the next turn. */
  async #takeTurn(): Promise<Item | undefined> {
    const now = this.clock.now();
    const command = new UpdateCommand({
      TableName: this.names.tables.messages,
      Key: KEY,
      UpdateExpression: 'SET next_sweep_at = :next',
      ConditionExpression: itsTime,
      ExpressionAttributeValues: {
        ':now': now.epochMilliseconds,
        ':next': plusMs(now, TURN_MS).epochMilliseconds,
      },
      ReturnValues: 'ALL_NEW',
    });
    try {
      const { Attributes: item } = await callAws(() => this.clients.dynamo.send(command));
      return item;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) {
        return undefined;
      }
      throw error;
    }
  }

  /** A second run writes the same. */
  async #note(through: string | undefined, restMs: number): Promise<void> {
    const command = new UpdateCommand({
      TableName: this.names.tables.messages,
      Key: KEY,
      UpdateExpression:
        through === undefined
          ? 'SET next_sweep_at = :next REMOVE swept_through'
          : 'SET next_sweep_at = :next, swept_through = :through',
      ExpressionAttributeValues: {
        ':next': plusMs(this.clock.now(), restMs).epochMilliseconds,
        ':through': through,
      },
    });
    await callAws(() => this.clients.dynamo.send(command));
  }
}

/** The message or the series that content belongs to. */
interface Owner {
  readonly sha256: string;
  /** Nobody can give it other content any more. */
  readonly isSettled: boolean;
}

function ownerKey({ group, messageKey }: ContentObject): MessageItemKey | SeriesItemKey {
  if (isMessageKey(messageKey)) {
    return messageItemKey(group, messageKey);
  }
  const series = seriesOf(messageKey);
  if (!series) {
    throw new Error(`'${messageKey}' names neither a message nor a series.`);
  }
  return seriesItemKey(group, series);
}

function toOwner(item: Item): Owner {
  if (parseSeriesItemKey(text(item, 'message_key'))) {
    const { content, status } = toSeries(item);
    return { sha256: content.sha256, isSettled: status === 'ended' };
  }
  const message = toMessage(item);
  return { sha256: message.content.sha256, isSettled: isSettledContent(message) };
}

function isOrphan(content: ContentObject, owner: Owner | undefined): boolean {
  return !owner || (owner.sha256 !== content.sha256 && owner.isSettled);
}

/** True where the message has begun or ended: nobody can give it other content then. */
function isSettledContent({ status, dispatch }: Message): boolean {
  return dispatch.begunAt !== undefined || isFinished(status);
}

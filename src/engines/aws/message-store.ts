import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { PutCommand, QueryCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { Injectable } from '@nestjs/common';
import { newToken } from '../../delivery/lease.ts';
import type { GroupName } from '../../groups/group.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { StoreUnavailableError } from '../../platform/errors/domain-error.ts';
import { VersionMismatchError } from '../../platform/errors/version-mismatch-error.ts';
import type { SealedContent } from '../../schedule/content.ts';
import {
  type ClaimTerms,
  type CreateResult,
  type CreateTerms,
  type Idempotency,
  type MessageChange,
  type MessagePage,
  MessageStore,
  type Rest,
  type SeriesCondition,
  type Waking,
} from '../../schedule/message-store.ts';
import { encodeFindings, type Finding } from '../../schedule/finding.ts';
import { encodeTags } from '../../schedule/message-tags.ts';
import { isMessageKey, type Message, type MessageKey, MessageNotFoundError } from '../../schedule/message.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { ContentBucket, contentObject } from './content-bucket.ts';
import { DueFinder } from './due-finder.ts';
import { queryDue } from './due-query.ts';
import { groupUpdate, isUnmarked, readGroup } from './group-store.ts';
import { ItemUpdate } from './item-update.ts';
import { branded, integer, type Item, optionalText, text } from './item.ts';
import { LowWaterMark } from './low-water-mark.ts';
import {
  broughtForward,
  changeableAttributes,
  isClaimable,
  LEASE_ATTRIBUTES,
  leaseFree,
  messageItemKey,
  retryAttributes,
  toMessage,
  toMessageItem,
  WAKE_ATTRIBUTES,
  wakeAttributes,
  wakeCome,
} from './message-item.ts';
import { MessagesByTime } from './messages-by-time.ts';
import { readItem } from './read-items.ts';
import { seriesItemKey, toSeriesItem } from './series-item.ts';
import { callAws, transact, type TransactItem } from './transact.ts';

const notThere = 'attribute_not_exists(message_key)';
const isThere = 'attribute_exists(message_key)';
const versionRead = 'version = :version';
const leaseOfToken = 'lease_token = :token';

// `#` sorts before every digit, so a group's messages lie behind whatever else is kept in its partition.
const IDEMPOTENCY_PREFIX = '#idempotency#';
const FIRST_MESSAGE_KEY = '0';

/**
 * Messages in DynamoDB, their content in S3. The SDK may send a write twice, when the answer to the first was lost: so each carries a token
 * (`written_by`, or that of the lease), and a condition that fails because the first has arrived is told from one that fails because
 * somebody else was quicker.
 */
@Injectable()
export class AwsMessageStore extends MessageStore {
  readonly #content: ContentBucket;
  readonly #byTime: MessagesByTime;
  readonly #due: DueFinder;

  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
    private readonly clock: Clock,
  ) {
    super();
    this.#content = new ContentBucket(clients, names);
    this.#byTime = new MessagesByTime(clients, names);
    this.#due = new DueFinder(queryDue(clients, names), new LowWaterMark(clients, names), clock);
  }

  override async create(
    message: Message,
    content: SealedContent,
    { idempotency, series, isGroupFound = false }: CreateTerms = {},
  ): Promise<CreateResult> {
    // S3 first: a record without content would be sent empty.
    await Promise.all([
      this.#content.put(message, content),
      series?.kind === 'new' && this.#content.putOfSeries(series.series, content),
      !isGroupFound && this.#ensureGroup(message),
    ]);
    const result = await this.#recordOrDiscard(message, idempotency, series);
    if (result.kind === 'created') {
      await this.#keepGroup(message);
    }
    return result;
  }

  override async find(group: GroupName, key: MessageKey): Promise<Message | undefined> {
    const item = await this.#read(group, key);
    return item && toMessage(item);
  }

  override async findLatest(group: GroupName): Promise<Message | undefined> {
    const command = new QueryCommand({
      TableName: this.names.tables.messages,
      KeyConditionExpression: 'group_name = :group AND message_key >= :first',
      ExpressionAttributeValues: { ':group': group, ':first': FIRST_MESSAGE_KEY },
      ScanIndexForward: false,
      ConsistentRead: true,
      Limit: 1,
    });
    const { Items: items } = await callAws(() => this.clients.dynamo.send(command));
    const latest = items?.at(0);
    return latest && toMessage(latest);
  }

  override async list(group: GroupName, page: MessagePage): Promise<readonly Message[]> {
    return this.#byTime.list(group, page);
  }

  override async readContent(message: Message): Promise<Buffer> {
    return this.#content.read(message);
  }

  /**
   * The object of a change that comes to nothing stays, and so does that of the revision before, for whoever reads it just now; the
   * sweeper removes both.
   */
  override async change(
    group: GroupName,
    key: MessageKey,
    expectedVersion: number,
    change: MessageChange,
    content?: SealedContent,
  ): Promise<Message> {
    const before = await this.find(group, key);
    if (!before) {
      throw new MessageNotFoundError(group);
    }
    if (before.version !== expectedVersion) {
      throw new VersionMismatchError(expectedVersion, before.version);
    }
    const intended: Message = { ...before, ...change, version: before.version + 1 };
    if (content) {
      await this.#content.put(intended, content);
    }
    const after = await this.#writeChange(before, intended, change);
    if (!content && encodeTags(after.tags) !== encodeTags(before.tags)) {
      await this.#relabel(after);
    }
    return after;
  }

  override async findWaking(until: Temporal.Instant, limit: number): Promise<readonly Waking[]> {
    return this.#due.find(until, limit);
  }

  /** A second run with the same token finds its own lease where the first has arrived. */
  override async claim(group: GroupName, key: MessageKey, terms: ClaimTerms): Promise<Message | undefined> {
    const before = await this.find(group, key);
    if (!before || !isClaimable(before, terms.now)) {
      return undefined;
    }
    const isFirst = before.status === 'scheduled';
    const now = terms.now.epochMilliseconds;
    const update = setAll(new ItemUpdate(), {
      ...wakeAttributes(key, terms.until, this.clock.now()),
      lease_token: terms.token,
      lease_until: terms.until.epochMilliseconds,
      ...(isFirst && { status: 'sending', version: before.version + 1 }),
      ...(!before.dispatch.begunAt && { dispatch_begun_at: now }),
    })
      .require(versionRead, { ':version': before.version })
      .require(`${wakeCome} AND ${leaseFree}`, { ':now': now });
    const claimed = await this.#update(group, key, update);
    if (claimed) {
      return toMessage(claimed);
    }
    const found = await this.find(group, key);
    return found?.lease?.token === terms.token ? found : undefined;
  }

  override async postpone(
    group: GroupName,
    key: MessageKey,
    expectedVersion: number,
    wakeAt: Temporal.Instant,
  ): Promise<void> {
    const update = setAll(new ItemUpdate(), wakeAttributes(key, wakeAt, this.clock.now()))
      .require(versionRead, { ':version': expectedVersion })
      .require('#status = :scheduled', { ':scheduled': 'scheduled' }, ['status']);
    await this.#update(group, key, update);
  }

  override async noteFindings(
    group: GroupName,
    key: MessageKey,
    findings: readonly Finding[],
  ): Promise<void> {
    const noted = { sending_findings: encodeFindings(findings) };
    await this.#update(group, key, setAll(new ItemUpdate(), noted).require(isThere));
  }

  /** A second run finds no lease any more, and does nothing. */
  override async rest(group: GroupName, key: MessageKey, { token, wakeAt, lookedAt }: Rest): Promise<void> {
    const looked = { looked_at: lookedAt?.epochMilliseconds };
    const wakes = setAll(new ItemUpdate(), { ...wakeAttributes(key, wakeAt, this.clock.now()), ...looked })
      .remove(...LEASE_ATTRIBUTES)
      .require(leaseOfToken, { ':token': token })
      .require(`NOT (${broughtForward} AND wake_at < :wakeAt)`, { ':wakeAt': wakeAt.epochMilliseconds });
    if (await this.#update(group, key, wakes)) {
      return;
    }
    // Its wake was brought forward and stays, or the lease is not the token's any more.
    const keepsItsWake = setAll(new ItemUpdate(), looked)
      .remove(...LEASE_ATTRIBUTES)
      .require(leaseOfToken, { ':token': token });
    await this.#update(group, key, keepsItsWake);
  }

  async #recordOrDiscard(
    message: Message,
    idempotency: Idempotency | undefined,
    series: SeriesCondition | undefined,
  ): Promise<CreateResult> {
    try {
      const result = await (idempotency || series
        ? this.#recordTogether(message, idempotency, series)
        : this.#record(message));
      if (result.kind !== 'created' && result.kind !== 'exists') {
        await this.#discard(message);
      }
      return result;
    } catch (error) {
      // Where nobody knows whether the record was written, the object stays: it may be a message's.
      if (!(error instanceof StoreUnavailableError)) {
        await this.#discard(message);
      }
      throw error;
    }
  }

  /** A second run finds its own token, which is as good as having written. */
  async #record(message: Message): Promise<CreateResult> {
    const token = newToken();
    const command = new PutCommand({
      TableName: this.names.tables.messages,
      Item: this.#newItem(message, token),
      ConditionExpression: notThere,
    });
    try {
      await callAws(() => this.clients.dynamo.send(command));
    } catch (error) {
      const isOwn =
        error instanceof ConditionalCheckFailedException &&
        optionalText((await this.#read(message.group, message.key)) ?? {}, 'written_by') === token;
      if (!isOwn && error instanceof ConditionalCheckFailedException) {
        return { kind: 'exists' };
      }
      if (!isOwn) {
        throw error;
      }
    }
    return { kind: 'created' };
  }

  /** One transaction writes both; the token of the transaction covers a second run. What has expired is replaced. */
  async #recordTogether(
    message: Message,
    idempotency: Idempotency | undefined,
    series: SeriesCondition | undefined,
  ): Promise<CreateResult> {
    const result = await transact(this.clients.dynamo, [
      {
        Put: {
          TableName: this.names.tables.messages,
          Item: this.#newItem(message, newToken()),
          ConditionExpression: notThere,
        },
      },
      ...(series ? [this.#seriesItem(series)] : []),
      ...(idempotency ? [this.#idempotencyItem(message, idempotency)] : []),
    ]);
    if (result.kind === 'done') {
      return { kind: 'created' };
    }
    const [messageFailure, nextFailure] = result.reasons;
    if (messageFailure) {
      return { kind: 'exists' };
    }
    if (series?.kind === 'unchanged' && nextFailure) {
      return { kind: 'series-changed' };
    }
    if (!idempotency) {
      throw new Error('There is a series with the key of a new one.');
    }
    return this.#repeated(message, idempotency);
  }

  #seriesItem({ kind, series }: SeriesCondition): TransactItem {
    const TableName = this.names.tables.messages;
    return kind === 'new'
      ? {
          Put: {
            TableName,
            Item: toSeriesItem(series, this.clock.now(), newToken()),
            ConditionExpression: notThere,
          },
        }
      : {
          ConditionCheck: {
            TableName,
            Key: seriesItemKey(series.group, series.key),
            ConditionExpression: versionRead,
            ExpressionAttributeValues: { ':version': series.version },
          },
        };
  }

  #idempotencyItem(message: Message, idempotency: Idempotency): TransactItem {
    return {
      Put: {
        TableName: this.names.tables.messages,
        Item: {
          ...idempotencyItemKey(message, idempotency),
          fingerprint: idempotency.fingerprint,
          answer: idempotency.answer,
          answered_key: message.key,
          expires_at: idempotency.expiresAt.epochMilliseconds,
          expires_at_epoch_seconds: Math.ceil(idempotency.expiresAt.epochMilliseconds / 1_000),
        },
        ConditionExpression: `${notThere} OR expires_at <= :now`,
        ExpressionAttributeValues: { ':now': message.addedAt.epochMilliseconds },
      },
    };
  }

  async #repeated(message: Message, idempotency: Idempotency): Promise<CreateResult> {
    const key = idempotencyItemKey(message, idempotency);
    const before = await readItem(this.clients.dynamo, this.names.tables.messages, key);
    if (!before || integer(before, 'expires_at') <= message.addedAt.epochMilliseconds) {
      throw new Error(`There is a message ${message.key} already.`);
    }
    return text(before, 'fingerprint') === idempotency.fingerprint
      ? {
          kind: 'repeated',
          key: branded(before, 'answered_key', isMessageKey),
          answer: text(before, 'answer'),
        }
      : { kind: 'key-reused' };
  }

  /** Removes the object of a message that was not recorded, unless the same content belongs to a message of this key that was there before. */
  async #discard(message: Message): Promise<void> {
    try {
      const stored = await this.#read(message.group, message.key);
      if (!stored || text(stored, 'content_sha256') !== message.content.sha256) {
        await this.#content.remove(contentObject(message));
      }
    } catch {
      // The sweeper removes it in a day; what the caller must know is why there is no message.
    }
  }

  /** Reads first, because there mostly is one: a read costs a fifth of a write, and does not collide with others. A second run finds it. */
  async #ensureGroup({ group, addedAt }: Message): Promise<void> {
    if (!isUnmarked(await readGroup(this.clients, this.names, group))) {
      await transact(this.clients.dynamo, [groupUpdate(this.names, group, addedAt)]);
    }
  }

  /** A removal of the group that may not have seen the record loses its mark here, and looks again. */
  async #keepGroup(message: Message): Promise<void> {
    if (this.clients.groupSightings.isFresh(message.group)) {
      return;
    }
    try {
      await this.#ensureGroup(message);
    } catch (error) {
      // The message is stored, and saying that it is not would have it scheduled twice. At worst its group is removed under it.
      if (!(error instanceof StoreUnavailableError)) {
        throw error;
      }
    }
  }

  async #writeChange(before: Message, intended: Message, change: MessageChange): Promise<Message> {
    const { group, key, wakeAt } = intended;
    const token = newToken();
    const update = setAll(new ItemUpdate(), { ...changeableAttributes(intended), written_by: token })
      .remove(...LEASE_ATTRIBUTES)
      .require(versionRead, { ':version': before.version });
    if ('wakeAt' in change && wakeAt) {
      setAll(update, wakeAttributes(key, wakeAt, this.clock.now()));
    } else if ('wakeAt' in change) {
      update.remove(...WAKE_ATTRIBUTES);
    }
    if ('status' in change) {
      update.remove('looked_at');
    }
    if ('retry' in change) {
      setAll(update, retryAttributes(change.retry)); // otherwise left alone: its position moves without a new version
    }
    const written = (await this.#update(group, key, update)) ?? (await this.#read(group, key));
    if (!written) {
      throw new MessageNotFoundError(group);
    }
    const after = toMessage(written);
    if (optionalText(written, 'written_by') !== token) {
      throw new VersionMismatchError(before.version, after.version);
    }
    return after;
  }

  /** The record's tags are what the API shows: where S3 does not take them just now, its labels stay behind. */
  async #relabel(message: Message): Promise<void> {
    try {
      await this.#content.label(message);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) {
        throw error;
      }
    }
  }

  /** The item after the update; `undefined` where a condition did not hold. */
  async #update(group: GroupName, key: MessageKey, update: ItemUpdate): Promise<Item | undefined> {
    const target = { TableName: this.names.tables.messages, Key: messageItemKey(group, key) };
    const command = new UpdateCommand({ ...update.byItself(target), ReturnValues: 'ALL_NEW' });
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

  async #read(group: GroupName, key: MessageKey): Promise<Item | undefined> {
    return readItem(this.clients.dynamo, this.names.tables.messages, messageItemKey(group, key));
  }

  #newItem(message: Message, token: string): Record<string, unknown> {
    return { ...toMessageItem(message, this.clock.now()), written_by: token };
  }
}

function idempotencyItemKey(
  { group }: Message,
  { key }: Idempotency,
): Readonly<Record<'group_name' | 'message_key', string>> {
  return { group_name: group, message_key: `${IDEMPOTENCY_PREFIX}${key}` };
}

/** Sets what is defined and removes the rest. */
function setAll(
  update: ItemUpdate,
  attributes: Readonly<Record<string, string | number | undefined>>,
): ItemUpdate {
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === undefined) {
      update.remove(attribute);
    } else {
      update.set(attribute, value);
    }
  }
  return update;
}

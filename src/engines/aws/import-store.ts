import type { Readable } from 'node:stream';
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { DeleteCommand, PutCommand, QueryCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { Injectable } from '@nestjs/common';
import { DAY_MS, plusMs } from '../../platform/clock/clock.ts';
import { type GroupName, isGroupName } from '../../groups/group.ts';
import {
  IMPORT_FORMATS,
  IMPORT_STATES,
  type ImportCounts,
  type ImportJob,
  type ImportKey,
  ImportNotFoundError,
  isEnded,
  isImportKey,
  NO_COUNTS,
} from '../../groups/imports/import-job.ts';
import {
  type ImportChunk,
  type ImportClaim,
  type ImportEnd,
  type ImportPage,
  ImportStore,
  type NewImport,
  type RowResults,
  type WakingImport,
} from '../../groups/imports/import-store.ts';
import { addResults, countWrites, mergeRows, type SubscriberWrite } from '../../groups/imports/merge-rows.ts';
import { packPositions, positionsFrom, unpackPositions } from '../../groups/imports/row-positions.ts';
import { OPT_INS, type OptIn } from '../../groups/mailing-settings.ts';
import type { Subscriber, SubscriberKey } from '../../groups/subscriber.ts';
import { consentUpdate } from './consent-store.ts';
import { AwsClients } from './aws-clients.ts';
import { AwsNames } from './aws-names.ts';
import { IMPORTS_PARTITION } from './due-index.ts';
import { groupUpdate } from './group-store.ts';
import { ImportFiles } from './import-files.ts';
import {
  branded,
  flag,
  instant,
  integer,
  type Item,
  oneOf,
  optionalInstant,
  optionalText,
  text,
} from './item.ts';
import { ItemUpdate } from './item-update.ts';
import { type Key, queryItems, readItem, readItems } from './read-items.ts';
import { keyOf, toItem, toSubscriber } from './subscriber-store.ts';
import { zonesUpdate } from './zone-counts.ts';
import { callAws, transact, TRANSACTION_MAX_ITEMS, type TransactItem } from './transact.ts';

// No group has such names.
const JOBS_PREFIX = '#imports/';
const RESULTS_PREFIX = '#import-results/';
// Beside the subscribers and what is recorded of each, the transaction holds the group, its zones, the import and the results.
const CHUNK_ROWS = Math.floor((TRANSACTION_MAX_ITEMS - 4) / 2);
const RESULTS_PAGE = 1_000;
// Longer than any import is worked and kept; DynamoDB removes them then.
const RESULTS_KEPT_MS = 30 * DAY_MS;
const ROW_DIGITS = 10;

const COUNTS = Object.keys(NO_COUNTS).filter(isCountName);

/**
 * An import is an item of the messages table, in a partition for each group; so are the results of its chunks, in a partition for each import.
 * It is found by its wake in a partition of the due index that no message has.
 */
@Injectable()
export class AwsImportStore extends ImportStore {
  override readonly chunkRows = CHUNK_ROWS;
  override readonly sortFolder = undefined;
  readonly #files: ImportFiles;

  constructor(
    private readonly clients: AwsClients,
    private readonly names: AwsNames,
  ) {
    super();
    this.#files = new ImportFiles(clients, names);
  }

  override async receive(
    { key, group, format, dryRun, askToConfirm, at }: NewImport,
    file: AsyncIterable<Uint8Array>,
    giveUpAt: Temporal.Instant,
  ): Promise<ImportJob> {
    const item = {
      ...jobKey(group, key),
      scheduled_date: IMPORTS_PARTITION,
      wake_at: giveUpAt.epochMilliseconds,
      format,
      dry_run: dryRun,
      ask_to_confirm: askToConfirm,
      state: 'receiving',
      file_bytes: 0,
      read_bytes: 0,
      ...countAttributes(NO_COUNTS),
      added_at: at.epochMilliseconds,
    };
    await callAws(() =>
      this.clients.dynamo.send(new PutCommand({ TableName: this.names.tables.messages, Item: item })),
    );
    try {
      const fileBytes = await this.#files.put({ group, key }, file);
      const update = new ItemUpdate()
        .set('state', 'queued')
        .set('file_bytes', fileBytes)
        .set('wake_at', at.epochMilliseconds)
        .require('#state = :receiving', { ':receiving': 'receiving' }, ['state']);
      await this.#update(group, key, update);
      return await this.#get(group, key);
    } catch (error) {
      await this.remove({ group, key });
      throw error;
    }
  }

  override async find(group: GroupName, key: ImportKey): Promise<ImportJob | undefined> {
    const item = await readItem(this.clients.dynamo, this.names.tables.messages, jobKey(group, key));
    return item && toJob(item);
  }

  override async list(group: GroupName, { before, limit }: ImportPage): Promise<readonly ImportJob[]> {
    const items = await queryItems(
      this.clients.dynamo,
      {
        TableName: this.names.tables.messages,
        ConsistentRead: true,
        ScanIndexForward: false,
        KeyConditionExpression:
          before === undefined ? 'group_name = :group' : 'group_name = :group AND message_key < :before',
        ExpressionAttributeValues: { ':group': `${JOBS_PREFIX}${group}`, ':before': before },
      },
      limit,
    );
    return items.map(toJob);
  }

  override async findWaking(now: Temporal.Instant, limit: number): Promise<readonly WakingImport[]> {
    const command = new QueryCommand({
      TableName: this.names.tables.messages,
      IndexName: 'due',
      KeyConditionExpression: 'scheduled_date = :imports AND wake_at <= :now',
      ExpressionAttributeValues: { ':imports': IMPORTS_PARTITION, ':now': now.epochMilliseconds },
      Limit: limit,
    });
    const { Items: items } = await callAws(() => this.clients.dynamo.send(command));
    return (items ?? []).map(toWaking);
  }

  override async claim(
    group: GroupName,
    key: ImportKey,
    { token, now, until }: ImportClaim,
  ): Promise<ImportJob | undefined> {
    const job = await this.find(group, key);
    if (!job) {
      return undefined;
    }
    const update = new ItemUpdate()
      .set('state', 'working')
      .set('lease_token', token)
      .set('wake_at', until.epochMilliseconds)
      .set('started_at', (job.startedAt ?? now).epochMilliseconds)
      .require(
        '#state IN (:queued, :working) AND wake_at <= :now',
        { ':queued': 'queued', ':working': 'working', ':now': now.epochMilliseconds },
        ['state'],
      );
    return (await this.#update(group, key, update)) ? this.#get(group, key) : undefined;
  }

  override openFile({ group, key, fileBytes }: ImportJob): Readable {
    return this.#files.open({ group, key }, fileBytes);
  }

  override async apply(
    { group, key }: ImportJob,
    claim: ImportClaim,
    chunk: ImportChunk,
  ): Promise<ImportJob | undefined> {
    for (;;) {
      const item = await readItem(this.clients.dynamo, this.names.tables.messages, jobKey(group, key));
      const job = item && toJob(item);
      if (!job || item['lease_token'] !== claim.token) {
        return undefined;
      }
      if (chunk.rows.length > 0 && job.counts.read !== chunk.after) {
        return undefined;
      }
      const existing = await this.#existing(group, chunk);
      const optIn = await this.#optIn(group);
      const { writes, results } = mergeRows(chunk.rows, { group, existing, at: claim.now, optIn });
      const after = {
        ...job,
        counts: addResults(job.counts, results),
        readBytes: chunk.readBytes,
        wakeAt: claim.until,
      };
      const items = [
        progressUpdate(this.names, after, claim.token, job.counts.read),
        ...(results === '' ? [] : [this.#resultsPut(key, { chunk, results, at: claim.now })]),
        ...(job.dryRun || writes.length === 0 ? [] : this.#writes(group, writes, claim.now)),
      ];
      const outcome = await transact(this.clients.dynamo, items);
      if (outcome.kind === 'done') {
        return after;
      }
      if (outcome.reasons[0] === 'condition-failed') {
        return undefined;
      }
      // Somebody changed one of the subscribers since they were read.
    }
  }

  override async end(
    { group, key, fileBytes }: ImportJob,
    token: string,
    { state, reason, at, wakeAt }: ImportEnd,
  ): Promise<void> {
    const update = new ItemUpdate()
      .set('state', state)
      .set('ended_at', at.epochMilliseconds)
      .set('wake_at', wakeAt.epochMilliseconds)
      .remove('lease_token');
    if (reason !== undefined) {
      update.set('reason', reason);
    }
    if (state === 'done') {
      update.set('read_bytes', fileBytes);
    }
    await this.#update(group, key, update.require('lease_token = :token', { ':token': token }));
  }

  override async release({ group, key }: ImportJob, token: string, at: Temporal.Instant): Promise<void> {
    const update = new ItemUpdate()
      .set('wake_at', at.epochMilliseconds)
      .remove('lease_token')
      .require('lease_token = :token', { ':token': token });
    await this.#update(group, key, update);
  }

  override async cancel(
    group: GroupName,
    key: ImportKey,
    at: Temporal.Instant,
    wakeAt: Temporal.Instant,
  ): Promise<ImportJob> {
    const job = await this.#get(group, key);
    if (isEnded(job)) {
      return job;
    }
    const update = new ItemUpdate()
      .set('state', 'cancelled')
      .set('ended_at', at.epochMilliseconds)
      .set('wake_at', wakeAt.epochMilliseconds)
      .remove('lease_token')
      .require(
        '#state IN (:receiving, :queued, :working)',
        { ':receiving': 'receiving', ':queued': 'queued', ':working': 'working' },
        ['state'],
      );
    await this.#update(group, key, update); // where it does not hold, it has ended meanwhile
    return this.#get(group, key);
  }

  override async *readResults({ key }: ImportJob): AsyncGenerator<RowResults> {
    let after = '';
    for (;;) {
      const items = await queryItems(
        this.clients.dynamo,
        {
          TableName: this.names.tables.messages,
          ConsistentRead: true,
          KeyConditionExpression: 'group_name = :results AND message_key > :after',
          ExpressionAttributeValues: { ':results': `${RESULTS_PREFIX}${key}`, ':after': after || ' ' },
        },
        RESULTS_PAGE,
      );
      for (const item of items) {
        after = text(item, 'message_key');
        const letters = text(item, 'results');
        const packed = item['positions'];
        yield {
          letters,
          positions:
            packed instanceof Uint8Array
              ? unpackPositions(packed)
              : positionsFrom(Number(after), letters.length),
        };
      }
      if (items.length < RESULTS_PAGE) {
        return;
      }
    }
  }

  override async remove(job: WakingImport): Promise<void> {
    await this.#files.remove(job); // the record last: while it is there, somebody comes back for the file
    const command = new DeleteCommand({
      TableName: this.names.tables.messages,
      Key: jobKey(job.group, job.key),
    });
    await callAws(() => this.clients.dynamo.send(command));
  }

  async #get(group: GroupName, key: ImportKey): Promise<ImportJob> {
    const job = await this.find(group, key);
    if (!job) {
      throw new ImportNotFoundError(group);
    }
    return job;
  }

  /** False where its condition does not hold. */
  async #update(group: GroupName, key: ImportKey, update: ItemUpdate): Promise<boolean> {
    const command = new UpdateCommand(
      update.byItself({ TableName: this.names.tables.messages, Key: jobKey(group, key) }),
    );
    try {
      await callAws(() => this.clients.dynamo.send(command));
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) {
        return false;
      }
      throw error;
    }
  }

  async #optIn(group: GroupName): Promise<OptIn> {
    const item = await readItem(this.clients.dynamo, this.names.tables.groups, { group_name: group });
    return item?.['opt_in'] === undefined ? 'single' : oneOf(item, 'opt_in', OPT_INS);
  }

  async #existing(group: GroupName, { rows }: ImportChunk): Promise<ReadonlyMap<SubscriberKey, Subscriber>> {
    const keys = [...new Set(rows.flatMap(({ row }) => row?.key ?? []))].map((key) => keyOf(group, key));
    const items = await readItems(this.clients.dynamo, this.names.tables.subscribers, keys);
    return new Map(items.map(toSubscriber).map((subscriber) => [subscriber.key, subscriber]));
  }

  #resultsPut(
    key: ImportKey,
    noted: { readonly chunk: ImportChunk; readonly results: string; readonly at: Temporal.Instant },
  ): TransactItem {
    return {
      Put: {
        TableName: this.names.tables.messages,
        Item: {
          group_name: `${RESULTS_PREFIX}${key}`,
          message_key: String(noted.chunk.after).padStart(ROW_DIGITS, '0'),
          results: noted.results,
          ...(noted.chunk.positions && { positions: packPositions(noted.chunk.positions) }),
          expires_at_epoch_seconds: Math.ceil(plusMs(noted.at, RESULTS_KEPT_MS).epochMilliseconds / 1_000),
        },
      },
    };
  }

  #writes(
    group: GroupName,
    writes: readonly SubscriberWrite[],
    at: Temporal.Instant,
  ): readonly TransactItem[] {
    const puts = writes.map(({ before, after }) => ({
      Put: {
        TableName: this.names.tables.subscribers,
        Item: toItem(after),
        ...(before
          ? {
              ConditionExpression: '#version = :read',
              ExpressionAttributeNames: { '#version': 'version' },
              ExpressionAttributeValues: { ':read': before.version },
            }
          : { ConditionExpression: 'attribute_not_exists(subscriber)' }),
      },
    }));
    const records = writes.flatMap(({ after, consent }) =>
      consent ? [consentUpdate(this.names, group, after.key, consent)] : [],
    );
    return [
      groupUpdate(this.names, group, at, countWrites(writes)),
      ...zonesUpdate(this.names, group, writes),
      ...puts,
      ...records,
    ];
  }
}

/** The first of the transaction: whether the claim still holds, and nobody has gone further. */
function progressUpdate(
  names: AwsNames,
  { group, key, counts, readBytes, wakeAt }: ImportJob,
  token: string,
  readBefore: number,
): TransactItem {
  const update = new ItemUpdate()
    .set('wake_at', wakeAt.epochMilliseconds)
    .set('read_bytes', readBytes)
    .require('lease_token = :token AND read_count = :before', { ':token': token, ':before': readBefore });
  for (const [attribute, value] of Object.entries(countAttributes(counts))) {
    update.set(attribute, value);
  }
  return update.inTransaction({ TableName: names.tables.messages, Key: jobKey(group, key) });
}

function jobKey(group: GroupName, key: ImportKey): Key {
  return { group_name: `${JOBS_PREFIX}${group}`, message_key: key };
}

function isCountName(name: string): name is keyof ImportCounts {
  return name in NO_COUNTS;
}

function countAttributes(counts: ImportCounts): Readonly<Record<string, number>> {
  return Object.fromEntries(COUNTS.map((name) => [`${name}_count`, counts[name]]));
}

function toWaking(item: Item): WakingImport {
  const group = text(item, 'group_name').slice(JOBS_PREFIX.length);
  if (!isGroupName(group)) {
    throw new Error('The due index has an import of no group.');
  }
  return { group, key: branded(item, 'message_key', isImportKey) };
}

function toJob(item: Item): ImportJob {
  return {
    ...toWaking(item),
    format: oneOf(item, 'format', IMPORT_FORMATS),
    dryRun: flag(item, 'dry_run'),
    askToConfirm: item['ask_to_confirm'] === true, // absent in those of before
    state: oneOf(item, 'state', IMPORT_STATES),
    reason: optionalText(item, 'reason'),
    fileBytes: integer(item, 'file_bytes'),
    readBytes: integer(item, 'read_bytes'),
    counts: {
      read: integer(item, 'read_count'),
      created: integer(item, 'created_count'),
      updated: integer(item, 'updated_count'),
      unchanged: integer(item, 'unchanged_count'),
      rejected: integer(item, 'rejected_count'),
      duplicates: integer(item, 'duplicates_count'),
    },
    addedAt: instant(item, 'added_at'),
    startedAt: optionalInstant(item, 'started_at'),
    endedAt: optionalInstant(item, 'ended_at'),
    wakeAt: instant(item, 'wake_at'),
  };
}

/*
 * The tables of the `aws` engine: the one definition, read by the stores, by `npm run aws:create`, by the tests and by infra/.
 *
 * | pattern                                            | operation                        | key                                                     | index           |
 * |----------------------------------------------------|----------------------------------|---------------------------------------------------------|-----------------|
 * | read a group                                       | groups: GetItem                  | group_name                                              |                 |
 * | the active subscribers of a group by zone          | groups: GetItem; in each change  | group_name = group + '#zones'                           |                 |
 * | list groups by name                                | groups: Query, then BatchGetItem | kind = 'group', group_name > :after                     | by_name         |
 * | make or change a group                             | groups: UpdateItem, conditional  | group_name                                              |                 |
 * | read a subscriber                                  | subscribers: GetItem             | group_name, subscriber                                  |                 |
 * | list, page and read a range of subscribers         | subscribers: Query               | group_name, subscriber (> :after, or BETWEEN)           |                 |
 * | add, change and remove subscribers with the counts | TransactWriteItems               | group_name, subscriber; group_name                      |                 |
 * | in which groups is an address                      | subscribers: Query               | subscriber                                              | by_subscriber   |
 * | the consent record, and adding to it               | GetItem, Query, TransactWrite    | group_name = 'consent#' + group, subscriber             |                 |
 * | in which groups something is recorded              | subscribers: Query               | subscriber, group_name begins_with 'consent#'           | by_subscriber   |
 * | addresses to which nothing is sent                 | subscribers: BatchGetItem, Query | group_name = '#suppressed', subscriber                  |                 |
 * | suppress an address, or no longer                  | TransactWriteItems               | group_name = '#suppressed', subscriber                  |                 |
 * | read a message, change it, claim it                | messages: GetItem, UpdateItem    | group_name, message_key                                 |                 |
 * | the message of a group that was added last         | messages: Query, backwards       | group_name, message_key                                 |                 |
 * | list the messages of a group by time               | messages: Query, BatchGetItem    | group_name, schedule_on BETWEEN                         | by_time         |
 * | what is due in this hour                           | messages: Query                  | scheduled_date = hour#shard, wake_at <= :until          | due             |
 * | the oldest hour that may still hold something      | messages: GetItem, UpdateItem    | group_name = '#due', message_key = '#low-water'         |                 |
 * | the oldest hour of all, where none is noted yet    | messages: Scan                   |                                                         | due             |
 * | where the sweeping of content has got to           | messages: UpdateItem             | group_name = '#content', message_key = '#sweep'         |                 |
 * | how fast mail may go, and has gone                 | messages: GetItem, UpdateItem    | group_name = '#rate', message_key = channel or group    |                 |
 * | which records still point to content               | messages: BatchGetItem           | group_name, message_key                                 |                 |
 * | an import: read, claim, go on, end                 | messages: GetItem, UpdateItem    | group_name = '#imports/' + group, message_key = its key |                 |
 * | list the imports of a group                        | messages: Query, backwards       | group_name = '#imports/' + group                        |                 |
 * | which import wakes                                 | messages: Query                  | scheduled_date = '#imports', wake_at <= :now            | due             |
 * | merge a chunk of an import                         | TransactWriteItems               | the import; its results; the group; each subscriber     |                 |
 * | what became of the rows of an import               | messages: Query                  | group_name = '#import-results/' + key, from first row   |                 |
 * | the same request again                             | messages: GetItem, in the Put    | group_name, message_key = '#idempotency#' + key         |                 |
 * | cut batches and move the position                  | TransactWriteItems               | the message; message_key, first_subscriber of each      |                 |
 * | claim a batch                                      | deliveries: UpdateItem           | message_key, first_subscriber = 'batch#' + first        |                 |
 * | record progress or settle                          | TransactWriteItems               | the batch; its outcomes item; the message's counters    |                 |
 * | the batch and the outcome of a subscriber          | deliveries: Query, backwards     | message_key, first_subscriber <= 'batch#' + subscriber  |                 |
 * | batches of a message; outcomes of a message        | deliveries: Query                | message_key, begins_with 'batch#'; 'outcomes#'          |                 |
 * | renew the lease of a batch, put it back            | deliveries: UpdateItem           | message_key, first_subscriber = 'batch#' + first        |                 |
 * | set a batch aside                                  | TransactWriteItems               | the batch; the message's counters                       |                 |
 * | open a batch again                                 | TransactWriteItems               | the message's position; the batch; its outcomes item    |                 |
 */

export type KeyType = 'S' | 'N';

export interface KeyAttribute {
  readonly name: string;
  readonly type: KeyType;
}

export interface IndexDefinition {
  readonly name: string;
  readonly partitionKey: KeyAttribute;
  readonly sortKey: KeyAttribute | undefined;
  /** What the index holds beside the keys; a write that touches none of it costs nothing here. */
  readonly includes: readonly string[];
}

export interface TableDefinition {
  /** Without TABLE_PREFIX. */
  readonly name: 'groups' | 'subscribers' | 'messages' | 'deliveries';
  readonly partitionKey: KeyAttribute;
  readonly sortKey: KeyAttribute | undefined;
  readonly indexes: readonly IndexDefinition[];
  /** Holds epoch seconds; DynamoDB removes an item some time after them. */
  readonly ttlAttribute: string | undefined;
}

const groupName: KeyAttribute = { name: 'group_name', type: 'S' };
const messageKey: KeyAttribute = { name: 'message_key', type: 'S' };

export const TABLES: readonly TableDefinition[] = [
  {
    name: 'groups',
    partitionKey: groupName,
    sortKey: undefined,
    // Names alone, in one partition: a group is listed seldom, and its counters, which change often, are not in it.
    indexes: [
      { name: 'by_name', partitionKey: { name: 'kind', type: 'S' }, sortKey: groupName, includes: [] },
    ],
    ttlAttribute: undefined,
  },
  {
    name: 'subscribers',
    partitionKey: groupName,
    sortKey: { name: 'subscriber', type: 'S' },
    indexes: [
      {
        name: 'by_subscriber',
        partitionKey: { name: 'subscriber', type: 'S' },
        sortKey: groupName,
        includes: [],
      },
    ],
    ttlAttribute: undefined,
  },
  {
    name: 'messages',
    partitionKey: groupName,
    sortKey: messageKey,
    indexes: [
      {
        // Sparse. The scanner asks what is due in this hour: a partition for each keeps the question small for ever, and the
        // shard spreads a busy hour.
        name: 'due',
        partitionKey: { name: 'scheduled_date', type: 'S' },
        sortKey: { name: 'wake_at', type: 'N' },
        includes: [],
      },
      {
        name: 'by_time',
        partitionKey: groupName,
        sortKey: { name: 'schedule_on', type: 'N' },
        includes: ['status'],
      },
    ],
    // Of idempotency items and of the results of imports only.
    ttlAttribute: 'expires_at_epoch_seconds',
  },
  {
    name: 'deliveries',
    partitionKey: messageKey,
    sortKey: { name: 'first_subscriber', type: 'S' },
    indexes: [],
    ttlAttribute: 'expires_at_epoch_seconds',
  },
];

import { attributesFault } from '../attributes.ts';
import { type ConsentEntry, consentEvent, originOf } from '../consent.ts';
import type { GroupName } from '../group.ts';
import type { OptIn } from '../mailing-settings.ts';
import type { Attributes, Subscriber, SubscriberKey, SubscriberStatus } from '../subscriber.ts';
import type { ImportCounts } from './import-job.ts';
import type { ImportRow } from './import-row.ts';

/**
 * What became of a row, in one letter, as it is stored; in lower case, it had an address that came before in the same file.
 * `kept` is unchanged: the address must not be written to any more, and no file makes it active again.
 */
const LETTERS = {
  created: 'C',
  updated: 'U',
  unchanged: 'N',
  kept: 'K',
  rejected: 'R',
  overfull: 'O',
  erased: 'E',
} as const;
export type RowResult = keyof typeof LETTERS;
const RESULTS = new Map<string, RowResult>(
  (['created', 'updated', 'unchanged', 'kept', 'rejected', 'overfull', 'erased'] as const).map((result) => [
    LETTERS[result],
    result,
  ]),
);

/** A row as it is worked: `undefined` where it was rejected by itself. */
export interface PlannedRow {
  readonly row: ImportRow | undefined;
  readonly isDuplicate: boolean;
  /** Whoever has this address was erased, and comes into no group by a file. */
  readonly isErased?: boolean;
}

/** A subscriber who is to be written; `before` is what is stored, absent where they are new. */
export interface SubscriberWrite {
  readonly before: Subscriber | undefined;
  readonly after: Subscriber;
  /** What that means, where it means anything; written with it, both or neither. */
  readonly consent: ConsentEntry | undefined;
}

type Write = Omit<SubscriberWrite, 'consent'>;

export interface Merged {
  readonly writes: readonly SubscriberWrite[];
  /** A letter for each row, in their order. */
  readonly results: string;
}

/** What rows are merged into. */
export interface MergeInto {
  readonly group: GroupName;
  readonly existing: ReadonlyMap<SubscriberKey, Subscriber>;
  /** When whoever is new joins. */
  readonly at: Temporal.Instant;
  /** Of the group: where it is double, nobody new is active, whatever the file says. */
  readonly optIn: OptIn;
}

/** Rows in the order of the file: of several for one address, each changes what the one before has made. */
export function mergeRows(rows: readonly PlannedRow[], into: MergeInto): Merged {
  const writes = new Map<SubscriberKey, Write>();
  // As it is once stored: in whole milliseconds.
  const at = Temporal.Instant.fromEpochMilliseconds(into.at.epochMilliseconds);
  const asStored = { ...into, at };
  let results = '';
  for (const planned of rows) {
    const result = mergePlanned(planned, asStored, writes);
    const letter = LETTERS[result];
    results += planned.isDuplicate ? letter.toLowerCase() : letter;
  }
  return { writes: [...writes.values()].map((write) => recorded(write, at)), results };
}

/** What a letter of the results says. */
export function readResult(letter: string): { readonly result: RowResult; readonly isDuplicate: boolean } {
  const result = RESULTS.get(letter.toUpperCase());
  if (result === undefined) {
    throw new Error(`'${letter}' is no result of a row.`);
  }
  return { result, isDuplicate: letter !== letter.toUpperCase() };
}

/** The counts with these results added. */
export function addResults(counts: ImportCounts, results: string): ImportCounts {
  const tally = new Map<string, number>();
  for (const letter of results) {
    tally.set(letter, (tally.get(letter) ?? 0) + 1);
  }
  const count = (...kinds: readonly RowResult[]): number =>
    kinds.reduce(
      (sum, kind) => sum + (tally.get(LETTERS[kind]) ?? 0) + (tally.get(LETTERS[kind].toLowerCase()) ?? 0),
      0,
    );
  const duplicates = [...tally].reduce(
    (sum, [letter, times]) => sum + (readResult(letter).isDuplicate ? times : 0),
    0,
  );
  return {
    read: counts.read + results.length,
    created: counts.created + count('created'),
    updated: counts.updated + count('updated'),
    unchanged: counts.unchanged + count('unchanged', 'kept'),
    rejected: counts.rejected + count('rejected', 'overfull', 'erased'),
    duplicates: counts.duplicates + duplicates,
  };
}

/** How the writes change the number of subscribers by status. */
export function countWrites(writes: readonly SubscriberWrite[]): ReadonlyMap<SubscriberStatus, number> {
  const counts = new Map<SubscriberStatus, number>();
  const add = (status: SubscriberStatus, amount: number): unknown =>
    counts.set(status, (counts.get(status) ?? 0) + amount);
  for (const { before, after } of writes) {
    if (before?.status !== after.status) {
      add(after.status, 1);
      if (before) {
        add(before.status, -1);
      }
    }
  }
  return counts;
}

function mergePlanned(
  { row, isErased }: PlannedRow,
  into: MergeInto,
  writes: Map<SubscriberKey, Write>,
): RowResult {
  if (!row) {
    return 'rejected';
  }
  return isErased === true ? 'erased' : mergeRow(row, into, writes);
}

function mergeRow(
  row: ImportRow,
  { group, existing, at, optIn }: MergeInto,
  writes: Map<SubscriberKey, Write>,
): RowResult {
  const before = existing.get(row.key);
  const present = writes.get(row.key)?.after ?? before;
  if (!present) {
    writes.set(row.key, {
      before: undefined,
      after: newSubscriber(row, { group, at, status: firstStatus(row.status, optIn) }),
    });
    return 'created';
  }
  if (isClosed(present.status) && row.status !== present.status) {
    return 'kept';
  }
  const attributes = mergeAttributes(present.attributes, row.attributes);
  if (attributes !== present.attributes && attributesFault(attributes) !== undefined) {
    return 'overfull';
  }
  const after: Subscriber = {
    ...present,
    name: merged(present.name, row.name),
    timeZone: merged(present.timeZone, row.timeZone),
    attributes,
    status: row.status !== undefined && isClosed(row.status) ? row.status : present.status,
    version: (before?.version ?? 0) + 1,
  };
  if (isSame(present, after)) {
    return 'unchanged';
  }
  writes.set(row.key, { before, after });
  return 'updated';
}

function recorded(write: Write, at: Temporal.Instant): SubscriberWrite {
  const { before, after } = write;
  const what = before
    ? consentEvent(before.status, after.status)
    : after.status === 'active'
      ? 'subscribed'
      : after.status;
  return { ...write, consent: what && { ...originOf('import'), what, at } };
}

function firstStatus(said: SubscriberStatus | undefined, optIn: OptIn): SubscriberStatus {
  const status = said ?? 'active';
  return optIn === 'double' && status === 'active' ? 'pending' : status;
}

/** Must not be written to any more. */
function isClosed(status: SubscriberStatus): boolean {
  return status !== 'active' && status !== 'pending';
}

function newSubscriber(
  row: ImportRow,
  {
    group,
    at,
    status,
  }: { readonly group: GroupName; readonly at: Temporal.Instant; readonly status: SubscriberStatus },
): Subscriber {
  return {
    group,
    key: row.key,
    email: row.email,
    status,
    name: row.name ?? undefined,
    attributes: row.attributes ?? {},
    timeZone: row.timeZone ?? undefined,
    joinedAt: at,
    version: 1,
  };
}

function merged<Value>(present: Value | undefined, said: Value | null | undefined): Value | undefined {
  return said === undefined ? present : (said ?? undefined);
}

/** `present` itself where nothing changes. */
function mergeAttributes(present: Attributes, said: Attributes | null | undefined): Attributes {
  if (said === undefined) {
    return present;
  }
  const after =
    said === null ? {} : Object.fromEntries([...Object.entries(present), ...Object.entries(said)]);
  return JSON.stringify(after) === JSON.stringify(present) ? present : after;
}

function isSame(before: Subscriber, after: Subscriber): boolean {
  return (
    before.name === after.name &&
    before.timeZone === after.timeZone &&
    before.status === after.status &&
    before.attributes === after.attributes
  );
}

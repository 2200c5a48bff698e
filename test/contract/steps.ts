import { type Batch, type BatchPointer, type ClaimedBatch, cutRanges } from '../../src/delivery/batch.ts';
import type { Cut, Progress, Settlement } from '../../src/delivery/delivery-store.ts';
import { MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import type { ClaimTerms, Waking } from '../../src/schedule/message-store.ts';
import type { Message } from '../../src/schedule/message.ts';
import { aKey, aMessage, aNewcomer, aSealedContent, sealOf } from '../support/builders.ts';
import type { Engine } from './engine.ts';

/* The steps of a message's life, as the contract suites take them. */

export const LEASE_MS = MINUTE_MS;
// More than any test stores.
const MOST_ITEMS = 10_000;

export const DISPATCHER = 'dispatcher';
export const WORKER = 'worker';

/** Terms of a claim that is made now. */
export function termsOf(engine: Engine, token: string, leaseMs = LEASE_MS): ClaimTerms {
  const now = engine.clock.now();
  return { token, now, until: plusMs(now, leaseMs) };
}

export async function schedule(
  engine: Engine,
  overrides: Partial<Message> = {},
  content = aSealedContent(),
): Promise<Message> {
  const message = aMessage({ content: sealOf(content), ...overrides });
  await engine.messages.create(message, content);
  return message;
}

/** The message as it is stored now. */
export async function read(engine: Engine, message: Pick<Message, 'group' | 'key'>): Promise<Message> {
  const stored = await engine.messages.find(message.group, message.key);
  if (!stored) {
    throw new Error(`Message ${message.key} is not stored.`);
  }
  return stored;
}

export async function claimMessage(
  engine: Engine,
  message: Pick<Message, 'group' | 'key'>,
  token = DISPATCHER,
): Promise<Message> {
  const claimed = await engine.messages.claim(message.group, message.key, termsOf(engine, token));
  if (!claimed) {
    throw new Error(`Message ${message.key} cannot be claimed.`);
  }
  return claimed;
}

/** A message that the dispatcher has just claimed: nothing of it is cut yet. */
export async function startSending(engine: Engine, overrides: Partial<Message> = {}): Promise<Message> {
  return claimMessage(engine, await schedule(engine, overrides));
}

/** Batches of `size` that hold these addresses, which must be in order. */
export function batchesOf(
  engine: Engine,
  message: Message,
  emails: readonly string[],
  size: number,
): readonly Batch[] {
  const now = engine.clock.now();
  const members = emails.map((email) => ({ key: aKey(email), joinedAtMs: now.epochMilliseconds }));
  return cutRanges(members, size).map(({ first, last, count }) => ({
    group: message.group,
    messageKey: message.key,
    first,
    last,
    count,
    cutAt: now,
  }));
}

/** The first and only cut of a message that the dispatcher holds, unless told otherwise. */
export function aCut(
  engine: Engine,
  message: Message,
  batches: readonly Batch[],
  overrides: Partial<Cut> = {},
): Cut {
  const now = engine.clock.now();
  return {
    group: message.group,
    messageKey: message.key,
    token: DISPATCHER,
    after: undefined,
    batches,
    complete: true,
    now,
    leaseUntil: plusMs(now, LEASE_MS),
    ...overrides,
  };
}

export interface Dispatched {
  readonly message: Message;
  readonly batches: readonly Batch[];
}

/** A message to subscribers with these addresses, all of it cut into batches of `size`; the dispatcher still holds it. */
export async function dispatch(
  engine: Engine,
  emails: readonly string[],
  size: number,
  overrides: Partial<Message> = {},
): Promise<Dispatched> {
  const message = await startSending(engine, overrides);
  const newcomers = emails.map((email) => aNewcomer(email));
  await engine.subscribers.add(message.group, newcomers, engine.clock.now());
  const batches = batchesOf(engine, message, emails, size);
  await engine.deliveries.cut(aCut(engine, message, batches));
  return { message, batches };
}

export interface DispatchedBatch {
  readonly message: Message;
  readonly batch: Batch;
}

/** The same with a single batch. */
export async function dispatchOne(
  engine: Engine,
  emails: readonly string[] = ['ada@example.com', 'bob@example.com', 'cyd@example.com'],
  overrides: Partial<Message> = {},
): Promise<DispatchedBatch> {
  const { message, batches } = await dispatch(engine, emails, emails.length, overrides);
  return { message, batch: at(batches, 0) };
}

export async function claimBatch(
  engine: Engine,
  pointer: BatchPointer,
  token = WORKER,
): Promise<ClaimedBatch> {
  const claimed = await engine.deliveries.claim(pointer, termsOf(engine, token));
  if (!claimed) {
    throw new Error(`The batch of ${pointer.messageKey} cannot be claimed.`);
  }
  return claimed;
}

/** Progress that reports nothing and hands nobody over, unless told otherwise. */
export function aProgress(engine: Engine, overrides: Partial<Progress> = {}): Progress {
  const now = engine.clock.now();
  return {
    results: [],
    attempts: undefined,
    goneInDoubt: 0,
    bounced: 0,
    now,
    next: undefined,
    leaseUntil: plusMs(now, LEASE_MS),
    ...overrides,
  };
}

/** A settlement that reports nothing and waits for nothing, unless told otherwise. */
export function aSettlement(engine: Engine, overrides: Partial<Settlement> = {}): Settlement {
  return {
    results: [],
    attempts: undefined,
    goneInDoubt: 0,
    bounced: 0,
    now: engine.clock.now(),
    retryAt: undefined,
    ...overrides,
  };
}

/** What the index finds until `until`. An index may lag, so poll this rather than look once. */
export async function wakingKeys(
  engine: Engine,
  until: Temporal.Instant,
  limit = 100,
): Promise<readonly string[]> {
  const found: readonly Waking[] = await engine.messages.findWaking(until, limit);
  return found.map(({ key }) => key);
}

/** Everything, read page by page as callers do: the next page starts behind the last item, and a page that is not full is the last. */
export async function readPages<Item>(
  limit: number,
  readPage: (after: Item | undefined) => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  for (;;) {
    const page = await readPage(items.at(-1));
    if (page.length > limit) {
      throw new Error(`A page of at most ${limit} has ${page.length} items.`);
    }
    if (items.length > MOST_ITEMS) {
      throw new Error('The pages do not come to an end.');
    }
    items.push(...page);
    if (page.length < limit) {
      return items;
    }
  }
}

/** `count` calls at once, and what each of them answered. */
export async function atOnce<Result>(
  count: number,
  call: (index: number) => Promise<Result>,
): Promise<readonly PromiseSettledResult<Result>[]> {
  return Promise.allSettled(Array.from({ length: count }, (_, index) => call(index)));
}

/** What those answered that did not throw. */
export function answersOf<Result>(settled: readonly PromiseSettledResult<Result>[]): readonly Result[] {
  return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}

/** What the others threw. */
export function faultsOf(settled: readonly PromiseSettledResult<unknown>[]): readonly unknown[] {
  return settled.flatMap((one): unknown[] => (one.status === 'rejected' ? [one.reason] : []));
}

export function at<Item>(items: readonly Item[], index: number): Item {
  const item = items.at(index);
  if (item === undefined) {
    throw new Error(`There is no item ${index}.`);
  }
  return item;
}

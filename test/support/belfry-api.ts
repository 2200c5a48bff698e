import { at, isObject, type JsonObject, numberAt, objectsAt, textAt } from './json.ts';
import type { Answer, Request } from './server-process.ts';
import { until } from './until.ts';

/*
 * Belfry's API as a caller sees it: nothing in here knows the implementation, so it can be held against it.
 */

/** Who can be asked: a ServerProcess. */
export interface Asked {
  request(method: string, path: string, request?: Request): Promise<Answer>;
}

export interface MessageState {
  readonly key: string;
  readonly group: string;
  readonly status: string;
  readonly dueAtMs: number;
  readonly counts: Readonly<
    Record<'subscribers' | 'pending' | 'sent' | 'failed' | 'skipped' | 'unknown', number>
  >;
  /** Milliseconds since it was due; absent before there was an attempt. */
  readonly firstAttemptMs: number | undefined;
  readonly lastAttemptMs: number | undefined;
  readonly lastAcceptedMs: number | undefined;
}

export interface SubscriberState {
  readonly email: string;
  readonly status: string;
}

export interface DeliveryState {
  readonly subscriber: string;
  /** Absent while it is pending. */
  readonly outcome: string | undefined;
  readonly attempt: number;
  readonly unknownAttempts: number;
}

// The most that a list answers with.
const PAGE = 1_000;

const FINISHED = new Set(['sent', 'failed', 'cancelled', 'skipped', 'held']);

/** The body of an answer that must have this status. */
export function bodyOf(answer: Answer, status: number): JsonObject {
  if (answer.status !== status || !isObject(answer.body)) {
    throw new Error(`${status} is needed, not ${answer.status}: ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}

export async function readMessage(server: Asked, group: string, key: string): Promise<MessageState> {
  return messageOf(bodyOf(await server.request('GET', `/v1/groups/${group}/schedule/${key}`), 200));
}

export async function* listMessages(server: Asked, group: string): AsyncGenerator<MessageState> {
  for await (const item of listItems(server, `/v1/groups/${group}/schedule`)) {
    yield messageOf(item);
  }
}

export async function* listDeliveries(
  server: Asked,
  group: string,
  key: string,
): AsyncGenerator<DeliveryState> {
  for await (const item of listItems(server, `/v1/groups/${group}/schedule/${key}/deliveries`)) {
    yield {
      subscriber: textAt(item, 'subscriber'),
      outcome: item['outcome'] === null ? undefined : textAt(item, 'outcome'),
      attempt: numberAt(item, 'attempt'),
      unknownAttempts: numberAt(item, 'unknown_attempts'),
    };
  }
}

export async function* listSubscribers(server: Asked, group: string): AsyncGenerator<SubscriberState> {
  for await (const item of listItems(server, `/v1/groups/${group}/subscribers`)) {
    yield { email: textAt(item, 'subscriber'), status: textAt(item, 'status') };
  }
}

/** True once nothing more happens to it by itself. */
export function isFinished({ status }: Pick<MessageState, 'status'>): boolean {
  return FINISHED.has(status);
}

export interface Watching {
  readonly limitMs: number;
  readonly everyMs?: number;
  /** Is shown every state on the way. */
  readonly show?: (message: MessageState) => void;
}

/** Resolves with the message once it is finished. */
export async function untilFinished(
  server: Asked,
  { group, key }: Pick<MessageState, 'group' | 'key'>,
  { limitMs, everyMs, show }: Watching,
): Promise<MessageState> {
  const read = async (): Promise<MessageState | undefined> => {
    const message = await readMessage(server, group, key);
    show?.(message);
    return isFinished(message) ? message : undefined;
  };
  return until(`Message ${key} is finished`, limitMs, read, everyMs);
}

async function* listItems(server: Asked, path: string): AsyncGenerator<JsonObject> {
  for (let cursor = ''; ;) {
    const page = bodyOf(await server.request('GET', `${path}?limit=${PAGE}${cursor}`), 200);
    yield* objectsAt(page, 'items');
    if (page['next_cursor'] === null) {
      return;
    }
    cursor = `&cursor=${encodeURIComponent(textAt(page, 'next_cursor'))}`;
  }
}

function messageOf(view: JsonObject): MessageState {
  const count = (name: string): number => numberAt(view, 'counts', name);
  const latencyMs = (name: string): number | undefined =>
    at(view, 'latency', name) === null ? undefined : numberAt(view, 'latency', name);
  return {
    key: textAt(view, 'key'),
    group: textAt(view, 'group'),
    status: textAt(view, 'status'),
    dueAtMs: numberAt(view, 'schedule_on'),
    counts: {
      subscribers: count('subscribers'),
      pending: count('pending'),
      sent: count('sent'),
      failed: count('failed'),
      skipped: count('skipped'),
      unknown: count('unknown'),
    },
    firstAttemptMs: latencyMs('first_attempt_ms'),
    lastAttemptMs: latencyMs('last_attempt_ms'),
    lastAcceptedMs: latencyMs('last_accepted_ms'),
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import { bodyOf, listDeliveries, type MessageState, untilFinished } from '../../test/support/belfry-api.ts';
import { textAt } from '../../test/support/json.ts';
import { ServerProcess } from '../../test/support/server-process.ts';
import type { CpuProfile } from '../frame/cpu-profile.ts';
import { quantile } from '../frame/figures.ts';
import { readCpuMs, readMemory } from '../frame/process-usage.ts';
import { type Letter, readerOf } from './letter.ts';

/** One message to a large group. */
export interface Sending {
  readonly subscribers: number;
  readonly letter: Letter;
  readonly env: Readonly<Record<string, string>>;
  readonly nodeArgs: readonly string[];
  /** Processor time of the other end so far, where it is a process of its own. */
  readonly sinkCpuMs: () => Promise<number>;
  /** Whether it is asked for its health meanwhile, which costs some of the processor time that is measured. */
  readonly isProbed: boolean;
  /** Who got one by the record of the other end, where it keeps one. */
  readonly recipients?: (() => AsyncIterable<string>) | undefined;
  /** Of the server while it delivers, which takes longer for it; none where absent. */
  readonly profile?: CpuProfile | undefined;
}

export interface Sent {
  readonly perSecond: number;
  /** Of the server, the dispatch and what it answers meanwhile included, for each recipient. */
  readonly cpuUs: number;
  readonly sinkCpuUs: number;
  readonly firstAttemptMs: number;
  readonly seconds: number;
  readonly peakBytes: number;
  /** Of GET /health/live while it delivers, asked twenty times a second; absent where it was not asked. */
  readonly healthP99Ms: number | undefined;
}

const GROUP = 'everybody';
const WARM_UP = { group: 'warm-up', subscribers: 3_000 };
// The most that one call takes.
const ADD_AT_ONCE = 1_000;
const AHEAD_MS = 1_000;
// Slow enough to cost the server nothing.
const LOOK_EVERY_MS = 500;
const PROBE_EVERY_MS = 50;
const LIMIT_MS = 600_000;

/** Starts a server, has it deliver to everybody, and sees to it that everybody got it once. */
export async function sendWithBelfry(sending: Sending): Promise<Sent> {
  const { subscribers, letter, env, nodeArgs, profile } = sending;
  await using server = await ServerProcess.start({
    env,
    nodeArgs: [...nodeArgs, ...(profile?.nodeArgs ?? [])],
  });
  await addSubscribers(server, WARM_UP.group, Math.min(WARM_UP.subscribers, subscribers));
  await addSubscribers(server, GROUP, subscribers);
  await untilSent(server, WARM_UP.group, await schedule(server, WARM_UP.group, letter));
  const sent = await measureSending(server, sending);
  await server.kill('SIGTERM');
  return sent;
}

async function measureSending(server: ServerProcess, sending: Sending): Promise<Sent> {
  const { subscribers, letter, sinkCpuMs } = sending;
  const before = { server: await readCpuMs(server.pid), sink: await sinkCpuMs() };
  sending.profile?.begin();
  const key = await schedule(server, GROUP, letter);
  const untilAllSent = (): Promise<MessageState> => untilSent(server, GROUP, key);
  const { message, health } = sending.isProbed
    ? await probedWhile(server, untilAllSent)
    : { message: await untilAllSent(), health: undefined };
  sending.profile?.end();
  const after = { server: await readCpuMs(server.pid), sink: await sinkCpuMs() };
  const { peakBytes } = await readMemory(server.pid);
  await requireExactlyOnce(server, key, sending);
  const { firstAttemptMs = Number.NaN, lastAcceptedMs = Number.NaN } = message;
  const seconds = (lastAcceptedMs - firstAttemptMs) / 1_000;
  return {
    perSecond: subscribers / seconds,
    cpuUs: ((after.server - before.server) * 1_000) / subscribers,
    sinkCpuUs: ((after.sink - before.sink) * 1_000) / subscribers,
    firstAttemptMs,
    seconds,
    peakBytes,
    healthP99Ms: health && quantile(health, 0.99),
  };
}

async function addSubscribers(server: ServerProcess, group: string, size: number): Promise<void> {
  for (let start = 0; start < size; start += ADD_AT_ONCE) {
    const subscribers = Array.from({ length: Math.min(ADD_AT_ONCE, size - start) }, (_, index) =>
      readerOf(start + index),
    );
    bodyOf(await server.request('POST', `/v1/groups/${group}/subscribers`, { body: { subscribers } }), 200);
  }
}

async function schedule(
  server: ServerProcess,
  group: string,
  { subject, html, text }: Letter,
): Promise<string> {
  const body = {
    subject,
    body: html,
    text,
    template: 'liquid',
    schedule_on: Temporal.Now.instant().epochMilliseconds + AHEAD_MS,
  };
  return textAt(bodyOf(await server.request('POST', `/v1/groups/${group}/schedule`, { body }), 201), 'key');
}

async function untilSent(server: ServerProcess, group: string, key: string): Promise<MessageState> {
  return untilFinished(server, { group, key }, { limitMs: LIMIT_MS, everyMs: LOOK_EVERY_MS });
}

/** How long it takes to hear that the server lives, again and again until that is done. */
async function probedWhile(
  server: ServerProcess,
  work: () => Promise<MessageState>,
): Promise<{ readonly message: MessageState; readonly health: readonly number[] }> {
  const finished = new AbortController();
  const probing = probe(server, finished.signal);
  const message = await work();
  finished.abort();
  return { message, health: await probing };
}

async function probe(server: ServerProcess, signal: AbortSignal): Promise<readonly number[]> {
  const tookMs: number[] = [];
  while (!signal.aborted) {
    const askedAt = performance.now();
    bodyOf(await server.request('GET', '/health/live'), 200);
    tookMs.push(performance.now() - askedAt);
    await delay(PROBE_EVERY_MS);
  }
  return tookMs;
}

async function requireExactlyOnce(
  server: ServerProcess,
  key: string,
  { subscribers, recipients }: Sending,
): Promise<void> {
  const everybody = (): Set<string> =>
    new Set(Array.from({ length: subscribers }, (_, index) => readerOf(index).email));
  const unsettled = everybody();
  for await (const { subscriber, outcome, attempt, unknownAttempts } of listDeliveries(server, GROUP, key)) {
    if (outcome !== 'sent' || attempt !== 1 || unknownAttempts > 0 || !unsettled.delete(subscriber)) {
      throw new Error(`The ledger has ${subscriber} as ${outcome ?? 'pending'}.`);
    }
  }
  if (unsettled.size > 0) {
    throw new Error(`The ledger does not have ${unsettled.size} as sent.`);
  }
  const counts = new Map<string, number>();
  for await (const recipient of recipients?.() ?? []) {
    counts.set(recipient, (counts.get(recipient) ?? 0) + 1);
  }
  // Those of the warm-up have the same addresses, so they got two.
  const isRight = (email: string, index: number): boolean =>
    counts.get(email) === (index < WARM_UP.subscribers ? 2 : 1);
  if (recipients && ![...everybody()].every(isRight)) {
    throw new Error('By the record of the other end not everybody got it once.');
  }
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bodyOf, listDeliveries, type MessageState, untilFinished } from '../test/support/belfry-api.ts';
import { textAt } from '../test/support/json.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { SinkProcess } from '../test/support/sink-process.ts';
import { atMost, type Bench, type Measured } from './frame/bench.ts';
import { median, quantile, round } from './frame/figures.ts';
import { readCpuMs, readMemory } from './frame/process-usage.ts';

export const deliver: Bench = {
  name: 'deliver',
  question: 'How fast does one message reach a large group, and what does each mail cost?',
  method: `One message to one large group, over SMTP to a sink in a process of its own. Everybody gets it exactly once: the record of the
    sink and the ledger say so, or the benchmark fails.`,
  short: ['--subscribers', '2000'],
  measure,
};

const MEMORY_BAR_MB = 250;
const HEALTH_BAR_MS = 100;
const LARGE = 100_000;
const SMALL = 20_000;
const SMALL_RUNS = 3;

const GROUP = 'everybody';
// The most that one call takes.
const ADD_AT_ONCE = 1_000;
const AHEAD_MS = 2_000;
// Slow enough to cost the server nothing.
const LOOK_EVERY_MS = 500;
const PROBE_EVERY_MS = 50;
const LIMIT_MS = 3_600_000;
const MIB = 2 ** 20;

interface Run {
  readonly subscribers: number;
  readonly mails_per_s: number;
  readonly server_cpu_us: number;
  readonly sink_cpu_us: number;
  readonly first_attempt_ms: number;
  readonly seconds: number;
  readonly rss_ready_mb: number;
  readonly rss_imported_mb: number;
  readonly rss_median_mb: number;
  readonly rss_max_mb: number;
  /** Of GET /health/live while it delivers, asked twenty times a second. */
  readonly health_p99_ms: number;
  readonly health_max_ms: number;
}

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      subscribers: { type: 'string' },
      runs: { type: 'string', default: '1' },
      // Options of the server's Node, parted by spaces: --node='--cpu-prof --cpu-prof-dir=/tmp/profile', say.
      node: { type: 'string', default: '' },
    },
  });
  const sizes =
    values.subscribers === undefined
      ? [LARGE, ...Array.from({ length: SMALL_RUNS }, () => SMALL)]
      : Array.from({ length: Number(values.runs) }, () => Number(values.subscribers));
  const nodeArgs = values.node.split(' ').filter((arg) => arg !== '');

  const runs: Run[] = [];
  for (const size of sizes) {
    runs.push(await runOnce(size, nodeArgs));
  }

  const maxMb = Math.max(...runs.map((run) => run.rss_max_mb));
  const healthMs = Math.max(...runs.map((run) => run.health_p99_ms));
  return {
    goals: [
      atMost('resident memory throughout', MEMORY_BAR_MB, 'MB', maxMb),
      atMost('GET /health/live meanwhile, p99', HEALTH_BAR_MS, 'ms', healthMs),
    ],
    tables: [{ title: 'Medians', rows: mediansOf(runs).map((row) => ({ ...row })) }],
    plots: [],
    columns: {},
  };
}

async function runOnce(size: number, nodeArgs: readonly string[]): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-bench-'));
  try {
    await using sink = await SinkProcess.start({ record: join(folder, 'mails.ndjson') });
    await using server = await ServerProcess.start({
      env: { DATA_DIR: join(folder, 'data'), SMTP_URL: sink.url },
      nodeArgs,
    });
    const run = await deliverTo(server, sink, size);
    await server.kill('SIGTERM');
    return run;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function deliverTo(server: ServerProcess, sink: SinkProcess, size: number): Promise<Run> {
  const ready = await readMemory(server.pid);
  await addSubscribers(server, size);
  const imported = await readMemory(server.pid);
  const key = await scheduleMessage(server);
  const before = { server: await readCpuMs(server.pid), sink: await readCpuMs(sink.pid) };
  const { message, residents, health } = await watch(server, key, size);
  const after = { server: await readCpuMs(server.pid), sink: await readCpuMs(sink.pid) };
  const delivered = await readMemory(server.pid);
  await requireExactlyOnce(server, sink, key, size);

  const { firstAttemptMs = Number.NaN, lastAcceptedMs = Number.NaN } = message;
  const seconds = (lastAcceptedMs - firstAttemptMs) / 1_000;
  return {
    subscribers: size,
    mails_per_s: round(size / seconds),
    server_cpu_us: round(((after.server - before.server) * 1_000) / size),
    sink_cpu_us: round(((after.sink - before.sink) * 1_000) / size),
    first_attempt_ms: firstAttemptMs,
    seconds: round(seconds, 1),
    rss_ready_mb: round(ready.residentBytes / MIB),
    rss_imported_mb: round(imported.residentBytes / MIB),
    rss_median_mb: round(median(residents) / MIB),
    rss_max_mb: round(delivered.peakBytes / MIB),
    health_p99_ms: round(quantile(health, 0.99), 1),
    health_max_ms: round(Math.max(...health), 1),
  };
}

async function addSubscribers(server: ServerProcess, size: number): Promise<void> {
  for (let start = 0; start < size; start += ADD_AT_ONCE) {
    const subscribers = Array.from({ length: Math.min(ADD_AT_ONCE, size - start) }, (_, index) => ({
      email: addressOf(start + index),
      name: `Reader ${start + index}`,
      attributes: { city: 'København', plan: index % 2 === 0 ? 'free' : 'paid' },
    }));
    bodyOf(await server.request('POST', `/v1/groups/${GROUP}/subscribers`, { body: { subscribers } }), 200);
  }
}

function addressOf(number: number): string {
  return `reader-${number}@example.com`;
}

async function scheduleMessage(server: ServerProcess): Promise<string> {
  const body = {
    subject: 'The news of this week, {{ subscriber.name }}',
    body: TEMPLATE,
    template: 'liquid',
    schedule_on: Temporal.Now.instant().epochMilliseconds + AHEAD_MS,
  };
  return textAt(bodyOf(await server.request('POST', `/v1/groups/${GROUP}/schedule`, { body }), 201), 'key');
}

interface Watched {
  readonly message: MessageState;
  readonly residents: readonly number[];
  /** Milliseconds from question to answer. */
  readonly health: readonly number[];
}

async function watch(server: ServerProcess, key: string, size: number): Promise<Watched> {
  const residents: number[] = [];
  const readings: Promise<unknown>[] = [];
  const show = ({ counts }: MessageState): void => {
    readings.push(readMemory(server.pid).then(({ residentBytes }) => residents.push(residentBytes)));
    if (process.stdout.isTTY) {
      process.stdout.write(`\r  ${counts.sent}/${size}\u001b[K`);
    }
  };
  const watching = { limitMs: LIMIT_MS, everyMs: LOOK_EVERY_MS, show };
  const finished = new AbortController();
  const probing = probe(server, finished.signal);
  const message = await untilFinished(server, { group: GROUP, key }, watching);
  finished.abort();
  const health = await probing;
  await Promise.all(readings);
  if (process.stdout.isTTY) {
    process.stdout.write('\r\u001b[K');
  }
  return { message, residents, health };
}

/** How long it takes to hear that the server lives, until it is told to stop asking. */
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
  sink: SinkProcess,
  key: string,
  size: number,
): Promise<void> {
  const expected = new Set(Array.from({ length: size }, (_, index) => addressOf(index)));
  const missing = new Set(expected);
  for await (const { recipient } of sink.taken()) {
    if (!missing.delete(recipient)) {
      throw new Error(`${recipient} got it twice, or should not have got it.`);
    }
  }
  const unsettled = new Set(expected);
  for await (const { subscriber, outcome, unknownAttempts } of listDeliveries(server, GROUP, key)) {
    if (outcome !== 'sent' || unknownAttempts > 0 || !unsettled.delete(subscriber)) {
      throw new Error(`The ledger has ${subscriber} as ${outcome ?? 'pending'}.`);
    }
  }
  if (missing.size > 0 || unsettled.size > 0) {
    throw new Error(`${missing.size} did not get it; the ledger does not have ${unsettled.size} as sent.`);
  }
}

/** One row for each size. */
function mediansOf(runs: readonly Run[]): readonly (Run & { readonly runs: number })[] {
  return [...Map.groupBy(runs, (run) => run.subscribers).values()].map((same) => {
    const of = (read: (run: Run) => number): number => median(same.map(read));
    return {
      subscribers: of((run) => run.subscribers),
      runs: same.length,
      mails_per_s: of((run) => run.mails_per_s),
      server_cpu_us: of((run) => run.server_cpu_us),
      sink_cpu_us: of((run) => run.sink_cpu_us),
      first_attempt_ms: of((run) => run.first_attempt_ms),
      seconds: of((run) => run.seconds),
      rss_ready_mb: of((run) => run.rss_ready_mb),
      rss_imported_mb: of((run) => run.rss_imported_mb),
      rss_median_mb: of((run) => run.rss_median_mb),
      rss_max_mb: of((run) => run.rss_max_mb),
      health_p99_ms: of((run) => run.health_p99_ms),
      health_max_ms: of((run) => run.health_max_ms),
    };
  });
}

// What a newsletter looks like; the items fill it up to 2 KB.
const HEAD = `<!doctype html>
<html><body style="font-family: sans-serif">
<h1>Hello {{ subscriber.name }},</h1>
<p>here is what happened this week{% if subscriber.attributes.city %} in {{ subscriber.attributes.city }}{% endif %}.</p>
<ul>
`;
const FOOT = `</ul>
<p>You are on the {{ subscriber.attributes.plan | default: "free" }} plan, with the address {{ subscriber.email }}.</p>
</body></html>
`;
const ITEM =
  '<li><a href="https://news.example.com/items/42">Another thing that is worth reading about</a></li>\n';
const TEMPLATE_LENGTH = 2_048;
const TEMPLATE = `${HEAD}${ITEM.repeat(Math.floor((TEMPLATE_LENGTH - HEAD.length - FOOT.length) / ITEM.length))}${FOOT}`;

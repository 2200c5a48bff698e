import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bodyOf, untilFinished } from '../test/support/belfry-api.ts';
import { textAt } from '../test/support/json.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { messageKeyOf, SinkProcess } from '../test/support/sink-process.ts';
import { atMost, type Bench, type Measured, type Row } from './frame/bench.ts';
import { median, quantile, round } from './frame/figures.ts';
import { print } from './frame/print.ts';

export const punctual: Bench = {
  name: 'punctual',
  question: 'How late is a message handed over while many others lie in the future?',
  method:
    'Two servers, one with few of them and one with many, take turns, so that whatever else the machine does strikes both.',
  short: ['--messages', '5000', '--pairs', '1'],
  measure,
};

const FEW = 1_000;
const MANY = 100_000;
const PAIRS = 5;
const PROBES = 30;

const POSTS_AT_ONCE = 32;
const GROUP = 'later';
const PROBE_GROUP = 'probe';
const WARM_UP_MS = 5_000;
// Some lie beyond what the scanner arms timers for, some within it.
const FIRST_PROBE_MS = 2_000;
const PROBE_EVERY_MS = 271;
const HOUR_MS = 3_600_000;
const LIMIT_MS = 60_000;
const BAR = { maxMs: 1_000, medianMs: 250 };

interface Lateness {
  readonly future: number;
  /** By the clock of the sink: when it had the whole mail. */
  readonly arrivedMs: number[];
  /** By the ledger: due to first attempt. */
  readonly attemptedMs: number[];
}

interface Side {
  readonly lateness: Lateness;
  readonly env: Readonly<Record<string, string>>;
  readonly sink: SinkProcess;
}

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      messages: { type: 'string', default: String(MANY) },
      pairs: { type: 'string', default: String(PAIRS) },
    },
  });
  const folder = await mkdtemp(join(tmpdir(), 'belfry-bench-'));
  try {
    await using fewSink = await SinkProcess.start({ record: join(folder, 'few.ndjson') });
    await using manySink = await SinkProcess.start({ record: join(folder, 'many.ndjson') });
    const few = await prepare(fewSink, join(folder, 'few'), FEW);
    const many = await prepare(manySink, join(folder, 'many'), Number(values.messages));
    for (let pair = 1; pair <= Number(values.pairs); pair += 1) {
      await probeOn(few);
      await probeOn(many);
    }

    const arrived = (side: Side): number => median(side.lateness.arrivedMs);
    return {
      goals: [
        atMost('due to arrival, the latest', BAR.maxMs, 'ms', Math.max(...many.lateness.arrivedMs)),
        atMost('due to arrival, median', BAR.medianMs, 'ms', arrived(many)),
      ],
      tables: [{ title: 'Lateness', rows: [few, many].flatMap(({ lateness }) => rowsOf(lateness)) }],
      plots: [],
      columns: {},
      remarks: [
        `Median of arrival, many against few in the future: ${round(arrived(many) / arrived(few), 2)} ×.`,
      ],
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Fills a folder with messages that lie in the future. */
async function prepare(sink: SinkProcess, dataDir: string, future: number): Promise<Side> {
  const side = {
    sink,
    env: { DATA_DIR: dataDir, SMTP_URL: sink.url },
    lateness: { future, arrivedMs: [], attemptedMs: [] },
  };
  await using server = await ServerProcess.start({ env: side.env });
  await addReader(server, GROUP);
  await addReader(server, PROBE_GROUP);
  const startedAtMs = performance.now();
  const firstAtMs = Temporal.Now.instant().epochMilliseconds + HOUR_MS;
  let posted = 0;
  const post = async (): Promise<void> => {
    while (posted < future) {
      posted += 1;
      await schedule(server, GROUP, firstAtMs + posted * 1_000);
    }
  };
  await Promise.all(Array.from({ length: POSTS_AT_ONCE }, post));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  print(`  ${future} messages posted in ${round(seconds, 1)} s: ${round(future / seconds)} a second`);
  await server.kill('SIGTERM');
  return side;
}

async function probeOn({ sink, env, lateness }: Side): Promise<void> {
  await using server = await ServerProcess.start({ env });
  await delay(WARM_UP_MS);
  const firstAtMs = Temporal.Now.instant().epochMilliseconds + FIRST_PROBE_MS;
  const dueAtMs = new Map<string, number>();
  for (let probe = 0; probe < PROBES; probe += 1) {
    const atMs = firstAtMs + probe * PROBE_EVERY_MS;
    dueAtMs.set(await schedule(server, PROBE_GROUP, atMs), atMs);
  }
  await delay(firstAtMs + PROBES * PROBE_EVERY_MS - Temporal.Now.instant().epochMilliseconds); // asks nothing meanwhile
  for (const key of dueAtMs.keys()) {
    const message = await untilFinished(server, { group: PROBE_GROUP, key }, { limitMs: LIMIT_MS });
    lateness.attemptedMs.push(message.firstAttemptMs ?? Number.NaN);
  }
  for await (const mail of sink.taken()) {
    const atMs = dueAtMs.get(messageKeyOf(mail));
    if (atMs !== undefined) {
      lateness.arrivedMs.push(mail.atMs - atMs);
    }
  }
  await server.kill('SIGTERM');
}

async function addReader(server: ServerProcess, group: string): Promise<void> {
  const body = { email: 'reader@example.com', name: 'Reader' };
  bodyOf(await server.request('POST', `/v1/groups/${group}/subscribers`, { body }), 201);
}

async function schedule(server: ServerProcess, group: string, atMs: number): Promise<string> {
  const body = { subject: 'On time', body: '<p>On time</p>', schedule_on: atMs };
  return textAt(bodyOf(await server.request('POST', `/v1/groups/${group}/schedule`, { body }), 201), 'key');
}

function rowsOf({ future, arrivedMs, attemptedMs }: Lateness): readonly Row[] {
  const rowOf = (what: string, values: readonly number[]): Row => ({
    future,
    what,
    mails: values.length,
    min_ms: Math.min(...values),
    median_ms: median(values),
    p99_ms: quantile(values, 0.99),
    max_ms: Math.max(...values),
  });
  return [rowOf('due to first attempt', attemptedMs), rowOf('due to arrival', arrivedMs)];
}

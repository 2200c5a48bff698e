import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { bodyOf, untilFinished } from '../test/support/belfry-api.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { messageKeyOf, SinkProcess } from '../test/support/sink-process.ts';
import { until } from '../test/support/until.ts';
import { atMost, type Bench, type Measured, type Row, type Table } from './frame/bench.ts';
import { copyRows, keyOfCopy } from './frame/copies.ts';
import { type CpuProfile, PROFILE_COLUMNS, profiled } from './frame/cpu-profile.ts';
import { alternate, columnsOf, median, quantile, round, spreadOf } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { readCpuMs } from './frame/process-usage.ts';
import { NODE_OPTION, nodeArgsOf, scheduleAt, scheduleIn, withServer } from './frame/server.ts';

export const punctual: Bench = {
  name: 'punctual',
  question:
    'How late is a message handed over while many others lie in the future, and when thousands are due in the same second?',
  method: `Two servers, one with few messages in the future and one with many, take turns; on each, messages to one subscriber come due one by
    one on an otherwise idle system. Then, on a server of its own, messages of as many groups come due within one second, each a fraction of a
    millisecond after the other and in no order of their keys. Mails go over SMTP to a sink in a process of its own, by whose clock arrival is
    told. What lies there is made of rows that the API has made, copied in the file of a server that had stopped.`,
  short: ['--messages', '2000', '--pairs', '1', '--at-once', '300'],
  measure,
};

const FEW = 1_000;
const MANY = 100_000;
const PAIRS = 5;
const PROBES = 30;
const AT_ONCE = 10_000;
const PROFILED_AT_ONCE = 3_000;
const ROUNDS = 3;

const GROUP = 'later';
const PROBE_GROUP = 'probe';
const WARM_UP_MS = 5_000;
// Some lie beyond what the scanner arms timers for, some within it.
const FIRST_PROBE_MS = 2_000;
const PROBE_EVERY_MS = 271;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const LIMIT_MS = 60_000;
const BAR = { p99Ms: 250, medianMs: 50, allMs: 5_000, overtakenMs: 250 };
// The server has to be up and warm by then.
const AT_ONCE_AHEAD_MS = 18_000;
// Prime, and larger than any number of messages here: each number up to theirs comes once, in no order.
const STRIDE = 15_485_863;

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
      'at-once': { type: 'string', default: String(AT_ONCE) },
      // Where many are due at once.
      node: NODE_OPTION,
    },
  });
  const pairs = Number(values.pairs);
  const atOnce = Number(values['at-once']);
  const nodeArgs = nodeArgsOf(values.node);
  return inFolder(async (folder) => {
    const [few, many] = await probeBoth(folder, Number(values.messages), pairs);
    const rushes: Rush[] = [];
    for (let turn = 1; turn <= Math.min(pairs, ROUNDS); turn += 1) {
      rushes.push(await rush(join(folder, `rush-${turn}`), atOnce, nodeArgs));
    }
    const whereTimeGoes = await profiled('a message of many due at once', async (profile) => {
      const count = Math.min(atOnce, PROFILED_AT_ONCE);
      await rush(join(folder, 'profiled'), count, nodeArgs, profile);
      return count;
    });
    return measuredOf(few, many, rushes, whereTimeGoes);
  });
}

function measuredOf(few: Lateness, many: Lateness, rushes: readonly Rush[], whereTimeGoes: Table): Measured {
  const lastMs = spreadOf(rushes.map((one) => one.lastMs));
  const overtakenMs = spreadOf(rushes.map((one) => one.overtakenMs));
  const messages = rushes[0]?.messages ?? 0;
  return {
    goals: [
      atMost('due to arrival on an idle system, median', BAR.medianMs, 'ms', median(many.arrivedMs)),
      atMost('due to arrival on an idle system, p99', BAR.p99Ms, 'ms', quantile(many.arrivedMs, 0.99)),
      atMost(`${messages} due in one second: the last has arrived after`, BAR.allMs, 'ms', lastMs.median),
      atMost(
        'and by how much one was overtaken that was due before',
        BAR.overtakenMs,
        'ms',
        overtakenMs.median,
      ),
    ],
    tables: [
      { title: 'One by one', rows: [few, many].flatMap(rowsOf) },
      {
        title: 'Due in one second',
        rows: [
          {
            messages,
            runs: rushes.length,
            ...columnsOf('last_ms', lastMs),
            ...columnsOf('overtaken_ms', overtakenMs),
            ...columnsOf('cpu_us', spreadOf(rushes.map((one) => one.cpuUs))),
          },
        ],
      },
      whereTimeGoes,
    ],
    plots: [
      {
        title: 'Due to arrival, one by one',
        unit: 'ms',
        bars: [few, many].map(({ future, arrivedMs }) => ({
          label: `${future} in the future`,
          value: spreadOf(arrivedMs),
        })),
      },
    ],
    columns: {
      future: 'messages that lie an hour or more ahead',
      what: '`due to first attempt` is told by the ledger, `due to arrival` by the sink once it has the whole mail',
      mails: 'how many were probed, over all pairs',
      'min_ms, median_ms, p99_ms, max_ms': 'milliseconds after it was due',
      messages: 'messages of as many groups, each of one subscriber, due within the same second',
      last_ms: 'from the time at which the first was due until the last had arrived',
      overtaken_ms: 'the most by which a message was due before another that arrived earlier',
      cpu_us: 'microseconds of processor time of the server for each message, from claim to record',
      ...PROFILE_COLUMNS,
    },
    remarks: [
      `Median of arrival, many against few in the future: ${round(median(many.arrivedMs) / median(few.arrivedMs), 2)} ×.`,
      `The latest of each server is its first: the first connection to the sink, and code that has not run before.`,
      `Of many at once, each has seven writes to the ledger (claim, cut, rest, findings; claim, window, settlement of its only batch), which share commits, and some
fifteen reads: that, sqlite-database, is the larger half. It is one process on one core, and it is that core which is full.`,
    ],
  };
}

async function probeBoth(folder: string, messages: number, pairs: number): Promise<[Lateness, Lateness]> {
  await using fewSink = await SinkProcess.start({ record: join(folder, 'few.ndjson') });
  await using manySink = await SinkProcess.start({ record: join(folder, 'many.ndjson') });
  const few = await prepare(fewSink, join(folder, 'few'), FEW);
  const many = await prepare(manySink, join(folder, 'many'), messages);
  await alternate(
    [few, many].map((side) => async (): Promise<void> => probeOn(side)),
    pairs,
  );
  return [few.lateness, many.lateness];
}

/** Fills a folder with messages that lie in the future. */
async function prepare(sink: SinkProcess, dataDir: string, future: number): Promise<Side> {
  const env = { DATA_DIR: dataDir, SMTP_URL: sink.url };
  await withServer({ env }, async (server) => {
    await addReader(server, GROUP);
    await scheduleIn(server, GROUP, HOUR_MS);
    await addReader(server, PROBE_GROUP);
  });
  const later = (column: string): string => `original.${column} + n * 1000`;
  copyRows(join(dataDir, 'belfry.db'), [
    {
      table: 'messages',
      count: future - 1,
      columns: {
        message_key: keyOfCopy('message_key'),
        schedule_on: later('schedule_on'),
        due_at: later('due_at'),
        wake_at: later('wake_at'),
      },
    },
    { table: 'contents', count: future - 1, columns: { message_key: keyOfCopy('message_key') } },
  ]);
  return { sink, env, lateness: { future, arrivedMs: [], attemptedMs: [] } };
}

interface Rush {
  readonly messages: number;
  readonly lastMs: number;
  readonly overtakenMs: number;
  readonly cpuUs: number;
}

/** Many messages, each of a group of its own, come due within one second. */
async function rush(
  dataDir: string,
  count: number,
  nodeArgs: readonly string[],
  profile?: CpuProfile,
): Promise<Rush> {
  await using sink = await SinkProcess.start({ record: `${dataDir}.ndjson` });
  const env = { DATA_DIR: dataDir, SMTP_URL: sink.url };
  const firstAtMs = Temporal.Now.instant().epochMilliseconds + AT_ONCE_AHEAD_MS + count;
  const dueAtMs = await prepareRush(env, firstAtMs, count);
  await using server = await ServerProcess.start({
    env,
    nodeArgs: [...nodeArgs, ...(profile?.nodeArgs ?? [])],
  });
  const leftMs = firstAtMs - Temporal.Now.instant().epochMilliseconds;
  if (leftMs < WARM_UP_MS) {
    throw new Error('It took too long to prepare: the messages would be due before the server is warm.');
  }
  await delay(leftMs - SECOND_MS);
  const cpuBeforeMs = await readCpuMs(server.pid);
  profile?.begin();
  await delay(SECOND_MS + BAR.allMs); // asks nothing meanwhile
  const arrivals = await untilAllArrived(sink, dueAtMs, count);
  profile?.end();
  const cpuMs = (await readCpuMs(server.pid)) - cpuBeforeMs;
  await server.kill('SIGTERM');
  return {
    messages: count,
    lastMs: Math.max(...arrivals.map(({ atMs }) => atMs)) - firstAtMs,
    overtakenMs: round(overtaken(arrivals)),
    cpuUs: round((cpuMs * 1_000) / count),
  };
}

/** The groups, a subscriber in each, and a message to each. Answers when each message is due. */
async function prepareRush(
  env: { readonly DATA_DIR: string; readonly SMTP_URL: string },
  firstAtMs: number,
  count: number,
): Promise<(key: string) => number> {
  const original = await withServer({ env }, async (server) => {
    await addReader(server, GROUP);
    return scheduleAt(server, GROUP, firstAtMs);
  });
  const group = `printf('group-%d', n)`;
  const dueAt = `${firstAtMs} + (n * ${STRIDE} % ${count}) * ${SECOND_MS} / ${count}`;
  copyRows(join(env.DATA_DIR, 'belfry.db'), [
    { table: 'groups', count: count - 1, columns: { group_name: group } },
    { table: 'subscribers', count: count - 1, columns: { group_name: group } },
    {
      table: 'messages',
      count: count - 1,
      columns: {
        message_key: keyOfCopy('message_key'),
        group_name: group,
        schedule_on: dueAt,
        due_at: dueAt,
        wake_at: dueAt,
      },
    },
    { table: 'contents', count: count - 1, columns: { message_key: keyOfCopy('message_key') } },
  ]);
  return (key) => {
    const place = key === original ? 0 : (Number.parseInt(key.slice(24), 16) * STRIDE) % count;
    return firstAtMs + Math.floor((place * SECOND_MS) / count);
  };
}

interface Arrival {
  readonly dueAtMs: number;
  readonly atMs: number;
}

async function untilAllArrived(
  sink: SinkProcess,
  dueAtMs: (key: string) => number,
  count: number,
): Promise<readonly Arrival[]> {
  return until(
    'All messages arrive',
    LIMIT_MS,
    async () => {
      const arrivals = new Map<string, Arrival>();
      for await (const mail of sink.taken()) {
        const key = messageKeyOf(mail);
        if (arrivals.has(key)) {
          throw new Error(`Message ${key} arrived twice.`);
        }
        arrivals.set(key, { dueAtMs: dueAtMs(key), atMs: mail.atMs });
      }
      return arrivals.size === count ? [...arrivals.values()] : undefined;
    },
    SECOND_MS,
  );
}

/** By how much the one was due before another that arrived earlier, where that is the most. Those that arrive together overtake none. */
function overtaken(arrivals: readonly Arrival[]): number {
  let most = 0;
  let latestDueAtMs = -Infinity;
  for (const { dueAtMs } of arrivals.toSorted((a, b) => a.atMs - b.atMs || a.dueAtMs - b.dueAtMs)) {
    most = Math.max(most, latestDueAtMs - dueAtMs);
    latestDueAtMs = Math.max(latestDueAtMs, dueAtMs);
  }
  return most;
}

async function probeOn({ sink, env, lateness }: Side): Promise<void> {
  await using server = await ServerProcess.start({ env });
  await delay(WARM_UP_MS);
  const firstAtMs = Temporal.Now.instant().epochMilliseconds + FIRST_PROBE_MS;
  const dueAtMs = new Map<string, number>();
  for (let probe = 0; probe < PROBES; probe += 1) {
    const atMs = firstAtMs + probe * PROBE_EVERY_MS;
    dueAtMs.set(await scheduleAt(server, PROBE_GROUP, atMs), atMs);
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

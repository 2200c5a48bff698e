import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bodyOf, readMessage } from '../test/support/belfry-api.ts';
import { numberAt } from '../test/support/json.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { atMost, type Bench, type Measured, type Row } from './frame/bench.ts';
import { copyRows } from './frame/copies.ts';
import { alternate, columnsOf, median, round, spreadOf } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { readCpuMs, readMemory } from './frame/process-usage.ts';
import { NODE_OPTION, nodeArgsOf, scheduleIn, withServer } from './frame/server.ts';

export const fanout: Bench = {
  name: 'fanout',
  question: 'What does it take to cut a message to a very large group into batches?',
  method: `A group of copies of a subscriber whom the API has added; one message to it, on a server that may send one mail a second, so that
    sending costs next to nothing meanwhile. Two sizes take turns, each on a copy of its file and a server of its own. The measurement ends with
    the last batch. The event loop is watched from within (perf_hooks, every millisecond), from before the message is due.`,
  short: ['--subscribers', '50000', '--pairs', '1'],
  measure,
};

const LARGE = 1_000_000;
/** The smaller group has so much of the larger one. */
const PART = 0.4;
const PAIRS = 5;
const BAR = { memoryMb: 250, memoryRatio: 1.1, stallMs: 100 };

const GROUP = 'everybody';
const BATCH_SIZE = 50;
const WARM_UP_MS = 5_000;
const AHEAD_MS = 2_000;
const LIMIT_MS = 600_000;
const SECOND_MS = 1_000;
const MIB = 2 ** 20;
const LOOP_DELAY = fileURLToPath(new URL('./processes/loop-delay.js', import.meta.url));

interface Run {
  readonly seconds: number;
  readonly cpuUs: number;
  readonly residentMb: number;
  readonly peakMb: number;
  readonly stallMs: number;
  readonly loopP99Ms: number;
}

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      subscribers: { type: 'string', default: String(LARGE) },
      pairs: { type: 'string', default: String(PAIRS) },
      node: NODE_OPTION,
    },
  });
  const large = Number(values.subscribers);
  const sizes = { small: Math.round(large * PART), large };
  const nodeArgs = ['--import', LOOP_DELAY, ...nodeArgsOf(values.node)];
  return inFolder(async (folder) => {
    const files = {
      small: await fill(join(folder, 'small'), sizes.small),
      large: await fill(join(folder, 'large'), sizes.large),
    };
    const [small = [], many = []] = await alternate(
      [
        async (): Promise<Run> => dispatch(files.small, join(folder, 'run'), sizes.small, nodeArgs),
        async (): Promise<Run> => dispatch(files.large, join(folder, 'run'), sizes.large, nodeArgs),
      ],
      Number(values.pairs),
    );
    return measuredOf(sizes, small, many);
  });
}

/** The file of a server that has stopped, with a group of so many. */
async function fill(dataDir: string, subscribers: number): Promise<string> {
  await withServer({ env: { DATA_DIR: dataDir } }, async (server) => {
    const body = {
      email: 'reader-0000000@example.com',
      name: 'Reader',
      attributes: { city: 'København', plan: 'free' },
    };
    bodyOf(await server.request('POST', `/v1/groups/${GROUP}/subscribers`, { body }), 201);
  });
  const path = join(dataDir, 'belfry.db');
  const address = `printf('reader-%07d@example.com', n)`;
  copyRows(path, [
    { table: 'subscribers', count: subscribers - 1, columns: { subscriber: address, email: address } },
  ]);
  return path;
}

async function dispatch(
  file: string,
  dataDir: string,
  subscribers: number,
  nodeArgs: readonly string[],
): Promise<Run> {
  await rm(dataDir, { recursive: true, force: true });
  await mkdir(dataDir);
  await copyFile(file, join(dataDir, 'belfry.db'));
  await using server = await ServerProcess.start({
    env: { DATA_DIR: dataDir, MAX_SEND_RATE: '1' },
    nodeArgs,
  });
  await delay(WARM_UP_MS);
  const key = await scheduleIn(server, GROUP, AHEAD_MS);
  await delay(AHEAD_MS / 2);
  server.signal('SIGUSR2'); // forgets what was before
  const before = await readMemory(server.pid);
  const cpuBeforeMs = await readCpuMs(server.pid);
  const dispatched = await server.untilLogged('message.dispatched', LIMIT_MS);
  const cpuMs = (await readCpuMs(server.pid)) - cpuBeforeMs;
  const after = await readMemory(server.pid);
  server.signal('SIGUSR2');
  const loop = await server.untilLogged('loop.measured-2', LIMIT_MS);
  const { counts } = await readMessage(server, GROUP, key);
  if (counts.subscribers !== subscribers) {
    throw new Error(`${counts.subscribers} subscribers are in batches, not ${subscribers}.`);
  }
  await server.kill(); // at one mail a second, nothing is waited for
  return {
    seconds: numberAt(dispatched, 'late_ms') / SECOND_MS,
    cpuUs: (cpuMs * 1_000) / subscribers,
    residentMb: before.residentBytes / MIB,
    peakMb: after.peakBytes / MIB,
    stallMs: numberAt(loop, 'max_ms'),
    loopP99Ms: numberAt(loop, 'p99_ms'),
  };
}

function measuredOf(
  sizes: { readonly small: number; readonly large: number },
  small: readonly Run[],
  large: readonly Run[],
): Measured {
  const peak = (runs: readonly Run[]): number => round(median(runs.map(({ peakMb }) => peakMb)));
  const stallMs = round(Math.max(...large.map((run) => run.stallMs)));
  return {
    goals: [
      atMost(`peak of resident memory, ${sizes.large} subscribers`, BAR.memoryMb, 'MB', peak(large)),
      atMost(
        `the same against ${sizes.small} subscribers`,
        BAR.memoryRatio,
        '×',
        round(peak(large) / peak(small), 2),
      ),
      atMost(`longest stall of the event loop, ${sizes.large} subscribers`, BAR.stallMs, 'ms', stallMs),
    ],
    tables: [{ title: 'Dispatch', rows: [rowOf(sizes.small, small), rowOf(sizes.large, large)] }],
    plots: [
      {
        title: 'Peak of resident memory',
        unit: 'MB',
        bars: [
          { label: `${sizes.small} subscribers`, value: spreadOf(small.map(({ peakMb }) => peakMb)) },
          { label: `${sizes.large} subscribers`, value: spreadOf(large.map(({ peakMb }) => peakMb)) },
        ],
      },
    ],
    columns: {
      subscribers: `in the group; a batch has ${BATCH_SIZE}`,
      seconds: 'from the time at which the message was due until its last batch was on the disk',
      us_per_subscriber: 'those seconds, for each subscriber, in microseconds',
      cpu_us: 'microseconds of processor time for each subscriber, of the whole server',
      ready_mb: 'resident memory before the message was due',
      peak_mb: 'the most that was resident since the process began, as the kernel keeps it',
      stall_ms:
        'the longest that the event loop was kept from its turn, with the millisecond at which it is looked at',
      loop_p99_ms: 'the same, 99 of 100 times shorter than this',
    },
  };
}

function rowOf(subscribers: number, runs: readonly Run[]): Row {
  const of = (read: (run: Run) => number, decimals = 0): ReturnType<typeof spreadOf> =>
    spreadOf(runs.map(read), decimals);
  return {
    subscribers,
    batches: Math.ceil(subscribers / BATCH_SIZE),
    runs: runs.length,
    ...columnsOf(
      'seconds',
      of(({ seconds }) => seconds, 2),
    ),
    us_per_subscriber: round((median(runs.map(({ seconds }) => seconds)) * 1e6) / subscribers, 2),
    ...columnsOf(
      'cpu_us',
      of(({ cpuUs }) => cpuUs, 2),
    ),
    ready_mb: round(median(runs.map(({ residentMb }) => residentMb))),
    ...columnsOf(
      'peak_mb',
      of(({ peakMb }) => peakMb),
    ),
    ...columnsOf(
      'stall_ms',
      of(({ stallMs }) => stallMs),
    ),
    loop_p99_ms: round(median(runs.map(({ loopP99Ms }) => loopP99Ms)), 1),
  };
}

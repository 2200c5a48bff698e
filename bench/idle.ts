import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from '../test/support/child.ts';
import { objectIn, textAt } from '../test/support/json.ts';
import { until } from '../test/support/until.ts';
import { atMost, type Bench, type Measured, type Row, type Table } from './frame/bench.ts';
import { copyRows, keyOfCopy } from './frame/copies.ts';
import { PROFILE_COLUMNS, profiled } from './frame/cpu-profile.ts';
import { alternate, columnsOf, median, round, type Spread, spreadOf } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { readCpuMs, readMemory } from './frame/process-usage.ts';
import { scheduleIn, withServer } from './frame/server.ts';

export const idle: Bench = {
  name: 'idle',
  question: 'How long does a start take, and what does a server cost that has nothing to do?',
  method: `\`node dist/main.js\` on an empty and on a used DATA_DIR, and an empty application of the same modules (NestJS, Fastify, validation, Swagger,
    pino; bench/processes/empty-application.js), in turns. A start ends with the first 200 of the readiness probe. Then each is left alone: memory and
    processor time are those of the time after the warm-up.`,
  short: ['--pairs', '1', '--seconds', '3', '--warm-up', '1'],
  measure,
};

const PAIRS = 5;
const IDLE_SECONDS = 20;
const WARM_UP_SECONDS = 5;
const USED_MESSAGES = 10_000;
const BAR = { readyMs: 700, memoryRatio: 1.2, corePercent: 0.5 };

const GROUP = 'later';
const HOUR_MS = 3_600_000;
const SECOND_MS = 1_000;
const LIMIT_MS = 60_000;
const LOOK_EVERY_MS = 2;
const MIB = 2 ** 20;
const BELFRY = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const EMPTY = fileURLToPath(new URL('./processes/empty-application.js', import.meta.url));

interface Plan {
  readonly pairs: number;
  readonly warmUpMs: number;
  readonly idleMs: number;
}

interface Sample {
  readonly readyMs: number;
  readonly startCpuMs: number;
  readonly residentMb: number;
  readonly corePercent: number;
}

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: 'string', default: String(PAIRS) },
      seconds: { type: 'string', default: String(IDLE_SECONDS) },
      'warm-up': { type: 'string', default: String(WARM_UP_SECONDS) },
    },
  });
  const plan = {
    pairs: Number(values.pairs),
    warmUpMs: Number(values['warm-up']) * SECOND_MS,
    idleMs: Number(values.seconds) * SECOND_MS,
  };
  return inFolder(async (folder) => {
    const used = join(folder, 'used');
    await use(used);
    const [onUsed = [], onEmpty = [], application = []] = await alternate(
      [
        async (): Promise<Sample> => sample(BELFRY, { DATA_DIR: used }, plan),
        async (): Promise<Sample> =>
          sample(BELFRY, { DATA_DIR: await mkdtemp(join(folder, 'empty-')) }, plan),
        async (): Promise<Sample> => sample(EMPTY, {}, plan),
      ],
      plan.pairs,
    );
    const whereTimeGoes = await profiled('a start on an empty DATA_DIR', async (profile) => {
      const env = { PORT: '0', DATA_DIR: await mkdtemp(join(folder, 'profiled-')) };
      await using child = new Child({ args: [...profile.nodeArgs, BELFRY], env });
      await untilReady(child);
      profile.end();
      await child.kill('SIGTERM');
      return 1;
    });
    return measuredOf(onUsed, onEmpty, application, whereTimeGoes);
  });
}

/** A folder with messages in the future. */
async function use(dataDir: string): Promise<void> {
  await withServer({ env: { DATA_DIR: dataDir } }, (server) => scheduleIn(server, GROUP, HOUR_MS));
  copyRows(join(dataDir, 'belfry.db'), [
    { table: 'messages', count: USED_MESSAGES - 1, columns: { message_key: keyOfCopy('message_key') } },
    { table: 'contents', count: USED_MESSAGES - 1, columns: { message_key: keyOfCopy('message_key') } },
  ]);
}

async function sample(
  file: string,
  env: Readonly<Record<string, string>>,
  { warmUpMs, idleMs }: Plan,
): Promise<Sample> {
  const startedAtMs = performance.now();
  await using child = new Child({ args: [file], env: { PORT: '0', ...env } });
  await untilReady(child);
  const readyMs = performance.now() - startedAtMs;
  const startCpuMs = await readCpuMs(child.pid);
  await delay(warmUpMs);
  const cpuBeforeMs = await readCpuMs(child.pid);
  await delay(idleMs);
  const cpuMs = (await readCpuMs(child.pid)) - cpuBeforeMs;
  const { residentBytes } = await readMemory(child.pid);
  await child.kill('SIGTERM');
  return { readyMs, startCpuMs, residentMb: residentBytes / MIB, corePercent: (cpuMs / idleMs) * 100 };
}

async function untilReady(child: Child): Promise<void> {
  const api = await child.untilLine('The server starts', LIMIT_MS, (line) => {
    const fields = objectIn(line);
    return fields?.['msg'] === 'server.started' ? textAt(fields, 'api') : undefined;
  });
  const probe = `http://127.0.0.1:${new URL(api).port}/health/ready`;
  await until(
    'The server gets ready',
    LIMIT_MS,
    async () => {
      const response = await fetch(probe);
      await response.arrayBuffer();
      return response.ok || undefined;
    },
    LOOK_EVERY_MS,
  );
}

function measuredOf(
  onUsed: readonly Sample[],
  onEmpty: readonly Sample[],
  application: readonly Sample[],
  whereTimeGoes: Table,
): Measured {
  const middle = (samples: readonly Sample[], read: (sample: Sample) => number): number =>
    median(samples.map(read));
  const readyMs = ({ readyMs: ms }: Sample): number => ms;
  const residentMb = ({ residentMb: mb }: Sample): number => mb;
  const ready = { used: middle(onUsed, readyMs), empty: middle(onEmpty, readyMs) };
  const own = [...onUsed, ...onEmpty];
  return {
    goals: [
      atMost('start to ready on an empty DATA_DIR', BAR.readyMs, 'ms', round(ready.empty)),
      atMost('start to ready on a used DATA_DIR', BAR.readyMs, 'ms', round(ready.used)),
      atMost(
        'resident memory against the empty application',
        BAR.memoryRatio,
        '×',
        round(middle(own, residentMb) / middle(application, residentMb), 2),
      ),
      atMost(
        'of a core while idle',
        BAR.corePercent,
        '%',
        round(
          middle(own, ({ corePercent }) => corePercent),
          2,
        ),
      ),
    ],
    tables: [
      {
        title: 'Start and idle',
        rows: [
          rowOf(`used (${USED_MESSAGES} messages)`, onUsed),
          rowOf('empty DATA_DIR', onEmpty),
          rowOf('empty application', application),
        ],
      },
      whereTimeGoes,
    ],
    plots: [
      {
        title: 'Start to ready',
        unit: 'ms',
        bars: [
          { label: 'Belfry', value: spreadOf(onEmpty.map(readyMs)) },
          { label: 'empty application', value: spreadOf(application.map(readyMs)) },
        ],
      },
      {
        title: 'Resident memory while idle',
        unit: 'MB',
        bars: [
          { label: 'Belfry', value: spreadOf(own.map(residentMb)) },
          { label: 'empty application', value: spreadOf(application.map(residentMb)) },
        ],
      },
    ],
    columns: {
      what: 'Belfry on a DATA_DIR with messages in the future, on an empty one, and the empty application',
      ready_ms: 'from the start of the process until its readiness probe answers 200',
      start_cpu_ms: 'processor time until then',
      resident_mb: 'resident memory at the end',
      core_percent: 'processor time while idle, of one core',
      ...PROFILE_COLUMNS,
    },
    remarks: [
      `Start against the empty application: ${round(ready.empty / middle(application, readyMs), 2)} ×. Most of a start is finding, reading and compiling modules: the build puts 2,400 of them into a few files, which takes half the processor time and 10 MB less. The empty application reads its 2,000 from node_modules.`,
      `Tried and not kept: Node's compile cache (NODE_COMPILE_CACHE), filled, saves a tenth more, needs a folder to write to, and takes 5 MB.`,
    ],
  };
}

function rowOf(what: string, samples: readonly Sample[]): Row {
  const of = (read: (sample: Sample) => number, decimals = 0): Spread =>
    spreadOf(samples.map(read), decimals);
  return {
    what,
    runs: samples.length,
    ...columnsOf(
      'ready_ms',
      of(({ readyMs }) => readyMs),
    ),
    start_cpu_ms: round(median(samples.map(({ startCpuMs }) => startCpuMs))),
    ...columnsOf(
      'resident_mb',
      of(({ residentMb }) => residentMb),
    ),
    ...columnsOf(
      'core_percent',
      of(({ corePercent }) => corePercent, 2),
    ),
  };
}

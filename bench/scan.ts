import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'rolldown';
import settings from '../rolldown.config.ts';
import { Child } from '../test/support/child.ts';
import { type JsonObject, numberAt, objectIn } from '../test/support/json.ts';
import { atMost, type Bench, type Goal, type Measured, type Plot, type Row } from './frame/bench.ts';
import { copyRows, keyOfCopy } from './frame/copies.ts';
import { alternate, columnsOf, median, round, spreadOf } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { print } from './frame/print.ts';
import { scheduleIn, withServer } from './frame/server.ts';

export const scan: Bench = {
  name: 'scan',
  question: 'What does the due scan cost when many messages lie in the future?',
  method: `The scan of the build runs on few and on many messages that are due an hour or more ahead, in turns, each time in a new process, and
    finds the hundred that are due. Engine embedded: two files, filled with copies of a message that the API made. Engine aws:
    DynamoDB at AWS_ENDPOINT_URL, if that is set, with two tables of the index's definition.`,
  short: ['--messages', '50000', '--pairs', '1', '--scans', '50', '--fill-seconds', '3'],
  measure,
};

const FEW = 1_000;
const MANY = 1_000_000;
const PAIRS = 5;
const SCANS = 300;
const FILL_SECONDS = 900;
const DUE = 100;
const BAR = 1.2;
const GROUP = 'later';
const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;
// Of a process, on top of the time in which it fills a table.
const LIMIT_MS = 600_000;
const PROCESSES = ['scan-sqlite', 'scan-dynamo'];
// Within dist, so that they find the packages that the build leaves where they are.
const BUILT = fileURLToPath(new URL('../dist/bench/', import.meta.url));

interface Scans {
  readonly messages: number;
  /** Microseconds: the median of each process. */
  readonly medians: readonly number[];
  /** Pages that the first scan of a connection read, or read units of DynamoDB. */
  readonly units: number;
  readonly found: number;
}

interface Compared {
  readonly engine: 'embedded' | 'aws';
  readonly few: Scans;
  readonly many: Scans;
}

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      messages: { type: 'string', default: String(MANY) },
      pairs: { type: 'string', default: String(PAIRS) },
      scans: { type: 'string', default: String(SCANS) },
      // DynamoDB gets as many messages as can be written in this time.
      'fill-seconds': { type: 'string', default: String(FILL_SECONDS) },
    },
  });
  const plan = {
    messages: Number(values.messages),
    pairs: Number(values.pairs),
    scans: Number(values.scans),
    fillSeconds: Number(values['fill-seconds']),
  };
  const endpoint = process.env['AWS_ENDPOINT_URL'];
  await buildProcesses();
  const compared = [await onEmbedded(plan), ...(endpoint === undefined ? [] : [await onAws(plan, endpoint)])];
  return {
    goals: compared.flatMap(goalsOf),
    tables: [{ title: 'Scans', rows: compared.flatMap(rowsOf) }],
    plots: compared.map(plotOf),
    columns: {
      messages: `how many there are, all but ${DUE} of them an hour or more ahead`,
      found: 'what a scan found',
      units:
        'embedded: pages that the first scan of a new connection read, of 4 KB each; aws: read units of one scan, as DynamoDB says',
      us: 'microseconds of one scan: the median of each process',
    },
    remarks: [
      'A page more on the embedded engine is a level more of the index, whose depth grows with the logarithm of what it holds.',
      ...(endpoint === undefined ? ['AWS_ENDPOINT_URL is not set: the engine aws is left out.'] : []),
    ],
  };
}

interface Plan {
  readonly messages: number;
  readonly pairs: number;
  readonly scans: number;
  readonly fillSeconds: number;
}

/** As the server is built: Node cannot read sources with decorators. */
async function buildProcesses(): Promise<void> {
  const input = Object.fromEntries(
    PROCESSES.map((name) => [name, fileURLToPath(new URL(`./processes/${name}.js`, import.meta.url))]),
  );
  await build({ ...settings, input, output: { ...settings.output, dir: BUILT } });
}

async function onEmbedded({ messages, pairs, scans }: Plan): Promise<Compared> {
  return inFolder(async (folder) => {
    const files = {
      few: await filled(join(folder, 'few'), FEW),
      many: await filled(join(folder, 'many'), messages),
    };
    const scanOf = (file: string) => (): Promise<JsonObject> =>
      run('scan-sqlite.js', [file, String(scans)], {});
    const [few = [], many = []] = await alternate([scanOf(files.few), scanOf(files.many)], pairs);
    return { engine: 'embedded', few: scansOf(FEW, few), many: scansOf(messages, many) };
  });
}

/** The database of a server that has so many messages in the future. */
async function filled(dataDir: string, messages: number): Promise<string> {
  await withServer({ env: { DATA_DIR: dataDir } }, (server) => scheduleIn(server, GROUP, HOUR_MS));
  const path = join(dataDir, 'belfry.db');
  const later = (column: string): string =>
    `CASE WHEN n <= ${DUE} THEN original.${column} - ${HOUR_MS} ELSE original.${column} + n * 1000 END`;
  const columns = {
    message_key: keyOfCopy('message_key'),
    schedule_on: later('schedule_on'),
    due_at: later('due_at'),
    wake_at: later('wake_at'),
  };
  copyRows(path, [{ table: 'messages', count: messages - 1, columns }]);
  return path;
}

async function onAws({ messages, pairs, scans, fillSeconds }: Plan, endpoint: string): Promise<Compared> {
  const env = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
  const prefix = `belfry-bench-${randomUUID().slice(0, 8)}`;
  const tables = { few: `${prefix}-few-`, many: `${prefix}-many-` };
  const fill = async (table: string, count: number): Promise<number> =>
    numberAt(
      await run(
        'scan-dynamo.js',
        ['fill', table, String(count), String(fillSeconds), String(DUE)],
        env,
        LIMIT_MS + fillSeconds * SECOND_MS,
      ),
      'filled',
    );
  try {
    const few = await fill(tables.few, FEW);
    const many = await fill(tables.many, messages);
    print(`  DynamoDB has taken ${many} messages`);
    const scanOf = (table: string) => (): Promise<JsonObject> =>
      run('scan-dynamo.js', ['scan', table, String(scans)], env);
    const [ofFew = [], ofMany = []] = await alternate([scanOf(tables.few), scanOf(tables.many)], pairs);
    return { engine: 'aws', few: scansOf(few, ofFew), many: scansOf(many, ofMany) };
  } finally {
    await Promise.allSettled(
      Object.values(tables).map((table) => run('scan-dynamo.js', ['drop', table], env)),
    );
  }
}

/** What a process of `processes/` prints. */
async function run(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  limitMs = LIMIT_MS,
): Promise<JsonObject> {
  await using child = new Child({ args: [join(BUILT, file), ...args], env });
  return await child.untilLine(file, limitMs, objectIn);
}

function scansOf(messages: number, printed: readonly JsonObject[]): Scans {
  return {
    messages,
    medians: printed.map(({ tookUs }) => median(Array.isArray(tookUs) ? tookUs.map(Number) : [])),
    units: median(printed.map((one) => numberAt(one, 'units'))),
    found: median(printed.map((one) => numberAt(one, 'found'))),
  };
}

function goalsOf({ engine, few, many }: Compared): readonly Goal[] {
  const ratio = round(median(many.medians) / median(few.medians), 2);
  const what = `${engine}: ${many.messages} against ${few.messages}`;
  return [
    atMost(`${what}, latency`, BAR, '×', ratio),
    engine === 'aws'
      ? atMost(`${what}, read units more`, 0, 'of them', round(many.units - few.units, 1))
      : atMost(`${what}, messages read more`, 0, 'of them', many.found - few.found),
  ];
}

function rowsOf({ engine, few, many }: Compared): readonly Row[] {
  return [few, many].map(({ messages, medians, units, found }) => ({
    engine,
    messages,
    found,
    units,
    ...columnsOf('us', spreadOf(medians)),
  }));
}

function plotOf({ engine, few, many }: Compared): Plot {
  return {
    title: `One scan, engine ${engine}`,
    unit: 'µs',
    bars: [few, many].map(({ messages, medians }) => ({
      label: `${messages} in the future`,
      value: spreadOf(medians),
    })),
  };
}

import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bodyOf } from '../test/support/belfry-api.ts';
import { Child } from '../test/support/child.ts';
import { isObject, type JsonObject, numberAt, objectIn, parseObject } from '../test/support/json.ts';
import type { ServerProcess } from '../test/support/server-process.ts';
import { atLeast, type Bench, type Goal, type Measured, type Plot, type Table } from './frame/bench.ts';
import { type CpuProfile, PROFILE_COLUMNS, profiled } from './frame/cpu-profile.ts';
import { alternate, columnsOf, median, round, spreadOf } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { readCpuMs } from './frame/process-usage.ts';
import { NODE_OPTION, nodeArgsOf, withServer } from './frame/server.ts';
import { Load } from './schedule/load.ts';

export const schedule: Bench = {
  name: 'schedule',
  question: 'How many messages can be scheduled in a second, and what does one cost?',
  method: `POST …/schedule again and again on connections that are kept, against two yardsticks. Embedded: every answer is on the disk
    (synchronous=FULL), against Fastify alone that checks the request and writes the same answer by JSON schema, and stores nothing. Engine
    aws: against a bare loop of the two calls of the AWS SDK without which no message is stored, both against a stand-in for S3 and DynamoDB
    that answers at once. The sides take turns, one of them alive at a time.`,
  short: ['--pairs', '1', '--warm-up', '1', '--seconds', '1'],
  measure,
};

const GOALS = { embedded: 0.5, aws: 0.65 };
const CONNECTIONS = { embedded: 64, aws: 16 };
const PAIRS = 5;
const SECONDS = 5;
const SECOND_MS = 1_000;

const RAW_SERVER = fileURLToPath(new URL('./schedule/raw-server.ts', import.meta.url));
const AWS_STAND_IN = fileURLToPath(new URL('./schedule/aws-stand-in.ts', import.meta.url));
const SDK_LOOP = fileURLToPath(new URL('./schedule/sdk-loop.ts', import.meta.url));
const START_LIMIT_MS = 20_000;

const TABLE_PREFIX = 'belfry-';
const BUCKET = 'belfry-content';

const GROUP = 'serverless';
const PATH = `/v1/groups/${GROUP}/schedule`;
// As the README has it, in four years.
const MESSAGE = {
  subject: 'Hello SLS workshop!',
  body: 'The workshop is not recorded.<h1>Welcome dear friends</h1>',
  schedule_on: Temporal.Instant.from('2030-11-23T14:10:00Z').epochMilliseconds,
};

interface Plan {
  readonly pairs: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
  readonly nodeArgs: readonly string[];
  readonly profile?: CpuProfile;
}

/** One turn of one side. */
interface Sample {
  readonly messages: number;
  readonly perSecond: number;
  readonly cpuMicros: number;
  /** Of whatever makes the requests; nothing where the side makes them itself. */
  readonly loadCpuMicros: number;
  /** For each message, by the name of the call. */
  readonly awsCalls?: Readonly<Record<string, number>>;
}

interface Found {
  readonly goal: Goal;
  readonly tables: readonly Table[];
  readonly plot: Plot;
  readonly remark: string;
}

const WHERE_EMBEDDED_SPENDS = `On the embedded engine the largest part of a request is SQLite: two rows with their indexes, and a share of a commit that waits for
the disk. Next come Fastify and Node's HTTP server, which is all that Fastify alone has. What is left lies in many thin layers: guard, pipes and handler of Nest,
the rules of the body, the time, seal, findings and tags of the content, the log line, the answer. No one of them is large enough that half of Fastify's
rate could be had by mending it.`;

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      engine: { type: 'string', default: 'embedded,aws' },
      pairs: { type: 'string', default: String(PAIRS) },
      'warm-up': { type: 'string', default: String(SECONDS) },
      seconds: { type: 'string', default: String(SECONDS) },
      node: NODE_OPTION,
    },
  });
  const plan = {
    pairs: Number(values.pairs),
    warmUpMs: Number(values['warm-up']) * SECOND_MS,
    measuredMs: Number(values.seconds) * SECOND_MS,
    nodeArgs: nodeArgsOf(values.node),
  };
  const engines = values.engine.split(',');
  const found = [
    ...(engines.includes('embedded') ? [await measureEmbedded(plan)] : []),
    ...(engines.includes('aws') ? [await measureAws(plan)] : []),
  ];
  return {
    goals: found.map(({ goal }) => goal),
    tables: found.flatMap(({ tables }) => tables),
    plots: found.map(({ plot }) => plot),
    remarks: found.map(({ remark }) => remark),
    columns: {
      side: 'Who was measured.',
      connections: 'How many requests are under way at any time.',
      messages_per_s: 'Messages stored (or answered, or written by the two calls) in a second of the clock.',
      cpu_us: 'Processor time of that process for each message, in µs.',
      load_cpu_us:
        'Processor time of the process that makes the requests, for each, in µs: it is not the limit.',
      ...PROFILE_COLUMNS,
    },
  };
}

async function measureEmbedded(plan: Plan): Promise<Found> {
  const answer = await answerOfBelfry();
  const [belfry = [], raw = []] = await alternate(
    [async (): Promise<Sample> => loadBelfry(plan), async (): Promise<Sample> => loadRawServer(plan, answer)],
    plan.pairs,
  );
  const profile = await profileOf('engine embedded', plan, loadBelfry);
  const { table, ...compared } = compare('embedded', [
    { side: 'Belfry, embedded, durable', samples: belfry },
    { side: 'Fastify alone, nothing stored', samples: raw },
  ]);
  return { ...compared, tables: [table, profile], remark: WHERE_EMBEDDED_SPENDS };
}

async function measureAws(plan: Plan): Promise<Found> {
  const [belfry = [], loop = []] = await alternate(
    [async (): Promise<Sample> => loadBelfryOnAws(plan), async (): Promise<Sample> => loopSdk(plan)],
    plan.pairs,
  );
  const calls = Object.entries(belfry.at(-1)?.awsCalls ?? {}).map(([name, count]) => `${name} ${count}`);
  const profile = await profileOf('engine aws', plan, loadBelfryOnAws);
  const { table, ...compared } = compare('aws', [
    { side: 'Belfry, engine aws', samples: belfry },
    { side: 'The two calls alone', samples: loop },
  ]);
  return {
    ...compared,
    tables: [table, profile],
    remark: `Calls of AWS for each message: ${calls.join(', ')}. GetItem reads the group, for the answer; requests at the same time share it, and a
message that is stored soon afterwards has it read no more. All messages are of one group: of many groups, each reads its own, so that there is one
GetItem for each message.`,
  };
}

interface Side {
  readonly side: string;
  readonly samples: readonly Sample[];
}

async function profileOf(engine: string, plan: Plan, load: (plan: Plan) => Promise<Sample>): Promise<Table> {
  return profiled(`POST …/schedule, ${engine}`, async (profile) => {
    const { messages } = await load({ ...plan, profile });
    return messages;
  });
}

function compare(
  engine: keyof typeof GOALS,
  sides: readonly [Side, Side],
): Omit<Found, 'remark' | 'tables'> & { readonly table: Table } {
  const rates = sides.map(({ samples }) => spreadOf(samples.map(({ perSecond }) => perSecond)));
  const [belfry = Number.NaN, yardstick = Number.NaN] = rates.map((rate) => rate.median);
  return {
    goal: atLeast(
      `messages scheduled in a second, engine ${engine}`,
      GOALS[engine],
      `× ${sides[1].side.toLowerCase()}`,
      round(belfry / yardstick, 2),
    ),
    table: {
      title: `POST …/schedule, engine ${engine}`,
      rows: sides.map(({ side, samples }) => ({
        side,
        connections: CONNECTIONS[engine],
        ...columnsOf('messages_per_s', spreadOf(samples.map(({ perSecond }) => perSecond))),
        ...columnsOf('cpu_us', spreadOf(samples.map(({ cpuMicros }) => cpuMicros))),
        load_cpu_us: round(median(samples.map(({ loadCpuMicros }) => loadCpuMicros))),
      })),
    },
    plot: {
      title: `POST …/schedule, engine ${engine}: messages per second`,
      unit: '/s',
      bars: sides.map(({ side, samples }) => ({
        label: side,
        value: spreadOf(samples.map(({ perSecond }) => perSecond)),
      })),
    },
  };
}

async function loadBelfry(plan: Plan): Promise<Sample> {
  return withEmbedded(argsOf(plan), async (server) => putLoad(plan, 'embedded', server));
}

function argsOf({ nodeArgs, profile }: Plan): readonly string[] {
  return [...nodeArgs, ...(profile?.nodeArgs ?? [])];
}

/** What Fastify alone answers too. */
async function answerOfBelfry(): Promise<JsonObject> {
  return withEmbedded([], async (server) => {
    const answer = bodyOf(await server.request('POST', PATH, { body: MESSAGE }), 201);
    if (!isObject(answer)) {
      throw new Error('The answer is no JSON object.');
    }
    return answer;
  });
}

async function withEmbedded<Result>(
  nodeArgs: readonly string[],
  use: (server: ServerProcess) => Promise<Result>,
): Promise<Result> {
  return inFolder((folder) =>
    withServer({ env: { DATA_DIR: folder }, nodeArgs }, async (server) => {
      const body = { email: 'ada@example.com' };
      bodyOf(await server.request('POST', `/v1/groups/${GROUP}/subscribers`, { body }), 201);
      return use(server);
    }),
  );
}

async function loadRawServer(plan: Plan, answer: JsonObject): Promise<Sample> {
  await using server = new Child({ args: [RAW_SERVER, '--answer', JSON.stringify(answer)], env: {} });
  return await putLoad(plan, 'embedded', { pid: server.pid, url: await urlOf(server) });
}

async function loadBelfryOnAws(plan: Plan): Promise<Sample> {
  await using standIn = new Child({ args: [AWS_STAND_IN] });
  const url = await urlOf(standIn);
  await storeGroup(url);
  const env = {
    ...awsEnv(url),
    ENGINE: 'aws',
    ROLES: 'api',
    WORK_QUEUE_URL: `${url}/queue`,
    SIGNING_SECRET: 'a secret that is long enough for a benchmark',
  };
  return await withServer({ env, nodeArgs: argsOf(plan) }, async (server) => {
    const sample = await putLoad(plan, 'aws', server);
    return { ...sample, awsCalls: await callsPerMessage(url) };
  });
}

async function loopSdk({ warmUpMs, measuredMs }: Plan): Promise<Sample> {
  await using standIn = new Child({ args: [AWS_STAND_IN] });
  const times = ['--warm-up-ms', String(warmUpMs), '--measured-ms', String(measuredMs)];
  const url = await urlOf(standIn);
  const names = ['--endpoint', url, '--bucket', BUCKET, '--table', `${TABLE_PREFIX}messages`];
  await using loop = new Child({
    args: [SDK_LOOP, '--connections', String(CONNECTIONS.aws), ...names, ...times],
    env: awsEnv(url),
  });
  const found = await loop.untilLine('The loop ends', START_LIMIT_MS + warmUpMs + measuredMs, objectIn);
  const operations = numberAt(found, 'operations');
  return {
    messages: operations,
    perSecond: (operations * SECOND_MS) / numberAt(found, 'ms'),
    cpuMicros: (numberAt(found, 'cpuMs') * 1_000) / operations,
    loadCpuMicros: 0,
  };
}

async function putLoad(
  { warmUpMs, measuredMs, profile }: Plan,
  engine: keyof typeof CONNECTIONS,
  { pid, url }: { readonly pid: number; readonly url: string },
): Promise<Sample> {
  await using load = await Load.start({ url, path: PATH, body: MESSAGE, connections: CONNECTIONS[engine] });
  await delay(warmUpMs);
  const before = { ...(await usage(pid)), answered: load.answered };
  profile?.begin();
  await delay(measuredMs);
  const after = { ...(await usage(pid)), answered: load.answered };
  profile?.end();
  if (load.fault) {
    throw load.fault;
  }
  const answered = after.answered - before.answered;
  const micros = (of: 'cpuMs' | 'loadCpuMs'): number => ((after[of] - before[of]) * 1_000) / answered;
  return {
    messages: answered,
    perSecond: (answered * SECOND_MS) / (after.atMs - before.atMs),
    cpuMicros: micros('cpuMs'),
    loadCpuMicros: micros('loadCpuMs'),
  };
}

interface Usage {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly loadCpuMs: number;
}

async function usage(pid: number): Promise<Usage> {
  const cpuMs = await readCpuMs(pid);
  const own = process.cpuUsage();
  return { atMs: performance.now(), cpuMs, loadCpuMs: (own.user + own.system) / 1_000 };
}

/** What a first subscriber would have made, and counted. */
async function storeGroup(url: string): Promise<void> {
  const stored = await fetch(url, {
    method: 'POST',
    headers: { 'x-amz-target': 'DynamoDB_20120810.PutItem' },
    body: JSON.stringify({
      TableName: `${TABLE_PREFIX}groups`,
      Item: {
        group_name: { S: GROUP },
        kind: { S: 'group' },
        date_added: { N: '1795443000000' },
        version: { N: '1' },
        active_count: { N: '1' },
      },
    }),
  });
  if (!stored.ok) {
    throw new Error(`The stand-in refused a group: ${await stored.text()}`);
  }
}

async function callsPerMessage(url: string): Promise<Readonly<Record<string, number>>> {
  const calls = parseObject(await (await fetch(`${url}/calls`)).text());
  const stored = numberAt(calls, 'PutObject');
  return Object.fromEntries(
    Object.keys(calls).map((name) => [name, round(numberAt(calls, name) / stored, 2)]),
  );
}

function awsEnv(url: string): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL: url,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    TABLE_PREFIX,
    CONTENT_BUCKET: BUCKET,
  };
}

async function urlOf(child: Child): Promise<string> {
  const started = await child.untilLine('A process starts', START_LIMIT_MS, objectIn);
  return `http://127.0.0.1:${numberAt(started, 'port')}`;
}

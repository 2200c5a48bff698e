import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from '../test/support/child.ts';
import { numberAt, objectIn } from '../test/support/json.ts';
import { sendWithBelfry, type Sent } from './deliver/belfry.ts';
import { letterOf } from './deliver/letter.ts';
import { openSecureSink, openSesSink, openSink, type Sink } from './deliver/sinks.ts';
import {
  atLeast,
  atMost,
  type Bench,
  type Goal,
  type Measured,
  type Row,
  type Table,
} from './frame/bench.ts';
import { type CpuProfile, PROFILE_COLUMNS, profiled } from './frame/cpu-profile.ts';
import { alternate, columnsOf, median, round, spreadOf } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { readCpuMs } from './frame/process-usage.ts';
import { NODE_OPTION, nodeArgsOf } from './frame/server.ts';

export const deliver: Bench = {
  name: 'deliver',
  question: 'How fast does one message reach a large group, and what does each mail cost?',
  method: `One message (a Liquid template of 2 KB or 30 KB of HTML, and its text) to one large group, over SMTP to postfix's smtp-sink in a process of
    its own: dispatch, ledger, rendering, footers, links and outcomes included, engine embedded. It takes turns with nodemailer, which
    sends mails of the same size to addresses of the same kind through a pool of 5 connections, alone in its process and with no record of
    anything. Each run is a process of its own, and warms up with 3,000 mails. Everybody gets it exactly once: the ledger says so, and the record of the
    sink where it keeps one, or the benchmark fails.`,
  short: ['--subscribers', '500', '--pairs', '1'],
  measure,
};

const SIZES = [
  { bytes: 2_048, label: '2 KB', cpuBarUs: 80 },
  { bytes: 30_720, label: '30 KB', cpuBarUs: 150 },
] as const;
const RATIO_BAR = 4;
const SES_CPU_BAR_US = 25;
const MEMORY_BAR_MB = 250;
const HEALTH_BAR_MS = 100;
const MIB = 2 ** 20;

const NODEMAILER = fileURLToPath(new URL('./deliver/nodemailer-pool.ts', import.meta.url));
const NODEMAILER_LIMIT_MS = 600_000;

/** What both sides of a pair have. */
interface Sample {
  readonly perSecond: number;
  readonly cpuUs: number;
}

interface Options {
  readonly subscribers: number;
  readonly nodemailerMails: number;
  readonly pairs: number;
  readonly nodeArgs: readonly string[];
}

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      subscribers: { type: 'string', default: '50000' },
      // Fewer: its rate is the same after a moment, and it takes four times as long for each.
      'nodemailer-mails': { type: 'string', default: '10000' },
      pairs: { type: 'string', default: '5' },
      // One size only, and nothing else: for a profile.
      only: { type: 'string' },
      node: NODE_OPTION,
    },
  });
  const options: Options = {
    subscribers: Number(values.subscribers),
    nodemailerMails: Math.min(Number(values['nodemailer-mails']), Number(values.subscribers)),
    pairs: Number(values.pairs),
    nodeArgs: nodeArgsOf(values.node),
  };
  return values.only === undefined ? measureAll(options) : measureOnly(options, values.only);
}

async function measureAll(options: Options): Promise<Measured> {
  const pairs: Pair[] = [];
  for (const size of SIZES) {
    const [ours = [], theirs = []] = await alternate<Sample>(
      [
        (): Promise<Sample> => overSmtp(size.bytes, options.subscribers, options.nodeArgs),
        (): Promise<Sample> => withNodemailer(size.bytes, options.nodemailerMails),
      ],
      options.pairs,
    );
    pairs.push({ ...size, ours, theirs });
  }
  const singles: Single[] = [];
  for (const { bytes, label } of SIZES) {
    singles.push({
      way: `SMTP, ${label}`,
      sent: await overSmtp(bytes, options.subscribers, options.nodeArgs, { isProbed: true }),
    });
  }
  singles.push(
    {
      way: 'SMTP with STARTTLS and AUTH, 2 KB',
      sent: await overSmtp(2_048, options.subscribers, options.nodeArgs, { open: openSecureSink }),
    },
    { way: 'SES, 2 KB, variables only', sent: await throughSes(2_048, options) },
  );
  return {
    goals: goalsOf(pairs, singles),
    tables: [
      {
        title: 'In turns with nodemailer',
        rows: pairs.flatMap((pair) => rowsOfPair(pair, options)),
      },
      { title: 'Once each', rows: singles.map((one) => rowOfSingle(one, options.subscribers)) },
      ...(await profilesOf(options)),
    ],
    plots: [
      {
        title: 'CPU of the sending process for each mail',
        unit: 'µs',
        bars: pairs.flatMap(({ label, ours, theirs }) => [
          { label: `Belfry, ${label}`, value: spreadOf(ours.map(({ cpuUs }) => cpuUs)) },
          { label: `nodemailer, ${label}`, value: spreadOf(theirs.map(({ cpuUs }) => cpuUs)) },
        ]),
      },
    ],
    columns: COLUMNS,
    remarks: REMARKS,
  };
}

async function profilesOf(options: Options): Promise<readonly Table[]> {
  const { subscribers } = options;
  const tables: Table[] = [];
  for (const { bytes, label } of SIZES) {
    tables.push(
      await profiled(`a mail over SMTP, ${label}`, async (profile) => {
        await overSmtp(bytes, subscribers, options.nodeArgs, { profile });
        return subscribers;
      }),
    );
  }
  const bySes = await profiled('a mail through SES', async (profile) => {
    await throughSes(2_048, options, profile);
    return subscribers;
  });
  return [...tables, bySes];
}

/** `2048`, `30720` or `ses`. */
async function measureOnly(options: Options, only: string): Promise<Measured> {
  const sent =
    only === 'ses'
      ? await throughSes(2_048, options)
      : await overSmtp(Number(only), options.subscribers, options.nodeArgs);
  return {
    goals: [],
    tables: [{ title: 'One run', rows: [rowOfSingle({ way: only, sent }, options.subscribers)] }],
    plots: [],
    columns: COLUMNS,
  };
}

async function overSmtp(
  bytes: number,
  subscribers: number,
  nodeArgs: readonly string[],
  {
    isProbed = false,
    open = openSink,
    profile,
  }: {
    readonly isProbed?: boolean;
    readonly open?: (folder: string) => Promise<Sink>;
    readonly profile?: CpuProfile;
  } = {},
): Promise<Sent> {
  return inFolder(async (folder) => {
    await using sink = await open(folder);
    return await sendWithBelfry({
      subscribers,
      letter: letterOf(bytes, 'tags'),
      env: { DATA_DIR: join(folder, 'data'), SMTP_URL: sink.url },
      nodeArgs,
      isProbed,
      profile,
      sinkCpuMs: () => readCpuMs(sink.pid),
      recipients: sink.recipients?.bind(sink),
    });
  });
}

async function throughSes(
  bytes: number,
  { subscribers, nodeArgs }: Options,
  profile?: CpuProfile,
): Promise<Sent> {
  return inFolder(async (folder) => {
    await using ses = await openSesSink();
    return await sendWithBelfry({
      subscribers,
      letter: letterOf(bytes, 'variables only'),
      env: { DATA_DIR: join(folder, 'data'), MAIL_FROM: 'News <news@example.com>', ...ses.env },
      nodeArgs,
      isProbed: false,
      profile,
      sinkCpuMs: () => readCpuMs(ses.pid),
      recipients: () => ses.recipients(),
    });
  });
}

async function withNodemailer(bytes: number, mails: number): Promise<Sample> {
  return inFolder(async (folder) => {
    await using sink = await openSink(folder);
    const args = [NODEMAILER, '--url', sink.url, '--mails', String(mails), '--bytes', String(bytes)];
    await using child = new Child({ args });
    const result = await child.untilLine('nodemailer sends', NODEMAILER_LIMIT_MS, objectIn);
    return { perSecond: mails / numberAt(result, 'seconds'), cpuUs: numberAt(result, 'cpu_us') };
  });
}

interface Pair {
  readonly label: string;
  readonly cpuBarUs: number;
  readonly ours: readonly Sample[];
  readonly theirs: readonly Sample[];
}

interface Single {
  readonly way: string;
  readonly sent: Sent;
}

function goalsOf(pairs: readonly Pair[], singles: readonly Single[]): readonly Goal[] {
  const bySmtp = singles.filter(({ way }) => way.startsWith('SMTP'));
  const bySes = singles.filter(({ way }) => way.startsWith('SES'));
  const most = (read: (sent: Sent) => number | undefined): number =>
    Math.max(...bySmtp.map(({ sent }) => read(sent) ?? 0));
  return [
    ...pairs.flatMap(({ label, cpuBarUs, ours, theirs }) => [
      atLeast(
        `rate over SMTP, ${label}, against nodemailer's pool alone`,
        RATIO_BAR,
        '×',
        round(medianRate(ours) / medianRate(theirs), 2),
      ),
      atMost(
        `CPU of the server for each recipient, ${label}`,
        cpuBarUs,
        'µs',
        round(median(ours.map(({ cpuUs }) => cpuUs))),
      ),
    ]),
    ...bySes.map(({ sent }) =>
      atMost(
        'CPU of the server for each recipient, SES, variables only',
        SES_CPU_BAR_US,
        'µs',
        round(sent.cpuUs),
      ),
    ),
    atMost(
      'resident memory throughout',
      MEMORY_BAR_MB,
      'MB',
      round(most(({ peakBytes }) => peakBytes) / MIB),
    ),
    atMost(
      'GET /health/live meanwhile, p99',
      HEALTH_BAR_MS,
      'ms',
      round(
        most(({ healthP99Ms }) => healthP99Ms),
        1,
      ),
    ),
  ];
}

function medianRate(samples: readonly Sample[]): number {
  return median(samples.map(({ perSecond }) => perSecond));
}

function rowsOfPair(
  { label, ours, theirs }: Pair,
  { subscribers, nodemailerMails }: Options,
): readonly Row[] {
  const rowOf = (side: string, mails: number, samples: readonly Sample[]): Row => ({
    body: label,
    side,
    mails,
    runs: samples.length,
    ...columnsOf('mails_per_s', spreadOf(samples.map(({ perSecond }) => perSecond))),
    ...columnsOf('cpu_us', spreadOf(samples.map(({ cpuUs }) => cpuUs))),
  });
  return [rowOf('Belfry', subscribers, ours), rowOf('nodemailer', nodemailerMails, theirs)];
}

function rowOfSingle({ way, sent }: Single, subscribers: number): Row {
  return {
    way,
    subscribers,
    mails_per_s: round(sent.perSecond),
    cpu_us: round(sent.cpuUs),
    sink_cpu_us: round(sent.sinkCpuUs),
    seconds: round(sent.seconds, 1),
    first_attempt_ms: sent.firstAttemptMs,
    rss_max_mb: round(sent.peakBytes / MIB),
    health_p99_ms: sent.healthP99Ms === undefined ? '' : round(sent.healthP99Ms, 1),
  };
}

const COLUMNS: Readonly<Record<string, string>> = {
  body: 'bytes of HTML in the template; the text part and the footers come on top',
  side: 'Belfry with all it does, or nodemailer alone',
  way: 'how the mails leave, and their HTML',
  mails: 'of each run',
  subscribers: 'recipients of the message',
  runs: 'how many, in turns',
  mails_per_s: 'from the first attempt to the last mail that was accepted',
  cpu_us: 'processor time of the sending process, user and system, for each recipient',
  sink_cpu_us: 'the same of the other end',
  seconds: 'from the first attempt to the last mail that was accepted',
  first_attempt_ms: 'after the time of the message',
  rss_max_mb: 'the most memory that was resident since the server started, in MB',
  health_p99_ms: 'GET /health/live, asked twenty times a second meanwhile',
  ...PROFILE_COLUMNS,
};

const REMARKS: readonly string[] = [
  `The bars for CPU were set on a machine on which nodemailer's pool took about 400 µs (2 KB) and 1,000 µs (30 KB) for a mail; its row in the
table says what it takes on this one. Of the parts, sqlite-database is the ledger: each batch of 50 has three transactions (claim, window, settlement), which share
commits and wait for the disk. smtp-session is writing to sockets, once for each mail, since DATA must be answered before its content goes (RFC 2920, 3.1). LiquidJS
renders tags and filters; mere names do without it.`,
  `Through SES there are no sockets for each mail, and the transactions are the largest part; the AWS SDK (@smithy/core) walks all fifty destinations of a request
member by member.`,
];

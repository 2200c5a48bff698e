/*
 * `npm run demo`: a message to 200 subscribers, from a CSV file to their mailboxes, on real processes: a server and an SMTP server,
 * which keeps its own record of who got what. Ends with 0 only if both records agree that everybody got it, once.
 *
 *   npm run demo               stops everything at the end and leaves nothing behind
 *   npm run demo -- --keep     stays up until Ctrl-C, to be looked at
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bodyOf, listDeliveries, type MessageState, untilFinished } from '../test/support/belfry-api.ts';
import { numberAt, textAt } from '../test/support/json.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { messageKeyOf, SinkProcess } from '../test/support/sink-process.ts';
import { ProgressBar } from './progress-bar.ts';
import { readSubscribers, type CsvSubscriber } from './read-subscribers.ts';

const SUBSCRIBERS_FILE = join(import.meta.dirname, 'subscribers.csv');
const GROUP = 'demo';
const AHEAD_MS = 3_000;
const LIMIT_MS = 30_000;

const SUBJECT = 'Hello {{ subscriber.name }}!';
const BODY = `<p>Dear {{ subscriber.name }},</p>
<p>this mail left Belfry at the second for which it was scheduled.
{% if subscriber.attributes.city %}Greetings to {{ subscriber.attributes.city }}!{% endif %}</p>`;

const interrupted = Promise.withResolvers<'interrupted'>();
process.once('SIGINT', () => interrupted.resolve('interrupted'));

const { values: options } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const folder = await mkdtemp(join(tmpdir(), 'belfry-demo-'));
try {
  process.exitCode = await demo();
} catch (error) {
  print(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Resolves with the exit code. */
async function demo(): Promise<number> {
  await using sink = await SinkProcess.start({ record: join(folder, 'mails.ndjson') });
  await using server = await startServer(sink);
  const run = await Promise.race([deliver(server, sink), interrupted.promise]);
  if (run === 'interrupted') {
    return 130; // as a shell says of a program that Ctrl-C ended
  }
  if (options.keep) {
    print(`\nEverything stays up until Ctrl-C; its data is in ${folder}.`);
    await interrupted.promise;
  }
  await server.kill('SIGTERM');
  return run.length === 0 ? 0 : 1;
}

async function startServer(sink: SinkProcess): Promise<ServerProcess> {
  const startedAtMs = performance.now();
  const server = await ServerProcess.start({
    env: {
      DATA_DIR: join(folder, 'data'),
      SMTP_URL: sink.url,
      MAIL_FROM: 'Belfry demo <demo@belfry.example.com>',
    },
  });
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
  print('Belfry: one message, from a CSV file to 200 mailboxes, on real processes\n');
  row('server', `${server.url}, process ${server.pid}, ready in ${seconds} s`);
  row('SMTP server', `${sink.url}, process ${sink.pid}`);
  return server;
}

/** Resolves with what is missing. */
async function deliver(server: ServerProcess, sink: SinkProcess): Promise<readonly string[]> {
  const subscribers = readSubscribers(await readFile(SUBSCRIBERS_FILE, 'utf8'));
  await addSubscribers(server, subscribers);
  const key = await scheduleMessage(server);
  const message = await watch(server, key, subscribers.length);
  const faults = await findFaults({ server, sink, message, subscribers });
  report(server, message, faults);
  return faults;
}

async function addSubscribers(server: ServerProcess, subscribers: readonly CsvSubscriber[]): Promise<void> {
  const body = {
    subscribers: subscribers.map(({ email, name, city, timeZone }) => ({
      email,
      name,
      attributes: { city },
      time_zone: timeZone,
    })),
  };
  const answer = bodyOf(await server.request('POST', `/v1/groups/${GROUP}/subscribers`, { body }), 200);
  row('subscribers', `${numberAt(answer, 'added')} added from demo/subscribers.csv, in one call`);
}

async function scheduleMessage(server: ServerProcess): Promise<string> {
  const dueAt = Temporal.Now.instant().add({ milliseconds: AHEAD_MS });
  const body = {
    subject: SUBJECT,
    body: BODY,
    template: 'liquid',
    schedule_on: dueAt.epochMilliseconds,
  };
  const answer = bodyOf(await server.request('POST', `/v1/groups/${GROUP}/schedule`, { body }), 201);
  row('message', `a Liquid template, scheduled for ${dueAt.toString({ fractionalSecondDigits: 3 })}\n`);
  return textAt(answer, 'key');
}

async function watch(server: ServerProcess, key: string, count: number): Promise<MessageState> {
  const bar = new ProgressBar(process.stdout, count);
  const show = ({ status, counts, dueAtMs }: MessageState): void => {
    const aheadMs = dueAtMs - Temporal.Now.instant().epochMilliseconds;
    const isWaiting = status === 'scheduled' && aheadMs > 0;
    bar.show(counts.sent, isWaiting ? `${status}, in ${(aheadMs / 1_000).toFixed(1)} s` : status);
  };
  const message = await untilFinished(server, { group: GROUP, key }, { limitMs: LIMIT_MS, show });
  bar.end();
  return message;
}

interface Outcome {
  readonly server: ServerProcess;
  readonly sink: SinkProcess;
  readonly message: MessageState;
  readonly subscribers: readonly CsvSubscriber[];
}

/** Holds the ledger against the record of the SMTP server, which knows nothing of it. */
async function findFaults({ server, sink, message, subscribers }: Outcome): Promise<readonly string[]> {
  const outcomes = new Map<string, string>();
  for await (const { subscriber, outcome } of listDeliveries(server, GROUP, message.key)) {
    outcomes.set(subscriber, outcome ?? 'pending');
  }
  const mails = new Map<string, number>();
  for await (const mail of sink.taken()) {
    const count = messageKeyOf(mail) === message.key ? 1 : 0;
    mails.set(mail.recipient, (mails.get(mail.recipient) ?? 0) + count);
  }
  const faults = subscribers.flatMap(({ email }) => {
    const outcome = outcomes.get(email) ?? 'without a delivery';
    const count = mails.get(email) ?? 0;
    return outcome === 'sent' && count === 1
      ? []
      : [`${email}: ${outcome} in the ledger, arrived ${count} times`];
  });
  const known = new Set(subscribers.map(({ email }) => email));
  const strangers = [...mails.keys(), ...outcomes.keys()].filter((email) => !known.has(email));
  return [
    ...faults,
    ...strangers.map((email) => `${email}: not in the file`),
    ...(message.status === 'sent' ? [] : [`The message is ${message.status}, not sent.`]),
  ];
}

function report(server: ServerProcess, message: MessageState, faults: readonly string[]): void {
  const { counts, firstAttemptMs, lastAcceptedMs } = message;
  row('delivered', `${counts.sent} of ${counts.subscribers}`);
  row('first handed over', `${firstAttemptMs ?? '?'} ms after its time`);
  row('last accepted', `${lastAcceptedMs ?? '?'} ms after its time`);
  row('both records agree', faults.length === 0 ? 'yes: everybody once, duplicates 0' : 'NO');
  if (faults.length > 0) {
    print(`\nMissing or wrong:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
  }
  const url = `${server.url}/v1/groups/${GROUP}/schedule/${message.key}`;
  print(options.keep ? '\nWhere to look:' : '\nWhere to look (with npm run demo -- --keep it stays up):');
  row('message', url);
  row('who got it', `${url}/deliveries`);
  row('API', `${server.url}/docs`);
}

function row(name: string, value: string): void {
  print(`  ${name.padEnd(20)}${value}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

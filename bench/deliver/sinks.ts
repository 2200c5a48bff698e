import { type ChildProcess, spawn } from 'node:child_process';
import { access } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child } from '../../test/support/child.ts';
import { aFreePort } from '../../test/support/free-port.ts';
import { numberAt, parseObject } from '../../test/support/json.ts';
import { sesEnv } from '../../test/support/ses-process.ts';
import { SinkProcess } from '../../test/support/sink-process.ts';
import { until } from '../../test/support/until.ts';

/** Where mails go that nobody reads. */
export interface Sink extends AsyncDisposable {
  /** What it is, for the reader of the figures. */
  readonly name: string;
  readonly pid: number;
  readonly url: string;
  /** Who got one, once for each mail; absent where it keeps no record. */
  recipients?(): AsyncIterable<string>;
}

/** What stands in for Amazon SES. */
export interface SesSink extends AsyncDisposable {
  readonly pid: number;
  /** What a server needs to send through it. */
  readonly env: Readonly<Record<string, string>>;
  /** Who got one, once for each mail. */
  recipients(): AsyncIterable<string>;
}

const SES_SINK = fileURLToPath(new URL('./ses-sink.ts', import.meta.url));

// Debian's package postfix, which need not run.
const SMTP_SINK = '/usr/sbin/smtp-sink';
const BACKLOG = '128';
const START_LIMIT_MS = 5_000;
const CREDENTIALS = { user: 'belfry', pass: 'secret' };

/** postfix's smtp-sink, in C; where it is not installed that of the tests, which takes a good part of a core by itself. */
export async function openSink(folder: string): Promise<Sink> {
  try {
    await access(SMTP_SINK);
  } catch {
    return recordingSink(await SinkProcess.start({ record: join(folder, 'mails.ndjson') }), {
      name: "the tests' sink (smtp-sink is not installed)",
    });
  }
  return openSmtpSink();
}

/** With STARTTLS and AUTH, which smtp-sink has not. */
export async function openSecureSink(folder: string): Promise<Sink> {
  const sink = await SinkProcess.start({
    record: join(folder, 'mails.ndjson'),
    tls: 'starttls',
    auth: CREDENTIALS,
  });
  const url = new URL(sink.url);
  Object.assign(url, { username: CREDENTIALS.user, password: CREDENTIALS.pass });
  url.search = 'requireTLS=true&tls.rejectUnauthorized=false';
  return recordingSink(sink, { name: "the tests' sink, STARTTLS and AUTH", url: url.href });
}

export async function openSesSink(): Promise<SesSink> {
  const child = new Child({ args: [SES_SINK] });
  const port = await child.untilLine('The stand-in for SES starts', START_LIMIT_MS, (line) =>
    line.startsWith('{') ? numberAt(parseObject(line), 'port') : undefined,
  );
  return {
    pid: child.pid,
    env: sesEnv(port),
    async *recipients() {
      const answer = await fetch(`http://127.0.0.1:${port}/recipients`);
      yield* (await answer.text()).split('\n');
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

function recordingSink(
  sink: SinkProcess,
  { name, url = sink.url }: { readonly name: string; readonly url?: string },
): Sink {
  return {
    name,
    pid: sink.pid,
    url,
    async *recipients() {
      for await (const { recipient } of sink.taken()) {
        yield recipient;
      }
    },
    [Symbol.asyncDispose]: () => sink[Symbol.asyncDispose](),
  };
}

async function openSmtpSink(): Promise<Sink> {
  const port = await aFreePort();
  const asWhom = process.getuid?.() === 0 ? ['-u', 'nobody'] : []; // it does not run as root
  const child = spawn(SMTP_SINK, [...asWhom, `127.0.0.1:${port}`, BACKLOG], { stdio: 'inherit' });
  const kill = (): void => void child.kill();
  process.once('exit', kill);
  await until('smtp-sink listens', START_LIMIT_MS, () => isListening(port));
  return {
    name: 'smtp-sink',
    pid: child.pid ?? 0,
    url: `smtp://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      process.off('exit', kill);
      await ended(child);
    },
  };
}

async function isListening(port: number): Promise<true | undefined> {
  const socket = connect(port, '127.0.0.1');
  try {
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return true;
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await exited;
  }
}

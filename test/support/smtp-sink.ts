import { appendFile, type FileHandle, open } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';

type SMTPConnection = SMTPServer['connections'] extends Set<infer Connection> ? Connection : never;

/*
 * A real SMTP server for tests, the demo and the benchmarks: it takes mails and keeps a record of who got what.
 * Node runs this file as it stands, so everything in it is TypeScript that can be erased: no decorators, enums or parameter properties.
 *
 *   node test/support/smtp-sink.ts [--port 0] [--record file.ndjson] [--fsync] [--behaviours '[{"at":"rcpt","do":"reply","code":451}]']
 *     [--tls implicit|starttls] [--user name --pass secret]
 *
 * prints {"port":…} when it is ready, and ends at SIGTERM.
 */

/** What the sink does instead of taking a mail. The first one that fits a step, and is not used up, is followed. */
export interface Behaviour {
  /** A regular expression for the recipient (at `connect`: nothing; at `mail`: the sender). Fits all where absent. */
  readonly match?: string;
  /**
   * `data`: after the server said 354 and the first of the content came, before the final dot was read.
   * `after-dot`: when all of the content is in. `cut` and `hang` have taken the mail there: it is in the record.
   */
  readonly at: 'connect' | 'mail' | 'rcpt' | 'data' | 'after-dot';
  /** `reply` is not possible at `data`. */
  readonly do: 'reply' | 'hang' | 'cut' | 'delay';
  /** Of `reply`: 4xx or 5xx. */
  readonly code?: number;
  readonly text?: string;
  /** Of `delay`; of `hang`, which then ends in a cut, and never where absent. */
  readonly ms?: number;
  /** How often it is followed; without end where absent. */
  readonly times?: number;
}

/** One mail to one recipient, as it was taken. */
export interface Received {
  readonly recipient: string;
  readonly from: string;
  readonly messageId: string;
  /** When the client began to send the content. */
  readonly beganAtMs: number;
  readonly atMs: number;
  /** False where the client is never told that it was taken. */
  readonly isAnswered: boolean;
  readonly bytes: number;
  /** Where `keepRaw` was asked for. */
  readonly raw?: Buffer;
}

/** A behaviour as it was followed; plain delays are not noted. */
export interface Disturbance {
  /** Nobody at `connect` and `mail`. */
  readonly recipient: string | undefined;
  readonly behaviour: Behaviour;
  readonly fromMs: number;
  /** When a hang ends, unless the client goes away before; for all others the moment itself. */
  readonly untilMs: number;
}

export interface SinkOptions {
  /** 0, the default: any free port. */
  readonly port?: number;
  /** Appended to, one JSON document a line; nothing is kept in memory then. */
  readonly record?: string;
  /** The record is flushed to the disk before a mail is answered. */
  readonly fsync?: boolean;
  readonly keepRaw?: boolean;
  readonly behaviours?: readonly Behaviour[];
  /** Asked for before any mail where given. */
  readonly auth?: { readonly user: string; readonly pass: string };
  /** Announced as SIZE, and enforced. */
  readonly maxBytes?: number;
  readonly hidePipelining?: boolean;
  /** From the first byte, or once the client asks for it; with a certificate that nobody vouches for. Absent: never. */
  readonly tls?: 'implicit' | 'starttls';
}

interface Waiter {
  readonly count: number;
  readonly resolve: () => void;
}

const HOST = '127.0.0.1';
// The Message-ID stands in the first lines.
const HEAD_LENGTH = 16 * 1024;
const CLOSE_TIMEOUT_MS = 100;

export class SmtpSink {
  /** Empty where a record is written. */
  readonly received: Received[] = [];
  readonly port: number;
  readonly url: string;
  readonly #server: SMTPServer;
  readonly #stage: Stage;

  static async start(options: SinkOptions = {}): Promise<SmtpSink> {
    const stage = new Stage(
      options,
      options.record === undefined ? undefined : await open(options.record, 'a'),
    );
    const server = newServer(options, stage);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, HOST, resolve);
    });
    // A client that goes away in the middle is part of what is tested.
    server.on('error', () => undefined);
    return new SmtpSink(server, stage, options);
  }

  private constructor(server: SMTPServer, stage: Stage, { auth }: SinkOptions) {
    this.#server = server;
    this.#stage = stage;
    stage.keep = (mail): unknown => this.received.push(mail);
    this.port = portOf(server.server.address());
    const credentials =
      auth === undefined ? '' : `${encodeURIComponent(auth.user)}:${encodeURIComponent(auth.pass)}@`;
    this.url = `smtp://${credentials}${HOST}:${this.port}`;
  }

  /** How many mails it has taken. */
  get count(): number {
    return this.#stage.count;
  }

  /** What it did instead of taking a mail at once, so far. */
  get disturbances(): readonly Disturbance[] {
    return this.#stage.disturbances;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#server.connections.size;
  }

  /** How many connections were made to it so far. */
  get connected(): number {
    return this.#stage.connected;
  }

  /** Replaces what it does from now on. */
  behave(behaviours: readonly Behaviour[]): void {
    this.#stage.behave(behaviours);
  }

  /** Does this too, before everything else, until the function that it answers is called. */
  behaveAlso(behaviours: readonly Behaviour[]): () => void {
    return this.#stage.behaveAlso(behaviours);
  }

  /** Resolves when it has taken that many mails; rejects, and says how many there are, when that takes too long. */
  async waitFor(count: number, limitMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(
      () => reject(new Error(`Only ${this.count} of ${count} mails came within ${limitMs} ms.`)),
      limitMs,
    );
    this.#stage.wait({ count, resolve });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Cuts every connection and ends; what was recorded is in the file. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(resolve);
    });
    for (const connection of this.#server.connections) {
      cutOff(connection);
    }
    await closed;
    await this.#stage.close();
  }
}

function newServer({ auth, maxBytes, hidePipelining, tls }: SinkOptions, stage: Stage): SMTPServer {
  const server: SMTPServer = new SMTPServer({
    logger: false,
    banner: 'smtp-sink',
    disableReverseLookup: true,
    secure: tls === 'implicit',
    disabledCommands: [...(tls === 'starttls' ? [] : ['STARTTLS']), ...(auth === undefined ? ['AUTH'] : [])],
    authOptional: auth === undefined,
    allowInsecureAuth: true,
    closeTimeout: CLOSE_TIMEOUT_MS,
    ...(hidePipelining === true && { hidePIPELINING: true }),
    ...(maxBytes !== undefined && { size: maxBytes }),
    onAuth: (given, _session, done) => {
      const isRight = given.username === auth?.user && given.password === auth?.pass;
      done(isRight ? null : replyError(535, 'Authentication failed'), { user: given.username });
    },
    onConnect: (session, done) => {
      stage.connected += 1;
      act('connect', '', session, done);
    },
    onMailFrom: (address, session, done) => act('mail', address.address, session, done),
    onRcptTo: (address, session, done) => act('rcpt', address.address, session, done),
    onData: (stream, session, done) => void answer(take(stream, session), done),
  });
  const cut = (session: SMTPServerSession): void => {
    for (const connection of server.connections) {
      if (connection.session.id === session.id) {
        cutOff(connection);
      }
    }
  };
  /** Follows the behaviour for a step; false where the client gets no answer any more. */
  const follow = async (behaviour: Behaviour | undefined, session: SMTPServerSession): Promise<boolean> => {
    switch (behaviour?.do) {
      case undefined:
        return true;
      case 'delay':
        await delay(behaviour.ms ?? 0);
        return true;
      case 'reply':
        throw replyError(behaviour.code ?? 550, behaviour.text ?? 'As the test has it');
      case 'hang':
        if (behaviour.ms !== undefined) {
          setTimeout(() => cut(session), behaviour.ms).unref();
        }
        return false;
      case 'cut':
        cut(session);
        return false;
    }
  };
  const act = (
    at: Behaviour['at'],
    address: string,
    session: SMTPServerSession,
    done: (error?: Error | null) => void,
  ): void => {
    const behaviour = stage.next(at, [address]);
    if (behaviour === undefined) {
      done();
      return;
    }
    void answer(
      follow(behaviour, session).then((isAnswered) => (isAnswered ? '' : undefined)),
      done,
    );
  };
  /** Takes a mail; resolves with the reply, or `undefined` where there is none. */
  const take = async (
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
  ): Promise<string | undefined> => {
    const beganAtMs = Temporal.Now.instant().epochMilliseconds;
    const recipients = session.envelope.rcptTo.map(({ address }) => address);
    const during = stage.next('data', recipients);
    const content = await readContent(stream, stage.keepsRaw, () => follow(during, session));
    if (content === undefined) {
      return undefined;
    }
    const after = stage.next('after-dot', recipients);
    if (after?.do === 'reply' || after?.do === 'delay') {
      await follow(after, session);
    }
    const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
    const isAnswered = after?.do !== 'cut' && after?.do !== 'hang';
    await stage.record(
      recipients.map((recipient) => ({ recipient, from, beganAtMs, isAnswered, ...content })),
    );
    if (!isAnswered) {
      await follow(after, session);
      return undefined;
    }
    return `Taken as ${stage.count}`;
  };
  return server;
}

function cutOff(connection: SMTPConnection): void {
  // eslint-disable-next-line no-underscore-dangle -- there is no other way to the socket
  connection._socket?.destroy();
}

/** Calls back with what `reply` resolves to; never, where that is nothing. */
async function answer(
  reply: Promise<string | undefined>,
  done: (error: Error | null, text?: string) => void,
): Promise<void> {
  try {
    const text = await reply;
    if (text !== undefined) {
      done(null, text);
    }
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
  }
}

type Content = Pick<Received, 'messageId' | 'bytes' | 'raw'>;

/** Reads to the final dot; `undefined` where `begun`, called at the first chunk, says that nobody listens any more. */
async function readContent(
  stream: SMTPServerDataStream,
  keepsRaw: boolean,
  begun: () => Promise<boolean>,
): Promise<Content | undefined> {
  const chunks: Buffer[] = [];
  let head = '';
  let bytes = 0;
  for await (const chunk of stream) {
    if (!Buffer.isBuffer(chunk)) {
      continue;
    }
    if (bytes === 0 && !(await begun())) {
      // Nothing is read from here on, so the client is not answered either.
      await new Promise((resolve) => stream.once('close', resolve));
      return undefined;
    }
    bytes += chunk.length;
    if (head.length < HEAD_LENGTH) {
      head += chunk.toString('latin1', 0, HEAD_LENGTH);
    }
    if (keepsRaw) {
      chunks.push(chunk);
    }
  }
  const messageId = /^message-id:\s*(\S+)/im.exec(head)?.[1] ?? '';
  return { messageId, bytes, ...(keepsRaw && { raw: Buffer.concat(chunks) }) };
}

/** What the sink knows and does, apart from SMTP. */
class Stage {
  connected = 0;
  count = 0;
  keep: (mail: Received) => unknown = () => undefined;
  readonly disturbances: Disturbance[] = [];
  readonly keepsRaw: boolean;
  readonly #file: FileHandle | undefined;
  readonly #fsync: boolean;
  #rules: Rule[] = [];
  #waiters: Waiter[] = [];
  #lines: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  /** Lines that wait for those that are being written. */
  #batch: Promise<void> | undefined;

  constructor({ behaviours, keepRaw, fsync }: SinkOptions, file: FileHandle | undefined) {
    this.keepsRaw = keepRaw === true;
    this.#fsync = fsync === true;
    this.#file = file;
    this.behave(behaviours ?? []);
  }

  behave(behaviours: readonly Behaviour[]): void {
    this.#rules = behaviours.map(newRule);
  }

  behaveAlso(behaviours: readonly Behaviour[]): () => void {
    const added = behaviours.map(newRule);
    this.#rules = [...added, ...this.#rules];
    return () => {
      this.#rules = this.#rules.filter((rule) => !added.includes(rule));
    };
  }

  /** The behaviour for this step, used once more; absent where all is to go well. */
  next(at: Behaviour['at'], addresses: readonly string[]): Behaviour | undefined {
    const found = this.#rules.find(
      ({ behaviour, pattern, left }) =>
        behaviour.at === at && left > 0 && addresses.some((address) => pattern.test(address)),
    );
    if (found) {
      found.left -= 1;
      this.#note(found, at === 'connect' || at === 'mail' ? [] : addresses);
    }
    return found?.behaviour;
  }

  /** Resolves when the mails are in the record. */
  async record(mails: readonly Omit<Received, 'atMs'>[]): Promise<void> {
    const atMs = Temporal.Now.instant().epochMilliseconds;
    if (this.#file) {
      this.#lines.push(...mails.map(({ raw: _raw, ...mail }) => `${JSON.stringify({ ...mail, atMs })}\n`));
      this.#batch ??= this.#flush(this.#file);
      await this.#batch;
    } else {
      mails.forEach((mail) => this.keep({ ...mail, atMs }));
    }
    this.count += mails.length;
    for (const waiter of this.#waiters.filter(({ count }) => count <= this.count)) {
      waiter.resolve();
    }
    this.#waiters = this.#waiters.filter(({ count }) => count > this.count);
  }

  wait(waiter: Waiter): void {
    if (waiter.count <= this.count) {
      waiter.resolve();
      return;
    }
    this.#waiters.push(waiter);
  }

  async close(): Promise<void> {
    await this.#batch;
    await this.#writing;
    await this.#file?.close();
  }

  #note({ behaviour, pattern }: Rule, recipients: readonly string[]): void {
    if (behaviour.do === 'delay') {
      return;
    }
    const fromMs = Temporal.Now.instant().epochMilliseconds;
    const lastsMs = behaviour.do === 'hang' ? (behaviour.ms ?? Number.POSITIVE_INFINITY) : 0;
    const [recipient] = recipients.filter((address) => pattern.test(address));
    this.disturbances.push({ recipient, behaviour, fromMs, untilMs: fromMs + lastsMs });
  }

  /** Whatever comes while lines are being written goes together with the next ones. */
  async #flush(file: FileHandle): Promise<void> {
    await this.#writing;
    this.#batch = undefined;
    const lines = this.#lines.join('');
    this.#lines = [];
    this.#writing = this.#append(file, lines);
    await this.#writing;
  }

  async #append(file: FileHandle, lines: string): Promise<void> {
    await appendFile(file, lines);
    if (this.#fsync) {
      await file.datasync();
    }
  }
}

/** A behaviour, and how often it is still to be followed. */
interface Rule {
  readonly behaviour: Behaviour;
  readonly pattern: RegExp;
  left: number;
}

function newRule(behaviour: Behaviour): Rule {
  if (behaviour.at === 'data' && behaviour.do === 'reply') {
    throw new Error("There is nothing to reply to at 'data'; use 'after-dot'.");
  }
  return {
    behaviour,
    pattern: new RegExp(behaviour.match ?? '', 'i'),
    left: behaviour.times ?? Number.POSITIVE_INFINITY,
  };
}

function replyError(code: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode: code });
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') {
    throw new Error('The sink does not listen on a port.');
  }
  return address.port;
}

function isBehaviours(value: unknown): value is Behaviour[] {
  return (
    Array.isArray(value) && value.every((item) => typeof item === 'object' && 'at' in item && 'do' in item)
  );
}

function parseBehaviours(text: string): Behaviour[] {
  const value: unknown = JSON.parse(text);
  if (!isBehaviours(value)) {
    throw new TypeError("--behaviours takes a JSON array of objects with 'at' and 'do'.");
  }
  return value;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      record: { type: 'string' },
      fsync: { type: 'boolean', default: false },
      behaviours: { type: 'string', default: '[]' },
      tls: { type: 'string' },
      user: { type: 'string' },
      pass: { type: 'string', default: '' },
    },
  });
  const { tls, user, pass } = values;
  const sink = await SmtpSink.start({
    port: Number(values.port),
    fsync: values.fsync,
    behaviours: parseBehaviours(values.behaviours),
    ...(values.record !== undefined && { record: values.record }),
    ...((tls === 'implicit' || tls === 'starttls') && { tls }),
    ...(user !== undefined && { auth: { user, pass } }),
  });
  process.once('SIGTERM', () => void sink.close());
  process.stdout.write(`${JSON.stringify({ port: sink.port })}\n`);
}

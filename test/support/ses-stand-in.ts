import { randomUUID } from 'node:crypto';
import { appendFile, type FileHandle, open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type JsonObject, parseObject } from './json.ts';
import {
  readSendBulkEmail,
  readSendEmail,
  type SesDestination,
  SesFault,
  type SesMail,
} from './ses-protocol.ts';

/*
 * Stands in for Amazon SES (API v2): there is none to be had for tests. It checks requests as SES's documentation has them
 * (ses-protocol.ts), keeps a record of what each recipient would receive, and does what it is told to instead.
 * Node runs this file as it stands, so everything in it is TypeScript that can be erased: no decorators, enums or parameter properties.
 *
 *   node test/support/ses-stand-in.ts [--port 0] [--record file.ndjson] [--rate 14] [--quota 50000] [--behaviours '[{"do":"cut","taken":true}]']
 *
 * prints {"port":…} when it is ready, and ends at SIGTERM.
 */

/** What it does instead of answering as SES would. The first one that fits a call, and is not used up, is followed. */
export interface SesBehaviour {
  /** A regular expression for a recipient. Fits all where absent. */
  readonly match?: string;
  /** Which calls; all where absent. */
  readonly on?: SesCall;
  /** `entry`: a bulk call in which the destinations that fit have another status. `garble`: an answer that is not JSON. `stall`: the first half of an answer. */
  readonly do: 'fail' | 'entry' | 'delay' | 'hang' | 'stall' | 'cut' | 'garble';
  /** Whether it has taken the mails before. */
  readonly taken?: boolean;
  /** Of `fail`: the error's name, and the HTTP status. Of `entry`: the status of the destination. */
  readonly name?: string;
  readonly status?: number;
  readonly message?: string;
  /** Of `delay`: how long it takes to answer as usual. */
  readonly ms?: number;
  /** How often it is followed; without end where absent. */
  readonly times?: number;
}

export type SesCall = 'bulk' | 'single' | 'account' | 'identity';

/** A mail as it was taken. */
export interface SesReceived extends SesMail {
  /** SES's, as it was answered. */
  readonly messageId: string;
  /** When the call came. */
  readonly beganAtMs: number;
  readonly atMs: number;
  /** False where the client is never told that it was taken. */
  readonly isAnswered: boolean;
}

export interface SesOptions {
  /** 0, the default: any free port. */
  readonly port?: number;
  /** Appended to, one JSON document a line; nothing is kept in memory then. */
  readonly record?: string;
  readonly behaviours?: readonly SesBehaviour[];
  readonly account?: Partial<SesAccount>;
  /** Known by these names; any name is known where absent. */
  readonly configurationSets?: readonly string[];
  /** Which are verified, and of which mail is signed; others are not known. */
  readonly identities?: Readonly<Record<string, boolean | 'signed'>>;
}

/** What GetAccount answers, and what is enforced. */
export interface SesAccount {
  /** Mails per second. */
  readonly maxSendRate: number;
  /** -1: without limit. */
  readonly max24HourSend: number;
  /** Before anything came here. */
  readonly sentLast24Hours: number;
  readonly sendingEnabled: boolean;
  /** False in the sandbox; what that forbids is not enforced. */
  readonly productionAccess: boolean;
}

const HOST = '127.0.0.1';
const ACCOUNT: SesAccount = {
  maxSendRate: 1_000_000,
  max24HourSend: -1,
  sentLast24Hours: 0,
  sendingEnabled: true,
  productionAccess: true,
};

const ROUTES: Readonly<Record<string, SesCall>> = {
  'POST /v2/email/outbound-emails': 'single',
  'POST /v2/email/outbound-bulk-emails': 'bulk',
  'GET /v2/email/account': 'account',
};

const IDENTITIES = '/v2/email/identities/';

export class SesStandIn {
  /** Empty where a record is written. */
  readonly received: SesReceived[] = [];
  /** Every call that came, by its kind, with how many recipients it had. */
  readonly calls: { readonly kind: SesCall; readonly recipients: number }[] = [];
  /** How many connections were made to it so far. */
  connected = 0;
  /** How many mails it has taken. */
  count = 0;
  /** How many it has turned away as too fast, or over the quota. */
  turnedAway = 0;
  /** How many it has accepted and would never deliver, because the data lacked a value. */
  lost = 0;
  readonly #server: Server;
  readonly #file: FileHandle | undefined;
  readonly #configurationSets: readonly string[] | undefined;
  readonly #identities: ReadonlyMap<string, boolean | 'signed'>;
  readonly #waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  #account: SesAccount;
  #behaviours: { readonly behaviour: SesBehaviour; readonly pattern: RegExp; left: number }[] = [];
  #tokens: number;
  #tokensAtMs = nowMs();
  #url = '';

  static async start(options: SesOptions = {}): Promise<SesStandIn> {
    const file = options.record === undefined ? undefined : await open(options.record, 'a');
    const standIn = new SesStandIn(options, file);
    await standIn.#listen(options.port ?? 0);
    return standIn;
  }

  private constructor(
    { behaviours = [], account, configurationSets, identities }: SesOptions,
    file: FileHandle | undefined,
  ) {
    this.#file = file;
    this.#configurationSets = configurationSets;
    this.#identities = new Map(Object.entries(identities ?? {}));
    this.#account = { ...ACCOUNT, ...account };
    this.#tokens = this.#account.maxSendRate;
    this.behave(behaviours);
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('connection', () => {
      this.connected += 1;
    });
  }

  /** For AWS_ENDPOINT_URL_SESV2. */
  get url(): string {
    return this.#url;
  }

  get port(): number {
    return Number(new URL(this.#url).port);
  }

  /** Replaces what it does from now on. */
  behave(behaviours: readonly SesBehaviour[]): void {
    this.#behaviours = behaviours.map((behaviour) => ({
      behaviour,
      pattern: new RegExp(behaviour.match ?? '', 'i'),
      left: behaviour.times ?? Number.POSITIVE_INFINITY,
    }));
  }

  /** Empties the record of calls and mails. */
  forget(): void {
    this.received.length = 0;
    this.calls.length = 0;
    this.count = 0;
    this.turnedAway = 0;
  }

  setAccount(account: Partial<SesAccount>): void {
    this.#account = { ...this.#account, ...account };
    this.#tokens = Math.min(this.#tokens, this.#account.maxSendRate);
  }

  /** How many connections are open. */
  async connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  /** Resolves when that many calls have come. */
  async untilCalled(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ count, resolve });
    this.#wakeWaiters();
    await promise;
  }

  /** Cuts every connection and ends; what was recorded is in the file. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    await this.#file?.close();
  }

  async #listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, HOST, resolve);
    });
    const address = this.#server.address();
    if (address === null || typeof address === 'string') {
      throw new Error('The stand-in does not listen on a port.');
    }
    this.#url = `http://${HOST}:${address.port}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await readBody(request);
      const kind = routeOf(request);
      if (kind === undefined) {
        throw new SesFault('UnknownOperationException', 404, `${request.method} ${request.url}`);
      }
      requireSignature(request);
      switch (kind) {
        case 'account':
          await this.#answerAccount(request, response);
          break;
        case 'identity':
          this.#answerIdentity(request, response);
          break;
        default:
          await this.#answerSend(kind, body, request, response);
      }
    } catch (error) {
      reply(
        response,
        error instanceof SesFault ? error : new SesFault('InternalServiceErrorException', 500, String(error)),
      );
    }
  }

  async #answerAccount(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#called('account', 0);
    if (!misbehave(this.#next('account', ['']), request, response)) {
      const { maxSendRate, max24HourSend, sentLast24Hours, sendingEnabled, productionAccess } = this.#account;
      reply(response, {
        SendQuota: {
          MaxSendRate: maxSendRate,
          Max24HourSend: max24HourSend,
          SentLast24Hours: sentLast24Hours + this.count,
        },
        SendingEnabled: sendingEnabled,
        ProductionAccessEnabled: productionAccess,
        EnforcementStatus: 'HEALTHY',
      });
    }
    return Promise.resolve();
  }

  #answerIdentity(request: IncomingMessage, response: ServerResponse): void {
    this.#called('identity', 0);
    const name = decodeURIComponent(request.url?.slice(IDENTITIES.length) ?? '');
    if (misbehave(this.#next('identity', [name]), request, response)) {
      return;
    }
    const state = this.#identities.get(name);
    if (state === undefined) {
      throw new SesFault('NotFoundException', 404, `Email identity ${name} does not exist.`);
    }
    reply(response, {
      IdentityType: name.includes('@') ? 'EMAIL_ADDRESS' : 'DOMAIN',
      VerifiedForSendingStatus: state !== false,
      VerificationStatus: state === false ? 'PENDING' : 'SUCCESS',
      DkimAttributes: {
        SigningEnabled: state === 'signed',
        Status: state === 'signed' ? 'SUCCESS' : 'NOT_STARTED',
      },
    });
  }

  async #answerSend(
    kind: 'bulk' | 'single',
    body: Buffer,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const beganAtMs = nowMs();
    const destinations = await readDestinations(kind, body);
    const recipients = destinations.map(({ recipient }) => recipient);
    this.#called(kind, destinations.length);
    const behaviour = this.#next(kind, recipients);
    await delay(behaviour?.ms ?? 0);
    if (behaviour && !['entry', 'delay'].includes(behaviour.do) && behaviour.taken !== true) {
      misbehave(behaviour, request, response);
      return;
    }
    const isAnswered = behaviour === undefined || ['entry', 'delay'].includes(behaviour.do);
    const answers = await this.#take(destinations, {
      behaviour: behaviour?.do === 'entry' ? behaviour : undefined,
      beganAtMs,
      isAnswered,
    });
    if (!misbehave(behaviour, request, response)) {
      reply(
        response,
        kind === 'bulk' ? { BulkEmailEntryResults: answers } : { MessageId: answers[0]?.['MessageId'] },
      );
    }
  }

  async #take(
    destinations: readonly SesDestination[],
    {
      behaviour,
      ...call
    }: { readonly behaviour: SesBehaviour | undefined } & Pick<SesReceived, 'beganAtMs' | 'isAnswered'>,
  ): Promise<readonly JsonObject[]> {
    const configurationSet = destinations.flatMap((each) =>
      each.kind === 'mail' ? (each.mail.configurationSet ?? []) : [],
    )[0];
    if (configurationSet !== undefined && this.#configurationSets?.includes(configurationSet) === false) {
      throw new SesFault('NotFoundException', 404, `Configuration set <${configurationSet}> does not exist.`);
    }
    const pattern = new RegExp(behaviour?.match ?? '', 'i');
    const taken: SesReceived[] = [];
    let isFirst = true;
    const answers = destinations.map((destination): JsonObject => {
      if (behaviour && pattern.test(destination.recipient)) {
        return { Status: behaviour.name ?? 'FAILED', Error: behaviour.message ?? 'As the test has it' };
      }
      if (destination.kind === 'fault') {
        return { Status: destination.status, Error: destination.error };
      }
      const limit = this.#overLimit();
      if (limit) {
        this.turnedAway += 1;
        if (isFirst) {
          throw new SesFault('TooManyRequestsException', 429, limit.message);
        }
        return { Status: limit.status, Error: limit.message };
      }
      isFirst = false;
      this.#tokens -= 1;
      this.count += 1;
      const messageId = `0100${randomUUID()}-000000`;
      if (destination.kind === 'lost') {
        this.lost += 1;
      } else {
        taken.push({ ...destination.mail, ...call, messageId, atMs: nowMs() });
      }
      return { Status: 'SUCCESS', MessageId: messageId };
    });
    await this.#record(taken);
    return answers;
  }

  /** Guide, Errors related to the sending quotas: one name, and the text says which of them. */
  #overLimit(): { readonly status: string; readonly message: string } | undefined {
    const { maxSendRate, max24HourSend, sentLast24Hours } = this.#account;
    if (max24HourSend >= 0 && sentLast24Hours + this.count >= max24HourSend) {
      return { status: 'ACCOUNT_DAILY_QUOTA_EXCEEDED', message: 'Daily message quota exceeded.' };
    }
    const now = nowMs();
    this.#tokens = Math.min(maxSendRate, this.#tokens + ((now - this.#tokensAtMs) / 1_000) * maxSendRate);
    this.#tokensAtMs = now;
    return this.#tokens < 1
      ? { status: 'ACCOUNT_THROTTLED', message: 'Maximum sending rate exceeded.' }
      : undefined;
  }

  async #record(mails: readonly SesReceived[]): Promise<void> {
    if (!this.#file) {
      this.received.push(...mails);
      return;
    }
    const lines = mails.map(
      ({ html: _html, text: _text, headers: _headers, ...mail }) => `${JSON.stringify(mail)}\n`,
    );
    await appendFile(this.#file, lines.join(''));
  }

  #called(kind: SesCall, recipients: number): void {
    this.calls.push({ kind, recipients });
    this.#wakeWaiters();
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters.filter(({ count }) => count <= this.calls.length)) {
      waiter.resolve();
    }
  }

  /** The behaviour for this call, used once more; absent where all is to go well. */
  #next(kind: SesCall, recipients: readonly string[]): SesBehaviour | undefined {
    const found = this.#behaviours.find(
      ({ behaviour, pattern, left }) =>
        left > 0 &&
        (behaviour.on ?? kind) === kind &&
        (kind !== 'account' || behaviour.on === 'account') &&
        recipients.some((recipient) => pattern.test(recipient)),
    );
    if (found) {
      found.left -= 1;
    }
    return found?.behaviour;
  }
}

async function readDestinations(kind: 'bulk' | 'single', body: Buffer): Promise<readonly SesDestination[]> {
  const request = parseObject(body.toString());
  if (kind === 'bulk') {
    return readSendBulkEmail(request, body.length);
  }
  const mail = await readSendEmail(request);
  return [{ kind: 'mail', recipient: mail.recipient, mail }];
}

/** True where it has done what it was told to instead of answering. */
function misbehave(
  behaviour: SesBehaviour | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  switch (behaviour?.do) {
    case undefined:
    case 'entry':
    case 'delay':
      return false;
    case 'fail':
      reply(
        response,
        new SesFault(
          behaviour.name ?? '',
          behaviour.status ?? 400,
          behaviour.message ?? 'As the test has it',
        ),
      );
      return true;
    case 'hang':
      return true;
    case 'cut':
      request.socket.destroy();
      return true;
    case 'stall':
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"MessageId":');
      return true;
    case 'garble':
      response.writeHead(200, { 'content-type': 'application/json' }).end('<html>');
      return true;
  }
}

function reply(response: ServerResponse, answer: JsonObject | SesFault): void {
  const isFault = answer instanceof SesFault;
  response
    .writeHead(isFault ? answer.status : 200, {
      'content-type': 'application/json',
      'x-amzn-requestid': randomUUID(),
      ...(isFault && answer.name !== '' && { 'x-amzn-errortype': answer.name }),
    })
    .end(JSON.stringify(isFault ? { message: answer.message } : answer));
}

function requireSignature(request: IncomingMessage): void {
  if (!/^AWS4-HMAC-SHA256 Credential=\S+\/ses\/aws4_request,/.test(request.headers.authorization ?? '')) {
    throw new SesFault('MissingAuthenticationTokenException', 403, 'Missing Authentication Token');
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    if (Buffer.isBuffer(chunk)) {
      chunks.push(chunk);
    }
  }
  return Buffer.concat(chunks);
}

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

function isBehaviours(value: unknown): value is SesBehaviour[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'object' && 'do' in item);
}

function parseBehaviours(text: string): SesBehaviour[] {
  const value: unknown = JSON.parse(text);
  if (!isBehaviours(value)) {
    throw new TypeError("--behaviours takes a JSON array of objects with 'do'.");
  }
  return value;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      record: { type: 'string' },
      rate: { type: 'string' },
      quota: { type: 'string' },
      behaviours: { type: 'string', default: '[]' },
    },
  });
  const standIn = await SesStandIn.start({
    port: Number(values.port),
    behaviours: parseBehaviours(values.behaviours),
    account: {
      ...(values.rate !== undefined && { maxSendRate: Number(values.rate) }),
      ...(values.quota !== undefined && { max24HourSend: Number(values.quota) }),
    },
    ...(values.record !== undefined && { record: values.record }),
  });
  process.once('SIGTERM', () => void standIn.close());
  process.stdout.write(`${JSON.stringify({ port: standIn.port })}\n`);
}

function routeOf({ method, url = '' }: IncomingMessage): SesCall | undefined {
  return method === 'GET' && url.startsWith(IDENTITIES) ? 'identity' : ROUTES[`${method} ${url}`];
}

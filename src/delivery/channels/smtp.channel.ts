import { type Clock, MINUTE_MS, msBetween, SECOND_MS } from '../../platform/clock/clock.ts';
import { assertNever } from '../../platform/errors/assert-never.ts';
import { Channel, type Mail, type SendResult } from './channel.ts';
import { HandOverWindow } from './hand-over-window.ts';
import { resultOfContent, resultOfLoss, resultOfReply, resultOfSize, type SmtpStep } from './smtp-results.ts';
import { type Reply, SmtpLostError, SmtpSession, type SmtpTimeouts } from './smtp-session.ts';

export interface SmtpOptions {
  /** `smtp://user:password@host:port`, or `smtps://…`. */
  readonly url: string;
  /** How many connections are kept, and so how many mails go at once. */
  readonly connections: number;
  /** How many mails are handed over in one call; several calls share the connections. It begins with the least. */
  readonly window: { readonly least: number; readonly most: number };
  readonly clock: Clock;
  readonly timeouts?: Partial<SmtpTimeouts>;
}

/*
 * RFC 5321, 4.5.3.2 asks for 5 minutes per command and 10 after the final dot. That is for servers that deliver while the client
 * waits; the server named in SMTP_URL is a relay that takes mails into its queue. `mailMs` also ends a server that keeps the line
 * busy without ever answering.
 */
const TIMEOUTS: SmtpTimeouts = {
  connectMs: 30 * SECOND_MS,
  silenceMs: 2 * MINUTE_MS,
  mailMs: 170 * SECOND_MS,
};

// What is larger goes out piece by piece: otherwise all of it, and the final dot, would wait in the memory of this process.
const SLICE_BYTES = 64 * 1024;
const FINAL_DOT = '.\r\n';

const STEPS = ['MAIL FROM', 'RCPT TO', 'DATA'] as const;
// RFC 5321, 4.3.2: what each step is answered where it succeeds.
const GO_ON = { 'MAIL FROM': /^2/, 'RCPT TO': /^2/, DATA: /^354/ } as const;
const CLOSING = 421;
const BROKEN_OFF = 'Sending was broken off.';

/** A mail on its way through the channel. */
interface Outgoing {
  readonly mail: Mail;
  readonly signal: AbortSignal;
  end(result: SendResult): void;
  /** For what nobody foresaw. */
  fail(error: unknown): void;
  /** With what SMTP makes of dots; absent until its turn comes. */
  content: Buffer | undefined;
  /** The final dot may have been written, and nobody knows whether it was read. */
  mayBeTaken: boolean;
  /** Its connection was lost before a byte of its content went out, and not for anything about it. */
  wasPutBack: boolean;
}

/** One of the connections, as long as it lasts, and what it does. */
interface Line {
  session: SmtpSession | undefined;
  /** How many mails the session has had. */
  served: number;
  current: Outgoing | undefined;
  /** Whose envelope has gone out with the content of the mail before. */
  introduced: Outgoing | undefined;
}

/**
 * Mails through an SMTP server, over connections that are kept open. Never hands over a mail twice.
 *
 * Where the server offers PIPELINING, a mail's content and the envelope of the next one leave in one write (RFC 2920, 3.1). In doubt
 * after a connection breaks is the one mail whose content had gone out and whose reply had not come.
 *
 * | what happened                                         | result   | why (RFC 5321 unless named)                     |
 * |-------------------------------------------------------|----------|-------------------------------------------------|
 * | 2xx after the final dot                               | accepted | 4.2.5: the server is responsible from then on   |
 * | 4xx to any command, or after the dot                  | deferred | 4.2.1: transient negative                       |
 * | 503 to any command                                    | deferred | 4.2.3: this session's commands were out of step |
 * | 5xx to AUTH; no credentials; no usable mechanism      | refused  | RFC 4954, 6: 534, 535, 538                      |
 * | 530 to any command                                    | refused  | RFC 4954, 6: authentication is required         |
 * | 5xx as greeting, or to HELO                           | refused  | 3.1: 554, no service for this client            |
 * | 5xx to MAIL FROM                                      | refused  | 3.3: the sender is not acceptable               |
 * | larger than the server's SIZE; 552 to MAIL FROM       | refused  | RFC 1870, 6.1                                   |
 * | 5xx to RCPT TO or after, with x.1.7, x.1.8 or x.3.4   | refused  | RFC 3463, 3.2, 3.4: sender's address; size      |
 * | 5xx to RCPT TO, to DATA, or after the dot             | rejected | 4.2.1: permanent; only this recipient was named |
 * | no connection, name, greeting or TLS; timed out       | deferred | nothing had been said yet                       |
 * | connection lost or timed out before the final dot     | deferred | 4.1.1.10: the server MUST cancel what is pending |
 * | connection lost or timed out after the final dot      | unknown  | 4.2.5, 6.1: it may have been taken              |
 */
export class SmtpChannel extends Channel {
  override readonly name = 'smtp';
  readonly #url: string;
  readonly #timeouts: SmtpTimeouts;
  readonly #window: HandOverWindow;
  readonly #clock: Clock;
  readonly #lines: readonly Line[];
  readonly #queue: Outgoing[] = [];

  constructor({ url, connections, window, clock, timeouts }: SmtpOptions) {
    super();
    this.#window = new HandOverWindow(window.least, window.most);
    this.#clock = clock;
    this.#url = url;
    this.#timeouts = { ...TIMEOUTS, ...timeouts };
    this.#lines = Array.from({ length: connections }, () => ({
      session: undefined,
      served: 0,
      current: undefined,
      introduced: undefined,
    }));
  }

  override get window(): number {
    return this.#window.size;
  }

  override async send(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]> {
    const begunAt = this.#clock.now();
    const results = await this.#sendAll(mails, signal);
    if (results.every(({ kind }) => kind === 'accepted' || kind === 'rejected')) {
      this.#window.took(mails.length, msBetween(begunAt, this.#clock.now()));
    } else {
      this.#window.shrink();
    }
    return results;
  }

  override close(): Promise<void> {
    for (const { session } of this.#lines) {
      session?.end(new SmtpLostError('The channel was closed.'));
    }
    return Promise.resolve();
  }

  async #sendAll(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]> {
    const breakOff = (): void => this.#breakOff(signal);
    signal.addEventListener('abort', breakOff);
    const results = mails.map((mail) => this.#enqueue(mail, signal));
    if (signal.aborted) {
      breakOff();
    }
    this.#wake();
    try {
      return await Promise.all(results);
    } finally {
      signal.removeEventListener('abort', breakOff);
    }
  }

  #enqueue(mail: Mail, signal: AbortSignal): Promise<SendResult> {
    const { promise, resolve, reject } = Promise.withResolvers<SendResult>();
    this.#queue.push({
      mail,
      signal,
      end: resolve,
      fail: reject,
      content: undefined,
      mayBeTaken: false,
      wasPutBack: false,
    });
    return promise;
  }

  /** Ends what has not begun, and cuts the connections on which something has. */
  #breakOff(signal: AbortSignal): void {
    const reason = new SmtpLostError(BROKEN_OFF);
    const waiting = this.#queue.splice(0);
    this.#queue.push(...waiting.filter((outgoing) => outgoing.signal !== signal));
    for (const outgoing of waiting.filter((other) => other.signal === signal)) {
      outgoing.end(resultOfLoss(reason, false));
    }
    for (const { session } of this.#lines.filter(({ current }) => current?.signal === signal)) {
      session?.end(reason);
    }
  }

  #wake(): void {
    // Those that are connected first.
    const idle = this.#lines.filter(({ current }) => !current);
    for (const line of [...idle.filter(isConnected), ...idle.filter((other) => !isConnected(other))]) {
      const next = this.#queue.shift();
      if (!next) {
        return;
      }
      void this.#serve(line, next);
    }
  }

  /** Sends what there is to send, one after the other, until there is nothing left. Never rejects. */
  async #serve(line: Line, first: Outgoing): Promise<void> {
    const deadline = setTimeout(() => {
      line.session?.end(new SmtpLostError(`It took longer than ${this.#timeouts.mailMs} ms.`));
    }, this.#timeouts.mailMs);
    for (let outgoing: Outgoing | undefined = first; outgoing; outgoing = this.#next(line)) {
      line.current = outgoing;
      deadline.refresh();
      try {
        await this.#send(line, outgoing);
      } catch (error) {
        this.#lose(line, outgoing, error);
      }
    }
    line.current = undefined;
    clearTimeout(deadline);
  }

  #next(line: Line): Outgoing | undefined {
    return line.introduced ?? this.#queue.shift();
  }

  async #send(line: Line, outgoing: Outgoing): Promise<void> {
    const session = await this.#session(line);
    if (outgoing.signal.aborted) {
      throw new SmtpLostError(BROKEN_OFF);
    }
    const content = contentOf(outgoing);
    if (session.sizeMax > 0 && content.length > session.sizeMax) {
      outgoing.end(resultOfSize(content.length, session.sizeMax));
      return;
    }
    const refusal = await this.#introduce(line, session, outgoing);
    if (refusal) {
      outgoing.end(refusal);
      await reset(session);
      return;
    }
    await this.#hand(line, session, outgoing);
  }

  async #session(line: Line): Promise<SmtpSession> {
    if (!line.introduced && line.session?.hasSaidUnasked === true) {
      line.session.end(new SmtpLostError('The server has closed the connection.'));
    }
    if (!line.session || line.session.isLost) {
      line.session = undefined;
      line.session = await SmtpSession.open(this.#url, this.#timeouts);
      line.served = 0;
    }
    return line.session;
  }

  /** The envelope; answers what is to become of the mail where the server does not want it. */
  async #introduce(line: Line, session: SmtpSession, outgoing: Outgoing): Promise<SendResult | undefined> {
    if (session.pipelining && line.introduced !== outgoing) {
      await session.write(envelopeOf(session, outgoing));
    }
    line.introduced = undefined;
    for (const [index, step] of STEPS.entries()) {
      if (!session.pipelining) {
        await session.write(commandOf(step, session, outgoing));
      }
      const reply = await session.reply();
      if (!GO_ON[step].test(reply.text)) {
        await passOver(session, reply, session.pipelining ? STEPS.slice(index + 1) : []);
        if (reply.code === CLOSING && step === 'MAIL FROM') {
          throw new SmtpLostError(reply.text); // which is about the connection, and not about this mail
        }
        return resultOfReply(step, reply);
      }
    }
    return undefined;
  }

  /** The content, and with it the envelope of the mail that comes next. */
  async #hand(line: Line, session: SmtpSession, outgoing: Outgoing): Promise<void> {
    const content = contentOf(outgoing);
    let written = 0;
    for (; content.length - written > SLICE_BYTES; written += SLICE_BYTES) {
      await session.write(content.subarray(written, written + SLICE_BYTES));
    }
    line.introduced = session.pipelining ? this.#takeFor(session) : undefined;
    const rest = line.introduced ? FINAL_DOT + envelopeOf(session, line.introduced) : FINAL_DOT;
    outgoing.mayBeTaken = true;
    await session.write(Buffer.concat([content.subarray(written), Buffer.from(rest)]));
    const reply = await session.reply();
    outgoing.content = undefined; // by far the largest there is of it, and others of its window may take a while
    line.served += 1;
    outgoing.end(resultOfContent(reply));
    if (reply.code === CLOSING) {
      session.end(new SmtpLostError(reply.text));
    }
  }

  /** The mail that comes next, where it may be introduced to this session. */
  #takeFor({ sizeMax }: SmtpSession): Outgoing | undefined {
    const [next] = this.#queue;
    if (!next || next.signal.aborted || (sizeMax > 0 && contentOf(next).length > sizeMax)) {
      return undefined;
    }
    return this.#queue.shift();
  }

  /** The connection is gone, and `outgoing` was in hand; the mail that was introduced behind it has lost nothing. */
  #lose(line: Line, outgoing: Outgoing, error: unknown): void {
    const { introduced, session, served } = line;
    session?.end(new SmtpLostError('The conversation was given up.'));
    line.session = undefined;
    line.introduced = undefined;
    if (introduced && introduced !== outgoing) {
      this.#putBack(introduced, error);
    }
    // A server may end a connection that was idle for a while; it is not the mail's fault to be the next.
    if (served > 0 && !outgoing.mayBeTaken && !outgoing.signal.aborted) {
      this.#putBack(outgoing, error);
    } else {
      endAfterLoss(outgoing, error);
    }
  }

  /** Once: a mail at which every connection breaks has had its chance. */
  #putBack(outgoing: Outgoing, error: unknown): void {
    if (outgoing.wasPutBack) {
      endAfterLoss(outgoing, error);
    } else {
      outgoing.wasPutBack = true;
      this.#queue.unshift(outgoing);
    }
  }
}

function endAfterLoss(outgoing: Outgoing, error: unknown): void {
  try {
    outgoing.end(resultOfLoss(error, outgoing.mayBeTaken));
  } catch (unforeseen) {
    outgoing.fail(unforeseen);
  }
}

function isConnected({ session }: Line): boolean {
  return session !== undefined && !session.isLost;
}

function envelopeOf(session: SmtpSession, outgoing: Outgoing): string {
  return STEPS.map((step) => commandOf(step, session, outgoing)).join('');
}

function commandOf(step: (typeof STEPS)[number], { hasSize }: SmtpSession, outgoing: Outgoing): string {
  const { mail } = outgoing;
  switch (step) {
    case 'MAIL FROM':
      // With its size, a server refuses what is too large before it has to be sent.
      return `MAIL FROM:<${mail.envelopeFrom}>${hasSize ? ` SIZE=${contentOf(outgoing).length}` : ''}\r\n`;
    case 'RCPT TO':
      return `RCPT TO:<${mail.to}>\r\n`;
    case 'DATA':
      return 'DATA\r\n';
    default:
      return assertNever(step);
  }
}

function contentOf(outgoing: Outgoing): Buffer {
  outgoing.content ??= withDoubledDots(outgoing.mail.compose());
  return outgoing.content;
}

/** RFC 5321, 4.5.2: a line that begins with a dot gets another, so that none looks like the end. */
function withDoubledDots(mime: Buffer): Buffer {
  return mime.includes('\n.')
    ? Buffer.from(mime.toString('latin1').replaceAll('\n.', '\n..'), 'latin1')
    : mime;
}

/** Reads what is still to come of a refused envelope; a server that has accepted DATA all the same gets no content. */
async function passOver(session: SmtpSession, refusal: Reply, steps: readonly SmtpStep[]): Promise<void> {
  try {
    for (const step of steps) {
      const reply = await session.reply();
      if (step === 'DATA' && GO_ON.DATA.test(reply.text)) {
        await session.write(FINAL_DOT); // nobody is named to whom it could go
        await session.reply();
      }
    }
    if (refusal.code === CLOSING) {
      session.end(new SmtpLostError(refusal.text));
    }
  } catch (error) {
    requireLost(session, error);
  }
}

/** So that the next mail can begin. Where that does not go the session ends; what became of the mail is known. */
async function reset(session: SmtpSession): Promise<void> {
  if (session.isLost) {
    return;
  }
  try {
    await session.write('RSET\r\n');
    const { code, text } = await session.reply();
    if (code !== 250) {
      session.end(new SmtpLostError(text));
    }
  } catch (error) {
    requireLost(session, error);
  }
}

/** @throws the error, where it is not that the session has ended. */
function requireLost(session: SmtpSession, error: unknown): void {
  if (!session.isLost) {
    throw error;
  }
}

import { Readable } from 'node:stream';
import { createTransport } from 'nodemailer';
import { MINUTE_MS, SECOND_MS } from '../../platform/clock/clock.ts';
import { Channel, type Mail, type SendResult } from './channel.ts';

export interface SmtpOptions {
  /** `smtp://user:password@host:port`, or `smtps://…`. */
  readonly url: string;
  /** How many connections are kept, and so how many mails go at once. */
  readonly connections: number;
  /** How many mails are handed over in one call; several calls share the connections. */
  readonly window: number;
  readonly timeouts?: Partial<SmtpTimeouts>;
}

export interface SmtpTimeouts {
  readonly connectMs: number;
  /** Without a byte in either direction. */
  readonly silenceMs: number;
  /** One mail from beginning to end. */
  readonly mailMs: number;
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

const SLICE_BYTES = 64 * 1024;
const PROVIDER_ID_MAX_LENGTH = 200;
const REASON_MAX_LENGTH = 500;

type Transport = ReturnType<typeof openTransport>;

/**
 * Mails through an SMTP server, over connections that are kept open. Never hands over a mail twice by itself.
 *
 * What becomes of a mail. An error that carries a reply to a command is told by the reply; any other by how far the content had
 * gone, which the error does not say, so the content's stream is watched.
 *
 * | what happened                                         | nodemailer 10 (smtp-connection)         | result   | why (RFC 5321 unless named)                     |
 * |-------------------------------------------------------|-----------------------------------------|----------|-------------------------------------------------|
 * | 2xx after the final dot                               | info.response                           | accepted | 4.2.5: the server is responsible from then on   |
 * | 4xx to any command, or after the dot                  | responseCode 400 to 499                 | deferred | 4.2.1: transient negative                       |
 * | 503 to any command                                    | responseCode 503                        | deferred | 4.2.3: this session's commands were out of step |
 * | 5xx to AUTH; no credentials; no usable mechanism      | EAUTH, ENOAUTH                          | refused  | RFC 4954, 6: 534, 535, 538                      |
 * | 530 to any command                                    | responseCode 530                        | refused  | RFC 4954, 6: authentication is required         |
 * | 5xx as greeting, or to HELO                           | EPROTOCOL                               | refused  | 3.1: 554, no service for this client            |
 * | 5xx to MAIL FROM                                      | EENVELOPE, command MAIL FROM            | refused  | 3.3: the sender is not acceptable               |
 * | larger than the server's SIZE; 552 to MAIL FROM       | EMESSAGE or EENVELOPE, MAIL FROM        | refused  | RFC 1870, 6.1                                   |
 * | 5xx to RCPT TO or after, with x.1.7, x.1.8 or x.3.4   | EENVELOPE, EMESSAGE                     | refused  | RFC 3463, 3.2, 3.4: sender's address; size      |
 * | 5xx to RCPT TO, to DATA, or after the dot             | EENVELOPE, EMESSAGE                     | rejected | 4.2.1: permanent; only this recipient was named |
 * | no connection, name, greeting or TLS; timed out       | ECONNECTION, EDNS, ESOCKET, ETLS, …     | deferred | nothing had been said yet                       |
 * | connection lost or timed out before the final dot     | the same codes                          | deferred | 4.1.1.10: the server MUST cancel what is pending |
 * | connection lost or timed out after the final dot      | the same codes                          | unknown  | 4.2.5, 6.1: it may have been taken              |
 */
export class SmtpChannel extends Channel {
  override readonly name = 'smtp';
  override readonly window: number;
  readonly #transport: Transport;
  readonly #mailMs: number;
  /** What is given to nodemailer, and the stream from which it writes it. */
  readonly #streams = new WeakMap<object, Readable>();

  constructor({ url, connections, window, timeouts }: SmtpOptions) {
    super();
    const limits = { ...TIMEOUTS, ...timeouts };
    this.window = window;
    this.#mailMs = limits.mailMs;
    this.#transport = openTransport(url, connections, limits);
    this.#transport.use('stream', (mail, done) => {
      const raw: unknown = mail.data.raw;
      mail.message.processFunc((stream: Readable) => {
        if (typeof raw === 'object' && raw !== null) {
          this.#streams.set(raw, stream);
        }
        return stream;
      });
      done();
    });
  }

  override send(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]> {
    return Promise.all(mails.map((mail) => this.#sendOne(mail, signal)));
  }

  override close(): Promise<void> {
    this.#transport.close();
    return Promise.resolve();
  }

  async #sendOne(mail: Mail, signal: AbortSignal): Promise<SendResult> {
    const mime = await mail.compose();
    const content = contentOf(mime);
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), this.#mailMs);
    try {
      const { response } = await this.#transport.sendMail({
        raw: content,
        messageId: mail.messageId, // only for nodemailer's own use: it would make up a random one
        // With its size, a server refuses what is too large before it has to be sent.
        envelope: { from: mail.envelopeFrom, to: [mail.to], size: mime.length },
        signal: AbortSignal.any([deadline.signal, signal]),
      });
      return { kind: 'accepted', providerId: oneLine(response, PROVIDER_ID_MAX_LENGTH) };
    } catch (error) {
      return resultOf(error, this.#mayBeTaken(content));
    } finally {
      clearTimeout(timer);
    }
  }

  /** True once the final dot may have been written: nodemailer writes it when the content's stream has ended. */
  #mayBeTaken(content: Buffer | Readable): boolean {
    return this.#streams.get(content)?.readableEnded === true;
  }
}

// eslint-disable-next-line typescript/explicit-function-return-type -- nodemailer's overloads know it better
function openTransport(url: string, connections: number, limits: SmtpTimeouts) {
  return createTransport({
    url,
    pool: true,
    maxConnections: connections,
    // A connection is as good after a million mails as after the first; the default replaces it after 100.
    maxMessages: Number.MAX_SAFE_INTEGER,
    // The pool would otherwise send anew by itself what a lost connection left open. That decision is the ledger's.
    maxRequeues: 0,
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.connectMs,
    dnsTimeout: limits.connectMs,
    socketTimeout: limits.silenceMs,
  });
}

/** In slices where it is large: otherwise all of it, and the final dot, would wait in the memory of this process to be written. */
function contentOf(mime: Buffer): Buffer | Readable {
  return mime.length <= SLICE_BYTES ? mime : Readable.from(slices(mime), { objectMode: false });
}

function* slices(mime: Buffer): Generator<Buffer> {
  for (let begin = 0; begin < mime.length; begin += SLICE_BYTES) {
    yield mime.subarray(begin, begin + SLICE_BYTES);
  }
}

/** What is known of an error by nodemailer. */
interface SmtpFailure {
  readonly code: string;
  /** `CONN` where it concerns the connection rather than a command. */
  readonly command: string;
  readonly responseCode: number | undefined;
  /** What the server said, else what nodemailer says. */
  readonly reason: string;
}

// Errors after which certainly nothing was taken, as long as the final dot had not gone.
const LOST_CODES = new Set([
  'ECONNECTION',
  'ETIMEDOUT',
  'ESOCKET',
  'EDNS',
  'ETLS',
  'EPROTOCOL',
  'EPROXY',
  'EABORT',
]);

function resultOf(error: unknown, mayBeTaken: boolean): SendResult {
  const failure = failureOf(error);
  if (failure.responseCode !== undefined && isReplyToThisMail(failure)) {
    return resultOfReply(failure, failure.responseCode);
  }
  if (mayBeTaken) {
    return { kind: 'unknown', reason: `No answer after the whole mail had gone out: ${failure.reason}` };
  }
  if (isAboutAccess(failure) || isTooLarge(failure)) {
    return { kind: 'refused', reason: failure.reason };
  }
  if (LOST_CODES.has(failure.code)) {
    return { kind: 'deferred', reason: failure.reason };
  }
  throw error;
}

function resultOfReply(failure: SmtpFailure, responseCode: number): SendResult {
  const { reason } = failure;
  if (responseCode < 400) {
    return { kind: 'unknown', reason: `A reply that makes no sense here: ${reason}` };
  }
  if (responseCode < 500 || responseCode === 503) {
    return { kind: 'deferred', reason };
  }
  return isAboutSender(failure) ? { kind: 'refused', reason } : { kind: 'rejected', reason, bounced: true };
}

/** A reply that came unasked, or was cut off, says nothing about the mail. */
function isReplyToThisMail({ code, command }: SmtpFailure): boolean {
  return code === 'EENVELOPE' || code === 'EMESSAGE' || (code === 'EAUTH' && command.startsWith('AUTH'));
}

function isAboutSender({ code, command, responseCode, reason }: SmtpFailure): boolean {
  return (
    code === 'EAUTH' ||
    command === 'MAIL FROM' ||
    responseCode === 530 ||
    // RFC 3463: x.1.7 and x.1.8, the sender's address is bad; x.3.4, larger than the system takes.
    /^5\d\d[ -]5\.(?:1\.[78]|3\.4)\b/.test(reason)
  );
}

function isAboutAccess({ code, responseCode }: SmtpFailure): boolean {
  return (
    code === 'EAUTH' ||
    code === 'ENOAUTH' ||
    (code === 'EPROTOCOL' && responseCode !== undefined && responseCode >= 500)
  );
}

function isTooLarge({ code, command }: SmtpFailure): boolean {
  return code === 'EMESSAGE' && command === 'MAIL FROM';
}

function failureOf(error: unknown): SmtpFailure {
  if (!(error instanceof Error)) {
    throw error;
  }
  const response = fieldOf(error, 'response');
  const responseCode = fieldOf(error, 'responseCode');
  return {
    code: textOf(fieldOf(error, 'code')),
    command: textOf(fieldOf(error, 'command')),
    responseCode: typeof responseCode === 'number' ? responseCode : undefined,
    reason: oneLine(typeof response === 'string' ? response : error.message, REASON_MAX_LENGTH),
  };
}

function fieldOf(error: Error, name: string): unknown {
  return Object.entries(error).find(([key]) => key === name)?.[1];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function oneLine(text: string, maxLength: number): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, maxLength).toWellFormed();
}

import type { Socket } from 'node:net';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { parseConnectionUrl } from 'nodemailer/lib/shared';

export interface SmtpTimeouts {
  readonly connectMs: number;
  /** Without a byte in either direction. */
  readonly silenceMs: number;
  /** One mail from beginning to end. */
  readonly mailMs: number;
}

/** What the server says to one command; of many lines, all of them. */
export interface Reply {
  readonly code: number;
  readonly text: string;
}

// More than any server has to say; only what never ends is longer.
const REPLY_MAX_LENGTH = 64 * 1024;
const LAST_LINE_PATTERN = /^(\d{3})(?: |$)/;

/** The connection has ended, or nobody can say any more to which command a reply belongs. */
export class SmtpLostError extends Error {
  override readonly name = 'SmtpLostError';
}

interface Waiter {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/**
 * A conversation with an SMTP server, of which somebody else has made the beginning: nodemailer connects, negotiates TLS and signs in.
 * From then on the socket is read and written here, because several commands in one write need several replies to one reading.
 */
export class SmtpSession {
  /** Whether commands may go out before the reply to the one before is in (RFC 2920). */
  pipelining = false;
  /** The largest mail that the server takes, in bytes; 0 where it does not say (RFC 1870). */
  sizeMax = 0;
  /** Whether it wants to know how large a mail is before it comes. */
  hasSize = false;
  readonly #connection: SMTPConnection;
  readonly #socket: Socket;
  readonly #replies: Reply[] = [];
  readonly #waiters: Waiter[] = [];
  #lines: string[] = [];
  #rest = '';
  #lost: Error | undefined;

  private constructor(connection: SMTPConnection, socket: Socket) {
    this.#connection = connection;
    this.#socket = socket;
    socket.removeAllListeners('data'); // the connection's own reader; what else it listens to goes on
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#read(chunk));
    connection.on('error', (error: Error) => this.end(error));
    connection.on('end', () => this.end(new SmtpLostError('The server has closed the connection.')));
  }

  /** Rejects with an error of nodemailer, or with SmtpLostError. */
  static async open(url: string, timeouts: SmtpTimeouts): Promise<SmtpSession> {
    const connection = await connect(url, timeouts);
    // eslint-disable-next-line no-underscore-dangle -- public by its own description, and the only way to the socket
    const socket = connection._socket;
    if (socket === false || socket === null) {
      throw new SmtpLostError('The connection was lost as soon as it was there.');
    }
    const session = new SmtpSession(connection, socket);
    await session.#learn(connection.name);
    return session;
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** The server has said something that nobody asked for, which it does before it ends a connection that was idle (RFC 5321, 3.8). */
  get hasSaidUnasked(): boolean {
    return this.#replies.length > 0;
  }

  /** Goes out at once; resolves when there is room for more. Rejects where the session has ended. */
  async write(data: Buffer | string): Promise<void> {
    this.#requireOpen();
    if (!this.#socket.write(data)) {
      await this.#room();
    }
  }

  /** The reply to the oldest command that has none yet. Rejects where the session ends before. */
  reply(): Promise<Reply> {
    const reply = this.#replies.shift();
    if (reply) {
      return Promise.resolve(reply);
    }
    if (this.#lost) {
      return Promise.reject(this.#lost);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    this.#waiters.push({ resolve, reject });
    return promise;
  }

  /** Whoever waits for a reply is told why there is none. A second call does nothing. */
  end(reason: Error): void {
    if (this.#lost) {
      return;
    }
    this.#lost = reason;
    this.#connection.close();
    this.#socket.destroy();
    for (const waiter of this.#waiters.splice(0)) {
      waiter.reject(reason);
    }
  }

  /** What the server offers, in words of its own: nodemailer keeps to itself what it was told. */
  async #learn(name: string): Promise<void> {
    await this.write(`EHLO ${name}\r\n`);
    const { code, text } = await this.reply();
    if (code !== 250) {
      return; // nothing but plain SMTP
    }
    const offers = text.split('\n').map((line) => line.slice(4).trim().toUpperCase());
    this.pipelining = offers.includes('PIPELINING');
    const size = offers.find((offer) => /^SIZE\b/.test(offer));
    this.hasSize = size !== undefined;
    this.sizeMax = Number(size?.slice('SIZE'.length)) || 0;
  }

  #read(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.#lines.push(line.trimEnd());
      const [, code] = LAST_LINE_PATTERN.exec(line) ?? [];
      if (code !== undefined) {
        this.#hand({ code: Number(code), text: this.#lines.join('\n') });
        this.#lines = [];
      }
    }
    const length = this.#lines.reduce((sum, line) => sum + line.length, this.#rest.length);
    if (length > REPLY_MAX_LENGTH) {
      this.end(new SmtpLostError('The server answers without end.'));
    }
  }

  #hand(reply: Reply): void {
    const waiter = this.#waiters.shift();
    if (waiter) {
      waiter.resolve(reply);
    } else {
      this.#replies.push(reply);
    }
  }

  #requireOpen(): void {
    if (this.#lost) {
      throw this.#lost;
    }
  }

  async #room(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.once('drain', resolve);
    this.#socket.once('close', resolve);
    await promise;
    this.#socket.off('drain', resolve);
    this.#socket.off('close', resolve);
    this.#requireOpen();
  }
}

/** Connected, with TLS where it was asked for or offered, and signed in where the URL says as whom. */
async function connect(url: string, timeouts: SmtpTimeouts): Promise<SMTPConnection> {
  const { auth, ...options } = parseConnectionUrl(url);
  const connection = new SMTPConnection({
    ...options,
    connectionTimeout: timeouts.connectMs,
    greetingTimeout: timeouts.connectMs,
    dnsTimeout: timeouts.connectMs,
    socketTimeout: timeouts.silenceMs,
  });
  const { promise, resolve, reject } = Promise.withResolvers<SMTPConnection>();
  const late = setTimeout(() => {
    reject(new SmtpLostError('The server has not come to an end of its greeting.'));
    connection.close();
  }, timeouts.mailMs);
  const done = (error?: Error | null): void => (error ? reject(error) : resolve(connection));
  connection.on('error', reject);
  connection.once('end', () => reject(new SmtpLostError('The server has closed the connection.')));
  connection.connect((error) => {
    if (error || !auth || !connection.allowsAuth) {
      done(error);
    } else {
      connection.login({ user: auth.user, credentials: { user: auth.user, pass: auth.pass } }, done);
    }
  });
  try {
    return await promise;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    clearTimeout(late);
    connection.removeAllListeners();
    connection.on('error', () => undefined); // what comes before the session listens is seen by its first write
  }
}

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface LoadPlan {
  readonly url: string;
  readonly path: string;
  readonly body: unknown;
  readonly connections: number;
}

const HEAD_END = '\r\n\r\n';
const CREATED = 'HTTP/1.1 201 ';
const CONTENT_LENGTH_PATTERN = /\r\ncontent-length: (\d+)\r\n/i;

/**
 * The same POST again and again, on connections that are kept, each with one request under way. On bare sockets: a client of HTTP
 * takes longer for a request than the server that is measured.
 */
export class Load implements AsyncDisposable {
  /** How many requests were answered so far. */
  answered = 0;
  /** What went wrong first; nothing else may be believed then. */
  fault: Error | undefined;
  readonly #request: Buffer;
  readonly #sockets: readonly Socket[];
  #isStopping = false;

  /** Resolves once all connections are there and busy. */
  static async start(plan: LoadPlan): Promise<Load> {
    const { hostname, port } = new URL(plan.url);
    const sockets = Array.from({ length: plan.connections }, () =>
      connect({ host: hostname, port: Number(port), noDelay: true }),
    );
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    return new Load(plan, sockets);
  }

  private constructor({ url, path, body }: LoadPlan, sockets: readonly Socket[]) {
    const json = JSON.stringify(body);
    this.#request = Buffer.from(
      [
        `POST ${path} HTTP/1.1`,
        `Host: ${new URL(url).host}`,
        'Content-Type: application/json',
        `Content-Length: ${Buffer.byteLength(json)}${HEAD_END}${json}`,
      ].join('\r\n'),
    );
    this.#sockets = sockets;
    sockets.forEach((socket) => this.#keepBusy(socket));
  }

  /** Cuts the connections, whatever is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    const open = this.#sockets.filter(({ closed }) => !closed);
    const closed = open.map((socket) => once(socket, 'close'));
    open.forEach((socket) => socket.destroy());
    await Promise.all(closed);
  }

  #keepBusy(socket: Socket): void {
    let received = '';
    socket.setEncoding('latin1'); // a character for each byte
    socket.on('data', (piece: string) => {
      received = received === '' ? piece : received + piece;
      const length = answerLength(received);
      if (length === undefined || received.length < length) {
        return;
      }
      if (!received.startsWith(CREATED) || received.length > length) {
        this.#fail(new Error(`This is not the answer to one request: ${received.slice(0, 2_000)}`));
        return;
      }
      received = '';
      this.answered += 1;
      socket.write(this.#request);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('end', () => this.#fail(new Error('The server has closed a connection.')));
    socket.write(this.#request);
  }

  #fail(fault: Error): void {
    if (!this.#isStopping) {
      this.fault ??= fault;
    }
  }
}

/** In bytes, with the head; `undefined` while the head is not complete. */
function answerLength(received: string): number | undefined {
  const headEnd = received.indexOf(HEAD_END);
  return headEnd === -1
    ? undefined
    : headEnd +
        HEAD_END.length +
        Number(CONTENT_LENGTH_PATTERN.exec(received.slice(0, headEnd + HEAD_END.length))?.[1]);
}

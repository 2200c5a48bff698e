import { fileURLToPath } from 'node:url';
import { Child, type Exit } from './child.ts';
import { type JsonObject, objectIn, textAt } from './json.ts';
import { RemoteServer } from './remote-server.ts';
import { until } from './until.ts';

export interface ServerPlan {
  /** PORT is 0, any free one, unless it is given here. */
  readonly env: Readonly<Record<string, string>>;
  /** Options of Node itself. */
  readonly nodeArgs?: readonly string[];
}

export interface Request {
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON. */
  readonly body: unknown;
}

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

// A second is usual; a machine that runs all tests at once, or starts five of them, takes longer.
const START_LIMIT_MS = 60_000;

/** Starts `dist/main.js` and waits for nothing: for servers that are not to come up. */
export function spawnServer({ env, nodeArgs = [] }: ServerPlan): Child {
  return new Child({ args: [...nodeArgs, MAIN], env: { PORT: '0', ...env } });
}

/** A whole server, as it runs in production: the build, in a process of its own. */
export class ServerProcess implements AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #child: Child;
  readonly #remote: RemoteServer;

  /** Resolves once it is ready to work. */
  static async start(plan: ServerPlan): Promise<ServerProcess> {
    const child = spawnServer(plan);
    try {
      return await ServerProcess.#untilReady(child);
    } catch (error) {
      await child.kill();
      throw error;
    }
  }

  static async #untilReady(child: Child): Promise<ServerProcess> {
    const started = await child.untilLine('The server starts', START_LIMIT_MS, (line) =>
      eventIn(line, 'server.started'),
    );
    // Not localhost: looking the name up anew would cost each connection of a benchmark.
    const server = new ServerProcess(child, `http://127.0.0.1:${new URL(textAt(started, 'api')).port}`);
    await until('The server gets ready', START_LIMIT_MS, async () => {
      const { status } = await server.request('GET', '/health/ready');
      return status === 200 || undefined;
    });
    return server;
  }

  private constructor(child: Child, url: string) {
    this.#child = child;
    this.url = url;
    this.#remote = new RemoteServer(url, undefined);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The last lines that it wrote to stdout and stderr. */
  get logs(): readonly string[] {
    return this.#child.lines;
  }

  get exited(): Promise<Exit> {
    return this.#child.exited;
  }

  /** Rejects only where there is no answer, or not all of it. */
  async request(method: string, path: string, request?: Request): Promise<Answer> {
    return this.#remote.request(method, path, request);
  }

  /** The fields of the first log line with this event name. */
  async untilLogged(event: string, limitMs: number): Promise<JsonObject> {
    return this.#child.untilLine(event, limitMs, (line) => eventIn(line, event));
  }

  /** Sends a signal, and does not wait for what it does. */
  signal(signal: NodeJS.Signals): void {
    this.#child.signal(signal);
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    return this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

function eventIn(line: string, event: string): JsonObject | undefined {
  const fields = objectIn(line);
  return fields?.['msg'] === event ? fields : undefined;
}

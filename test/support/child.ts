import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildPlan {
  /** Everything behind `node`. */
  readonly args: readonly string[];
  /** All that it gets beside PATH: what the shell has set for other purposes must not change a test. */
  readonly env?: Readonly<Record<string, string>>;
}

// A benchmark makes a server write a line for each of 100,000 requests.
const KEPT_LINES = 2_000;

const alive = new Set<Child>();

// A child that a failed test forgot, or whose parent is told to end, would otherwise go on for ever.
process.once('exit', killAll);
for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killAll();
    process.kill(process.pid, signal); // nobody listens any more, so it does what it does by itself
  });
}

/** A Node process, which never outlives the one that started it. */
export class Child implements AsyncDisposable {
  /** What it last wrote to stdout and stderr. */
  readonly lines: string[] = [];
  /** Resolves when it has ended and all that it wrote is read. */
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #listeners = new Set<(line: string) => void>();

  constructor({ args, env }: ChildPlan) {
    // In a folder of nobody: the repository's may have a .env file.
    this.#process = spawn(process.execPath, args, {
      cwd: tmpdir(),
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    alive.add(this);
    this.exited = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      this.#process.once('close', (code, signal) => {
        alive.delete(this);
        resolve({ code, signal });
      });
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#take(line));
    }
  }

  get pid(): number {
    if (this.#process.pid === undefined) {
      throw new Error('The process could not be started.');
    }
    return this.#process.pid;
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** Sends a signal, and does not wait for what it does; nothing happens where the process has ended. */
  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    this.signal(signal);
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** What `read` makes of the first line, written already or to come, of which it makes anything. */
  async untilLine<Value>(
    what: string,
    limitMs: number,
    read: (line: string) => Value | undefined,
  ): Promise<Value> {
    const { promise, resolve, reject } = Promise.withResolvers<Value>();
    const listen = (line: string): void => {
      const value = read(line);
      if (value !== undefined) {
        resolve(value);
      }
    };
    const fail = (why: string): void => reject(new Error(`${what}: ${why}. It wrote:\n${this.text}`));
    const timer = setTimeout(() => fail(`not within ${limitMs} ms`), limitMs);
    this.lines.forEach(listen);
    this.#listeners.add(listen);
    void this.exited.then(({ code, signal }) => fail(`the process has ended (${signal ?? code})`), reject);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(listen);
    }
  }

  #take(line: string): void {
    this.lines.push(line);
    if (this.lines.length > 2 * KEPT_LINES) {
      this.lines.splice(0, KEPT_LINES);
    }
    this.#listeners.forEach((listen) => listen(line));
  }
}

function killAll(): void {
  alive.forEach((child) => child.signal('SIGKILL'));
}

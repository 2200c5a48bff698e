import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Asked } from './belfry-api.ts';
import { RemoteServer } from './remote-server.ts';
import type { Answer, Request } from './server-process.ts';

const run = promisify(execFile);

export const IMAGE = process.env['BELFRY_IMAGE'] ?? 'belfry:test';
// As many as the README promises an installation needs: none.
const HARDENED = [
  '--read-only',
  '--tmpfs',
  '/tmp',
  '--cap-drop',
  'ALL',
  '--security-opt',
  'no-new-privileges',
];
const READY_LIMIT_MS = 60_000;

export interface ContainerPlan {
  readonly env?: Readonly<Record<string, string>>;
  /** Of `docker run`: volumes, networks and the like. */
  readonly args?: readonly string[];
  /** The port that it listens on in the host's own network; published on any free one where absent. */
  readonly hostPort?: number;
  /** Sent with every request. */
  readonly key?: string;
}

/** Runs `docker` and answers what it printed. */
export async function docker(...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run('docker', args, { maxBuffer: 64 * 1024 * 1024 });
  return `${stdout}${stderr}`.trim();
}

/** A name that no other test uses. */
export function aName(what: string): string {
  return `belfry-test-${what}-${randomBytes(4).toString('hex')}`;
}

/** Belfry in a container, hardened as far as Docker goes: a read-only root, no capabilities, no new privileges. */
export class Container implements Asked, AsyncDisposable {
  readonly name: string;
  #server = new RemoteServer('', undefined);
  #key: string | undefined;

  static async start(plan: ContainerPlan = {}): Promise<Container> {
    const { args = [], env = {}, hostPort, key } = plan;
    const container = new Container(aName('app'), key);
    await docker(
      'run',
      '--detach',
      '--name',
      container.name,
      ...HARDENED,
      ...args,
      ...(hostPort === undefined
        ? ['--publish', '127.0.0.1::3000']
        : ['--network', 'host', '--env', `PORT=${hostPort}`, '--env', 'HOST=127.0.0.1']),
      ...Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
      IMAGE,
    );
    try {
      await container.#untilReady(hostPort);
    } catch (error) {
      const logs = await container.logs();
      await container[Symbol.asyncDispose]();
      throw new Error(`The container has not started:\n${logs}`, { cause: error });
    }
    return container;
  }

  private constructor(name: string, key: string | undefined) {
    this.name = name;
    this.#key = key;
  }

  useKey(key: string): void {
    this.#key = key;
    this.#server = new RemoteServer(this.#server.url, key);
  }

  async logs(): Promise<string> {
    return docker('logs', this.name);
  }

  /** A field of `docker inspect`, by its Go template. */
  async inspect(format: string): Promise<string> {
    return docker('inspect', '--format', format, this.name);
  }

  async exec(...command: readonly string[]): Promise<string> {
    return docker('exec', this.name, ...command);
  }

  /** SIGTERM, as `docker stop` sends it; answers the exit code. */
  async stop(graceSeconds = 30): Promise<number> {
    await docker('stop', '--time', String(graceSeconds), this.name);
    return Number(await this.inspect('{{.State.ExitCode}}'));
  }

  async kill(): Promise<void> {
    await docker('kill', this.name);
  }

  /** Starts it again, with everything that it had. */
  async restart(hostPort?: number): Promise<void> {
    await docker('start', this.name);
    await this.#untilReady(hostPort);
  }

  async request(method: string, path: string, request?: Request): Promise<Answer> {
    return this.#server.request(method, path, request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await docker('rm', '--force', '--volumes', this.name);
  }

  async #untilReady(hostPort: number | undefined): Promise<void> {
    const url =
      hostPort === undefined
        ? `http://${(await docker('port', this.name, '3000/tcp')).split('\n')[0]}`
        : `http://127.0.0.1:${hostPort}`;
    this.#server = new RemoteServer(url, this.#key);
    await this.#server.untilReady(READY_LIMIT_MS);
  }
}

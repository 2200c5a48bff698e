import { setTimeout as delay } from 'node:timers/promises';
import { ServerProcess, spawnServer } from '../support/server-process.ts';
import type { Span } from './evidence.ts';
import type { Plan, ProcessPlan, ProcessStep } from './plan.ts';

export interface Kill {
  readonly atMs: number;
  /**
   * From when recovery counts: where the process is the only one, from its restart, since nobody can recover before that. Absent where
   * it was killed while it started, which is part of the recovery from the kill before.
   */
  readonly recoversFromMs: number | undefined;
}

type Environment = Readonly<Record<string, string>>;

interface Place {
  readonly plan: ProcessPlan;
  /** Absent while there is none, or one that is starting. */
  server: ServerProcess | undefined;
}

/** The processes of a run, and what is done to them. */
export class Fleet implements AsyncDisposable {
  readonly kills: Kill[] = [];
  readonly stops: Span[] = [];
  restartCount = 0;
  readonly #engine: Plan['engine'];
  readonly #env: Environment;
  readonly #places: readonly Place[];
  /** Every process that there ever was. */
  readonly #logs: (readonly string[])[] = [];
  readonly #everStarted: AsyncDisposable[] = [];
  readonly #faults: string[] = [];
  #turn = 0;
  #isOver = false;

  static async start(plan: Pick<Plan, 'engine' | 'processes'>, env: Environment): Promise<Fleet> {
    const fleet = new Fleet(plan, env);
    try {
      await Promise.all(fleet.#places.map((place) => fleet.#start(place)));
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor({ engine, processes }: Pick<Plan, 'engine' | 'processes'>, env: Environment) {
    this.#engine = engine;
    this.#env = env;
    this.#places = processes.map((plan) => ({ plan, server: undefined }));
  }

  /** What each process wrote. */
  get logs(): readonly (readonly string[])[] {
    return this.#logs;
  }

  /** What processes did wrong by themselves. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** One that answers requests, by turns, as a load balancer has it; none while all of them are away. */
  api(): ServerProcess | undefined {
    const apis = this.#places.flatMap(({ plan, server }) => (plan.roles === 'worker' ? [] : (server ?? [])));
    this.#turn += 1;
    return apis[this.#turn % apis.length];
  }

  async step(index: number, step: ProcessStep): Promise<void> {
    const place = this.#places[index];
    if (!place?.server) {
      throw new Error(`There is no process ${index} to ${step.do}.`);
    }
    switch (step.do) {
      case 'kill':
        return this.#kill(place, place.server, step.back);
      case 'terminate':
        return this.#terminate(place, place.server, step.back);
      case 'stop':
        return this.#stop(place.server, step.forMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#everStarted.map((process) => process[Symbol.asyncDispose]()));
  }

  async #kill(place: Place, server: ServerProcess, back: Back): Promise<void> {
    place.server = undefined;
    const atMs = nowMs();
    await server.kill('SIGKILL');
    const backAtMs = await this.#bringBack(place, back);
    this.kills.push({ atMs, recoversFromMs: this.#engine === 'embedded' ? backAtMs : atMs });
  }

  async #terminate(place: Place, server: ServerProcess, back: Back): Promise<void> {
    place.server = undefined;
    server.signal('SIGTERM');
    const ending = this.#requireGoodEnd(server);
    if (this.#engine === 'embedded') {
      await ending; // the next one needs the file that this one owns
    }
    await this.#bringBack(place, back);
  }

  async #stop(server: ServerProcess, forMs: number): Promise<void> {
    const fromMs = nowMs();
    server.signal('SIGSTOP');
    await delay(forMs);
    server.signal('SIGCONT');
    this.stops.push({ fromMs, untilMs: nowMs() });
  }

  /** Resolves when it works again, with the moment at which it was started. */
  async #bringBack(place: Place, back: Back): Promise<number | undefined> {
    if (!back) {
      return undefined;
    }
    await delay(back.afterMs);
    if (back.diesAgainAfterMs !== undefined) {
      const child = spawnServer({ env: this.#envOf(place.plan) });
      this.#keep(child, child.lines);
      await delay(back.diesAgainAfterMs);
      const atMs = nowMs();
      await child.kill('SIGKILL');
      this.kills.push({ atMs, recoversFromMs: undefined });
    }
    const startedAtMs = nowMs();
    await this.#start(place);
    this.restartCount += 1;
    return startedAtMs;
  }

  async #start(place: Place): Promise<void> {
    const server = await ServerProcess.start({ env: this.#envOf(place.plan) });
    this.#keep(server, server.logs);
    place.server = server;
  }

  #keep(process: AsyncDisposable, lines: readonly string[]): void {
    this.#everStarted.push(process);
    this.#logs.push(lines);
  }

  async #requireGoodEnd(server: ServerProcess): Promise<void> {
    const { code, signal } = await server.exited;
    if (code !== 0 && !this.#isOver) {
      this.#faults.push(`A process that was asked to end did so with ${signal ?? code}.`);
    }
  }

  #envOf({ roles }: ProcessPlan): Environment {
    return { ...this.#env, ROLES: roles };
  }
}

type Back = { readonly afterMs: number; readonly diesAgainAfterMs: number | undefined } | undefined;

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

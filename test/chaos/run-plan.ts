import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isFinished, readMessage } from '../support/belfry-api.ts';
import { SmtpSink } from '../support/smtp-sink.ts';
import { Callers } from './callers.ts';
import { check, type Fault } from './checker.ts';
import type { Evidence } from './evidence.ts';
import { Fleet } from './fleet.ts';
import { openAwsGround } from './ground.ts';
import type { Plan, ProcessPlan, Trouble } from './plan.ts';
import { Progress } from './progress.ts';
import { recoveriesOf, type Recovery } from './recovery.ts';

/** What a run was like. */
export interface Outcome {
  readonly seed: number;
  readonly engine: Plan['engine'];
  readonly workers: number;
  readonly kills: number;
  readonly stops: number;
  readonly restarts: number;
  readonly messages: number;
  readonly deliveries: number;
  readonly mails: number;
  readonly inDoubt: number;
  /** Arrived more than once, and the record says that it may have. */
  readonly twice: number;
  readonly faults: readonly Fault[];
  readonly recoveries: readonly Recovery[];
  readonly seconds: number;
  /** Where everything that is known of the run is kept: where there are faults, and where it is asked for. */
  readonly folder: string | undefined;
}

const FINISH_LIMIT_MS = 90_000;
const WATCH_EVERY_MS = 200;
// Whatever would still go out after everything is finished has this long.
const AFTERMATH_MS = 500;
// What is tried again comes back within the run.
const RETRY_BASE = '1s';

/** Runs a plan from beginning to end, and judges it. */
export async function runPlan(plan: Plan, keeps: 'faults' | 'all'): Promise<Outcome> {
  const beganAtMs = nowMs();
  const folder = await mkdtemp(join(tmpdir(), `belfry-chaos-${plan.seed}-`));
  const sink = await SmtpSink.start({ behaviours: plan.behaviours });
  try {
    await using fleet = await Fleet.start(plan, {
      ...(plan.engine === 'aws' ? await openAwsGround() : { DATA_DIR: join(folder, 'data') }),
      ENGINE: plan.engine,
      SMTP_URL: sink.url,
      SMTP_CONNECTIONS: String(plan.smtpConnections),
      LEASE: `${plan.leaseMs}ms`,
      MAX_ATTEMPTS: String(plan.maxAttempts),
      RETRY_BASE,
    });
    const run = new Run(plan, fleet, sink);
    const outcome = await run.work().catch(async (error: unknown) => {
      await run.keep(folder);
      throw new Error(`The run broke off; what is known of it is in ${folder}`, { cause: error });
    });
    const isKept = keeps === 'all' || outcome.faults.length > 0;
    await writeFile(join(folder, 'faults.json'), JSON.stringify(outcome.faults, undefined, 1));
    await (isKept ? run.keep(folder) : rm(folder, { recursive: true }));
    return {
      ...outcome,
      seconds: Math.round((nowMs() - beganAtMs) / 100) / 10,
      folder: isKept ? folder : undefined,
    };
  } finally {
    await sink.close();
  }
}

class Run {
  readonly #plan: Plan;
  readonly #fleet: Fleet;
  readonly #sink: SmtpSink;
  readonly #callers: Callers;
  readonly #progress: Progress;
  readonly #finishedAtMs = new Map<string, number>();
  #isOver = false;

  constructor(plan: Plan, fleet: Fleet, sink: SmtpSink) {
    this.#plan = plan;
    this.#fleet = fleet;
    this.#sink = sink;
    this.#progress = new Progress(sink);
    this.#callers = new Callers(fleet, this.#progress);
  }

  async work(): Promise<Omit<Outcome, 'seconds' | 'folder'>> {
    await Promise.all(this.#plan.groups.map((group) => this.#callers.makeGroup(group)));
    this.#progress.begin();
    const events = this.#happen().finally(() => {
      this.#isOver = true;
    });
    await Promise.all([events, this.#watch()]);
    return this.#judge();
  }

  /** Everything that the plan has, and what Belfry makes of it. */
  async #happen(): Promise<void> {
    const { messages, people, processes, troubles } = this.#plan;
    await Promise.all([
      ...messages.map((message) => this.#callers.workMessage(message)),
      ...people.map((step) => this.#callers.workPeople(step)),
      ...troubles.map((trouble) => this.#makeTrouble(trouble)),
      ...processes.map((process, index) => this.#workProcess(process, index)),
    ]);
    await this.#allFinished();
    await delay(AFTERMATH_MS);
  }

  /** Writes down all that is known. */
  async keep(folder: string): Promise<void> {
    const evidence = this.#evidence();
    await mkdir(join(folder, 'logs'));
    await writeFile(join(folder, 'plan.json'), JSON.stringify(this.#plan, undefined, 2));
    await writeFile(
      join(folder, 'evidence.json'),
      JSON.stringify(
        {
          ...evidence,
          groups: [...evidence.groups],
          kills: this.#fleet.kills,
          finishedAtMs: [...this.#finishedAtMs],
        },
        undefined,
        1,
      ),
    );
    for (const [index, lines] of this.#fleet.logs.entries()) {
      await writeFile(join(folder, 'logs', `${index}.ndjson`), lines.join('\n'));
    }
  }

  async #judge(): Promise<Omit<Outcome, 'seconds' | 'folder'>> {
    const { seed, engine, processes, messages } = this.#plan;
    const { kills, stops, restartCount } = this.#fleet;
    const evidence = this.#evidence();
    const verdict = await check(this.#callers, evidence);
    const misbehaviour = [...this.#callers.faults, ...this.#fleet.faults];
    return {
      seed,
      engine,
      workers: processes.filter(({ roles }) => roles !== 'api').length,
      kills: kills.length,
      stops: stops.length,
      restarts: restartCount,
      messages: messages.length,
      deliveries: verdict.deliveryCount,
      mails: verdict.mailCount,
      inDoubt: verdict.inDoubtCount,
      twice: verdict.twiceCount,
      faults: [...verdict.faults, ...misbehaviour.map((text): Fault => ({ kind: 'wrong', text }))],
      recoveries: recoveriesOf(kills, {
        messages: evidence.messages,
        finishedAtMs: this.#finishedAtMs,
        mails: this.#sink.received,
        disturbed: new Set(this.#sink.disturbances.map(({ recipient }) => recipient)),
      }),
    };
  }

  #evidence(): Evidence & { readonly mails: readonly unknown[] } {
    return {
      groups: this.#callers.groups,
      messages: this.#callers.messages,
      mails: this.#sink.received,
      disturbances: this.#sink.disturbances,
      stops: this.#fleet.stops,
      maxAttempts: this.#plan.maxAttempts,
    };
  }

  async #workProcess({ steps }: ProcessPlan, index: number): Promise<void> {
    for (const step of steps) {
      await this.#progress.reached(step.when, this.#progress.beganAtMs);
      await this.#fleet.step(index, step);
    }
  }

  async #makeTrouble({ when, forMs, behaviour }: Trouble): Promise<void> {
    await this.#progress.reached(when, this.#progress.beganAtMs);
    const stop = this.#sink.behaveAlso([behaviour]);
    await delay(forMs);
    stop();
  }

  /** Notes when a caller who looks again and again sees a message finished. */
  async #watch(): Promise<void> {
    while (!this.#isOver) {
      for (const { group, key } of this.#unfinished()) {
        const lookedAtMs = nowMs(); // what somebody asks for meanwhile may not be in the answer
        const state = await readMessage(this.#callers, group, key);
        if (isFinished(state) && state.counts.pending === 0) {
          this.#finishedAtMs.set(key, lookedAtMs);
        }
      }
      await delay(WATCH_EVERY_MS);
    }
  }

  /** Resolves too where it takes too long: the checker says what is wrong then. */
  async #allFinished(): Promise<void> {
    const limitAtMs = nowMs() + FINISH_LIMIT_MS;
    while (this.#unfinished().length > 0 && nowMs() < limitAtMs) {
      await delay(WATCH_EVERY_MS);
    }
  }

  #unfinished(): Callers['messages'] {
    return this.#callers.messages.filter(({ key, retries }) => {
      const lastAskedAtMs = retries.at(-1)?.answeredAtMs ?? Number.NEGATIVE_INFINITY;
      return (this.#finishedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) <= lastAskedAtMs;
    });
  }
}

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

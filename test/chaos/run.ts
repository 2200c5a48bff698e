/*
 * The chaos suite: real processes, a real SMTP server, and everything that goes wrong drawn from a seed.
 *
 *   npm run test:chaos                                  10 runs, of seeds that nobody has chosen
 *   npm run test:chaos -- --seed 123                    that one again; CHAOS_SEED=123 is the same
 *   npm run test:chaos -- --runs 100 --first-seed 1     CHAOS_RUNS, CHAOS_FIRST_SEED
 *   npm run test:chaos -- --engine embedded             only seeds whose plan is on that engine: without Docker
 *   npm run test:chaos -- --seed 123 --keep             keeps what is known of a run that went well, too
 *   npm run test:chaos -- --runs 6 --at-once 2          two side by side: most of a run is waiting
 *
 * A command of its own rather than a project of vitest: it takes options, a run has no time limit that a seed would have to fit into,
 * and its numbers are what is wanted of it. Ends with 0 only if the checker found nothing in any run.
 */
import { randomInt } from 'node:crypto';
import { inspect, parseArgs } from 'node:util';
import { setup as startLocalStack } from '../support/localstack.ts';
import { makePlan, type Plan } from './plan.ts';
import { type Outcome, runPlan } from './run-plan.ts';
import { summaryOf } from './summary.ts';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: process.env['CHAOS_SEED'] ?? '' },
    runs: { type: 'string', default: process.env['CHAOS_RUNS'] ?? '10' },
    'first-seed': { type: 'string', default: process.env['CHAOS_FIRST_SEED'] ?? '' },
    engine: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    'at-once': { type: 'string', default: '1' },
  },
});

// One defect mostly has many.
const FAULTS_SHOWN = 20;

const plans = drawPlans();
const stopLocalStack = plans.some(({ engine }) => engine === 'aws')
  ? await startLocalStack()
  : async (): Promise<void> => undefined;
try {
  const outcomes: Outcome[] = [];
  const left = plans.values();
  await Promise.all(Array.from({ length: Number(options['at-once']) }, () => runAll(left, outcomes)));
  say(summaryOf(outcomes));
  if (outcomes.some(({ faults }) => faults.length > 0)) {
    process.exitCode = 1;
  }
} finally {
  await stopLocalStack();
}

/** One after another. */
async function runAll(left: Iterable<Plan>, outcomes: Outcome[]): Promise<void> {
  for (const plan of left) {
    say(`CHAOS_SEED=${plan.seed} is ${plan.engine}, ${plan.processes.map(({ roles }) => roles).join(' + ')}`);
    try {
      const outcome = await runPlan(plan, options.keep ? 'all' : 'faults');
      outcomes.push(outcome);
      report(outcome);
    } catch (error) {
      say(`CHAOS_SEED=${plan.seed}: ${inspect(error)}`);
      process.exitCode = 1;
    }
  }
}

function drawPlans(): readonly Plan[] {
  if (options.seed !== '') {
    return [makePlan(Number(options.seed))];
  }
  const runs = Number(options.runs);
  const firstSeed = options['first-seed'] === '' ? randomInt(2 ** 31) : Number(options['first-seed']);
  const drawn: Plan[] = [];
  for (let seed = firstSeed; drawn.length < runs; seed += 1) {
    const plan = makePlan(seed);
    if (options.engine === '' || plan.engine === options.engine) {
      drawn.push(plan);
    }
  }
  return drawn;
}

function report({ folder, ...numbers }: Outcome): void {
  for (const { kind, text } of numbers.faults.slice(0, FAULTS_SHOWN)) {
    say(`  ${kind}: ${text}`);
  }
  if (numbers.faults.length > FAULTS_SHOWN) {
    say(`  and ${numbers.faults.length - FAULTS_SHOWN} more`);
  }
  if (folder !== undefined) {
    say(`  Everything that is known of this run is in ${folder}`);
  }
  say(JSON.stringify({ ...numbers, faults: numbers.faults.length }));
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

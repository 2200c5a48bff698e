import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makePlan, type Plan, type ProcessPlan } from './plan.ts';

const SEEDS = Array.from({ length: 300 }, (_, seed) => seed);

const anySeed = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('a plan of the chaos suite', () => {
  it('is made of its seed and of nothing else', () => {
    fc.assert(
      fc.property(anySeed, (seed) => {
        expect(makePlan(seed)).toEqual(makePlan(seed));
      }),
    );
  });

  it('is one process on the embedded engine, and 1 to 4 that deliver on AWS', () => {
    fc.assert(
      fc.property(anySeed, (seed) => {
        const { engine, processes } = makePlan(seed);

        const workers = processes.filter(isWorker).length;
        expect(engine === 'embedded' ? processes.length : 1).toBe(1);
        expect(workers).toBeGreaterThanOrEqual(1);
        expect(workers).toBeLessThanOrEqual(4);
      }),
    );
  });

  it('leaves one behind that answers requests, and one that delivers', () => {
    fc.assert(
      fc.property(anySeed, (seed) => {
        const staying = makePlan(seed).processes.filter(returns);

        expect(staying.some(isWorker)).toBe(true);
        expect(staying.some(({ roles }) => roles !== 'worker')).toBe(true);
      }),
    );
  });

  it('resumes or cancels what it pauses, or it would never end', () => {
    fc.assert(
      fc.property(anySeed, (seed) => {
        const lastSteps = makePlan(seed).messages.map(({ steps }) => steps.at(-1)?.do);

        expect(lastSteps).not.toContain('pause');
      }),
    );
  });

  it.each<[string, (plan: Plan) => boolean]>([
    ['an empty group', ({ groups }): boolean => groups.some(({ emails }) => emails.length === 0)],
    ['a batch and one', ({ groups }): boolean => groups.some(({ emails }) => emails.length === 51)],
    [
      'a kill while starting',
      ({ processes }): boolean =>
        stepsOf(processes).some((step) => step.do !== 'stop' && step.back?.diesAgainAfterMs !== undefined),
    ],
    [
      'a stop for longer than a lease',
      ({ processes, leaseMs }): boolean =>
        stepsOf(processes).some((step) => step.do === 'stop' && step.forMs > leaseMs),
    ],
    ['a process that stays away', ({ processes }): boolean => !processes.every(returns)],
    ['four workers', ({ processes }): boolean => processes.filter(isWorker).length === 4],
    [
      'a hang for longer than a lease',
      ({ behaviours, leaseMs }): boolean =>
        behaviours.some((behaviour) => behaviour.do === 'hang' && (behaviour.ms ?? 0) > leaseMs),
    ],
    [
      'a cut after the final dot',
      ({ behaviours }): boolean =>
        behaviours.some(({ at, do: does }) => at === 'after-dot' && does === 'cut'),
    ],
    [
      'a cut before the final dot',
      ({ behaviours }): boolean => behaviours.some(({ at, do: does }) => at === 'data' && does === 'cut'),
    ],
    ['4xx', ({ behaviours }): boolean => behaviours.some(({ code }) => code === 451)],
    ['5xx', ({ behaviours }): boolean => behaviours.some(({ code }) => code === 550)],
    [
      'a cancel',
      ({ messages }): boolean => messages.some(({ steps }) => steps.some((step) => step.do === 'cancel')),
    ],
    [
      'a POST that is repeated at the same moment',
      ({ messages }): boolean => messages.some(({ repeats }) => repeats === 'at-once'),
    ],
  ])('has %s in some of 300 seeds', (_what, has) => {
    const plans = SEEDS.map(makePlan);

    expect(plans.filter(has).length).toBeGreaterThanOrEqual(5);
  });
});

function isWorker({ roles }: ProcessPlan): boolean {
  return roles !== 'api';
}

function returns({ steps }: ProcessPlan): boolean {
  return steps.every((step) => step.do === 'stop' || step.back !== undefined);
}

function stepsOf(processes: readonly ProcessPlan[]): ProcessPlan['steps'] {
  return processes.flatMap(({ steps }) => steps);
}

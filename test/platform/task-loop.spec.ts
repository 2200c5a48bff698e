import { describe, expect, it, onTestFinished } from 'vitest';
import { Shutdown } from '../../src/platform/lifecycle/shutdown.ts';
import { type TaskPlan, TaskLoop } from '../../src/platform/lifecycle/task-loop.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { parseSettings } from '../../src/platform/config/settings.ts';
import { anInstant } from '../support/builders.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until } from '../support/until.ts';

const ignore = (): void => undefined;
const SILENT_LOG = new Log({ debug: ignore, info: ignore, warn: ignore, error: ignore });
const PATIENCE_MS = 10_000;

/** A loop over tasks that are there already and end when `end` is called, and what it has begun. */
function startLoop(
  tasks: readonly number[],
  plan: Pick<TaskPlan<number>, 'atOnce' | 'weigh'>,
): { readonly begun: readonly number[]; readonly idle: () => boolean; readonly end: (task: number) => void } {
  const clock = new ManualClock(anInstant());
  const shutdown = new Shutdown(clock, parseSettings({}), SILENT_LOG);
  const left = [...tasks];
  const begun: number[] = [];
  const ends = new Map<number, () => void>();
  let hasAsked = false;
  const loop = new TaskLoop<number>(
    {
      ...plan,
      pull: async (limit, signal): Promise<readonly number[]> => {
        const pulled = left.splice(0, limit);
        if (pulled.length === 0) {
          hasAsked = true;
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }
        return pulled;
      },
      work: async (task): Promise<void> => {
        begun.push(task);
        await new Promise<void>((resolve) => ends.set(task, resolve));
      },
      pullFailed: ignore,
    },
    shutdown,
    clock,
  );
  loop.start();
  onTestFinished(async () => {
    shutdown.begin();
    ends.forEach((end) => end());
    await loop.stopped();
  });
  return { begun, idle: () => hasAsked, end: (task) => ends.get(task)?.() };
}

describe('TaskLoop', () => {
  it('works whole tasks up to so many side by side, and the next when one ends', async () => {
    const { begun, end } = startLoop([1, 2, 3], { atOnce: 2 });
    await until('Two are begun', PATIENCE_MS, async () => begun.length === 2 || undefined);

    end(1);

    await until('The third is begun', PATIENCE_MS, async () => begun.length === 3 || undefined);
    expect(begun).toEqual([1, 2, 3]);
  });

  it('works as many small tasks side by side as weigh no more than whole ones', async () => {
    const tasks = Array.from({ length: 20 }, (_, task) => task);

    const { begun, end } = startLoop(tasks, { atOnce: 2, weigh: () => 1 / 4 });

    // Before the last of them is pulled, a whole one must have room.
    await until('Five are begun', PATIENCE_MS, async () => begun.length === 5 || undefined);
    end(0);
    await until('A sixth is begun', PATIENCE_MS, async () => begun.length === 6 || undefined);
    expect(begun).toEqual(tasks.slice(0, 6));
  });

  it('pulls no more than there is room for, whatever they weigh', async () => {
    const { begun, idle } = startLoop([0, 1, 2], { atOnce: 4, weigh: (task) => (task === 2 ? 1 : 1 / 2) });

    await until('It asks for more', PATIENCE_MS, async () => idle() || undefined);

    expect(begun).toEqual([0, 1, 2]);
  });
});

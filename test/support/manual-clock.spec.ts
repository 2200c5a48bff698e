import { describe, expect, it } from 'vitest';
import { MINUTE_MS, plusMs, SECOND_MS } from '../../src/platform/clock/clock.ts';
import { anInstant } from './builders.ts';
import { ManualClock } from './manual-clock.ts';

describe('ManualClock', () => {
  const start = anInstant();

  it('runs timers in order of time, each at its own', () => {
    const clock = new ManualClock(start);
    const ran: string[] = [];
    const note = (name: string) => (): void =>
      void ran.push(`${name} ${clock.now().since(start).total('seconds')}`);
    clock.arm(plusMs(start, 2 * SECOND_MS), note('second'));
    clock.arm(plusMs(start, SECOND_MS), note('first'));
    clock.arm(plusMs(start, 3 * SECOND_MS), note('not yet'));

    clock.advance(2_500);

    expect(ran).toEqual(['first 1', 'second 2']);
    expect(clock.now()).toEqual(plusMs(start, 2_500));
  });

  it('runs timers that a timer arms within the same move', () => {
    const clock = new ManualClock(start);
    const ran: number[] = [];
    const tick = (): void => {
      ran.push(clock.now().since(start).total('seconds'));
      clock.arm(plusMs(clock.now(), SECOND_MS), tick);
    };
    tick();

    clock.advance(3 * SECOND_MS);

    expect(ran).toEqual([0, 1, 2, 3]);
  });

  it.each([
    ['now', 0],
    ['the past', -SECOND_MS],
  ])('runs a timer for %s soon after, but not while it is armed', async (_, ms) => {
    const clock = new ManualClock(start);
    let ran = 0;
    clock.arm(plusMs(start, ms), () => {
      ran += 1;
    });
    expect(ran).toBe(0);

    await Promise.resolve();

    expect(ran).toBe(1);
  });

  it('runs it once when a move comes first', async () => {
    const clock = new ManualClock(start);
    let ran = 0;
    clock.arm(start, () => {
      ran += 1;
    });

    clock.advance(0);

    expect(ran).toBe(1);
    await Promise.resolve();
    expect(ran).toBe(1);
  });

  it('never runs a timer that was disarmed', async () => {
    const clock = new ManualClock(start);
    let ran = 0;
    const disarm = [start, plusMs(start, SECOND_MS)].map((at) =>
      clock.arm(at, () => {
        ran += 1;
      }),
    );

    for (const stop of disarm) {
      stop();
    }
    clock.advance(MINUTE_MS);
    await Promise.resolve();

    expect(ran).toBe(0);
  });

  it('jumps, and then runs what came due meanwhile', () => {
    const clock = new ManualClock(start);
    const ran: Temporal.Instant[] = [];
    clock.arm(plusMs(start, SECOND_MS), () => ran.push(clock.now()));

    clock.set(plusMs(start, -MINUTE_MS));
    expect(ran).toEqual([]);

    clock.set(plusMs(start, MINUTE_MS));
    expect(ran).toEqual([plusMs(start, MINUTE_MS)]);
  });
});

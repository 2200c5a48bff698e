import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HandOverWindow } from '../../src/delivery/channels/hand-over-window.ts';

describe('how many mails are handed over in one call', () => {
  it('doubles while a call is quick, up to the most', () => {
    const window = new HandOverWindow(3, 50);

    const sizes = Array.from({ length: 6 }, () => {
      window.took(window.size, 1);
      return window.size;
    });

    expect(sizes).toEqual([6, 12, 24, 48, 50, 50]);
  });

  it('becomes what goes within a tenth of a second', () => {
    const window = new HandOverWindow(3, 50);
    for (let call = 1; call <= 5; call += 1) {
      window.took(window.size, 1);
    }

    window.took(50, 500);

    expect(window.size).toBe(10);
  });

  it('learns nothing from the few that are left at the end, unless they are slow', () => {
    const window = new HandOverWindow(3, 50);
    for (let call = 1; call <= 5; call += 1) {
      window.took(window.size, 1);
    }

    window.took(1, 20);
    const afterFew = window.size;
    window.took(1, 2_000);

    expect([afterFew, window.size]).toEqual([50, 3]);
  });

  it('is the least again after something went wrong', () => {
    const window = new HandOverWindow(3, 50);
    window.took(3, 1);

    window.shrink();

    expect(window.size).toBe(3);
  });

  it('stays between the least and the most, whatever happens', () => {
    const calls = fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.nat(5_000)));

    fc.assert(
      fc.property(calls, (all) => {
        const window = new HandOverWindow(3, 50);
        for (const [count, tookMs] of all) {
          window.took(count, tookMs);

          expect(window.size).toBeGreaterThanOrEqual(3);
          expect(window.size).toBeLessThanOrEqual(50);
        }
      }),
    );
  });
});

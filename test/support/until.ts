import { setTimeout as delay } from 'node:timers/promises';

// What comes at once is seen at once; what takes long is not held up by being asked for it all the time.
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 150;
const PAUSE_GROWTH = 1.5;

/**
 * What `probe` resolves with once that is not `undefined`; rejects, and says what was awaited, when it takes too long.
 * Between two probes it waits for `everyMs`; where that is absent for longer and longer, up to 150 ms.
 */
export async function until<Value>(
  what: string,
  limitMs: number,
  probe: () => Promise<Value | undefined>,
  everyMs?: number,
): Promise<Value> {
  const limit = AbortSignal.timeout(limitMs);
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    const value = await probe();
    if (value !== undefined) {
      return value;
    }
    if (limit.aborted) {
      throw new Error(`${what}: not within ${limitMs} ms.`);
    }
    await delay(everyMs ?? pauseMs);
    pauseMs = Math.min(pauseMs * PAUSE_GROWTH, LONGEST_PAUSE_MS);
  }
}

import { setTimeout as delay } from 'node:timers/promises';

const ASK_EVERY_MS = 20;

/** What `probe` resolves with once that is not `undefined`; rejects, and says what was awaited, when it takes too long. */
export async function until<Value>(
  what: string,
  limitMs: number,
  probe: () => Promise<Value | undefined>,
  everyMs = ASK_EVERY_MS,
): Promise<Value> {
  const limit = AbortSignal.timeout(limitMs);
  for (;;) {
    const value = await probe();
    if (value !== undefined) {
      return value;
    }
    if (limit.aborted) {
      throw new Error(`${what}: not within ${limitMs} ms.`);
    }
    await delay(everyMs);
  }
}

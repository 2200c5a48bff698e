import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pace } from '../../src/delivery/rate/pace.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { aGroupName, anInstant } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';

const KEY = 'channel/ses';

function aPace(pace: Partial<Pace> = {}): Pace {
  return { nextAt: anInstant(), lowered: undefined, quota: undefined, ...pace };
}

export function describeRateStore(openEngine: OpenEngine): void {
  describe('RateStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    async function read(
      key: 'channel/ses' | `group/${ReturnType<typeof aGroupName>}` = KEY,
    ): Promise<Pace | undefined> {
      return engine.rates.find(key);
    }

    it('begins with nothing', async () => {
      expect(await read()).toBeUndefined();
    });

    it.each<[string, Pace]>([
      ['a position', aPace({ nextAt: plusMs(anInstant(), 1_234) })],
      ['a rate that was lowered', aPace({ lowered: { rate: 3.5, at: anInstant() } })],
      ['a quota', aPace({ quota: { rate: 14.5, left: 50_000, readAt: anInstant() } })],
      ['a quota without limit', aPace({ quota: { rate: 14, left: undefined, readAt: anInstant() } })],
      [
        'all of it',
        aPace({ lowered: { rate: 0.5, at: anInstant() }, quota: { rate: 1, left: 0, readAt: anInstant() } }),
      ],
    ])('keeps %s, and answers what the change answers', async (_what, pace) => {
      const answer = await engine.rates.change(KEY, () => ({ pace, answer: 'done' }));

      expect(answer).toBe('done');
      expect(await read()).toEqual(pace);
    });

    it('forgets what is taken away', async () => {
      const full = aPace({
        lowered: { rate: 1, at: anInstant() },
        quota: { rate: 1, left: 1, readAt: anInstant() },
      });
      await engine.rates.change(KEY, () => ({ pace: full, answer: undefined }));

      await engine.rates.change(KEY, () => ({ pace: aPace(), answer: undefined }));

      expect(await read()).toEqual(aPace());
    });

    it('keeps each limit by itself', async () => {
      await engine.rates.change(KEY, () => ({ pace: aPace(), answer: undefined }));

      expect(await read(`group/${aGroupName()}`)).toBeUndefined();
    });

    it('loses no change of many who change it at once', async () => {
      const changes = Array.from({ length: 10 }, () =>
        engine.rates.change(KEY, (pace) => {
          const nextAt = plusMs(pace?.nextAt ?? anInstant(), 1_000);
          return { pace: aPace({ nextAt }), answer: nextAt.epochMilliseconds };
        }),
      );

      const answers = await Promise.all(changes);

      expect(new Set(answers).size).toBe(10);
      expect((await read())?.nextAt).toEqual(plusMs(anInstant(), 10_000));
    });

    it('changes nothing where the change fails', async () => {
      await engine.rates.change(KEY, () => ({ pace: aPace(), answer: undefined }));

      const failing = engine.rates.change(KEY, () => {
        throw new Error('no');
      });

      await expect(failing).rejects.toThrow('no');
      expect(await read()).toEqual(aPace());
    });
  });
}

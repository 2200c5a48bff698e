import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MINUTE_MS, plusMs } from '../../src/platform/clock/clock.ts';
import { VersionMismatchError } from '../../src/platform/errors/version-mismatch-error.ts';
import type { CreateResult, Idempotency } from '../../src/schedule/message-store.ts';
import { type Series, SeriesNotFoundError } from '../../src/schedule/series.ts';
import { aGroupName, aMessage, anInstant, aSealedContent, aSeries, sealOf } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { answersOf, atOnce, faultsOf } from './steps.ts';

const GROUP = aGroupName();

export function describeSeriesStore(openEngine: OpenEngine): void {
  describe('SeriesStore', () => {
    let engine: Engine;

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    async function create(
      series: Series,
      message = aMessage(),
      idempotency?: Idempotency,
    ): Promise<CreateResult> {
      return engine.messages.create(message, aSealedContent(), {
        idempotency,
        series: { kind: 'new', series },
      });
    }

    it.each<[string, Partial<Series>]>([
      ['everything that it can have', {}],
      [
        'nothing that can be absent',
        {
          reason: undefined,
          from: undefined,
          replyTo: undefined,
          next: undefined,
          retired: [],
          wakeAt: undefined,
          recurrence: { ...aSeries().recurrence, until: undefined, count: undefined, except: [] },
        },
      ],
    ])('is stored with the message of its first occurrence, with %s', async (_what, overrides) => {
      const series = aSeries(overrides);
      const message = aMessage();

      const result = await create(series, message);

      expect(result).toEqual({ kind: 'created' });
      expect(await engine.series.find(GROUP, series.key)).toEqual(series);
      expect(await engine.messages.find(GROUP, message.key)).toEqual(message);
      expect(await engine.series.readContent(series)).toEqual(aSealedContent().bytes);
    });

    it('is not stored where the request was answered before', async () => {
      const idempotency = {
        key: 'k',
        fingerprint: 'f',
        answer: '{}',
        expiresAt: plusMs(anInstant(), MINUTE_MS),
      };
      const [first, second] = [aSeries(), aSeries()];
      await create(first, aMessage(), idempotency);

      const result = await create(second, aMessage(), idempotency);

      expect(result.kind).toBe('repeated');
      expect(await engine.series.list(GROUP, { after: undefined, limit: 10 })).toEqual([first]);
    });

    it('is found when it wakes, as messages are, and is no message itself', async () => {
      const series = aSeries({ wakeAt: plusMs(anInstant(), 1) });
      const message = aMessage();
      await create(series, message);

      await expect
        .poll(() => engine.messages.findWaking(plusMs(anInstant(), 1), 10))
        .toEqual([
          { kind: 'message', group: GROUP, key: message.key, wakeAt: anInstant() },
          { kind: 'series', group: GROUP, key: series.key, wakeAt: series.wakeAt },
        ]);
      expect(await engine.messages.findLatest(GROUP)).toEqual(message);
    });

    it('is listed in order of its key, page by page, without those of other groups', async () => {
      const all = [aSeries(), aSeries(), aSeries()];
      for (const series of [...all, aSeries({ group: aGroupName('other') })]) {
        await create(series, aMessage({ group: series.group }));
      }

      const first = await engine.series.list(GROUP, { after: undefined, limit: 2 });
      const rest = await engine.series.list(GROUP, { after: first.at(-1)?.key, limit: 2 });

      expect((await engine.series.findLatest(GROUP))?.key).toBe(
        all
          .map(({ key }) => key)
          .toSorted()
          .at(-1),
      );
      expect([...first, ...rest]).toEqual(all.toSorted((a, b) => (a.key < b.key ? -1 : 1)));
    });

    it('is replaced by its next version, once', async () => {
      const before = aSeries();
      await create(before);
      const after: Series = { ...before, version: 2, status: 'paused', next: undefined, wakeAt: undefined };

      await engine.series.replace(after);

      expect(await engine.series.find(GROUP, before.key)).toEqual(after);
      await expect(engine.series.replace(after)).rejects.toBeInstanceOf(VersionMismatchError);
      await expect.poll(() => engine.messages.findWaking(plusMs(anInstant(), MINUTE_MS), 10)).toHaveLength(1);
      await expect(engine.series.replace(aSeries({ version: 2 }))).rejects.toBeInstanceOf(
        SeriesNotFoundError,
      );
    });

    it('is replaced by one of many who try at once', async () => {
      const before = aSeries();
      await create(before);

      const results = await atOnce(5, () => engine.series.replace({ ...before, version: 2 }));

      expect(answersOf(results)).toHaveLength(1);
      expect(faultsOf(results).every((fault) => fault instanceof VersionMismatchError)).toBe(true);
    });

    it('has new content with a version that brings it', async () => {
      const before = aSeries();
      await create(before);
      const content = aSealedContent({ body: 'New' });
      const after = { ...before, version: 2, content: sealOf(content) };

      await engine.series.replace(after, content);

      expect(await engine.series.readContent(after)).toEqual(content.bytes);
    });

    describe('the message of an occurrence', () => {
      it('is stored once, however many make it', async () => {
        const series = aSeries();
        await create(series);
        const message = aMessage();

        const results = await atOnce(3, () =>
          engine.messages.create(message, aSealedContent(), { series: { kind: 'unchanged', series } }),
        );

        expect(
          answersOf(results)
            .map(({ kind }) => kind)
            .toSorted(),
        ).toEqual(['created', 'exists', 'exists']);
        expect(await engine.messages.readContent(message)).toEqual(aSealedContent().bytes);
      });

      it('is not stored where the series has changed since it was read', async () => {
        const series = aSeries();
        await create(series);
        await engine.series.replace({ ...series, version: 2 });
        const message = aMessage();

        const result = await engine.messages.create(message, aSealedContent(), {
          series: { kind: 'unchanged', series },
        });

        expect(result).toEqual({ kind: 'series-changed' });
        expect(await engine.messages.find(GROUP, message.key)).toBeUndefined();
      });
    });
  });
}

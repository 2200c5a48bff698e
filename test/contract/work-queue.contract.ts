import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BatchPointer } from '../../src/delivery/batch.ts';
import type { Task } from '../../src/delivery/work-queue.ts';
import { SECOND_MS } from '../../src/platform/clock/clock.ts';
import { addresses, aGroupName } from '../support/builders.ts';
import type { Engine, OpenEngine } from './engine.ts';
import { aProgress, aSettlement, at, claimBatch, dispatch, dispatchOne, read, termsOf } from './steps.ts';

// For a state that must come: a test that waits longer has failed.
const PATIENCE_MS = 10_000;

export function describeWorkQueue(openEngine: OpenEngine): void {
  describe('WorkQueue', () => {
    let engine: Engine;

    /** Pulls until `count` tasks have come. */
    async function pullAll(count: number, limit: number): Promise<readonly Task[]> {
      const tasks: Task[] = [];
      const signal = AbortSignal.timeout(PATIENCE_MS);
      while (tasks.length < count && !signal.aborted) {
        tasks.push(...(await engine.queue.pull(limit, signal)));
      }
      return tasks;
    }

    /** What comes out within a moment: a pull that is told at once to end. */
    async function pullBriefly(): Promise<readonly Task[]> {
      const abort = new AbortController();
      const pull = engine.queue.pull(10, abort.signal);
      abort.abort();
      return pull;
    }

    async function settle(pointer: BatchPointer): Promise<void> {
      await engine.deliveries.settle(await claimBatch(engine, pointer), aSettlement(engine));
    }

    beforeEach(async () => {
      engine = await openEngine();
    });
    afterEach(async () => {
      await engine.close();
    });

    it.each([1, 3, 10])('gives out every pointer that was pushed, up to %d at a time', async (limit) => {
      const { batches } = await dispatch(engine, addresses(7), 1);
      await engine.queue.push(batches);

      const tasks = await pullAll(batches.length, limit);

      expect(namesOf(tasks)).toEqual(batches.map(nameOf));
    });

    it('gives out no more than was asked for', async () => {
      const { batches } = await dispatch(engine, addresses(5), 1);
      await engine.queue.push(batches);

      const tasks = await engine.queue.pull(2, AbortSignal.timeout(PATIENCE_MS));

      expect(tasks.length).toBeGreaterThan(0);
      expect(tasks.length).toBeLessThanOrEqual(2);
    });

    it('gives out again, after a moment, what was given back', async () => {
      const { batches } = await dispatch(engine, addresses(1), 1);
      await engine.queue.push(batches);
      const task = at(await pullAll(1, 1), 0);

      await task.giveBack();
      await task.done(); // which does nothing any more

      expect(await pullBriefly()).toEqual([]);
      engine.clock.advance(10 * SECOND_MS);
      expect(namesOf(await pullAll(1, 1))).toEqual(batches.map(nameOf));
    });

    it('takes more pointers in one push than fit into one request', async () => {
      const { batches } = await dispatch(engine, addresses(99), 1);

      await engine.queue.push(batches);

      expect(namesOf(await pullAll(99, 10))).toEqual(batches.map(nameOf));
    });

    it('gives each worker another pointer', async () => {
      const { batches } = await dispatch(engine, addresses(4), 1);
      await engine.queue.push(batches);

      const pulls = await Promise.all(batches.map(async () => pullAll(1, 1)));

      expect(namesOf(pulls.flat())).toEqual(batches.map(nameOf));
    });

    it('gives out the pointers of all messages', async () => {
      const first = await dispatch(engine, addresses(5), 1);
      const second = await dispatch(engine, addresses(2), 1, { group: aGroupName('other') });
      await engine.queue.push(first.batches);
      await engine.queue.push(second.batches);

      const tasks = await pullAll(7, 3);

      expect(namesOf(tasks)).toEqual([...first.batches, ...second.batches].map(nameOf).toSorted());
    });

    it('does not give out a pointer again while a worker has it', async () => {
      const { batch } = await dispatchOne(engine);
      await engine.queue.push([batch]);
      await pullAll(1, 1);

      const again = await pullBriefly();

      expect(again).toEqual([]);
    });

    it('does not give out a pointer again once its batch is settled and it is done', async () => {
      const { batch } = await dispatchOne(engine);
      await engine.queue.push([batch]);
      const task = at(await pullAll(1, 1), 0);
      await settle(task.pointer);
      await task.done();

      const again = await pullBriefly();

      expect(again).toEqual([]);
    });

    it('gives out a pointer again that is pushed again, because its batch was left behind', async () => {
      const { batch } = await dispatchOne(engine);
      await engine.queue.push([batch]);
      const task = at(await pullAll(1, 1), 0);
      await task.done();

      await engine.queue.push([batch]);

      expect(namesOf(await pullAll(1, 1))).toEqual([nameOf(batch)]);
    });

    it('does nothing when a worker says twice that it is through, not even to the next one who has the pointer', async () => {
      const { batch } = await dispatchOne(engine);
      await engine.queue.push([batch]);
      const first = at(await pullAll(1, 1), 0);
      await first.done();
      await engine.queue.push([batch]);
      await pullAll(1, 1);

      await first.done();

      expect(await pullBriefly()).toEqual([]);
    });

    it('does not mind pointers that are pushed twice: one claim wins', async () => {
      const { batch } = await dispatchOne(engine);
      await engine.queue.push([batch]);
      await engine.queue.push([batch]);

      const tasks = [...(await pullAll(1, 1)), ...(await pullBriefly())];

      const claims = await Promise.all(
        tasks.map(async ({ pointer }, index) =>
          engine.deliveries.claim(pointer, termsOf(engine, `worker ${index}`)),
        ),
      );
      expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
    });

    it('takes a push of nothing', async () => {
      await engine.queue.push([]);

      expect(await pullBriefly()).toEqual([]);
    });

    it('ends a pull that waits with what is pushed meanwhile', async () => {
      const pull = pullAll(1, 10);
      const { batch } = await dispatchOne(engine);

      await engine.queue.push([batch]);

      expect(namesOf(await pull)).toEqual([nameOf(batch)]);
    });

    it('ends a pull that waits when its signal is aborted, and answers none', async () => {
      const abort = new AbortController();
      const pull = engine.queue.pull(10, abort.signal);

      abort.abort();

      expect(await pull).toEqual([]);
    });

    it('swallows nothing that is pushed at the moment at which a pull is told to end', async () => {
      const abort = new AbortController();
      const pull = engine.queue.pull(10, abort.signal);
      const { batches } = await dispatch(engine, addresses(3), 1);
      const push = engine.queue.push(batches);
      abort.abort();
      await push;

      const before = await pull;
      const after = await pullAll(batches.length - before.length, 10);

      expect(namesOf([...before, ...after])).toEqual(batches.map(nameOf));
    });

    it('lets nobody hand over a batch of a paused message, whether its pointer comes out or not', async () => {
      const { message, batch } = await dispatchOne(engine);
      const { version } = await read(engine, message);
      await engine.messages.change(message.group, message.key, version, {
        status: 'paused',
        wakeAt: undefined,
      });
      await engine.queue.push([batch]);

      const tasks = await pullBriefly();

      for (const { pointer } of tasks) {
        const status = await engine.deliveries.advance(
          await claimBatch(engine, pointer),
          aProgress(engine, { next: batch }),
        );
        expect(status).toBe('paused');
      }
      expect(tasks.length).toBeLessThanOrEqual(1);
    });

    it('gives out the batch of a message that goes on after a pause', async () => {
      const { message, batch } = await dispatchOne(engine);
      const { version } = await read(engine, message);
      await engine.messages.change(message.group, message.key, version, {
        status: 'paused',
        wakeAt: undefined,
      });
      await engine.messages.change(message.group, message.key, version + 1, {
        status: 'sending',
        wakeAt: engine.clock.now(),
      });

      await engine.queue.push([batch]);

      expect(namesOf(await pullAll(1, 1))).toEqual([nameOf(batch)]);
    });
  });
}

function nameOf(pointer: BatchPointer): string {
  return `${pointer.group} ${pointer.messageKey} ${pointer.first}`;
}

/** In order, because the queue promises none. */
function namesOf(tasks: readonly Task[]): readonly string[] {
  return tasks.map(({ pointer }) => nameOf(pointer)).toSorted();
}

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DueFinder } from '../../../src/engines/aws/due-finder.ts';
import {
  duePartition,
  hourOf,
  nameOf,
  oldestUnsettledHour,
  SHARDS,
} from '../../../src/engines/aws/due-index.ts';
import type { QueryDue } from '../../../src/engines/aws/due-query.ts';
import { HOUR_MS, isReached, MINUTE_MS, plusMs, SECOND_MS } from '../../../src/platform/clock/clock.ts';
import { StoreUnavailableError } from '../../../src/platform/errors/domain-error.ts';
import type { Waking } from '../../../src/schedule/message-store.ts';
import { type MessageKey, newMessageKey } from '../../../src/schedule/message.ts';
import { aGroupName, anInstant } from '../../support/builders.ts';
import { ManualClock } from '../../support/manual-clock.ts';

interface Entry {
  readonly partition: string;
  readonly waking: Waking;
  readonly visibleFrom: Temporal.Instant;
}

/** The rules of the engine without the engine: an index that lags behind, and a mark that several scanners move. */
class Model {
  readonly #entries = new Map<MessageKey, Entry>();
  readonly asked: string[] = [];
  markHour: number;
  readonly moves: (readonly [number, number])[] = [];

  constructor(readonly clock: ManualClock) {
    this.markHour = oldestUnsettledHour(clock.now());
  }

  write(key: MessageKey, wakeAt: Temporal.Instant, writerSkewMs: number, lagMs: number): void {
    const partition = nameOf(duePartition(key, wakeAt, plusMs(this.clock.now(), writerSkewMs)));
    const waking = { kind: 'message', group: aGroupName(), key, wakeAt } as const;
    this.#entries.set(key, { partition, waking, visibleFrom: plusMs(this.clock.now(), lagMs) });
  }

  remove(key: MessageKey): void {
    this.#entries.delete(key);
  }

  readonly query: QueryDue = async (partition, until, limit) => {
    this.asked.push(partition);
    return [...this.#entries.values()]
      .filter((entry) => entry.partition === partition && isReached(entry.visibleFrom, this.clock.now()))
      .map(({ waking }) => waking)
      .filter(({ wakeAt }) => isReached(wakeAt, until))
      .toSorted((a, b) => Temporal.Instant.compare(a.wakeAt, b.wakeAt))
      .slice(0, limit);
  };

  readonly mark = {
    get: async (): Promise<number> => this.markHour,
    move: async (from: number, to: number): Promise<number> => {
      if (this.markHour === from) {
        this.moves.push([from, to]);
        this.markHour = to;
      }
      return this.markHour;
    },
  };

  /** A scanner whose clock differs from the true one. */
  scanner(skewMs = 0): DueFinder {
    const { clock } = this;
    return new DueFinder(this.query, this.mark, {
      now: () => plusMs(clock.now(), skewMs),
      arm: (at, task) => clock.arm(at, task),
    });
  }
}

function aModel(start = anInstant()): Model {
  return new Model(new ManualClock(start));
}

function msToTurn(clock: ManualClock): number {
  return HOUR_MS - (clock.now().epochMilliseconds % HOUR_MS);
}

/** A scan as DueScanner makes it: 5 seconds ahead. */
async function scan(finder: DueFinder, model: Model): Promise<readonly string[]> {
  const found = await finder.find(plusMs(model.clock.now(), 5 * SECOND_MS), 1_000);
  return found.map(({ key }) => key);
}

describe('DueFinder', () => {
  it('never loses a message, whatever the clocks, the lag, the outages and the order of things', async () => {
    const step = fc.record({
      passMs: fc.oneof(
        fc.noBias(fc.nat(10 * SECOND_MS)),
        fc.noBias(fc.nat(10 * MINUTE_MS)),
        fc.noBias(fc.nat(2 * HOUR_MS)),
        fc.constant(20 * HOUR_MS),
      ),
      // What can go wrong goes wrong at the hour's turn.
      isBeforeTurn: fc.boolean(),
      act: fc.constantFrom('write', 'move', 'finish', 'scan', 'scan', 'scan', 'restart'),
      which: fc.nat(9),
      untilWakeMs: fc.noBias(fc.integer({ min: -HOUR_MS, max: HOUR_MS })),
      writerSkewMs: fc.integer({ min: -5 * SECOND_MS, max: 5 * SECOND_MS }),
      lagMs: fc.oneof(fc.nat(SECOND_MS), fc.noBias(fc.nat(14 * MINUTE_MS))),
    });
    const skews = fc.tuple(fc.integer({ min: -2_500, max: 2_500 }), fc.integer({ min: -2_500, max: 2_500 }));

    await fc.assert(
      fc.asyncProperty(skews, fc.array(step, { maxLength: 40 }), async ([skewA, skewB], steps) => {
        const model = aModel();
        const scanners = [model.scanner(skewA), model.scanner(skewB)];
        const waking = new Set<MessageKey>();
        for (const { passMs, isBeforeTurn, act, which, untilWakeMs, writerSkewMs, lagMs } of steps) {
          model.clock.advance(isBeforeTurn && act !== 'scan' ? msToTurn(model.clock) - 1 : passMs);
          const key = [...waking][which % Math.max(waking.size, 1)];
          const wakeAt = plusMs(model.clock.now(), untilWakeMs);
          if (act === 'write') {
            const created = newMessageKey();
            waking.add(created);
            model.write(created, wakeAt, writerSkewMs, lagMs);
          } else if (act === 'move' && key) {
            model.write(key, wakeAt, writerSkewMs, lagMs);
          } else if (act === 'finish' && key) {
            waking.delete(key);
            model.remove(key);
          } else if (act === 'scan') {
            const scanner = scanners[which % 2] ?? model.scanner();
            await scan(scanner, model);
          } else if (act === 'restart') {
            scanners[which % 2] = model.scanner(which % 2 === 0 ? skewA : skewB);
          }
        }
        model.clock.advance(3 * HOUR_MS);

        for (const scanner of [...scanners, model.scanner()]) {
          expect(new Set(await scan(scanner, model))).toEqual(waking);
        }
        for (const [from, to] of model.moves) {
          expect(to).toBeGreaterThan(from);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('asks the shards of one hour or two, once it has seen that those before are empty', async () => {
    const model = aModel(anInstant('2026-11-23T14:20:00Z'));
    const finder = model.scanner();
    model.markHour -= 1_000;
    await scan(finder, model);
    const askedFirst = model.asked.splice(0).length;

    await scan(finder, model);

    expect(askedFirst).toBe(1_001 * SHARDS);
    expect(model.asked).toHaveLength(SHARDS);
    expect(model.markHour).toBe(hourOf(model.clock.now()));
  });

  it('asks no hour again that lies behind a message which nobody attends to', async () => {
    const model = aModel(anInstant('2026-11-23T14:20:00Z'));
    const finder = model.scanner();
    const stuck = newMessageKey();
    model.write(stuck, model.clock.now(), 0, 0);
    const stuckHour = hourOf(model.clock.now());
    model.clock.advance(100 * HOUR_MS);
    await scan(finder, model);
    model.asked.splice(0);

    const found = await scan(finder, model);

    expect(found).toEqual([stuck]);
    expect(model.asked).toHaveLength(1 + SHARDS);
    expect(model.markHour).toBe(stuckHour);
  });

  it('learns nothing of an hour from a scan that ends before it', async () => {
    const model = aModel(anInstant('2026-11-23T14:20:00Z'));
    const finder = model.scanner();
    const key = newMessageKey();
    model.write(key, plusMs(model.clock.now(), 30 * MINUTE_MS), 0, 0);
    const early = model.clock.now();
    model.clock.advance(5 * HOUR_MS);
    await finder.find(early, 10);

    const found = await scan(finder, model);

    expect(found).toEqual([key]);
  });

  it('finds what there is although the mark cannot be moved just now, and moves it later', async () => {
    const model = aModel();
    const key = newMessageKey();
    const before = model.markHour;
    let isDown = true;
    const finder = new DueFinder(
      model.query,
      {
        ...model.mark,
        move: async (from, to): Promise<number> => {
          if (isDown) {
            throw new StoreUnavailableError();
          }
          return model.mark.move(from, to);
        },
      },
      model.clock,
    );
    model.clock.advance(10 * HOUR_MS);
    model.write(key, model.clock.now(), 0, 0);

    const found = await scan(finder, model);
    const whileDown = model.markHour;
    isDown = false;
    await scan(finder, model);

    expect(found).toEqual([key]);
    expect(whileDown).toBe(before);
    expect(model.markHour).toBe(hourOf(model.clock.now()) - 1);
  });

  it('asks nothing more once a query fails, and goes on from there at the next scan', async () => {
    const model = aModel(anInstant('2026-11-23T14:20:00Z'));
    model.markHour -= 1_000;
    let left = 2_000;
    const finder = new DueFinder(
      async (partition, until, limit) => {
        left -= 1;
        if (left < 0) {
          throw new StoreUnavailableError();
        }
        return model.query(partition, until, limit);
      },
      model.mark,
      model.clock,
    );

    await expect(scan(finder, model)).rejects.toThrow(StoreUnavailableError);
    const refused = -left;
    left = Number.MAX_SAFE_INTEGER;
    await scan(finder, model);

    expect(refused).toBeLessThan(50);
    expect(model.asked).toHaveLength(1_001 * SHARDS);
  });
});

import { beforeEach, describe, expect, it } from 'vitest';
import { Line, type Permits, type Taker } from '../../../src/delivery/rate/line.ts';
import type { Lease } from '../../../src/delivery/rate/pace.ts';
import { plusMs } from '../../../src/platform/clock/clock.ts';
import { newMessageKey } from '../../../src/schedule/message.ts';
import { anInstant } from '../../support/builders.ts';
import { ManualClock } from '../../support/manual-clock.ts';

let clock: ManualClock;
let stop: AbortController;
/** What the store answers next; nothing is left to give where there is none. */
let leases: Lease[];
let line: Line;
/** Who was told what, in the order in which they were. */
let told: (readonly [string, Permits])[];

beforeEach(() => {
  clock = new ManualClock(anInstant());
  stop = new AbortController();
  leases = [];
  told = [];
  line = new Line(clock, stop.signal, () => Promise.resolve(leases.shift() ?? { kind: 'used-up' }));
});

function chunk(count: number, fromMs = 0, untilMs = fromMs + 60_000): Lease {
  return {
    kind: 'chunk',
    chunk: { count, from: plusMs(anInstant(), fromMs), until: plusMs(anInstant(), untilMs) },
  };
}

function aTaker(message = { key: newMessageKey() }, signal = new AbortController().signal): Taker {
  return { message, lease: { signal } };
}

/** Takes again and again, until it has `wanted` or hears something else. */
async function takeAll(name: string, taker: Taker, wanted: number): Promise<void> {
  for (let left = wanted; left > 0;) {
    const permits = await line.take(taker, left);
    told.push([name, permits]);
    if (permits.kind !== 'go') {
      return;
    }
    left -= permits.count;
  }
  line.forget(taker);
}

describe('a line for permits', () => {
  it('gives what there is, at once', async () => {
    leases = [chunk(10)];

    const permits = [
      await line.take(aTaker(), 4),
      await line.take(aTaker(), 100),
      await line.take(aTaker(), 1),
    ];

    expect(permits).toEqual([{ kind: 'go', count: 4 }, { kind: 'go', count: 6 }, { kind: 'used-up' }]);
  });

  it('waits for the moment from which on they are good', async () => {
    leases = [chunk(5, 1_000)];
    const taking = takeAll('ada', aTaker(), 5);

    clock.advance(999);
    await Promise.resolve();
    const before = [...told];
    clock.advance(1);
    await taking;

    expect(before).toEqual([]);
    expect(told).toEqual([['ada', { kind: 'go', count: 5 }]]);
  });

  it('takes new ones where those that it has are void', async () => {
    leases = [chunk(10, 0, 500), chunk(7, 500, 1_000)];
    await line.take(aTaker(), 1);
    clock.advance(500);

    const permits = await line.take(aTaker(), 100);

    expect(permits).toEqual({ kind: 'go', count: 7 });
  });

  it('asks the store again when it says so', async () => {
    leases = [{ kind: 'wait', until: plusMs(anInstant(), 3_000) }, chunk(1, 3_000)];
    const taking = takeAll('ada', aTaker(), 1);
    await settled();

    clock.advance(3_000);
    await taking;

    expect(told).toEqual([['ada', { kind: 'go', count: 1 }]]);
  });

  it('lets messages take turns, however many batches the one has', async () => {
    const large = { key: newMessageKey() };
    const small = { key: newMessageKey() };
    leases = Array.from({ length: 20 }, () => chunk(5));

    await Promise.all([
      takeAll('large 1', aTaker(large), 30),
      takeAll('large 2', aTaker(large), 30),
      takeAll('large 3', aTaker(large), 30),
      takeAll('small', aTaker(small), 10),
    ]);

    const names = told.map(([name]) => name);
    expect(names.lastIndexOf('small')).toBeLessThanOrEqual(4);
    expect(names.filter((name) => name !== 'small')).toEqual(
      ['large 1', 'large 2', 'large 3'].flatMap((name) => Array.from({ length: 6 }, () => name)),
    );
  });

  it('gives back what was too much', async () => {
    leases = [chunk(10)];
    await line.take(aTaker(), 10);

    line.giveBack(4);

    expect(await line.take(aTaker(), 10)).toEqual({ kind: 'go', count: 4 });
  });

  it('throws away what it has, when told that the rate is another', async () => {
    leases = [chunk(10), chunk(2)];
    await line.take(aTaker(), 1);

    line.drop();

    expect(await line.take(aTaker(), 10)).toEqual({ kind: 'go', count: 2 });
  });

  it('ends for everybody when the process stops, and for whoever comes then', async () => {
    leases = [chunk(1, 60_000)];
    const taking = [takeAll('ada', aTaker(), 1), takeAll('bo', aTaker(), 1)];
    await settled();

    stop.abort();
    await Promise.all(taking);

    expect(told.map(([, permits]) => permits.kind)).toEqual(['stop', 'stop']);
    expect(await line.take(aTaker(), 1)).toEqual({ kind: 'stop' });
  });

  it('ends for whoever may use none any more, and serves the others', async () => {
    const lost = new AbortController();
    leases = [chunk(1, 1_000)];
    const taking = [takeAll('ada', aTaker(undefined, lost.signal), 1), takeAll('bo', aTaker(), 1)];
    await settled();

    lost.abort();
    clock.advance(1_000);
    await Promise.all(taking);

    expect(told).toEqual([
      ['ada', { kind: 'stop' }],
      ['bo', { kind: 'go', count: 1 }],
    ]);
  });

  it('fails for everybody who waits where the store cannot be reached, and tries again for the next', async () => {
    let isDown = true;
    line = new Line(clock, stop.signal, () =>
      isDown ? Promise.reject(new Error('down')) : Promise.resolve(chunk(1)),
    );
    const waiting = [line.take(aTaker(), 1), line.take(aTaker(), 1)];

    const outcomes = await Promise.allSettled(waiting);
    isDown = false;

    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await line.take(aTaker(), 1)).toEqual({ kind: 'go', count: 1 });
  });
});

/** Whatever goes on without time passing has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await Promise.resolve();
  }
}

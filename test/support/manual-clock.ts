import { Clock, type Disarm, isReached, plusMs } from '../../src/platform/clock/clock.ts';

interface Timer {
  readonly at: Temporal.Instant;
  readonly task: () => void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock extends Clock {
  #now: Temporal.Instant;
  #timers: readonly Timer[] = [];

  constructor(start: Temporal.Instant) {
    super();
    this.#now = start;
  }

  override now(): Temporal.Instant {
    return this.#now;
  }

  /** A timer for now or for the past runs in the next microtask or the next move, whichever comes first; never inside `arm`. */
  override arm(at: Temporal.Instant, task: () => void): Disarm {
    const timer = { at, task };
    this.#timers = [...this.#timers, timer];
    if (isReached(at, this.#now)) {
      queueMicrotask(() => this.#fire(timer));
    }
    return () => this.#drop(timer);
  }

  /**
   * Moves on by `ms` from timer to timer: each that comes due runs at its own time, in order of time, and so do those that
   * it arms within that span. What a timer starts asynchronously is for the test to await.
   */
  advance(ms: number): void {
    const end = plusMs(this.#now, ms);
    for (let next = this.#nextUntil(end); next; next = this.#nextUntil(end)) {
      this.#now = isReached(next.at, this.#now) ? this.#now : next.at;
      this.#fire(next);
    }
    this.#now = end;
  }

  /** Jumps, as a machine does that slept or whose clock was corrected: back too. What came due meanwhile runs then, in order of time. */
  set(instant: Temporal.Instant): void {
    this.#now = instant;
    this.advance(0);
  }

  #nextUntil(end: Temporal.Instant): Timer | undefined {
    return this.#timers
      .filter((timer) => isReached(timer.at, end))
      .toSorted((a, b) => Temporal.Instant.compare(a.at, b.at))
      .at(0);
  }

  #fire(timer: Timer): void {
    if (this.#drop(timer)) {
      timer.task();
    }
  }

  /** False where it has fired or was disarmed before. */
  #drop(timer: Timer): boolean {
    const isArmed = this.#timers.includes(timer);
    this.#timers = this.#timers.filter((other) => other !== timer);
    return isArmed;
  }
}

import { Clock, type Disarm, isReached } from '../platform/clock/clock.ts';

/** A clock that stands still until somebody moves it. No time passes while something is done, so what is armed for later is not waited for. */
export class DrivenClock extends Clock {
  #now: Temporal.Instant;

  constructor(start: Temporal.Instant) {
    super();
    this.#now = start;
  }

  override now(): Temporal.Instant {
    return this.#now;
  }

  override arm(at: Temporal.Instant, task: () => void): Disarm {
    if (!isReached(at, this.#now)) {
      return () => undefined;
    }
    const immediate = setImmediate(task);
    return () => clearImmediate(immediate);
  }

  moveTo(at: Temporal.Instant): void {
    this.#now = at;
  }
}

import { Injectable } from '@nestjs/common';
import { Clock, type Disarm, msBetween } from './clock.ts';

// setTimeout holds its delay in a signed 32-bit integer of milliseconds; a longer one fires at once.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The machine's clock. */
@Injectable()
export class SystemClock extends Clock {
  override now(): Temporal.Instant {
    // Milliseconds are what is stored and shown: an instant compares equal to itself when it comes back.
    return Temporal.Instant.fromEpochMilliseconds(Date.now());
  }

  override arm(at: Temporal.Instant, task: () => void): Disarm {
    let timer: NodeJS.Timeout;
    const tick = (): void => {
      // A timeout may fire up to a millisecond before the wall clock gets there: early is what is promised never to happen.
      const leftMs = msBetween(this.now(), at);
      if (leftMs > 0) {
        timer = setTimeout(tick, Math.min(leftMs, LONGEST_TIMEOUT_MS)).unref();
        return;
      }
      task();
    };
    timer = setTimeout(tick, Math.min(Math.max(msBetween(this.now(), at), 0), LONGEST_TIMEOUT_MS)).unref();
    return () => clearTimeout(timer);
  }
}

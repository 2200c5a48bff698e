import type { Group } from '../groups/group.ts';
import { openingAt, zoneOfWindow } from '../groups/send-window.ts';
import type { Subscriber } from '../groups/subscriber.ts';
import {
  formatInstant,
  HOUR_MS,
  isReached,
  later,
  MINUTE_MS,
  msBetween,
  plusMs,
} from '../platform/clock/clock.ts';
import { deliveryZone, isPassed, type LocalDelivery, waveIn } from '../schedule/local-delivery.ts';
import type { Message } from '../schedule/message.ts';

/** Whether a delivery may go. */
export type SendTime =
  /** From `since` on it could. */
  | { readonly kind: 'now'; readonly since: Temporal.Instant }
  | { readonly kind: 'later'; readonly at: Temporal.Instant }
  | { readonly kind: 'skip'; readonly reason: string };

// A subscriber may change zone, and a group its window, while a batch waits for hours: it looks again once an hour or so. Waves come on
// the full, half or quarter hour, so the looks keep away from those, and are spread over some minutes, a whole one each, because the
// message wakes for them.
const LOOK_AFTER_MS = HOUR_MS / 2;
const LOOK_FROM_MS = 3 * MINUTE_MS;
const LOOK_MINUTES = 10;

/** Says of one message when its deliveries may go: at its time, or at that of each subscriber's zone, and within the group's send window. */
export class SendTimes {
  constructor(
    private readonly message: Pick<Message, 'scheduleOn' | 'dueAt' | 'localDelivery'>,
    private readonly group: Pick<Group, 'timeZone' | 'sendWindow'> | undefined,
  ) {}

  /** True where the message's own time is that of everybody. */
  get isCommon(): boolean {
    return !this.message.localDelivery && !this.group?.sendWindow;
  }

  /** @param isBegun it was handed to the channel before: its own time has come, whatever its zone is by now. */
  of({ timeZone }: Pick<Subscriber, 'timeZone'>, isBegun: boolean, now: Temporal.Instant): SendTime {
    const { localDelivery } = this.message;
    if (!localDelivery || isBegun) {
      return this.#within(timeZone, this.message.dueAt, now);
    }
    const zone = deliveryZone(timeZone, this.group?.timeZone);
    const wave = waveIn(localDelivery, zone).at;
    const skipped = this.#reasonToSkip(wave, zone, localDelivery);
    return skipped === undefined
      ? this.#within(timeZone, later(wave, this.message.dueAt), now)
      : { kind: 'skip', reason: skipped };
  }

  #reasonToSkip(wave: Temporal.Instant, zone: string, local: LocalDelivery): string | undefined {
    const itsTime = `Its time in ${zone}, ${formatInstant(wave)},`;
    if (local.passed === 'skip' && isPassed(wave, local, this.message)) {
      return `${itsTime} had passed.`;
    }
    return local.missedBefore && Temporal.Instant.compare(wave, local.missedBefore) < 0
      ? `${itsTime} was missed. The message says to skip it then.`
      : undefined;
  }

  /** @param from it is not to go before. */
  #within(timeZone: string | undefined, from: Temporal.Instant, now: Temporal.Instant): SendTime {
    const earliest = later(from, now);
    const window = this.group?.sendWindow;
    if (!window) {
      return isReached(from, now) ? { kind: 'now', since: from } : { kind: 'later', at: from };
    }
    const { start } = openingAt(window, zoneOfWindow(window, this.group.timeZone, timeZone), earliest);
    const at = later(earliest, start);
    return isReached(at, now) ? { kind: 'now', since: later(from, start) } : { kind: 'later', at };
  }
}

/**
 * When a batch is looked at again that waits until `at`: then, or earlier, because something may have changed meanwhile.
 * @param random answers a number from 0 up to but not including 1, as `Math.random` does.
 */
export function lookAgainAt(
  at: Temporal.Instant,
  now: Temporal.Instant,
  random: () => number,
): Temporal.Instant {
  const hour = Math.ceil(plusMs(now, LOOK_AFTER_MS).epochMilliseconds / HOUR_MS) * HOUR_MS;
  const offsetMs = LOOK_FROM_MS + Math.floor(random() * LOOK_MINUTES) * MINUTE_MS;
  const look = Temporal.Instant.fromEpochMilliseconds(hour + offsetMs);
  return isReached(at, look) ? at : look;
}

// A process that is busy, or started again, attends to a message within it: whatever the grace, that is no outage.
const OUTAGE_MIN_MS = 5 * MINUTE_MS;

/**
 * True of a message with waves that nobody has attended to for longer than the grace (and five minutes), though it wakes once an hour: there was an outage.
 * Until its wake has been attended to, nothing of it is sent.
 */
export function wasUnattended(
  { localDelivery, status, wakeAt }: Pick<Message, 'localDelivery' | 'status' | 'wakeAt'>,
  now: Temporal.Instant,
  graceMs: number,
): boolean {
  return (
    localDelivery !== undefined &&
    status === 'sending' &&
    wakeAt !== undefined &&
    msBetween(wakeAt, now) > Math.max(graceMs, OUTAGE_MIN_MS)
  );
}

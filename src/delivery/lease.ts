import { randomUUID } from 'node:crypto';
import { SECOND_MS } from '../platform/clock/clock.ts';

/**
 * By how much the clocks of two workers may differ. Whoever holds a lease stops handing mails over this long before its end, so
 * that nobody whose clock is ahead has taken it by then. (Machines that keep time by NTP differ by milliseconds; this is for one
 * that has just been started.)
 */
export const CLOCK_SKEW_MS = 5 * SECOND_MS;

/** A token that no other claim has. */
export function newToken(): string {
  return randomUUID();
}

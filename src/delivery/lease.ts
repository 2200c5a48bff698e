import { randomUUID } from 'node:crypto';
import { MINUTE_MS } from '../platform/clock/clock.ts';

// Longer than the slowest page of subscribers takes to be cut; each cut renews it.
export const MESSAGE_LEASE_MS = MINUTE_MS;

// Longer than the slowest window may take in a channel (its timeouts add up to less than 3 minutes); each window renews it.
export const BATCH_LEASE_MS = 5 * MINUTE_MS;

/** A token that no other claim has. */
export function newToken(): string {
  return randomUUID();
}

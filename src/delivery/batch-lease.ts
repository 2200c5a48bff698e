import { Clock, type Disarm, isReached, plusMs } from '../platform/clock/clock.ts';
import type { Log } from '../platform/logging/log.ts';
import type { ClaimedBatch } from './batch.ts';
import { type DeliveryStore, LeaseLostError } from './delivery-store.ts';
import { CLOCK_SKEW_MS } from './lease.ts';

// A renewal that fails is tried again twice before the lease ends.
const RENEWALS_PER_LEASE = 3;

export interface BatchLeaseParts {
  readonly deliveries: DeliveryStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
}

/**
 * The lease of a batch, while its worker lives: renewed for as long as the batch is worked, however long a window takes. It counts
 * as lost before it ends, by as much as clocks may differ. A worker that was stopped meanwhile and wakes too late finds it lost
 * too, before it hands anything over: whoever has it by then decides.
 */
export class BatchLease {
  readonly #lost = new AbortController();
  #until: Temporal.Instant;
  #disarmRenewal: Disarm = () => undefined;
  #disarmLoss: Disarm = () => undefined;
  #hasEnded = false;

  constructor(
    private readonly batch: ClaimedBatch,
    private readonly parts: BatchLeaseParts,
  ) {
    this.#until = batch.lease.until;
    this.#arm();
  }

  /** Aborts once the lease may be another's: whatever has not gone out by then must not. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Until when it is to be held, if it is renewed now. */
  nextUntil(): Temporal.Instant {
    return plusMs(this.parts.clock.now(), this.parts.leaseMs);
  }

  /** The ledger says that it is held until then. */
  isRenewed(until: Temporal.Instant): void {
    this.#until = until;
    this.#arm();
  }

  /** @throws {LeaseLostError} where it may be another's by now. */
  requireHeld(): void {
    this.#check();
    if (this.#lost.signal.aborted) {
      throw new LeaseLostError(`a batch of message ${this.batch.messageKey}`);
    }
  }

  /** Renews it no more. A second call does nothing. */
  end(): void {
    this.#hasEnded = true;
    this.#disarmRenewal();
    this.#disarmLoss();
  }

  #arm(): void {
    this.#disarmLoss();
    this.#disarmLoss = this.parts.clock.arm(plusMs(this.#until, -CLOCK_SKEW_MS), () => this.#check());
    this.#renewIn(this.parts.leaseMs / RENEWALS_PER_LEASE);
  }

  #renewIn(ms: number): void {
    this.#disarmRenewal();
    if (!this.#hasEnded) {
      this.#disarmRenewal = this.parts.clock.arm(plusMs(this.parts.clock.now(), Math.round(ms)), () => {
        void this.#renew();
      });
    }
  }

  async #renew(): Promise<void> {
    const until = this.nextUntil();
    try {
      await this.parts.deliveries.renew(this.batch, this.parts.clock.now(), until);
    } catch (error) {
      if (error instanceof LeaseLostError) {
        this.#lost.abort(error);
        return;
      }
      this.parts.log.warn('lease.renewal-failed', { message_key: this.batch.messageKey, err: error });
      this.#renewIn(this.parts.leaseMs / RENEWALS_PER_LEASE ** 2);
      return;
    }
    if (!this.#hasEnded) {
      this.isRenewed(until);
    }
  }

  #check(): void {
    if (isReached(plusMs(this.#until, -CLOCK_SKEW_MS), this.parts.clock.now())) {
      this.#lost.abort();
    }
  }
}

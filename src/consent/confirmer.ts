import { Injectable } from '@nestjs/common';
import type { ConsentEntry, ConsentOrigin } from '../groups/consent.ts';
import { SubscriberStore } from '../groups/subscriber-store.ts';
import { SubscriberNotFoundError } from '../groups/subscriber.ts';
import { Clock } from '../platform/clock/clock.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import type { LinkTarget } from './links.ts';

/** Begins a subscription as its subscriber says. */
@Injectable()
export class Confirmer {
  constructor(
    private readonly subscribers: SubscriberStore,
    private readonly clock: Clock,
  ) {}

  /** Makes active who is pending; anybody else stays as they are, so a second call changes nothing. */
  async confirm({ group, subscriber: key }: LinkTarget, origin: ConsentOrigin): Promise<void> {
    for (;;) {
      const subscriber = await this.subscribers.find(group, key);
      if (subscriber?.status !== 'pending') {
        return;
      }
      try {
        const consent: ConsentEntry = { ...origin, what: 'confirmed', at: this.clock.now() };
        await this.subscribers.change(group, key, { status: 'active', consent }, subscriber.version);
        return;
      } catch (error) {
        if (!(error instanceof VersionMismatchError || error instanceof SubscriberNotFoundError)) {
          throw error;
        }
      }
    }
  }
}

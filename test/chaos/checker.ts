import {
  type Asked,
  type DeliveryState,
  listDeliveries,
  listMessages,
  listSubscribers,
  type MessageState,
} from '../support/belfry-api.ts';
import { messageKeyOf } from '../support/sink-process.ts';
import type { Received } from '../support/smtp-sink.ts';
import type { AcknowledgedMessage } from './clients.ts';

/** What must hold at the end of a run, as far as the callers and the mail server know it. */
export interface Evidence {
  readonly subscribers: ReadonlyMap<string, ReadonlySet<string>>;
  readonly messages: readonly AcknowledgedMessage[];
  readonly taken: AsyncIterable<Received>;
}

export interface Verdict {
  /** What is wrong, in words; empty where every promise was kept. */
  readonly faults: readonly string[];
  readonly deliveryCount: number;
  readonly mailCount: number;
  /** Deliveries with an attempt that may or may not have gone out. */
  readonly inDoubtCount: number;
  /** Deliveries that arrived more than once, each of which says that it may have. */
  readonly twiceCount: number;
}

interface Mails {
  count: number;
  readonly firstAtMs: number;
}

/** Compares what Belfry says with what the callers were told and what the mail server got. It knows nothing of the implementation. */
export async function check(server: Asked, evidence: Evidence): Promise<Verdict> {
  const checker = new Checker(await countMails(evidence.taken));
  for (const [group, emails] of evidence.subscribers) {
    checker.checkSubscribers(group, emails, await Array.fromAsync(listSubscribers(server, group)));
    const messages = evidence.messages.filter((message) => message.group === group);
    checker.checkMessages(group, messages, await Array.fromAsync(listMessages(server, group)));
  }
  for (const message of evidence.messages) {
    const deliveries = await Array.fromAsync(listDeliveries(server, message.group, message.key));
    checker.checkDeliveries(message, deliveries);
  }
  return checker.conclude();
}

class Checker {
  readonly #faults: string[] = [];
  readonly #mails: Map<string, Mails>;
  readonly #states = new Map<string, MessageState>();
  readonly #mailCount: number;
  #deliveryCount = 0;
  #inDoubtCount = 0;
  #twiceCount = 0;

  constructor(mails: Map<string, Mails>) {
    this.#mails = mails;
    this.#mailCount = mails.values().reduce((sum, { count }) => sum + count, 0);
  }

  checkSubscribers(group: string, acknowledged: ReadonlySet<string>, listed: readonly string[]): void {
    const known = new Set(listed);
    for (const email of acknowledged.difference(known)) {
      this.#faults.push(`Subscriber ${email} of ${group} was acknowledged and is lost.`);
    }
    if (known.size !== listed.length) {
      this.#faults.push(`A subscriber of ${group} is listed twice.`);
    }
  }

  checkMessages(
    group: string,
    acknowledged: readonly AcknowledgedMessage[],
    listed: readonly MessageState[],
  ): void {
    for (const state of listed) {
      this.#states.set(state.key, state);
    }
    // Each was posted until it was acknowledged, under a key of its own.
    if (listed.length !== acknowledged.length) {
      this.#faults.push(`Group ${group} has ${listed.length} messages; ${acknowledged.length} were posted.`);
    }
    for (const { key } of acknowledged) {
      this.#checkState(key, this.#states.get(key));
    }
  }

  checkDeliveries(
    { key, audience, dueAtMs }: AcknowledgedMessage,
    deliveries: readonly DeliveryState[],
  ): void {
    this.#deliveryCount += deliveries.length;
    this.#checkCounts(key, deliveries);
    const reached = new Set(deliveries.map(({ subscriber }) => subscriber));
    for (const email of new Set(audience).difference(reached)) {
      this.#faults.push(`Message ${key} has no delivery to ${email}, who was in the group before.`);
    }
    for (const delivery of deliveries) {
      this.#checkDelivery(key, dueAtMs, delivery);
    }
  }

  conclude(): Verdict {
    for (const mail of this.#mails.keys()) {
      this.#faults.push(`A mail was sent that the ledger does not know: ${mail}.`);
    }
    return {
      faults: this.#faults,
      deliveryCount: this.#deliveryCount,
      mailCount: this.#mailCount,
      inDoubtCount: this.#inDoubtCount,
      twiceCount: this.#twiceCount,
    };
  }

  #checkState(key: string, state: MessageState | undefined): void {
    if (!state) {
      this.#faults.push(`Message ${key} was acknowledged and is lost.`);
      return;
    }
    const { subscribers, pending, sent, failed, skipped, unknown } = state.counts;
    if (state.status !== 'sent' || pending !== 0) {
      this.#faults.push(`Message ${key} is ${state.status} with ${pending} pending.`);
    }
    if (sent + failed + skipped + unknown !== subscribers) {
      this.#faults.push(`The counts of message ${key} do not add up: ${JSON.stringify(state.counts)}.`);
    }
  }

  #checkCounts(key: string, deliveries: readonly DeliveryState[]): void {
    const { counts } = this.#states.get(key) ?? {};
    for (const outcome of ['sent', 'failed', 'skipped', 'unknown'] as const) {
      const listed = deliveries.filter((delivery) => delivery.outcome === outcome).length;
      if (counts?.[outcome] !== listed) {
        this.#faults.push(`Message ${key} counts ${counts?.[outcome]} ${outcome}; the ledger has ${listed}.`);
      }
    }
  }

  #checkDelivery(key: string, dueAtMs: number, delivery: DeliveryState): void {
    const { subscriber, outcome, unknownAttempts } = delivery;
    const name = `${key} ${subscriber}`;
    const mails = this.#mails.get(name);
    const count = mails?.count ?? 0;
    this.#mails.delete(name);
    this.#inDoubtCount += unknownAttempts > 0 ? 1 : 0;
    this.#twiceCount += count > 1 ? 1 : 0;
    if (outcome !== 'sent' && outcome !== 'unknown') {
      this.#faults.push(`Delivery ${name} is ${outcome ?? 'pending'}, though nothing stood in its way.`);
    }
    if (outcome === 'sent' && count === 0) {
      this.#faults.push(`Delivery ${name} is sent, but never arrived.`);
    }
    if (outcome === 'unknown' && unknownAttempts === 0) {
      this.#faults.push(`Delivery ${name} is unknown without an attempt in doubt.`);
    }
    if (count > (outcome === 'sent' ? 1 : 0) + unknownAttempts) {
      this.#faults.push(`Delivery ${name} arrived ${count} times; ${unknownAttempts} attempts are in doubt.`);
    }
    if (mails && mails.firstAtMs < dueAtMs) {
      this.#faults.push(`Delivery ${name} arrived ${dueAtMs - mails.firstAtMs} ms early.`);
    }
  }
}

async function countMails(taken: AsyncIterable<Received>): Promise<Map<string, Mails>> {
  const mails = new Map<string, Mails>();
  for await (const mail of taken) {
    const name = `${messageKeyOf(mail)} ${mail.recipient}`;
    const known = mails.get(name);
    if (known) {
      known.count += 1;
    } else {
      mails.set(name, { count: 1, firstAtMs: mail.atMs });
    }
  }
  return mails;
}

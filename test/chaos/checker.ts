import {
  type Asked,
  type DeliveryState,
  listDeliveries,
  listMessages,
  listSubscribers,
  type MessageState,
  type SubscriberState,
} from '../support/belfry-api.ts';
import { messageKeyOf } from '../support/sink-process.ts';
import type { Disturbance } from '../support/smtp-sink.ts';
import type { AskedMessage, Evidence, Member, Span } from './evidence.ts';

/**
 * - `lost`: something acknowledged is gone, or somebody did not get a mail without a reason that the evidence knows.
 * - `twice`: somebody got more mails than the record says that they may have.
 * - `untimely`: before its time, or after a cancel, a pause or an unsubscription was answered.
 * - `unfinished`: a message that does not come to its end, or a delivery without an outcome.
 * - `wrong`: the record contradicts itself or the evidence in another way.
 */
export type FaultKind = 'lost' | 'twice' | 'untimely' | 'unfinished' | 'wrong';

export interface Fault {
  readonly kind: FaultKind;
  readonly text: string;
}

export interface Verdict {
  /** Empty where every promise was kept. */
  readonly faults: readonly Fault[];
  readonly deliveryCount: number;
  readonly mailCount: number;
  /** Deliveries with an attempt that may or may not have gone out. */
  readonly inDoubtCount: number;
  /** Deliveries that arrived more than once, each of which says that it may have. */
  readonly twiceCount: number;
}

type Outcome = 'sent' | 'failed' | 'skipped' | 'unknown';

/** All that one address got of one message. */
interface Mails {
  readonly beganAtMs: number[];
  /** Those whose sender was told that they were taken. */
  answeredCount: number;
}

const NOTHING: Mails = { beganAtMs: [], answeredCount: 0 };

// What was in flight when a cancel was answered may end; as long as nothing holds it up it takes no longer.
const IN_FLIGHT_MS = 2_000;

const FIRST_PERMANENT_CODE = 500;

/** Compares what Belfry says with what the callers were told and what the mail server got. It knows nothing of the implementation. */
export async function check(server: Asked, evidence: Evidence): Promise<Verdict> {
  const checker = new Checker(evidence, await sortMails(evidence.mails));
  for (const group of new Set([
    ...evidence.groups.keys(),
    ...evidence.messages.map((message) => message.group),
  ])) {
    checker.checkMembers(group, await Array.fromAsync(listSubscribers(server, group)));
    checker.checkMessages(group, await Array.fromAsync(listMessages(server, group)));
  }
  for (const message of evidence.messages) {
    const deliveries = await Array.fromAsync(listDeliveries(server, message.group, message.key));
    checker.checkDeliveries(message, deliveries);
  }
  return checker.conclude();
}

class Checker {
  readonly #evidence: Evidence;
  readonly #faults: Fault[] = [];
  readonly #mails: Map<string, Mails>;
  readonly #mailCount: number;
  readonly #states = new Map<string, MessageState>();
  readonly #disturbances: ReadonlyMap<string | undefined, readonly Disturbance[]>;
  /** While something stood still, and what was in flight with it. */
  readonly #standstills: readonly Span[];
  #deliveryCount = 0;
  #inDoubtCount = 0;
  #twiceCount = 0;

  constructor(evidence: Evidence, mails: Map<string, Mails>) {
    this.#evidence = evidence;
    this.#mails = mails;
    this.#mailCount = mails.values().reduce((sum, { beganAtMs }) => sum + beganAtMs.length, 0);
    this.#disturbances = Map.groupBy(evidence.disturbances, ({ recipient }) => recipient);
    const hangs = evidence.disturbances.filter(({ behaviour }) => behaviour.do === 'hang');
    this.#standstills = [...evidence.stops, ...hangs].toSorted((a, b) => a.fromMs - b.fromMs);
  }

  checkMembers(group: string, listed: readonly SubscriberState[]): void {
    const known = new Map(listed.map((subscriber) => [subscriber.email, subscriber]));
    if (known.size !== listed.length) {
      this.#fault('wrong', `A subscriber of ${group} is listed twice.`);
    }
    for (const { email, unsubscribed, removed } of this.#membersOf({ group })) {
      const found = known.get(email);
      known.delete(email);
      if (removed) {
        if (found) {
          this.#fault('wrong', `Subscriber ${email} of ${group} was removed and is still listed.`);
        }
        continue;
      }
      const status = unsubscribed ? 'unsubscribed' : 'active';
      if (found?.status !== status) {
        this.#fault('lost', `Subscriber ${email} of ${group} is ${found?.status ?? 'gone'}, not ${status}.`);
      }
    }
    for (const email of known.keys()) {
      this.#fault('wrong', `Group ${group} lists ${email}, whom nobody has added.`);
    }
  }

  checkMessages(group: string, listed: readonly MessageState[]): void {
    const acknowledged = this.#evidence.messages.filter((message) => message.group === group);
    for (const state of listed) {
      this.#states.set(state.key, state);
    }
    // Each was posted until it was acknowledged, under a key of its own.
    if (listed.length !== acknowledged.length) {
      this.#fault(
        'wrong',
        `Group ${group} has ${listed.length} messages; ${acknowledged.length} were posted.`,
      );
    }
    for (const message of acknowledged) {
      this.#checkState(message, this.#states.get(message.key));
    }
  }

  checkDeliveries(message: AskedMessage, deliveries: readonly DeliveryState[]): void {
    const members = new Map(this.#membersOf(message).map((member) => [member.email, member]));
    this.#deliveryCount += deliveries.length;
    this.#checkCounts(message, deliveries);
    this.#checkAudience(message, deliveries);
    this.#checkErased(message, deliveries);
    for (const delivery of deliveries) {
      const member = members.get(delivery.subscriber);
      if (!member) {
        this.#fault('wrong', `Message ${message.key} has a delivery to ${delivery.subscriber}, a stranger.`);
      }
      const name = `${message.key} ${delivery.subscriber}`;
      const mails = this.#mails.get(name) ?? NOTHING;
      this.#mails.delete(name);
      this.#inDoubtCount += delivery.unknownAttempts > 0 ? 1 : 0;
      this.#twiceCount += mails.beganAtMs.length > 1 ? 1 : 0;
      this.#checkOutcome(name, delivery, mails);
      this.#checkReason(name, message, delivery, member);
      this.#checkTimes(name, message, mails, member);
    }
  }

  conclude(): Verdict {
    for (const mail of this.#mails.keys()) {
      this.#fault('wrong', `A mail was sent that the record does not know: ${mail}.`);
    }
    return {
      faults: this.#faults,
      deliveryCount: this.#deliveryCount,
      mailCount: this.#mailCount,
      inDoubtCount: this.#inDoubtCount,
      twiceCount: this.#twiceCount,
    };
  }

  #checkState({ key, cancelled }: AskedMessage, state: MessageState | undefined): void {
    if (!state) {
      this.#fault('lost', `Message ${key} was acknowledged and is gone.`);
      return;
    }
    const { subscribers, pending, sent, failed, skipped, unknown } = state.counts;
    const status = cancelled ? 'cancelled' : 'sent';
    if (state.status !== status || pending !== 0) {
      this.#fault(
        'unfinished',
        `Message ${key} is ${state.status} with ${pending} pending; it should be ${status} with none.`,
      );
    }
    if (sent + failed + skipped + unknown !== subscribers) {
      this.#fault('wrong', `The counts of message ${key} do not add up: ${JSON.stringify(state.counts)}.`);
    }
  }

  /**
   * The record keeps no address of whoever was removed before their turn came, or while it was on its way: they are counted all the
   * same, as skipped or, where they may have got it, as unknown.
   */
  #checkCounts(message: AskedMessage, deliveries: readonly DeliveryState[]): void {
    const { key } = message;
    const { counts } = this.#states.get(key) ?? {};
    const listed = new Set(deliveries.map(({ subscriber }) => subscriber));
    if (listed.size !== deliveries.length) {
      this.#fault('wrong', `Message ${key} lists a delivery twice.`);
    }
    const erased = this.#membersOf(message).filter(
      ({ email, removed }) => removed !== undefined && !listed.has(email),
    );
    const beyondList = (outcome: Outcome): number =>
      (counts?.[outcome] ?? Number.NaN) -
      deliveries.filter((delivery) => delivery.outcome === outcome).length;
    for (const outcome of ['sent', 'failed', 'skipped', 'unknown'] as const) {
      const surplus = beyondList(outcome);
      const most = outcome === 'skipped' || outcome === 'unknown' ? erased.length : 0;
      if (!(surplus >= 0 && surplus <= most)) {
        this.#fault('wrong', `Message ${key} counts ${surplus} ${outcome} more than its list has.`);
      }
    }
    if (beyondList('skipped') + beyondList('unknown') > erased.length) {
      this.#fault('wrong', `Message ${key} counts more who were removed than were.`);
    }
    const reachedCount = erased.filter(({ email }) => this.#mails.has(`${key} ${email}`)).length;
    if (beyondList('unknown') < reachedCount) {
      this.#fault(
        'wrong',
        `Of those removed, ${reachedCount} got message ${key}; it counts ${beyondList('unknown')} of them as unknown.`,
      );
    }
  }

  /** Who must have a delivery, and who must not. */
  #checkAudience(message: AskedMessage, deliveries: readonly DeliveryState[]): void {
    const reached = new Set(deliveries.map(({ subscriber }) => subscriber));
    for (const { email, added, removed } of this.#membersOf(message)) {
      const wasMember = added.answeredAtMs < earliestDispatchMs(message);
      if (wasMember && !removed && !message.cancelled && !reached.has(email)) {
        this.#fault(
          'lost',
          `Message ${message.key} has no delivery to ${email}, who was in the group before.`,
        );
      }
      if (removed && removed.answeredAtMs < earliestDispatchMs(message) && reached.has(email)) {
        this.#fault('wrong', `Message ${message.key} has a delivery to ${email}, who was removed before.`);
      }
    }
  }

  /** A removal erases: whoever was removed while their mail was in flight has got it, and the record cannot name them. */
  #checkErased(message: AskedMessage, deliveries: readonly DeliveryState[]): void {
    const listed = new Set(deliveries.map(({ subscriber }) => subscriber));
    for (const { email, removed } of this.#membersOf(message)) {
      const name = `${message.key} ${email}`;
      const [atMs, ...others] = this.#mails.get(name)?.beganAtMs ?? [];
      if (removed && !listed.has(email) && atMs !== undefined && others.length === 0) {
        this.#mails.delete(name);
        if (atMs > this.#lastInFlightMs(removed.answeredAtMs)) {
          this.#fault(
            'untimely',
            `Delivery ${name} began ${atMs - removed.answeredAtMs} ms after they were removed.`,
          );
        }
      }
    }
  }

  #checkOutcome(name: string, delivery: DeliveryState, mails: Mails): void {
    const { outcome, unknownAttempts } = delivery;
    const count = mails.beganAtMs.length;
    const unansweredCount = count - mails.answeredCount;
    if (outcome === undefined) {
      this.#fault('unfinished', `Delivery ${name} is pending.`);
    }
    if (outcome === 'sent' && mails.answeredCount === 0) {
      this.#fault('lost', `Delivery ${name} is sent, but the mail server has never said so.`);
    }
    if (outcome === 'unknown' && unknownAttempts === 0) {
      this.#fault('wrong', `Delivery ${name} is unknown without an attempt in doubt.`);
    }
    if (count > (outcome === 'sent' ? 1 : 0) + unknownAttempts) {
      this.#fault(
        'twice',
        `Delivery ${name} is ${outcome} and arrived ${count} times; ${unknownAttempts} attempts are in doubt.`,
      );
    }
    if (unansweredCount > unknownAttempts) {
      this.#fault(
        'wrong',
        `Delivery ${name} arrived ${unansweredCount} times without an answer; ${unknownAttempts} attempts are in doubt.`,
      );
    }
  }

  /** That somebody did not get it for certain must have a reason outside of Belfry. */
  #checkReason(
    name: string,
    message: AskedMessage,
    delivery: DeliveryState,
    member: Member | undefined,
  ): void {
    const isUnwanted = Boolean(message.cancelled ?? member?.unsubscribed ?? member?.removed);
    const isWornOut = delivery.attempt >= this.#evidence.maxAttempts;
    switch (delivery.outcome) {
      case 'skipped':
        if (!isUnwanted) {
          this.#fault('lost', `Delivery ${name} is skipped, though nobody has asked for that.`);
        }
        return;
      case 'failed':
        if (!this.#isRefused(delivery.subscriber) && !(isWornOut && this.#isDisturbed(delivery.subscriber))) {
          this.#fault(
            'lost',
            `Delivery ${name} failed at attempt ${delivery.attempt}, though nobody refused it.`,
          );
        }
        return;
      case 'unknown':
        if (message.onUnknown === 'resend' && !isUnwanted && !isWornOut) {
          this.#fault('lost', `Delivery ${name} was left in doubt, though it was to be sent again.`);
        }
        return;
      default:
    }
  }

  #checkTimes(name: string, message: AskedMessage, mails: Mails, member: Member | undefined): void {
    for (const atMs of mails.beganAtMs) {
      if (atMs < message.dueAtMs) {
        this.#fault('untimely', `Delivery ${name} began ${message.dueAtMs - atMs} ms early.`);
      }
      const { cancelled } = message;
      if (
        cancelled &&
        (cancelled.answeredAtMs < message.dueAtMs || atMs > this.#lastInFlightMs(cancelled.answeredAtMs))
      ) {
        this.#fault(
          'untimely',
          `Delivery ${name} began ${atMs - cancelled.answeredAtMs} ms after the cancel was answered.`,
        );
      }
      for (const { paused, resumed } of message.pauses) {
        if (
          atMs > this.#lastInFlightMs(paused.answeredAtMs) &&
          atMs < (resumed?.askedAtMs ?? Number.POSITIVE_INFINITY)
        ) {
          this.#fault(
            'untimely',
            `Delivery ${name} began ${atMs - paused.answeredAtMs} ms after the pause was answered.`,
          );
        }
      }
      const left = member?.unsubscribed ?? member?.removed;
      if (left && left.answeredAtMs < earliestDispatchMs(message)) {
        this.#fault('untimely', `Delivery ${name} began, though they had left the group before.`);
      }
    }
  }

  /** Until when something may begin that was in flight at a moment: a process, or a mail server, that stands still holds it up. */
  #lastInFlightMs(momentMs: number): number {
    let lastMs = momentMs + IN_FLIGHT_MS;
    let countedUntilMs = momentMs;
    for (const { fromMs, untilMs } of this.#standstills) {
      if (fromMs <= lastMs && untilMs > countedUntilMs) {
        lastMs += untilMs - Math.max(fromMs, countedUntilMs);
        countedUntilMs = untilMs;
      }
    }
    return lastMs;
  }

  #isRefused(email: string): boolean {
    const replies = this.#disturbances.get(email) ?? [];
    return replies.some(({ behaviour }) => (behaviour.code ?? 0) >= FIRST_PERMANENT_CODE);
  }

  /** A fault of the connection, or at the sender, may be anybody's. */
  #isDisturbed(email: string): boolean {
    return this.#disturbances.has(email) || this.#disturbances.has(undefined);
  }

  #membersOf({ group }: Pick<AskedMessage, 'group'>): readonly Member[] {
    return this.#evidence.groups.get(group) ?? [];
  }

  #fault(kind: FaultKind, text: string): void {
    this.#faults.push({ kind, text });
  }
}

/** Whoever is in the group before this moment is in it when the message is dispatched. */
function earliestDispatchMs({ dueAtMs, posted }: AskedMessage): number {
  return Math.max(dueAtMs, posted.askedAtMs);
}

async function sortMails(mails: Evidence['mails']): Promise<Map<string, Mails>> {
  const sorted = new Map<string, Mails>();
  for await (const mail of mails) {
    const name = `${messageKeyOf(mail)} ${mail.recipient}`;
    const known = sorted.get(name) ?? { beganAtMs: [], answeredCount: 0 };
    known.beganAtMs.push(mail.beganAtMs);
    known.answeredCount += mail.isAnswered ? 1 : 0;
    sorted.set(name, known);
  }
  return sorted;
}

import type { FeedbackCounts } from '../schedule/message.ts';
import type { Delivery, Outcome } from './delivery.ts';

/*
 * What becomes of a delivery by what is heard of it later, decided without any I/O. Feedback comes in any order and more than once, and
 * the delivery is the same in the end.
 */

export const FEEDBACK_KINDS = ['sent', 'delivered', 'delayed', 'bounced', 'complained', 'rejected'] as const;

/**
 * - `sent`: the provider has it, and tries to deliver it.
 * - `delivered`: the subscriber's mail server took it.
 * - `delayed`: the subscriber's mail server did not take it yet, or for a reason that may pass.
 * - `bounced`: the subscriber's mail server refused it for good.
 * - `complained`: the subscriber marked it as unwanted.
 * - `rejected`: the provider had taken it and did not send it after all.
 */
export type FeedbackKind = (typeof FEEDBACK_KINDS)[number];

/** What a delivery keeps: that it was sent, its outcome says. */
export type HeardKind = Exclude<FeedbackKind, 'sent'>;
export const HEARD_KINDS: readonly HeardKind[] = FEEDBACK_KINDS.filter((kind) => kind !== 'sent');

/** Something heard of a delivery. */
export interface Feedback {
  readonly kind: FeedbackKind;
  readonly at: Temporal.Instant;
  /** What a mail server said, on one line. */
  readonly detail: string | undefined;
  /** What the provider calls the mail; absent where it does not say. */
  readonly providerId: string | undefined;
}

export interface Notice {
  readonly at: Temporal.Instant;
  readonly detail: string | undefined;
}

/** The first of each kind that was heard of a delivery. */
export type Heard = Readonly<Partial<Record<HeardKind, Notice>>>;

// Five of them for each of fifty deliveries fit into an item of DynamoDB beside the rest (engines/aws/outcomes-item.ts).
const DETAIL_MAX_LENGTH = 200;

const CONFIRMED = 'Its worker had not learned whether it was taken; the provider has confirmed it since.';
const NOT_SENT = 'The provider had taken it and did not send it.';

/** A text as it is kept of what somebody else said: on one line, and not longer than anybody reads. */
export function detailOf(text: string): string | undefined {
  const line = text.replaceAll(/\s+/g, ' ').trim().slice(0, DETAIL_MAX_LENGTH).toWellFormed();
  return line === '' ? undefined : line;
}

/** The delivery, which has an outcome, as it is after that; the same object where that changes nothing. */
export function afterFeedback(before: Delivery, feedback: Feedback): Delivery {
  const outcome = outcomeAfter(before, feedback.kind);
  const heard = heardAfter(before.heard, feedback);
  if (outcome === before.outcome && heard === before.heard) {
    return before;
  }
  if (outcome === before.outcome) {
    return { ...before, heard };
  }
  const reason = outcome === 'sent' ? CONFIRMED : NOT_SENT;
  return { ...before, heard, outcome, reason, providerId: before.providerId ?? feedback.providerId };
}

/** What a change of a delivery adds to the counts of its message. */
export function feedbackGained(before: Heard, after: Heard): FeedbackCounts {
  const gained = (kind: HeardKind): number =>
    before[kind] === undefined && after[kind] !== undefined ? 1 : 0;
  return { delivered: gained('delivered'), bounced: gained('bounced'), complained: gained('complained') };
}

/** As engines store it: by kind, epoch milliseconds and detail. */
export function encodeHeard(heard: Heard): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(heard).map(([kind, { at, detail }]) => [
      kind,
      { at: at.epochMilliseconds, ...(detail !== undefined && { detail }) },
    ]),
  );
}

/** @throws where that was not made by `encodeHeard`. */
export function decodeHeard(stored: unknown): Heard {
  return Object.fromEntries(
    HEARD_KINDS.flatMap((kind) => {
      const entry = fieldsOf(stored)[kind];
      return entry === undefined ? [] : [[kind, toNotice(fieldsOf(entry))]];
    }),
  );
}

function toNotice({ at, detail }: Readonly<Record<string, unknown>>): Notice {
  if (typeof at !== 'number' || (detail !== undefined && typeof detail !== 'string')) {
    throw new Error('What is stored of the feedback of a delivery cannot be read.');
  }
  return { at: Temporal.Instant.fromEpochMilliseconds(at), detail };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Who may have got it, has: the provider speaks of it. And what it did not send after all was not sent. */
function outcomeAfter({ outcome, heard }: Delivery, kind: FeedbackKind): Outcome | undefined {
  if (kind === 'rejected') {
    const isNews = heard.rejected === undefined; // otherwise it is told of an earlier attempt, once more
    return isNews && (outcome === 'unknown' || outcome === 'sent') ? 'failed' : outcome;
  }
  return outcome === 'unknown' ? 'sent' : outcome;
}

/** The earliest of each kind, and of two at the same moment the one whose detail comes first: so that no order makes a difference. */
function heardAfter(before: Heard, { kind, at, detail }: Feedback): Heard {
  if (kind === 'sent') {
    return before;
  }
  const known = before[kind];
  return known && !isEarlier({ at, detail }, known) ? before : { ...before, [kind]: { at, detail } };
}

function isEarlier(a: Notice, b: Notice): boolean {
  const order = Temporal.Instant.compare(a.at, b.at);
  return order < 0 || (order === 0 && (a.detail ?? '') < (b.detail ?? ''));
}

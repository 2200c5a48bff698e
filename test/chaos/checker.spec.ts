import { describe, expect, it } from 'vitest';
import type { Asked } from '../support/belfry-api.ts';
import type { Answer } from '../support/server-process.ts';
import type { Disturbance, Received } from '../support/smtp-sink.ts';
import { check, type Fault, type FaultKind } from './checker.ts';
import type { AskedMessage, Evidence, Exchange, Member } from './evidence.ts';

const KEY = '01a20790-4339-793a-ae78-fae60c45bd2c';
const GROUP = 'news';
const ADA = 'ada@example.com';
const BOB = 'bob@example.com';

// The story of every test: subscribers are added, a message is posted, its time comes.
const ADDED: Exchange = { askedAtMs: 1_000, answeredAtMs: 1_010 };
const POSTED: Exchange = { askedAtMs: 2_000, answeredAtMs: 2_010 };
const DUE_AT_MS = 10_000;
const MAX_ATTEMPTS = 30;

/** What Belfry says. */
interface Told {
  readonly status: string;
  readonly deliveries: readonly ToldDelivery[];
  readonly counts: Readonly<Record<string, number>>;
  readonly subscribers: readonly { readonly subscriber: string; readonly status: string }[];
}

interface ToldDelivery {
  readonly subscriber: string;
  readonly outcome: string | null;
  readonly attempt: number;
  readonly unknown_attempts: number;
}

describe('the checker of the chaos suite', () => {
  it('finds nothing where two got what two were to get', async () => {
    expect(await faultsOf({})).toEqual([]);
  });

  it.each<[FaultKind, string, Partial<Told>, Partial<Evidence>]>([
    ['lost', 'a delivery that is sent and never arrived', {}, { mails: [aMail(ADA)] }],
    [
      'lost',
      'a delivery that is sent, whose mail was never answered',
      {},
      { mails: [aMail(ADA, { isAnswered: false }), aMail(BOB)] },
    ],
    ['lost', 'a subscriber without a delivery', toldOf([sent(ADA)]), { mails: [aMail(ADA)] }],
    ['lost', 'a subscriber who is gone', { subscribers: [{ subscriber: ADA, status: 'active' }] }, {}],
    [
      'lost',
      'an unsubscription that is forgotten',
      {},
      { groups: groupOf(aMember(ADA), aMember(BOB, { unsubscribed: at(12_000) })) },
    ],
    [
      'lost',
      'a delivery that is skipped for no reason',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'skipped' }]),
      { mails: [aMail(ADA)] },
    ],
    [
      'lost',
      'a delivery that failed though nobody refused it',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'failed' }]),
      { mails: [aMail(ADA)] },
    ],
    [
      'lost',
      'a delivery that was given up too soon',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'failed', attempt: 2 }]),
      { mails: [aMail(ADA)], disturbances: [aDisturbance(BOB, 451)] },
    ],
    [
      'lost',
      'a delivery left in doubt that was to be sent again',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'unknown', unknown_attempts: 1 }]),
      {},
    ],
    [
      'twice',
      'a second mail that the record does not speak of',
      {},
      { mails: [aMail(ADA), aMail(BOB), aMail(BOB)] },
    ],
    [
      'twice',
      'a third mail where one attempt is in doubt',
      toldOf([sent(ADA), { ...sent(BOB), unknown_attempts: 1 }]),
      { mails: [aMail(ADA), aMail(BOB), aMail(BOB), aMail(BOB)] },
    ],
    [
      'twice',
      'a mail of a delivery that failed',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'failed' }]),
      { disturbances: [aDisturbance(BOB, 550)] },
    ],
    [
      'untimely',
      'a mail before its time',
      {},
      { mails: [aMail(ADA), aMail(BOB, { beganAtMs: DUE_AT_MS - 1 })] },
    ],
    [
      'untimely',
      'a mail after the cancel was answered',
      { status: 'cancelled' },
      cancelledAt(10_100, { mails: [aMail(ADA, { beganAtMs: 10_050 }), aMail(BOB, { beganAtMs: 12_101 })] }),
    ],
    [
      'untimely',
      'a mail of a message that was cancelled before its time',
      { status: 'cancelled' },
      cancelledAt(9_999, {}),
    ],
    [
      'untimely',
      'a mail while the message is paused',
      {},
      {
        messages: [aMessage({ pauses: [{ paused: at(10_000), resumed: at(14_000) }] })],
        mails: [aMail(ADA, { beganAtMs: 14_001 }), aMail(BOB, { beganAtMs: 12_001 })],
      },
    ],
    [
      'untimely',
      'a mail to somebody who had unsubscribed',
      {
        subscribers: [
          { subscriber: ADA, status: 'active' },
          { subscriber: BOB, status: 'unsubscribed' },
        ],
      },
      { groups: groupOf(aMember(ADA), aMember(BOB, { unsubscribed: at(5_000) })) },
    ],
    ['unfinished', 'a message that is not finished', { status: 'sending' }, {}],
    [
      'unfinished',
      'a delivery without an outcome',
      toldOf([sent(ADA), { ...sent(BOB), outcome: null }]),
      { mails: [aMail(ADA)] },
    ],
    [
      'wrong',
      'counts that say something else than the list',
      { counts: { subscribers: 2, pending: 0, sent: 1, failed: 1, skipped: 0, unknown: 0 } },
      {},
    ],
    [
      'wrong',
      'counts that do not add up',
      { counts: { subscribers: 3, pending: 0, sent: 2, failed: 0, skipped: 0, unknown: 0 } },
      {},
    ],
    [
      'wrong',
      'a delivery to a stranger',
      toldOf([sent(ADA), sent(BOB), sent('eve@example.com')]),
      { mails: [aMail(ADA), aMail(BOB), aMail('eve@example.com')] },
    ],
    [
      'wrong',
      'a mail that the record does not know',
      {},
      { mails: [aMail(ADA), aMail(BOB), aMail('eve@example.com')] },
    ],
    ['wrong', 'a delivery that is listed twice', { deliveries: [sent(ADA), sent(ADA), sent(BOB)] }, {}],
    [
      'wrong',
      'an answer that was lost without doubt in the record',
      {},
      { mails: [aMail(ADA), aMail(BOB, { isAnswered: false }), aMail(BOB)] },
    ],
    [
      'wrong',
      'somebody who was removed, got it, and counts as skipped',
      {
        ...toldOf([sent(ADA)]),
        subscribers: active(ADA),
        counts: { subscribers: 2, pending: 0, sent: 1, failed: 0, skipped: 1, unknown: 0 },
      },
      { groups: groupOf(aMember(ADA), aMember(BOB, { removed: at(10_051) })) },
    ],
    ['wrong', 'a message that was stored twice', {}, { messages: [] }],
  ])('finds what is %s: %s', async (kind, _what, told, evidence) => {
    const kinds = (await faultsOf(told, evidence)).map((fault) => fault.kind);

    expect(kinds).toContain(kind);
  });

  it.each<[string, Partial<Told>, Partial<Evidence>]>([
    [
      'a second mail that the record speaks of',
      toldOf([sent(ADA), { ...sent(BOB), unknown_attempts: 1 }]),
      { mails: [aMail(ADA), aMail(BOB), aMail(BOB)] },
    ],
    [
      'a delivery that the mail server refused',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'failed' }]),
      { mails: [aMail(ADA)], disturbances: [aDisturbance(BOB, 550)] },
    ],
    [
      'a delivery that was turned away as often as it is tried',
      toldOf([sent(ADA), { ...sent(BOB), outcome: 'failed', attempt: MAX_ATTEMPTS }]),
      { mails: [aMail(ADA)], disturbances: [aDisturbance(BOB, 451)] },
    ],
    [
      'what was in flight when the cancel was answered',
      { status: 'cancelled' },
      cancelledAt(10_100, { mails: [aMail(ADA), aMail(BOB, { beganAtMs: 12_099 })] }),
    ],
    [
      'what a process that stood still had in flight',
      { status: 'cancelled' },
      cancelledAt(10_100, {
        mails: [aMail(ADA), aMail(BOB, { beganAtMs: 22_000 })],
        stops: [{ fromMs: 10_000, untilMs: 21_000 }],
      }),
    ],
    [
      'somebody who joined after the dispatch',
      { ...toldOf([sent(ADA)]), subscribers: active(ADA, BOB) },
      { groups: groupOf(aMember(ADA), aMember(BOB, { added: at(10_500) })), mails: [aMail(ADA)] },
    ],
    [
      'somebody who was removed, and is only counted',
      {
        ...toldOf([sent(ADA)]),
        subscribers: active(ADA),
        counts: { subscribers: 2, pending: 0, sent: 1, failed: 0, skipped: 1, unknown: 0 },
      },
      { groups: groupOf(aMember(ADA), aMember(BOB, { removed: at(10_001) })), mails: [aMail(ADA)] },
    ],
    [
      'somebody who was removed while their mail was on its way',
      {
        ...toldOf([sent(ADA)]),
        subscribers: active(ADA),
        counts: { subscribers: 2, pending: 0, sent: 1, failed: 0, skipped: 0, unknown: 1 },
      },
      { groups: groupOf(aMember(ADA), aMember(BOB, { removed: at(10_051) })) },
    ],
  ])('lets pass %s', async (_what, told, evidence) => {
    expect(await faultsOf(told, evidence)).toEqual([]);
  });
});

async function faultsOf(told: Partial<Told>, evidence: Partial<Evidence> = {}): Promise<readonly Fault[]> {
  const usual = { ...toldOf([sent(ADA), sent(BOB)]), status: 'sent', subscribers: active(ADA, BOB) };
  const { faults } = await check(new Teller({ ...usual, ...told }), {
    groups: groupOf(aMember(ADA), aMember(BOB)),
    messages: [aMessage({})],
    mails: [aMail(ADA), aMail(BOB)],
    disturbances: [],
    stops: [],
    maxAttempts: MAX_ATTEMPTS,
    ...evidence,
  });
  return faults;
}

/** Answers as Belfry does, with what it was told to say. */
class Teller implements Asked {
  readonly #told: Told;

  constructor(told: Told) {
    this.#told = told;
  }

  async request(_method: string, path: string): Promise<Answer> {
    return { status: 200, headers: new Headers(), body: { items: this.#items(path), next_cursor: null } };
  }

  #items(path: string): readonly unknown[] {
    if (path.includes('/deliveries')) {
      return this.#told.deliveries;
    }
    if (path.includes('/subscribers')) {
      return this.#told.subscribers;
    }
    const latency = { first_attempt_ms: null, last_attempt_ms: null, last_accepted_ms: null };
    const { status, counts } = this.#told;
    return [{ key: KEY, group: GROUP, status, counts, latency, schedule_on: DUE_AT_MS }];
  }
}

function toldOf(deliveries: readonly ToldDelivery[]): Pick<Told, 'deliveries' | 'counts'> {
  const count = (outcome: string | null): number =>
    deliveries.filter((one) => one.outcome === outcome).length;
  return {
    deliveries,
    counts: {
      subscribers: deliveries.length,
      pending: count(null),
      sent: count('sent'),
      failed: count('failed'),
      skipped: count('skipped'),
      unknown: count('unknown'),
    },
  };
}

function sent(subscriber: string): ToldDelivery {
  return { subscriber, outcome: 'sent', attempt: 1, unknown_attempts: 0 };
}

function active(...emails: readonly string[]): Told['subscribers'] {
  return emails.map((subscriber) => ({ subscriber, status: 'active' }));
}

function at(answeredAtMs: number): Exchange {
  return { askedAtMs: answeredAtMs - 5, answeredAtMs };
}

function aMember(email: string, changes: Partial<Member> = {}): Member {
  return { email, added: ADDED, ...changes };
}

function groupOf(...members: readonly Member[]): Evidence['groups'] {
  return new Map([[GROUP, members]]);
}

function aMessage(changes: Partial<AskedMessage>): AskedMessage {
  return {
    key: KEY,
    group: GROUP,
    dueAtMs: DUE_AT_MS,
    onUnknown: 'resend',
    posted: POSTED,
    pauses: [],
    retries: [],
    ...changes,
  };
}

function cancelledAt(answeredAtMs: number, evidence: Partial<Evidence>): Partial<Evidence> {
  return { messages: [aMessage({ cancelled: at(answeredAtMs) })], ...evidence };
}

function aMail(recipient: string, changes: Partial<Received> = {}): Received {
  const beganAtMs = changes.beganAtMs ?? 10_050;
  return {
    recipient,
    from: 'belfry@example.com',
    messageId: `<${KEY}.${recipient.length}@example.com>`,
    atMs: beganAtMs + 5,
    bytes: 1_000,
    isAnswered: true,
    ...changes,
    beganAtMs,
  };
}

function aDisturbance(recipient: string, code: number): Disturbance {
  return { recipient, behaviour: { at: 'rcpt', do: 'reply', code }, fromMs: 10_000, untilMs: 10_000 };
}

import { Random } from '../support/random.ts';
import type { Behaviour } from '../support/smtp-sink.ts';

/*
 * What happens in a run, made from its seed alone. A plan says at which point of the run's progress something happens, rather than at
 * which time, so that it hits the same moments on a fast and on a slow machine. What the machine does in between is not in the seed.
 */

export interface Plan {
  readonly seed: number;
  readonly engine: 'embedded' | 'aws';
  /** What each process does. On the embedded engine there is one. */
  readonly processes: readonly ProcessPlan[];
  readonly leaseMs: number;
  readonly maxAttempts: number;
  readonly smtpConnections: number;
  readonly groups: readonly GroupPlan[];
  readonly messages: readonly MessagePlan[];
  readonly people: readonly PeopleStep[];
  /** What the mail server does all the time, the first that fits. */
  readonly behaviours: readonly Behaviour[];
  readonly troubles: readonly Trouble[];
}

/** Once the mail server has taken `mails` mails, but at the latest after so long: then, if nothing else, for certain. */
export interface Moment {
  readonly mails: number | undefined;
  readonly limitMs: number;
}

export interface ProcessPlan {
  readonly roles: 'api' | 'worker' | 'api,worker';
  /** One after the other. */
  readonly steps: readonly ProcessStep[];
}

export type ProcessStep =
  | {
      readonly do: 'kill' | 'terminate';
      /** Mails of the whole run, and the time since it began. */
      readonly when: Moment;
      /** Absent: it stays away. */
      readonly back: { readonly afterMs: number; readonly diesAgainAfterMs: number | undefined } | undefined;
    }
  | { readonly do: 'stop'; readonly when: Moment; readonly forMs: number };

export interface GroupPlan {
  readonly name: string;
  readonly emails: readonly string[];
}

export interface MessagePlan {
  readonly id: string;
  readonly group: string;
  readonly postAfterMs: number;
  readonly dueInMs: number;
  readonly onUnknown: 'resend' | 'leave';
  /** The same POST with the same Idempotency-Key: once more after it was answered, or twice at the same moment. */
  readonly repeats: 'not' | 'later' | 'at-once';
  /** One after the other, once it is posted; mails of this message, and the time since the step before. */
  readonly steps: readonly MessageStep[];
}

export interface MessageStep {
  readonly do: 'cancel' | 'pause' | 'resume' | 'retry-failed' | 'retry-unknown';
  readonly when: Moment;
}

export interface PeopleStep {
  readonly do: 'add' | 'unsubscribe' | 'remove';
  readonly group: string;
  readonly emails: readonly string[];
  readonly when: Moment;
}

/** Something that the mail server does to everybody for a while. */
export interface Trouble {
  readonly when: Moment;
  readonly forMs: number;
  readonly behaviour: Behaviour;
}

// The shortest that Belfry takes, so that a run sees a lease end.
const LEASE_MS = 10_000;

// None, one, and those around the size of a batch.
const ODD_SIZES = [0, 1, 49, 50, 51, 100];
const GROUP_MAX = 130;
// The first group is this large, so that a run has something to send.
const LARGE_MIN = 60;
// As many as keep a run within some seconds of sending; LocalStack does some 20 windows a second.
const DELIVERIES_MAX = { embedded: 450, aws: 300 };
// With few, a window begins with one mail, which has its own transaction.
const SMTP_CONNECTIONS = { embedded: [1, 2, 5, 10], aws: [10, 20, 40] };
const MESSAGES_MAX = 8;
const FIRST_MESSAGE = 'message-0';
const WORKERS = [1, 2, 2, 3, 4];

// Everything that is to happen has happened by then; what comes after is recovery.
const LAST_MOMENT_MS = 6_000;
const POST_MAX_MS = 3_000;

// How many mails a second one process sends, roughly: slow enough for events to fall into the middle of a message.
const MAILS_PER_SECOND_MIN = 50;
const MAILS_PER_SECOND_MAX = 150;

const FAULTY_SHARE = 0.05;
const HANGS_MAX = 3;

export function makePlan(seed: number): Plan {
  return new Planner(seed).plan();
}

class Planner {
  readonly #seed: number;
  readonly #random: Random;
  readonly #maxAttempts: number;
  #hangsLeft = HANGS_MAX;
  /** Since the run began. */
  #dueTimesMs: readonly number[] = [];

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#maxAttempts = this.#random.chance(0.3) ? 4 : 30;
  }

  plan(): Plan {
    const random = this.#random;
    const engine = random.chance(0.5) ? 'embedded' : 'aws';
    const smtpConnections = random.pick(SMTP_CONNECTIONS[engine]);
    const groups = this.#groups();
    const messages = this.#messages(groups, DELIVERIES_MAX[engine]);
    this.#dueTimesMs = messages.map(({ postAfterMs, dueInMs }) => postAfterMs + dueInMs);
    const expected = messages
      .filter(({ steps }) => steps.every((step) => step.do !== 'cancel'))
      .reduce((sum, { group }) => sum + sizeOf(groups, group), 0);
    const mailsPerSecond = random.integer(MAILS_PER_SECOND_MIN, MAILS_PER_SECOND_MAX);
    const slowness: Behaviour = {
      at: 'after-dot',
      do: 'delay',
      ms: Math.round((1_000 * smtpConnections) / mailsPerSecond),
    };
    return {
      seed: this.#seed,
      engine,
      processes: engine === 'embedded' ? [this.#onlyProcess(expected)] : this.#manyProcesses(expected),
      leaseMs: LEASE_MS,
      maxAttempts: this.#maxAttempts,
      smtpConnections,
      groups,
      messages,
      people: this.#people(groups, expected),
      behaviours: [...groups.flatMap(({ emails }) => this.#faultsOf(emails)), slowness],
      troubles: this.#troubles(expected),
    };
  }

  #groups(): readonly GroupPlan[] {
    return Array.from({ length: this.#random.integer(3, 5) }, (_, index) => {
      const name = `group-${index}`;
      const isOdd = index > 0 && this.#random.chance(0.5);
      const size = isOdd
        ? this.#random.pick(ODD_SIZES)
        : this.#random.integer(index > 0 ? 2 : LARGE_MIN, GROUP_MAX);
      return {
        name,
        emails: Array.from({ length: size }, (_none, number) => `Reader-${number}@${name}.example.com`),
      };
    });
  }

  #messages(groups: readonly GroupPlan[], deliveriesMax: number): readonly MessagePlan[] {
    const messages: MessagePlan[] = [];
    let left = deliveriesMax;
    while (messages.length < MESSAGES_MAX && left > 0) {
      const group = messages.length === 0 ? groups[0] : this.#random.pick(groups);
      if (!group) {
        break;
      }
      left -= Math.max(group.emails.length, 1);
      if (left >= 0) {
        messages.push(
          this.#message(messages.length === 0 ? FIRST_MESSAGE : `message-${messages.length}`, group),
        );
      }
    }
    return messages;
  }

  #message(id: string, { name, emails }: GroupPlan): MessagePlan {
    const random = this.#random;
    const dueInMs = random.chance(0.4) ? 0 : random.integer(1, 3_000);
    return {
      id,
      group: name,
      postAfterMs: random.chance(0.5) ? 0 : random.integer(0, POST_MAX_MS),
      dueInMs,
      onUnknown: random.chance(0.75) ? 'resend' : 'leave',
      repeats: random.pick(['not', 'not', 'later', 'at-once']),
      // The first goes through, so that something is sent.
      steps: id === FIRST_MESSAGE ? [] : this.#messageSteps(emails.length, dueInMs),
    };
  }

  #messageSteps(size: number, dueInMs: number): MessagePlan['steps'] {
    const random = this.#random;
    const early = { mails: undefined, limitMs: random.integer(0, dueInMs) };
    const within = { mails: random.integer(1, Math.max(1, size)), limitMs: LAST_MOMENT_MS };
    const when = random.chance(0.3) ? early : within;
    const later = { mails: undefined, limitMs: random.integer(500, 4_000) };
    const stories = [
      'cancel',
      'pause',
      'pause-and-cancel',
      'retry',
      'nothing',
      'nothing',
      'nothing',
    ] as const;
    switch (random.pick(stories)) {
      case 'cancel':
        return [{ do: 'cancel', when }];
      case 'pause':
        return [
          { do: 'pause', when },
          { do: 'resume', when: later },
        ];
      case 'pause-and-cancel':
        return [
          { do: 'pause', when },
          { do: 'cancel', when: later },
        ];
      case 'retry':
        return [
          {
            do: random.pick(['retry-failed', 'retry-unknown']),
            when: { mails: size, limitMs: LAST_MOMENT_MS },
          },
        ];
      case 'nothing':
        return [];
    }
  }

  #people(groups: readonly GroupPlan[], expected: number): readonly PeopleStep[] {
    const random = this.#random;
    const steps: PeopleStep[] = [];
    for (const { name, emails } of groups) {
      const leaving = emails.filter(() => random.chance(0.04));
      for (const email of leaving) {
        steps.push({
          do: random.chance(0.7) ? 'unsubscribe' : 'remove',
          group: name,
          emails: [email],
          when: random.chance(0.3) ? { mails: undefined, limitMs: 0 } : this.#momentOfPeople(expected),
        });
      }
      if (random.chance(0.5)) {
        const count = random.integer(1, 10);
        steps.push({
          do: 'add',
          group: name,
          emails: Array.from({ length: count }, (_, number) => `Newcomer-${number}@${name}.example.com`),
          when: this.#momentOfPeople(expected),
        });
      }
    }
    return steps;
  }

  #momentOfPeople(expected: number): Moment {
    return this.#random.chance(0.3) ? this.#momentOfDispatch() : this.#moment(expected);
  }

  #onlyProcess(expected: number): ProcessPlan {
    return {
      roles: 'api,worker',
      steps: this.#inOrder(this.#random.integer(1, 4), () => this.#processStep(expected, true)),
    };
  }

  /** One or more that answer requests, and 1 to 4 that deliver; those that stay away leave at least one of each behind. */
  #manyProcesses(expected: number): readonly ProcessPlan[] {
    const random = this.#random;
    const workerCount = random.pick(WORKERS);
    const hasOwnApi = random.chance(0.5);
    const workers = Array.from({ length: workerCount }, (_, index): ProcessPlan => {
      const mustReturn = index === 0;
      const count = random.pick(index === 0 ? [1, 2] : [0, 1, 2]);
      const steps = this.#inOrder(count, () => this.#processStep(expected, mustReturn));
      const staysAway = steps.findIndex((step) => step.do !== 'stop' && !step.back) + 1;
      return {
        roles: hasOwnApi ? 'worker' : 'api,worker',
        steps: staysAway === 0 ? steps : steps.slice(0, staysAway),
      };
    });
    return hasOwnApi
      ? [
          {
            roles: 'api',
            steps: this.#inOrder(random.pick([0, 0, 1]), () => this.#processStep(expected, true)),
          },
          ...workers,
        ]
      : workers;
  }

  #processStep(expected: number, mustReturn: boolean): ProcessStep {
    const random = this.#random;
    const when = random.chance(0.2) ? this.#momentOfDispatch() : this.#moment(expected);
    const kind = random.pick(['kill', 'kill', 'kill', 'stop', 'terminate'] as const);
    if (kind === 'stop') {
      // Mostly longer than a lease; else as long as a pause of a busy machine.
      return {
        do: 'stop',
        when,
        forMs: random.chance(0.7) ? LEASE_MS + random.integer(500, 2_500) : random.integer(200, 3_000),
      };
    }
    const staysAway = !mustReturn && random.chance(0.4);
    const diesAgainAfterMs = random.chance(0.2) ? random.integer(50, 1_200) : undefined;
    return {
      do: kind,
      when,
      back: staysAway ? undefined : { afterMs: random.integer(0, 1_500), diesAgainAfterMs },
    };
  }

  #inOrder(count: number, make: () => ProcessStep): readonly ProcessStep[] {
    return Array.from({ length: count }, make).toSorted((a, b) => (a.when.mails ?? 0) - (b.when.mails ?? 0));
  }

  /** Just after a message's time has come: batches are being cut, and nothing is sent yet. */
  #momentOfDispatch(): Moment {
    return { mails: undefined, limitMs: this.#random.pick(this.#dueTimesMs) + this.#random.integer(0, 300) };
  }

  #moment(expected: number): Moment {
    return {
      mails: this.#random.integer(0, Math.round(expected * 0.8)),
      limitMs: LAST_MOMENT_MS,
    };
  }

  #faultsOf(emails: readonly string[]): readonly Behaviour[] {
    return emails.flatMap((email) => (this.#random.chance(FAULTY_SHARE) ? [this.#faultOf(email)] : []));
  }

  #faultOf(email: string): Behaviour {
    const random = this.#random;
    const match = `^${email.replaceAll('.', String.raw`\.`)}$`;
    const kinds = [
      'greylist',
      'later',
      'refuse',
      'reject',
      'cut',
      'cut-at-end',
      'slow',
      'hang',
      'never',
    ] as const;
    switch (random.pick(kinds)) {
      case 'greylist':
        return { match, at: 'rcpt', do: 'reply', code: 451, times: random.integer(1, 2) };
      case 'later':
        return { match, at: 'after-dot', do: 'reply', code: 451, times: 1 };
      case 'refuse':
        return { match, at: 'rcpt', do: 'reply', code: 550 };
      case 'reject':
        return { match, at: 'after-dot', do: 'reply', code: 554 };
      case 'cut':
        return { match, at: random.pick(['rcpt', 'data']), do: 'cut', times: random.integer(1, 2) };
      case 'cut-at-end':
        return { match, at: 'after-dot', do: 'cut', times: random.integer(1, 2) };
      case 'slow':
        return { match, at: random.pick(['rcpt', 'data', 'after-dot']), do: 'delay', ms: 300, times: 3 };
      case 'hang':
        return this.#hang(match);
      case 'never':
        // With few attempts it ends within the run.
        return { match, at: 'rcpt', do: 'reply', code: 450, times: this.#maxAttempts > 4 ? 2 : 100 };
    }
  }

  /** Sometimes for longer than a lease. */
  #hang(match: string): Behaviour {
    this.#hangsLeft -= 1;
    const ms = this.#random.chance(0.15) ? LEASE_MS + 1_000 : this.#random.integer(200, 3_000);
    const at = this.#random.pick(['mail', 'rcpt', 'data', 'after-dot'] as const);
    return this.#hangsLeft >= 0
      ? { ...(at !== 'mail' && { match }), at, do: 'hang', ms, times: 1 }
      : { match, at: 'after-dot', do: 'cut', times: 1 };
  }

  #troubles(expected: number): readonly Trouble[] {
    const random = this.#random;
    const count = random.pick([0, 0, 1, 2]);
    return Array.from({ length: count }, () => ({
      when: this.#moment(expected),
      forMs: random.integer(300, 1_500),
      behaviour: random.pick<Behaviour>([
        { at: 'connect', do: 'reply', code: 421 },
        { at: 'connect', do: 'cut' },
        { at: 'mail', do: 'reply', code: 451 },
        { at: 'rcpt', do: 'reply', code: 452 },
        { at: 'after-dot', do: 'cut', times: 5 },
        { at: 'data', do: 'cut', times: 5 },
        { at: 'after-dot', do: 'delay', ms: 400 },
      ]),
    }));
  }
}

function sizeOf(groups: readonly GroupPlan[], name: string): number {
  return groups.find((group) => group.name === name)?.emails.length ?? 0;
}

import { bodyOf } from '../support/belfry-api.ts';
import { textAt } from '../support/json.ts';
import type { Random } from '../support/random.ts';
import type { Answer, ServerProcess } from '../support/server-process.ts';
import type { AskedMessage, Exchange, Member } from './evidence.ts';

interface Post {
  readonly path: string;
  readonly body: unknown;
  readonly idempotencyKey?: string;
  readonly askedAtMs: number;
  readonly acknowledge: (answer: Answer, exchange: Exchange) => void;
}

const CLIENTS = 4;
// At a time; one that is full makes room for a new one.
const OPEN_GROUPS = 5;
// Nobody is in it, so that its messages cost no mail.
const EMPTY_GROUP = 'nobody';
// More than two batches.
const GROUP_MAX = 130;
const BULK_MAX = 30;
// A mail costs the machine a millisecond or two: as many a round as keep the whole test within a minute.
const MAILS_PER_ROUND = 200;
const AHEAD_MAX_MS = 2_000;

/** Posts subscribers and messages without pause, and remembers what was acknowledged. */
export class Clients {
  readonly messages: AskedMessage[] = [];
  readonly #members = new Map<string, Map<string, Member>>();
  readonly #random: Random;
  /** Sent, and not answered: it may or may not have been stored, so it is sent again, as it was. */
  readonly #inDoubt: Post[] = [];
  readonly #openGroups = Array.from({ length: OPEN_GROUPS }, (_, index) => `group-${index}`);
  #made = 0;
  #mailsLeft = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get groups(): ReadonlyMap<string, readonly Member[]> {
    return new Map(this.#members.entries().map(([group, members]) => [group, [...members.values()]]));
  }

  /** Works until the server does not answer any more, which must be because `isKilled`. */
  async work(server: ServerProcess, isKilled: () => boolean): Promise<void> {
    this.#mailsLeft = MAILS_PER_ROUND;
    await Promise.all(Array.from({ length: CLIENTS }, () => this.#client(server, isKilled)));
  }

  /** Sends again what was not answered. */
  async clearDoubts(server: ServerProcess): Promise<void> {
    for (const post of this.#inDoubt.splice(0)) {
      acknowledge(post, await send(server, post));
    }
  }

  async #client(server: ServerProcess, isKilled: () => boolean): Promise<void> {
    for (;;) {
      const post = this.#inDoubt.shift() ?? this.#newPost();
      let answer: Answer;
      try {
        answer = await send(server, post);
      } catch (error) {
        this.#inDoubt.push(post);
        if (isKilled()) {
          return;
        }
        throw error;
      }
      acknowledge(post, answer);
    }
  }

  #newPost(): Post {
    const group = this.#random.pick(this.#openGroups);
    const size = this.#membersOf(group).size;
    if (this.#random.chance(0.1) && size > 0 && size <= this.#mailsLeft) {
      this.#mailsLeft -= size;
      return this.#newMessage(group);
    }
    if (this.#random.chance(0.1)) {
      return this.#newMessage(EMPTY_GROUP);
    }
    if (size >= GROUP_MAX) {
      this.#openGroups.splice(this.#openGroups.indexOf(group), 1, `group-${(this.#made += 1)}`);
    }
    return this.#newSubscribers(group);
  }

  #newMessage(group: string): Post {
    const id = (this.#made += 1);
    const askedAtMs = nowMs();
    const dueAtMs = askedAtMs + (this.#random.chance(0.5) ? 0 : this.#random.integer(1, AHEAD_MAX_MS));
    const onUnknown = this.#random.chance(0.8) ? 'resend' : 'leave';
    return {
      path: `/v1/groups/${group}/schedule`,
      idempotencyKey: `message-${id}`,
      body: {
        subject: `Message ${id}`,
        body: '<p>Hello {{ subscriber.name }}, this is for {{ subscriber.email }}.</p>',
        template: 'liquid',
        schedule_on: dueAtMs,
        on_unknown: onUnknown,
      },
      askedAtMs,
      acknowledge: (answer, posted) => {
        const key = textAt(bodyOf(answer, 201), 'key');
        this.messages.push({ key, group, dueAtMs, onUnknown, posted, pauses: [], retries: [] });
      },
    };
  }

  #newSubscribers(group: string): Post {
    const count = this.#random.chance(0.9) ? 1 : this.#random.integer(2, BULK_MAX);
    const emails = Array.from({ length: count }, () => this.#newAddress(group));
    const [first] = emails;
    return {
      path: `/v1/groups/${group}/subscribers`,
      body:
        count === 1 ? { email: first } : { subscribers: emails.map((email) => ({ email, name: 'Reader' })) },
      askedAtMs: nowMs(),
      acknowledge: (answer, added) => {
        bodyOf(answer, count === 1 && answer.status !== 200 ? 201 : 200);
        const members = this.#membersOf(group);
        for (const email of emails) {
          members.set(email, members.get(email) ?? { email, added });
        }
      },
    };
  }

  /** Now and then one that is there already: adding twice changes nothing. */
  #newAddress(group: string): string {
    const members = [...this.#membersOf(group).keys()];
    return members.length > 0 && this.#random.chance(0.1)
      ? this.#random.pick(members)
      : `Reader-${(this.#made += 1)}@${group}.example.com`;
  }

  #membersOf(group: string): Map<string, Member> {
    const members = this.#members.get(group) ?? new Map<string, Member>();
    this.#members.set(group, members);
    return members;
  }
}

function acknowledge(post: Post, answer: Answer): void {
  post.acknowledge(answer, { askedAtMs: post.askedAtMs, answeredAtMs: nowMs() });
}

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

async function send(server: ServerProcess, { path, body, idempotencyKey }: Post): Promise<Answer> {
  return server.request('POST', path, {
    body,
    headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
  });
}

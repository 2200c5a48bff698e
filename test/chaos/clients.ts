import { bodyOf } from '../support/belfry-api.ts';
import { textAt } from '../support/json.ts';
import type { Random } from '../support/random.ts';
import type { Answer, ServerProcess } from '../support/server-process.ts';

/** A message that the server has answered 201 for. */
export interface AcknowledgedMessage {
  readonly key: string;
  readonly group: string;
  readonly dueAtMs: number;
  /** Who was acknowledged before it was posted, and so must get it. */
  readonly audience: readonly string[];
}

interface Post {
  readonly path: string;
  readonly body: unknown;
  readonly idempotencyKey?: string;
  readonly acknowledge: (answer: Answer) => void;
}

const CLIENTS = 4;
const GROUPS = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'];
// Nobody is in it, so that its messages cost no mail.
const EMPTY_GROUP = 'nobody';
// More than two batches.
const GROUP_MAX = 130;
const BULK_MAX = 30;
// A mail costs the machine a millisecond or two: as many a round as keep the whole test within a minute.
const MAILS_PER_ROUND = 150;
const AHEAD_MAX_MS = 2_000;

/** Posts subscribers and messages without pause, and remembers what was acknowledged. */
export class Clients {
  readonly messages: AcknowledgedMessage[] = [];
  readonly subscribers = new Map<string, Set<string>>();
  readonly #random: Random;
  /** Sent, and not answered: it may or may not have been stored, so it is sent again, as it was. */
  readonly #inDoubt: Post[] = [];
  #made = 0;
  #mailsLeft = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get groups(): readonly string[] {
    return [...this.subscribers.keys()];
  }

  /** Works until the server does not answer any more, which must be because `isKilled`. */
  async work(server: ServerProcess, isKilled: () => boolean): Promise<void> {
    this.#mailsLeft = MAILS_PER_ROUND;
    await Promise.all(Array.from({ length: CLIENTS }, () => this.#client(server, isKilled)));
  }

  /** Sends again what was not answered. */
  async clearDoubts(server: ServerProcess): Promise<void> {
    for (const post of this.#inDoubt.splice(0)) {
      post.acknowledge(await send(server, post));
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
      post.acknowledge(answer);
    }
  }

  #newPost(): Post {
    const group = this.#random.pick(GROUPS);
    const size = this.#members(group).size;
    if (this.#random.chance(0.1) && size > 0 && size <= this.#mailsLeft) {
      this.#mailsLeft -= size;
      return this.#newMessage(group);
    }
    if (this.#random.chance(0.1)) {
      return this.#newMessage(EMPTY_GROUP);
    }
    return this.#newSubscribers(group);
  }

  #newMessage(group: string): Post {
    const id = (this.#made += 1);
    const nowMs = Temporal.Now.instant().epochMilliseconds;
    const dueAtMs = this.#random.chance(0.5) ? nowMs : nowMs + this.#random.integer(1, AHEAD_MAX_MS);
    const audience = [...this.#members(group)];
    return {
      path: `/v1/groups/${group}/schedule`,
      idempotencyKey: `message-${id}`,
      body: {
        subject: `Message ${id}`,
        body: '<p>Hello {{ subscriber.name }}, this is for {{ subscriber.email }}.</p>',
        template: 'liquid',
        schedule_on: dueAtMs,
        on_unknown: this.#random.chance(0.8) ? 'resend' : 'leave',
      },
      acknowledge: (answer) => {
        const key = textAt(bodyOf(answer, 201), 'key');
        this.messages.push({ key, group, dueAtMs, audience });
      },
    };
  }

  #newSubscribers(group: string): Post {
    const room = GROUP_MAX - this.#members(group).size;
    const count = this.#random.chance(0.9) ? 1 : this.#random.integer(2, BULK_MAX);
    // A full group gets one that it has: adding twice changes nothing.
    const emails = Array.from({ length: Math.max(1, Math.min(room, count)) }, () =>
      room > 0 ? `Reader-${(this.#made += 1)}@${group}.example.com` : this.#random.pick([...this.#members(group)]),
    );
    const [first] = emails;
    return {
      path: `/v1/groups/${group}/subscribers`,
      body: count === 1 ? { email: first } : { subscribers: emails.map((email) => ({ email, name: email })) },
      acknowledge: (answer) => {
        bodyOf(answer, answer.status === 201 ? 201 : 200);
        emails.forEach((email) => this.#members(group).add(email));
      },
    };
  }

  #members(group: string): Set<string> {
    const members = this.subscribers.get(group) ?? new Set<string>();
    this.subscribers.set(group, members);
    return members;
  }
}

async function send(server: ServerProcess, { path, body, idempotencyKey }: Post): Promise<Answer> {
  return server.request('POST', path, {
    body,
    headers: idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey },
  });
}

import { setTimeout as delay } from 'node:timers/promises';
import { bodyOf, isFinished, readMessage } from '../support/belfry-api.ts';
import { textAt } from '../support/json.ts';
import type { Answer, Request } from '../support/server-process.ts';
import type { AskedMessage, Exchange, Member } from './evidence.ts';
import type { Fleet } from './fleet.ts';
import type { GroupPlan, MessagePlan, PeopleStep } from './plan.ts';
import type { Progress } from './progress.ts';

interface Asked {
  readonly answer: Answer;
  readonly exchange: Exchange;
}

const ASK_AGAIN_MS = 50;
const ASK_LIMIT_MS = 60_000;
// The most that one call takes.
const ADD_AT_ONCE = 1_000;

/** Those who use the API: each request is sent again, as it was, until some process answers it. */
export class Callers {
  readonly messages: AskedMessage[] = [];
  readonly #members = new Map<string, Map<string, Member>>();
  readonly #fleet: Pick<Fleet, 'api'>;
  readonly #progress: Progress;
  readonly #faults: string[] = [];

  constructor(fleet: Pick<Fleet, 'api'>, progress: Progress) {
    this.#fleet = fleet;
    this.#progress = progress;
  }

  get groups(): ReadonlyMap<string, readonly Member[]> {
    return new Map(this.#members.entries().map(([group, members]) => [group, [...members.values()]]));
  }

  /** Answers that nobody may get, whatever happens. */
  get faults(): readonly string[] {
    return this.#faults;
  }

  /** As ServerProcess has it, but until it is answered. */
  async request(method: string, path: string, request: Request = {}): Promise<Answer> {
    const { answer } = await this.#ask(method, path, request);
    return answer;
  }

  async makeGroup({ name, emails }: GroupPlan): Promise<void> {
    this.#members.set(name, new Map());
    const { answer } = await this.#ask('PUT', `/v1/groups/${name}`, { body: {} });
    this.#require(answer, [200, 201], `PUT of group ${name}`);
    for (let start = 0; start < emails.length; start += ADD_AT_ONCE) {
      await this.#add(name, emails.slice(start, start + ADD_AT_ONCE));
    }
  }

  /** Posts a message at its time, and does to it what the plan says. */
  async workMessage(plan: MessagePlan): Promise<void> {
    await this.#progress.reached({ mails: undefined, limitMs: plan.postAfterMs }, this.#progress.beganAtMs);
    const message = await this.#post(plan);
    for (const step of plan.steps) {
      await this.#progress.reached(step.when, nowMs(), message.key);
      switch (step.do) {
        case 'cancel':
          await this.#cancel(message);
          break;
        case 'pause':
          await this.#pause(message);
          break;
        case 'resume':
          await this.#resume(message);
          break;
        case 'retry-failed':
          await this.#retry(message, 'failed');
          break;
        case 'retry-unknown':
          await this.#retry(message, 'unknown');
          break;
      }
    }
  }

  async workPeople({ do: action, group, emails, when }: PeopleStep): Promise<void> {
    await this.#progress.reached(when, this.#progress.beganAtMs);
    if (action === 'add') {
      await this.#add(group, emails);
      return;
    }
    for (const email of emails) {
      await (action === 'unsubscribe' ? this.#unsubscribe(group, email) : this.#remove(group, email));
    }
  }

  async #post({ id, group, dueInMs, onUnknown, repeats }: MessagePlan): Promise<AskedMessage> {
    const dueAtMs = nowMs() + dueInMs;
    const request = {
      body: {
        subject: `Message ${id}`,
        body: '<p>Hello {{ subscriber.name }}, this is for {{ subscriber.email }}.</p>',
        template: 'liquid',
        schedule_on: dueAtMs,
        on_unknown: onUnknown,
      },
      headers: { 'idempotency-key': id },
    };
    const post = async (): Promise<Asked> => this.#ask('POST', `/v1/groups/${group}/schedule`, request);
    const [{ answer, exchange: posted }, ...others] = await Promise.all(
      repeats === 'at-once' ? ([post(), post()] as const) : ([post()] as const),
    );
    const message: AskedMessage = {
      key: textAt(bodyOf(answer, 201), 'key'),
      group,
      dueAtMs,
      onUnknown,
      posted,
      pauses: [],
      retries: [],
    };
    this.messages.push(message);
    for (const { answer: repeated } of repeats === 'later' ? [await post()] : others) {
      this.#require(repeated, [201], `Repeated POST of ${id}`);
      if (repeated.status === 201 && textAt(repeated.body, 'key') !== message.key) {
        this.#faults.push(`The message ${id} was stored twice, though its Idempotency-Key was the same.`);
      }
    }
    return message;
  }

  async #cancel(message: AskedMessage): Promise<void> {
    const { answer, exchange } = await this.#ask('DELETE', pathOf(message));
    if (await this.#isDone(answer, message)) {
      message.cancelled = exchange;
    }
  }

  async #pause(message: AskedMessage): Promise<void> {
    const { answer, exchange } = await this.#ask('POST', `${pathOf(message)}/pause`);
    if (await this.#isDone(answer, message)) {
      message.pauses.push({ paused: exchange });
    }
  }

  async #resume(message: AskedMessage): Promise<void> {
    const pause = message.pauses.at(-1);
    if (!pause) {
      return; // it was finished before it could be paused
    }
    const { answer, exchange } = await this.#ask('POST', `${pathOf(message)}/resume`);
    // Asked again after an answer was lost, it may be finished by now.
    await this.#isDone(answer, message);
    pause.resumed = exchange;
  }

  async #retry(message: AskedMessage, outcome: 'failed' | 'unknown'): Promise<void> {
    const { answer, exchange } = await this.#ask('POST', `${pathOf(message)}/retry?outcome=${outcome}`);
    // 409 where it has not begun.
    this.#require(answer, [200, 409], `A retry of ${message.key}`);
    message.retries.push(exchange);
  }

  /** False where it was too late: the message must be finished then. */
  async #isDone(answer: Answer, message: AskedMessage): Promise<boolean> {
    if (answer.status !== 409) {
      this.#require(answer, [200, 201, 204], `A change of ${message.key}`);
      return answer.status < 300;
    }
    const state = await readMessage(this, message.group, message.key);
    if (!isFinished(state)) {
      this.#faults.push(`Message ${message.key} refused a change, though it is ${state.status}.`);
    }
    return false;
  }

  async #add(group: string, emails: readonly string[]): Promise<void> {
    const { answer, exchange: added } = await this.#ask('POST', `/v1/groups/${group}/subscribers`, {
      body: { subscribers: emails.map((email) => ({ email, name: 'Reader' })) },
    });
    this.#require(answer, [200], `POST of subscribers of ${group}`);
    const members = this.#membersOf(group);
    for (const email of emails) {
      members.set(email, { email, added });
    }
  }

  async #unsubscribe(group: string, email: string): Promise<void> {
    const { answer, exchange } = await this.#ask('PATCH', `/v1/groups/${group}/subscribers/${email}`, {
      body: { status: 'unsubscribed' },
    });
    this.#require(answer, [200], `Unsubscription of ${email}`);
    this.#memberOf(group, email).unsubscribed = exchange;
  }

  async #remove(group: string, email: string): Promise<void> {
    const { answer, exchange } = await this.#ask('DELETE', `/v1/groups/${group}/subscribers/${email}`);
    // 404 where an answer was lost, and it was asked again.
    this.#require(answer, [204, 404], `Removal of ${email}`);
    this.#memberOf(group, email).removed = exchange;
  }

  async #ask(method: string, path: string, request: Request = {}): Promise<Asked> {
    const askedAtMs = nowMs();
    while (nowMs() < askedAtMs + ASK_LIMIT_MS) {
      // No answer at all is what a process that was killed gives.
      const answer = await this.#fleet
        .api()
        ?.request(method, path, request)
        .catch(() => undefined);
      if (answer && answer.status < 500) {
        return { answer, exchange: { askedAtMs, answeredAtMs: nowMs() } };
      }
      if (answer && answer.status !== 503) {
        this.#faults.push(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      }
      await delay(ASK_AGAIN_MS);
    }
    throw new Error(`${method} ${path} was not answered within ${ASK_LIMIT_MS} ms.`);
  }

  #require({ status, body }: Answer, allowed: readonly number[], what: string): void {
    if (!allowed.includes(status)) {
      this.#faults.push(`${what} was answered ${status}: ${JSON.stringify(body)}`);
    }
  }

  #memberOf(group: string, email: string): Member {
    const member = this.#membersOf(group).get(email);
    if (!member) {
      throw new Error(`The plan has ${email} leave ${group}, where they never were.`);
    }
    return member;
  }

  #membersOf(group: string): Map<string, Member> {
    const members = this.#members.get(group);
    if (!members) {
      throw new Error(`The plan has no group ${group}.`);
    }
    return members;
  }
}

function pathOf({ group, key }: AskedMessage): string {
  return `/v1/groups/${group}/schedule/${key}`;
}

function nowMs(): number {
  return Temporal.Now.instant().epochMilliseconds;
}

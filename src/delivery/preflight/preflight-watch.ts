import { Injectable } from '@nestjs/common';
import { Clock, type Disarm, isReached, MINUTE_MS, plusMs } from '../../platform/clock/clock.ts';
import { Log } from '../../platform/logging/log.ts';
import { encodeFindings, faulty, type Finding } from '../../schedule/finding.ts';
import { MessageStore, type Waking } from '../../schedule/message-store.ts';
import type { Message } from '../../schedule/message.ts';
import { BeginSignal } from '../begin-signal.ts';
import { Channel } from '../channels/channel.ts';
import { Preflight } from './preflight.ts';

// Time for somebody to see it and to stop the message.
const AHEAD_MS = 15 * MINUTE_MS;
const LOOK_EVERY_MS = MINUTE_MS;
// In one look; those that come soonest, and the others in the next ones.
const LOOK_LIMIT = 200;
// A look is reads of the store beside those that deliver, and mostly waiting.
const AT_ONCE = 2;
// What DNS and a provider say changes in hours; a hundred messages of one sender ask once.
const SENDER_GOOD_MS = 5 * MINUTE_MS;
const SENDERS_KEPT = 500;

/**
 * Runs the preflight of messages that come up, a quarter of an hour before their time and again when they begin, and records what warns or
 * fails as their warnings. Beside the delivery and never in its way: nothing waits for it, and what cannot be found out is said so.
 */
@Injectable()
export class PreflightWatch {
  readonly #begun: Message[] = [];
  readonly #noting = new Set<Promise<void>>();
  readonly #senders = new Map<
    string,
    { readonly at: Temporal.Instant; readonly findings: Promise<readonly Finding[]> }
  >();
  /** Messages that were looked at ahead, by key, with the moment at which they wake. */
  #looked: ReadonlyMap<string, Temporal.Instant> = new Map();
  #next: Disarm | undefined;
  #inHand = 0;
  #isStopped = false;

  constructor(
    private readonly messages: MessageStore,
    private readonly preflight: Preflight,
    private readonly begins: BeginSignal,
    private readonly channel: Channel,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Looks every minute from now on; does nothing where mails do not leave this machine. */
  start(): void {
    if (this.channel.name === 'outbox') {
      return;
    }
    this.begins.listen((message) => {
      this.#begun.push(message);
      this.#lookAtNext();
    });
    this.#lookAgain();
  }

  /** Starts nothing more, and waits for what is being written; what DNS has not answered by now is left. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#next?.();
    this.#begun.length = 0;
    await Promise.allSettled(this.#noting);
  }

  /** Looks at those that begin within a quarter of an hour, and were not looked at before. */
  async runOnce(): Promise<void> {
    const now = this.clock.now();
    const found = await this.messages.findWaking(plusMs(now, AHEAD_MS), LOOK_LIMIT);
    const before = this.#looked;
    const looked = new Map<string, Temporal.Instant>();
    this.#looked = looked;
    for (const waking of found) {
      if (waking.kind === 'message' && !isReached(waking.wakeAt, now) && !isSame(before, waking)) {
        const message = await this.messages.find(waking.group, waking.key);
        if (message?.status === 'scheduled' && !this.#isStopped) {
          await this.#look(message);
        }
      }
      looked.set(waking.key, waking.wakeAt);
    }
  }

  #lookAgain(): void {
    this.#next = this.clock.arm(plusMs(this.clock.now(), LOOK_EVERY_MS), () => void this.#lookAhead());
  }

  async #lookAhead(): Promise<void> {
    try {
      await this.runOnce();
    } catch (error) {
      this.log.error('preflight.look-failed', { err: error }); // the next one finds what this one did not
    }
    if (!this.#isStopped) {
      this.#lookAgain();
    }
  }

  #lookAtNext(): void {
    while (this.#inHand < AT_ONCE && !this.#isStopped) {
      const message = this.#begun.shift();
      if (!message) {
        return;
      }
      this.#inHand += 1;
      void this.#look(message).finally(() => {
        this.#inHand -= 1;
        this.#lookAtNext();
      });
    }
  }

  /** Never rejects: the message goes out whatever is found, and whether or not that can be written down. */
  async #look(message: Message): Promise<void> {
    const { group, key } = message;
    try {
      const sender = (from: string): Promise<readonly Finding[]> => this.#sender(from);
      const findings = faulty(await this.preflight.checkSending(message, sender));
      if (this.#isStopped || encodeFindings(findings) === encodeFindings(message.sendingFindings)) {
        return;
      }
      const noting = this.messages.noteFindings(group, key, findings);
      this.#noting.add(noting);
      await noting.finally(() => this.#noting.delete(noting));
      const rules = findings.map(({ rule }) => rule);
      this.log.warn('message.warned', { message_key: key, group, rules });
    } catch (error) {
      this.log.error('preflight.failed', { message_key: key, err: error });
    }
  }

  #sender(from: string): Promise<readonly Finding[]> {
    const now = this.clock.now();
    const kept = this.#senders.get(from);
    if (kept && !isReached(plusMs(kept.at, SENDER_GOOD_MS), now)) {
      return kept.findings;
    }
    const findings = this.preflight.senderFindings(from);
    this.#senders.delete(from);
    this.#senders.set(from, { at: now, findings }); // the map keeps the order: the first was asked for longest ago
    for (const oldest of [...this.#senders.keys()].slice(0, -SENDERS_KEPT)) {
      this.#senders.delete(oldest);
    }
    return findings;
  }
}

function isSame(looked: ReadonlyMap<string, Temporal.Instant>, { key, wakeAt }: Waking): boolean {
  return looked.get(key)?.equals(wakeAt) === true;
}

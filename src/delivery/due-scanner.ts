import { Injectable } from '@nestjs/common';
import {
  Clock,
  type Disarm,
  formatInstant,
  isReached,
  later,
  MINUTE_MS,
  msBetween,
  plusMs,
  SECOND_MS,
} from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { assertNever } from '../platform/errors/assert-never.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { Log } from '../platform/logging/log.ts';
import { type MessageChange, MessageStore, type Waking } from '../schedule/message-store.ts';
import { messageTags } from '../schedule/message-tags.ts';
import type { Message } from '../schedule/message.ts';
import { resolveAnew } from '../schedule/meant-time.ts';
import { judgeLateness, type Verdict, wakeForRules } from '../schedule/missed-rule.ts';
import { Planner } from '../schedule/planner.ts';
import { formatDuration } from '../schedule/schedule-time.ts';
import { SeriesService } from '../schedule/series.service.ts';
import { WakeSignal } from '../schedule/wake-signal.ts';
import { ZoneRules } from '../schedule/zone-rules.ts';
import { BeginSignal } from './begin-signal.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import { Dispatcher } from './dispatcher.ts';
import { newToken } from './lease.ts';
import { wasUnattended } from './send-time.ts';

const SCAN_EVERY_MS = SECOND_MS;
// Scanners that started together drift apart, so that they do not all ask at the same moment.
const SCAN_JITTER = 0.2;
// Timers are armed this far ahead: several scans fit in, so one that fails or is late costs no punctuality.
const LOOK_AHEAD_MS = 5 * SECOND_MS;
// One page of candidates; a full page is followed by the next as soon as it is attended to.
const SCAN_LIMIT = 1_000;
// Until the first wave that is known, somebody may come whose wave is earlier: it is noticed so long after it at most. Offsets from UTC are
// multiples of this today, so that looks and waves come together.
const REPLAN_EVERY_MS = 15 * MINUTE_MS;
// Messages attended to side by side: their dispatch is mostly waiting for the store, and on SQLite they share each commit.
const ATTEND_AT_ONCE = 64;

/**
 * Finds messages and series whose wake is near, arms a timer for each, and attends to it at its time. Any number of scanners may run:
 * a claim decides who gets a message. The timer makes it punctual; the scan is the safety net.
 */
@Injectable()
export class DueScanner {
  readonly #armed = new Map<string, { readonly wakeAt: Temporal.Instant; readonly disarm: Disarm }>();
  readonly #due = new Map<string, Waking>();
  readonly #attending = new Map<string, Promise<void>>();
  #nextScan: Disarm | undefined;
  #scanning: Promise<void> | undefined;
  #pageWasFull = false;
  #isRunning = false;

  constructor(
    private readonly messages: MessageStore,
    private readonly series: SeriesService,
    private readonly planner: Planner,
    private readonly rules: ZoneRules,
    private readonly dispatcher: Dispatcher,
    private readonly wakes: WakeSignal,
    private readonly begins: BeginSignal,
    private readonly metrics: DeliveryMetrics,
    private readonly clock: Clock,
    private readonly settings: Settings,
    private readonly log: Log,
  ) {}

  /** Scans every second, until `stop`. */
  start(): void {
    this.#isRunning = true;
    this.wakes.listen((waking) => this.#arm(waking));
    this.#scanIn(0);
  }

  /** Starts nothing more, and waits for what has begun. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#nextScan?.();
    for (const { disarm } of this.#armed.values()) {
      disarm();
    }
    this.#armed.clear();
    this.#due.clear();
    await this.#scanning;
    await Promise.all(this.#attending.values());
  }

  /** Attends to whatever is due now, and resolves when that is done. */
  async runOnce(): Promise<void> {
    for (const waking of await this.messages.findWaking(this.clock.now(), SCAN_LIMIT)) {
      await this.#attend(waking);
    }
  }

  #scanIn(delayMs: number): void {
    this.#nextScan?.();
    this.#nextScan = this.clock.arm(plusMs(this.clock.now(), delayMs), () => {
      this.#scanning = this.#scan();
    });
  }

  async #scan(): Promise<void> {
    let isFull = false;
    try {
      const found = await this.messages.findWaking(plusMs(this.clock.now(), LOOK_AHEAD_MS), SCAN_LIMIT);
      isFull = found.length === SCAN_LIMIT;
      this.#observeLag(found);
      for (const waking of found) {
        this.#arm(waking);
      }
    } catch (error) {
      this.log.error('scan.failed', { err: error }); // the next one finds what this one did not
    }
    this.#pageWasFull = isFull;
    if (this.#isRunning) {
      this.#scanIn(Math.round(SCAN_EVERY_MS * (1 + SCAN_JITTER * (Math.random() - 0.5))));
    }
  }

  #observeLag(found: readonly Waking[]): void {
    const now = this.clock.now();
    const waiting = found.filter(({ key, wakeAt }) => isReached(wakeAt, now) && !this.#attending.has(key));
    this.metrics.observeDueLag(waiting.at(0)?.wakeAt, now);
  }

  #arm(waking: Waking): void {
    if (!this.#isRunning || this.#due.has(waking.key) || this.#attending.has(waking.key)) {
      return;
    }
    const armed = this.#armed.get(waking.key);
    if (armed?.wakeAt.equals(waking.wakeAt) === true) {
      return;
    }
    armed?.disarm();
    this.#armed.delete(waking.key);
    const now = this.clock.now();
    if (isReached(waking.wakeAt, now)) {
      this.#ring(waking);
    } else if (isReached(waking.wakeAt, plusMs(now, LOOK_AHEAD_MS))) {
      const disarm = this.clock.arm(waking.wakeAt, () => this.#ring(waking));
      this.#armed.set(waking.key, { wakeAt: waking.wakeAt, disarm });
    }
  }

  #ring(waking: Waking): void {
    this.#armed.delete(waking.key);
    this.#due.set(waking.key, waking);
    this.#attendNext();
  }

  #attendNext(): void {
    for (const [key, waking] of this.#due) {
      if (this.#attending.size >= ATTEND_AT_ONCE) {
        return;
      }
      this.#due.delete(key);
      const attended = this.#attendSafely(waking).finally(() => {
        this.#attending.delete(key);
        this.#attendNext();
      });
      this.#attending.set(key, attended);
    }
    if (this.#pageWasFull && this.#isRunning && this.#due.size === 0) {
      this.#pageWasFull = false;
      this.#scanIn(0);
    }
  }

  async #attendSafely(waking: Waking): Promise<void> {
    try {
      await this.#attend(waking);
    } catch (error) {
      // Its wake stays or comes with the end of the lease, so that a scan finds it again.
      this.log.error(`${waking.kind}.attend-failed`, { [`${waking.kind}_key`]: waking.key, err: error });
    }
  }

  async #attend(waking: Waking): Promise<void> {
    switch (waking.kind) {
      case 'message':
        return this.#attendMessage(waking);
      case 'series':
        return this.series.attend(waking.group, waking.key);
      default:
        return assertNever(waking);
    }
  }

  async #attendMessage(waking: Extract<Waking, { kind: 'message' }>): Promise<void> {
    const found = await this.messages.find(waking.group, waking.key);
    const message = found && (await this.#replan(found));
    if (!message || !(await this.#mayGo(message))) {
      return;
    }
    const now = this.clock.now();
    const token = newToken();
    const claimed = await this.messages.claim(message.group, message.key, {
      token,
      now,
      until: plusMs(now, this.settings.leaseMs),
    });
    if (!claimed) {
      this.metrics.countConflict('message');
      return;
    }
    if (message.status === 'scheduled') {
      this.metrics.observeLateness(claimed, now);
      this.begins.announce(claimed);
    }
    await this.dispatcher.dispatch(claimed, token);
  }

  /**
   * Finds the first wave of a message with a local time for each by where its subscribers are now, and answers the message where that has come;
   * otherwise it is looked at again, until it has.
   */
  async #replan(message: Message): Promise<Message | undefined> {
    const { localDelivery, time } = message;
    if (message.status !== 'scheduled') {
      return message;
    }
    if (time) {
      return this.#resolveAnew(message);
    }
    if (!localDelivery) {
      return message;
    }
    const now = this.clock.now();
    const scheduleOn = await this.planner.firstSending(message.group, localDelivery, localDelivery.since);
    const isReleased = !message.dueAt.equals(message.scheduleOn); // somebody let it go on, and from then on its lateness counts
    const dueAt = isReleased ? later(scheduleOn, message.dueAt) : scheduleOn;
    const next = plusMs(now, REPLAN_EVERY_MS - (now.epochMilliseconds % REPLAN_EVERY_MS));
    const wakeAt = isReached(dueAt, next) ? dueAt : next;
    let planned: Message | undefined = message;
    if (!scheduleOn.equals(message.scheduleOn)) {
      const tags = messageTags({ ...message, scheduleOn });
      planned = await this.#changeUnlessChanged(message, { scheduleOn, dueAt, tags, wakeAt });
    } else if (!isReached(wakeAt, now)) {
      await this.messages.postpone(message.group, message.key, message.version, wakeAt);
    }
    return isReached(dueAt, now) ? planned : undefined;
  }

  /**
   * Resolves the local time of a message by the rules that this process knows, where it was resolved by others, and answers the message
   * where its time has come; otherwise it wakes then.
   */
  async #resolveAnew(message: Message): Promise<Message | undefined> {
    const now = this.clock.now();
    const anew = resolveAnew(message, this.rules, now);
    const isReleased = !message.dueAt.equals(message.scheduleOn); // its lateness counts from there, whatever the rules are
    const dueAt = isReleased || !anew ? message.dueAt : anew.scheduleOn;
    const wakeAt = wakeForRules(dueAt, now);
    let resolved: Message | undefined = message;
    if (anew) {
      const tags = messageTags({ ...message, ...anew });
      resolved = await this.#changeUnlessChanged(message, { ...anew, tags, dueAt, wakeAt });
      if (!anew.scheduleOn.equals(message.scheduleOn)) {
        this.log.warn('message.moved', { message_key: message.key, tzdata: this.rules.tzdata });
      }
    } else if (!isReached(dueAt, now)) {
      await this.messages.postpone(message.group, message.key, message.version, wakeAt);
    }
    return isReached(dueAt, now) ? resolved : undefined;
  }

  /** False where the message is too late to go out; it is held or skipped then. */
  async #mayGo(message: Message): Promise<boolean> {
    const now = this.clock.now();
    if (message.status === 'sending') {
      return this.#mayGoOn(message, now);
    }
    if (message.status !== 'scheduled') {
      return true;
    }
    const verdict = judgeLateness(message, now, this.settings.missedGraceMs);
    if (verdict.kind === 'go') {
      return true;
    }
    if (verdict.kind === 'skip' && (await this.#hasWavesInTime(message, now))) {
      return this.#skipMissed(message, now);
    }
    await this.#stop(message, verdict);
    return false;
  }

  async #hasWavesInTime(message: Message, now: Temporal.Instant): Promise<boolean> {
    const { localDelivery, expiresAt } = message;
    if (!localDelivery || (expiresAt && isReached(expiresAt, now))) {
      return false;
    }
    const last = (await this.planner.plan(message)).waves.at(-1);
    return last !== undefined && msBetween(last.at, now) <= this.settings.missedGraceMs;
  }

  /** Waves that are late by more than the grace are left out; the others go. */
  async #skipMissed(message: Message, now: Temporal.Instant): Promise<boolean> {
    const { localDelivery } = message;
    const missedBefore = plusMs(now, -this.settings.missedGraceMs);
    const change = { localDelivery: localDelivery && { ...localDelivery, missedBefore }, wakeAt: now };
    return (await this.#changeUnlessChanged(message, change)) !== undefined;
  }

  /** Waves that came while nobody was there to send them follow the same rule as a message that did. */
  async #mayGoOn(message: Message, now: Temporal.Instant): Promise<boolean> {
    if (!wasUnattended(message, now, this.settings.missedGraceMs)) {
      return true;
    }
    const asleepSince = message.wakeAt ?? now;
    switch (message.onMissed) {
      case 'send':
        return true;
      case 'hold': {
        const reason = `Nothing could be sent from ${formatInstant(asleepSince)} on, for ${formatDuration(msBetween(asleepSince, now))}; waves may have been missed, and the grace is ${formatDuration(this.settings.missedGraceMs)}.`;
        await this.#stop(message, { kind: 'hold', reason });
        return false;
      }
      case 'skip':
        return this.#skipMissed(message, now);
      default:
        return assertNever(message.onMissed);
    }
  }

  async #stop(message: Message, verdict: Exclude<Verdict, { kind: 'go' }>): Promise<void> {
    const status = verdict.kind === 'hold' ? 'held' : 'skipped';
    const change = { status, reason: verdict.reason, wakeAt: undefined } as const;
    if (await this.#changeUnlessChanged(message, change)) {
      this.log.warn(`message.${status}`, { message_key: message.key, group: message.group });
    }
  }

  /** `undefined` where somebody changed or claimed it meanwhile: what it is now is found by its wake. */
  async #changeUnlessChanged(message: Message, change: MessageChange): Promise<Message | undefined> {
    try {
      return await this.messages.change(message.group, message.key, message.version, change);
    } catch (error) {
      if (!(error instanceof VersionMismatchError)) {
        throw error;
      }
      return undefined;
    }
  }
}

import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { type DeliveryByHand, deliverByHand } from '../../src/delivery/by-hand.ts';
import type { Brake } from '../../src/delivery/brake.ts';
import {
  Channel,
  type ChannelName,
  type Mail,
  type SendResult,
} from '../../src/delivery/channels/channel.ts';
import type { DeliveryMetrics } from '../../src/delivery/delivery-metrics.ts';
import type { DueScanner } from '../../src/delivery/due-scanner.ts';
import type { DomainRecords } from '../../src/delivery/preflight/domain-records.ts';
import { Preflight } from '../../src/delivery/preflight/preflight.ts';
import { PreflightWatch } from '../../src/delivery/preflight/preflight-watch.ts';
import type { Worker } from '../../src/delivery/worker.ts';
import type { Suppressor } from '../../src/groups/suppressor.ts';
import type { Suppressions } from '../../src/groups/suppressions.ts';
import { type Environment, parseSettings, type Settings } from '../../src/platform/config/settings.ts';
import type { Shutdown } from '../../src/platform/lifecycle/shutdown.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { Log } from '../../src/platform/logging/log.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import type { Draft, ScheduleService } from '../../src/schedule/schedule.service.ts';
import type { SeriesService } from '../../src/schedule/series.service.ts';
import { systemZoneRules, type ZoneRules } from '../../src/schedule/zone-rules.ts';
import type { Message, MessageKey } from '../../src/schedule/message.ts';
import type { Engine } from '../contract/engine.ts';
import { aContent, aGroupName, anInstant, aNewcomer } from '../support/builders.ts';

type Answer = (mail: Mail, signal: AbortSignal) => SendResult | Promise<SendResult>;

/** A channel that takes everything, unless it is told otherwise, and remembers it. */
export class FakeChannel extends Channel {
  override readonly name: ChannelName = 'outbox';
  override readonly window: number;
  readonly taken: Mail[] = [];
  #answer: Answer = () => ({ kind: 'accepted', providerId: randomUUID() });

  constructor(window = 10) {
    super();
    this.window = window;
  }

  override send(mails: readonly Mail[], signal: AbortSignal): Promise<readonly SendResult[]> {
    return Promise.all(
      mails.map(async (mail) => {
        const result = await this.#answer(mail, signal);
        if (result.kind === 'accepted') {
          this.taken.push(mail);
        }
        return result;
      }),
    );
  }

  override async close(): Promise<void> {}

  /** Decides for one mail from now on; may throw, as a process that dies does. */
  answerWith(answer: Answer): void {
    this.#answer = answer;
  }

  /** To whom it was handed, in order of address. */
  get recipients(): readonly string[] {
    return this.taken.map((mail) => mail.to).toSorted();
  }
}

/** Everything that delivers, on an engine and a channel that a test can look into; time is driven, nothing runs by itself. */
export class Belfry {
  readonly group = aGroupName();
  readonly schedule: ScheduleService;
  readonly series: SeriesService;
  readonly scanner: DueScanner;
  readonly worker: Worker;
  readonly shutdown: Shutdown;
  readonly engine: Engine;
  readonly channel: FakeChannel;
  readonly brake: Brake;
  readonly suppressions: Suppressions;
  readonly suppressor: Suppressor;
  readonly metrics: DeliveryMetrics;
  readonly #parts: DeliveryByHand;
  readonly #settings: Settings;

  constructor(
    engine: Engine,
    channel = new FakeChannel(),
    env: Environment = {},
    rules: ZoneRules = systemZoneRules,
  ) {
    const settings = parseSettings(env);
    const parts = deliverByHand({
      stores: engine,
      channel,
      key: new SigningKey(Buffer.alloc(32, 1)),
      rules,
      clock: engine.clock,
      settings,
      log: new Log(pino({ level: 'silent' })),
    });
    this.engine = engine;
    this.channel = channel;
    this.schedule = parts.schedule;
    this.series = parts.series;
    this.scanner = parts.scanner;
    this.worker = parts.worker;
    this.shutdown = parts.shutdown;
    this.brake = parts.brake;
    this.suppressions = parts.suppressions;
    this.suppressor = parts.suppressor;
    this.metrics = parts.metrics;
    this.#parts = parts;
    this.#settings = settings;
  }

  /** What runs the preflight beside it, once it is started. */
  watch(records: DomainRecords): PreflightWatch {
    const { groups, subscribers, suppressions, messages, rates, clock } = this.engine;
    const preflight = new Preflight(
      this.#parts.makers,
      groups,
      subscribers,
      this.suppressions,
      suppressions,
      rates,
      records,
      this.channel,
      this.#parts.publicUrl,
      clock,
      this.#settings,
    );
    const log = new Log(pino({ level: 'silent' }));
    return new PreflightWatch(messages, preflight, this.#parts.begins, this.channel, clock, log);
  }

  async subscribe(...emails: readonly string[]): Promise<void> {
    await this.engine.subscribers.add(
      this.group,
      emails.map((email) => aNewcomer(email)),
      this.engine.clock.now(),
    );
  }

  async scheduleMessage(overrides: Partial<Draft> = {}): Promise<MessageKey> {
    const draft: Draft = {
      ...aContent(),
      scheduleOn: anInstant(),
      time: undefined,
      expiresAt: undefined,
      onMissed: 'hold',
      onUnknown: 'resend',
      repeat: undefined,
      ...overrides,
    };
    const { key } = await this.schedule.schedule(this.group, draft, undefined);
    return key;
  }

  /** Does all that is due now. */
  async runOnce(): Promise<void> {
    await this.scanner.runOnce();
    await this.worker.runOnce();
  }

  async message(key: MessageKey): Promise<Message> {
    return this.schedule.get(this.group, key);
  }

  async deliveries(key: MessageKey): Promise<readonly Delivery[]> {
    return this.engine.deliveries.listDeliveries(key, {
      after: undefined,
      limit: 10_000,
      outcome: undefined,
    });
  }
}

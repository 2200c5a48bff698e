import { randomUUID } from 'node:crypto';
import { HttpAdapterHost } from '@nestjs/core';
import pino from 'pino';
import { Links } from '../../src/consent/links.ts';
import { BeginSignal } from '../../src/delivery/begin-signal.ts';
import { BatchWorker } from '../../src/delivery/batch-worker.ts';
import { Brake } from '../../src/delivery/brake.ts';
import { ReturnPaths } from '../../src/delivery/return-paths.ts';
import {
  Channel,
  type ChannelName,
  type Mail,
  type SendResult,
} from '../../src/delivery/channels/channel.ts';
import { DeliveryMetrics } from '../../src/delivery/delivery-metrics.ts';
import { Dispatcher } from '../../src/delivery/dispatcher.ts';
import { DueScanner } from '../../src/delivery/due-scanner.ts';
import { MailMakers } from '../../src/delivery/mail-maker.ts';
import type { DomainRecords } from '../../src/delivery/preflight/domain-records.ts';
import { Preflight } from '../../src/delivery/preflight/preflight.ts';
import { PreflightWatch } from '../../src/delivery/preflight/preflight-watch.ts';
import { MessageStopper } from '../../src/delivery/message-stopper.ts';
import { Pacer } from '../../src/delivery/rate/pacer.ts';
import { Worker } from '../../src/delivery/worker.ts';
import { Suppressor } from '../../src/groups/suppressor.ts';
import { Suppressions } from '../../src/groups/suppressions.ts';
import { type Environment, parseSettings, type Settings } from '../../src/platform/config/settings.ts';
import { PublicUrl } from '../../src/platform/http/public-url.ts';
import { Shutdown } from '../../src/platform/lifecycle/shutdown.ts';
import { Metrics } from '../../src/platform/metrics/metrics.ts';
import { SigningKey } from '../../src/platform/http/signing-key.ts';
import { Tracing } from '../../src/platform/tracing/tracing.ts';
import { Log } from '../../src/platform/logging/log.ts';
import type { Delivery } from '../../src/delivery/delivery.ts';
import { Planner } from '../../src/schedule/planner.ts';
import { type Draft, ScheduleService } from '../../src/schedule/schedule.service.ts';
import { SeriesService } from '../../src/schedule/series.service.ts';
import { WakeSignal } from '../../src/schedule/wake-signal.ts';
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

/** Links that this process signs, and no server opens. */
function linksOf(settings: Settings): Links {
  return new Links(new SigningKey(Buffer.alloc(32, 1)), new PublicUrl(settings, new HttpAdapterHost()));
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
  readonly #begins = new BeginSignal();
  readonly #makers: MailMakers;
  readonly #settings: Settings;

  constructor(
    engine: Engine,
    channel = new FakeChannel(),
    env: Environment = {},
    rules: ZoneRules = systemZoneRules,
  ) {
    const { groups, subscribers, messages, deliveries, queue, clock } = engine;
    const settings = parseSettings(env);
    const log = new Log(pino({ level: 'silent' }));
    const wakes = new WakeSignal();
    const metrics = new DeliveryMetrics(new Metrics());
    const tracing = new Tracing(undefined);
    this.engine = engine;
    this.#settings = settings;
    this.channel = channel;
    this.shutdown = new Shutdown(clock, settings, log);
    const planner = new Planner(groups, subscribers);
    this.schedule = new ScheduleService(messages, groups, planner, wakes, tracing, rules, clock, settings);
    this.series = new SeriesService(engine.series, messages, this.schedule, wakes, rules, clock, settings);
    const dispatcher = new Dispatcher(
      messages,
      deliveries,
      subscribers,
      queue,
      tracing,
      this.shutdown,
      clock,
      settings,
      log,
    );
    const stopper = new MessageStopper(messages, log);
    this.suppressions = new Suppressions(engine.suppressions, new SigningKey(Buffer.alloc(32, 1)));
    this.suppressor = new Suppressor(subscribers, this.suppressions, clock);
    this.metrics = metrics;
    this.brake = new Brake(stopper, metrics, settings);
    const returnPaths = new ReturnPaths(new SigningKey(Buffer.alloc(32)), settings);
    this.scanner = new DueScanner(
      messages,
      this.series,
      planner,
      rules,
      dispatcher,
      wakes,
      this.#begins,
      metrics,
      clock,
      settings,
      log,
    );
    this.#makers = new MailMakers(messages, groups, linksOf(settings), returnPaths, settings);
    const batchWorker = new BatchWorker(
      messages,
      deliveries,
      subscribers,
      this.suppressions,
      this.suppressor,
      groups,
      queue,
      channel,
      this.#makers,
      stopper,
      this.brake,
      new Pacer(engine.rates, groups, channel, this.shutdown, clock, settings, log),
      metrics,
      tracing,
      this.shutdown,
      clock,
      settings,
      log,
    );
    this.worker = new Worker(queue, batchWorker, this.shutdown, clock, log);
  }

  /** What runs the preflight beside it, once it is started. */
  watch(records: DomainRecords): PreflightWatch {
    const { groups, subscribers, suppressions, messages, rates, clock } = this.engine;
    const preflight = new Preflight(
      this.#makers,
      groups,
      subscribers,
      this.suppressions,
      suppressions,
      rates,
      records,
      this.channel,
      new PublicUrl(this.#settings, new HttpAdapterHost()),
      clock,
      this.#settings,
    );
    const log = new Log(pino({ level: 'silent' }));
    return new PreflightWatch(messages, preflight, this.#begins, this.channel, clock, log);
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

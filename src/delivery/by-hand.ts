import { HttpAdapterHost } from '@nestjs/core';
import { Links } from '../consent/links.ts';
import type { GroupStore } from '../groups/group-store.ts';
import type { SubscriberStore } from '../groups/subscriber-store.ts';
import type { SuppressionStore } from '../groups/suppression-store.ts';
import { Suppressions } from '../groups/suppressions.ts';
import { Suppressor } from '../groups/suppressor.ts';
import type { Clock } from '../platform/clock/clock.ts';
import type { Settings } from '../platform/config/settings.ts';
import { PublicUrl } from '../platform/http/public-url.ts';
import type { SigningKey } from '../platform/http/signing-key.ts';
import { Shutdown } from '../platform/lifecycle/shutdown.ts';
import type { Log } from '../platform/logging/log.ts';
import { Metrics } from '../platform/metrics/metrics.ts';
import { Tracing } from '../platform/tracing/tracing.ts';
import type { MessageStore } from '../schedule/message-store.ts';
import { Planner } from '../schedule/planner.ts';
import { ScheduleService } from '../schedule/schedule.service.ts';
import type { SeriesStore } from '../schedule/series-store.ts';
import { SeriesService } from '../schedule/series.service.ts';
import { WakeSignal } from '../schedule/wake-signal.ts';
import type { ZoneRules } from '../schedule/zone-rules.ts';
import { BatchWorker } from './batch-worker.ts';
import { BeginSignal } from './begin-signal.ts';
import { Brake } from './brake.ts';
import type { Channel } from './channels/channel.ts';
import { DeliveryMetrics } from './delivery-metrics.ts';
import type { DeliveryStore } from './delivery-store.ts';
import { Dispatcher } from './dispatcher.ts';
import { DueScanner } from './due-scanner.ts';
import { MailMakers } from './mail-maker.ts';
import { MessageStopper } from './message-stopper.ts';
import { Pacer } from './rate/pacer.ts';
import type { RateStore } from './rate/rate-store.ts';
import { ReturnPaths } from './return-paths.ts';
import type { WorkQueue } from './work-queue.ts';
import { Worker } from './worker.ts';

/** Where the state lives that delivering reads and changes. */
export interface DeliveryStores {
  readonly groups: GroupStore;
  readonly subscribers: SubscriberStore;
  readonly suppressions: SuppressionStore;
  readonly messages: MessageStore;
  readonly series: SeriesStore;
  readonly deliveries: DeliveryStore;
  readonly queue: WorkQueue;
  readonly rates: RateStore;
}

export interface DeliveryPlan {
  readonly stores: DeliveryStores;
  readonly channel: Channel;
  readonly pacer?: typeof Pacer;
  /** Of links, return paths, and hashes of those who were erased. */
  readonly key: SigningKey;
  readonly rules: ZoneRules;
  readonly clock: Clock;
  readonly settings: Settings;
  readonly log: Log;
}

/** What schedules and delivers, in one process without a server. */
export interface DeliveryByHand {
  readonly schedule: ScheduleService;
  readonly series: SeriesService;
  readonly scanner: DueScanner;
  readonly worker: Worker;
  readonly shutdown: Shutdown;
  readonly brake: Brake;
  readonly suppressions: Suppressions;
  readonly suppressor: Suppressor;
  readonly metrics: DeliveryMetrics;
  readonly begins: BeginSignal;
  readonly makers: MailMakers;
  readonly publicUrl: PublicUrl;
}

/** Puts together by hand what DeliveryModule and ScheduleModule do, for whoever drives the time; nothing runs by itself. */
export function deliverByHand(plan: DeliveryPlan): DeliveryByHand {
  const { stores, channel, key, rules, clock, settings, log } = plan;
  const { groups, subscribers, messages, deliveries, queue } = stores;
  const shutdown = new Shutdown(clock, settings, log);
  const tracing = new Tracing(undefined);
  const metrics = new DeliveryMetrics(new Metrics());
  const wakes = new WakeSignal();
  const begins = new BeginSignal();
  const planner = new Planner(groups, subscribers);
  const schedule = new ScheduleService(messages, groups, planner, wakes, tracing, rules, clock, settings);
  const series = new SeriesService(stores.series, messages, schedule, wakes, rules, clock, settings);
  const suppressions = new Suppressions(stores.suppressions, key);
  const suppressor = new Suppressor(subscribers, suppressions, clock);
  const stopper = new MessageStopper(messages, log);
  const brake = new Brake(stopper, metrics, settings);
  const publicUrl = new PublicUrl(settings, new HttpAdapterHost());
  const links = new Links(key, publicUrl);
  const makers = new MailMakers(messages, groups, links, new ReturnPaths(key, settings), settings);
  const PacerClass = plan.pacer ?? Pacer;
  const dispatcher = new Dispatcher(
    messages,
    deliveries,
    subscribers,
    queue,
    tracing,
    shutdown,
    clock,
    settings,
    log,
  );
  const scanner = new DueScanner(
    messages,
    series,
    planner,
    rules,
    dispatcher,
    wakes,
    begins,
    metrics,
    clock,
    settings,
    log,
  );
  const batchWorker = new BatchWorker(
    messages,
    deliveries,
    subscribers,
    suppressions,
    suppressor,
    groups,
    queue,
    channel,
    makers,
    stopper,
    brake,
    new PacerClass(stores.rates, groups, channel, shutdown, clock, settings, log),
    metrics,
    tracing,
    shutdown,
    clock,
    settings,
    log,
  );
  const worker = new Worker(queue, batchWorker, shutdown, clock, log);
  return {
    schedule,
    series,
    scanner,
    worker,
    shutdown,
    brake,
    suppressions,
    suppressor,
    metrics,
    begins,
    makers,
    publicUrl,
  };
}

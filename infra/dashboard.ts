import { Duration } from 'aws-cdk-lib';
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard as CloudWatchDashboard,
  GraphWidget,
  type GraphWidgetProps,
  type IMetric,
  type IWidget,
  Stats,
} from 'aws-cdk-lib/aws-cloudwatch';
import { HttpCodeElb, HttpCodeTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Construct } from 'constructs';
import { OUTCOMES } from '../src/delivery/delivery.ts';
import { FEEDBACK_KINDS } from '../src/delivery/feedback.ts';
import { reputation } from './alarms.ts';
import type { Front } from './front.ts';
import {
  batchesSetAside,
  claimConflicts,
  deliveries,
  dueLagMs,
  eventLoopLagMs,
  feedback,
  latenessMedianMs,
  latenessMs,
  messagesHeld,
  queueWaitMs,
  storeLatencyMs,
} from './metrics.ts';
import type { QueueWithDeadLetters } from './queues.ts';
import type { Service } from './service.ts';

const MINUTE = Duration.minutes(1);
const WIDTH_OF_ALL = 24;

export interface DashboardProps {
  readonly installation: string;
  readonly alarms: readonly Alarm[];
  readonly front: Front;
  readonly work: QueueWithDeadLetters;
  readonly mailEvents: QueueWithDeadLetters;
  readonly services: readonly Service[];
}

/** Everything that says how it goes, on one page: first whether somebody must act, then what is delivered, then what it runs on. */
export class Dashboard extends Construct {
  constructor(scope: Construct, id: string, props: DashboardProps) {
    super(scope, id);
    new CloudWatchDashboard(this, 'dashboard', {
      dashboardName: props.installation,
      defaultInterval: Duration.hours(3),
      widgets: [
        [
          new AlarmStatusWidget({
            title: 'Alarms',
            alarms: [...props.alarms],
            width: WIDTH_OF_ALL,
            height: 3,
          }),
        ],
        deliveryWidgets(props.work),
        feedbackWidgets(props.mailEvents),
        apiWidgets(props.front),
        applicationWidgets(props.services),
      ],
    });
  }
}

function deliveryWidgets({ queue, deadLetters }: QueueWithDeadLetters): IWidget[] {
  return row([
    graph(
      'Deliveries a minute, by outcome',
      OUTCOMES.map((outcome) => deliveries(outcome)),
      { stacked: true },
    ),
    graph('Lateness: median, p99; due and not claimed (ms)', [latenessMedianMs, latenessMs, dueLagMs]),
    graph('Pointers waiting, in work and dead; set aside', [
      queue.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: Stats.MAXIMUM }),
      queue.metricApproximateNumberOfMessagesNotVisible({ period: MINUTE, statistic: Stats.MAXIMUM }),
      deadLetters.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: Stats.MAXIMUM }),
      batchesSetAside,
    ]),
    graph('Batches waiting for a worker: p99 (ms)', [queueWaitMs]),
  ]);
}

function feedbackWidgets({ queue, deadLetters }: QueueWithDeadLetters): IWidget[] {
  return row([
    graph('Bounces and complaints a minute; messages held', [
      feedback('bounced'),
      feedback('complained'),
      messagesHeld,
    ]),
    graph(
      'Anything else heard of deliveries a minute',
      FEEDBACK_KINDS.filter((kind) => kind !== 'bounced' && kind !== 'complained').map(feedback),
    ),
    graph('Of the account, as AWS judges it: share of bounces, of complaints', [
      reputation('BounceRate'),
      reputation('ComplaintRate'),
    ]),
    graph('Events of SES waiting, and dead', [
      queue.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: Stats.MAXIMUM }),
      deadLetters.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: Stats.MAXIMUM }),
    ]),
  ]);
}

function apiWidgets({ loadBalancer, targets }: Front): IWidget[] {
  return row([
    graph('Requests a minute', [loadBalancer.metrics.requestCount({ period: MINUTE })]),
    graph('Time to answer: median, p99 (s)', [
      targets.metrics.targetResponseTime({ period: MINUTE, statistic: Stats.p(50) }),
      targets.metrics.targetResponseTime({ period: MINUTE, statistic: Stats.p(99) }),
    ]),
    graph('Errors a minute', [
      targets.metrics.httpCodeTarget(HttpCodeTarget.TARGET_4XX_COUNT, { period: MINUTE }),
      targets.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, { period: MINUTE }),
      loadBalancer.metrics.httpCodeElb(HttpCodeElb.ELB_5XX_COUNT, { period: MINUTE }),
    ]),
    graph('Tasks of the api that are ready, and not', [
      targets.metrics.healthyHostCount({ period: MINUTE, statistic: Stats.MINIMUM }),
      targets.metrics.unhealthyHostCount({ period: MINUTE, statistic: Stats.MAXIMUM }),
    ]),
  ]);
}

function applicationWidgets(services: readonly Service[]): IWidget[] {
  return row([
    graph('Stores: p99 (ms)', [storeLatencyMs]),
    graph('Claims that lost', [claimConflicts('message'), claimConflicts('batch')]),
    graph('Event loop held up (ms)', [eventLoopLagMs]),
    graph(
      'Processor and memory (%)',
      services.flatMap(({ service }) => [
        service.metricCpuUtilization({ period: MINUTE, label: `${service.node.scope?.node.id} processor` }),
        service.metricMemoryUtilization({ period: MINUTE, label: `${service.node.scope?.node.id} memory` }),
      ]),
    ),
  ]);
}

function row(widgets: readonly GraphWidget[]): IWidget[] {
  return [...widgets];
}

function graph(title: string, left: readonly IMetric[], more: Partial<GraphWidgetProps> = {}): GraphWidget {
  return new GraphWidget({ title, left: [...left], width: WIDTH_OF_ALL / 4, height: 6, ...more });
}

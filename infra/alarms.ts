import { Aws, Duration } from 'aws-cdk-lib';
import {
  Alarm,
  type AlarmProps,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { FargateService } from 'aws-cdk-lib/aws-ecs';
import { HttpCodeElb, HttpCodeTarget } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { TABLES } from '../src/engines/aws/tables.ts';
import type { Front } from './front.ts';
import { batchesSetAside, dueLagMs, latenessMs, messagesHeld } from './metrics.ts';
import type { QueueWithDeadLetters } from './queues.ts';

const MINUTE = Duration.minutes(1);
const FIVE_MINUTES = Duration.minutes(5);

// A worker that dies costs a lease of a minute; what is later than that has another cause.
const DUE_LAG_MS = 2 * 60_000;
const LATENESS_MS = 60_000;
// The worker's scaling adds tasks after one minute and after five; where that has not helped, somebody should look.
const QUEUE_AGE = Duration.minutes(15);
// Of all answers. Below a few in all, one is not a share.
const SERVER_ERROR_PERCENT = 1;
const SERVER_ERROR_LEAST = 5;
// AWS reviews an account from 5 % bounces and 0.1 % complaints on, and may pause it at 10 % and 0.5 % (SES Developer Guide, "Understanding
// sender reputation"): told earlier, there is time to find the list that they come from.
const BOUNCE_RATE = 0.04;
const COMPLAINT_RATE = 0.0008;

export interface AlarmsProps {
  readonly installation: string;
  readonly mail: string | undefined;
  readonly work: QueueWithDeadLetters;
  readonly mailEvents: QueueWithDeadLetters;
  readonly front: Front;
  readonly worker: FargateService;
  /** What the tables that are in use begin with. */
  readonly tablePrefix: string;
}

type AlarmPlan = Pick<AlarmProps, 'metric' | 'threshold' | 'alarmDescription'> & Partial<AlarmProps>;

/** What somebody has to be told, and the topic on which they are. Each alarm has its paragraph in docs/operations.md. */
export class Alarms extends Construct {
  readonly topic: Topic;
  readonly all: Alarm[] = [];
  readonly #installation: string;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.#installation = props.installation;
    this.topic = this.#topic(props.mail);
    this.#onDelivery(props);
    this.#onApi(props.front);
    for (const { name, indexes } of TABLES) {
      const indexNames = indexes.map((index) => index.name);
      this.#add(`throttled-${name}`, {
        metric: throttles(`${props.tablePrefix}${name}`, indexNames),
        threshold: 0,
        evaluationPeriods: 3,
        datapointsToAlarm: 2,
        alarmDescription: `DynamoDB refuses calls to the table ${name}, because they come faster than it takes them.`,
      });
    }
    this.#onReputation();
  }

  #onDelivery({ work, mailEvents, worker }: AlarmsProps): void {
    this.#add('due-lag', {
      metric: dueLagMs,
      threshold: DUE_LAG_MS,
      evaluationPeriods: 5,
      datapointsToAlarm: 3,
      alarmDescription: 'A message is due and no worker has claimed it.',
    });
    this.#add('no-worker', {
      // Each task reports its processor once a minute; where none runs there is nothing, and nobody scans for what is due.
      metric: worker.metricCpuUtilization({ period: MINUTE, statistic: Stats.SAMPLE_COUNT }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 5,
      treatMissingData: TreatMissingData.BREACHING,
      alarmDescription: 'No task of the worker runs: nothing is delivered.',
    });
    this.#add('lateness', {
      metric: latenessMs,
      threshold: LATENESS_MS,
      evaluationPeriods: 5,
      datapointsToAlarm: 3,
      alarmDescription: 'One message in a hundred begins more than a minute after its time.',
    });
    this.#add('batches-set-aside', {
      metric: batchesSetAside,
      threshold: 0,
      alarmDescription:
        'A batch failed again and again for a reason nobody foresaw; the rest of its message goes on.',
    });
    this.#add('message-held', {
      metric: messagesHeld,
      threshold: 0,
      alarmDescription:
        'A message held itself, because too many of its deliveries bounced or were complained about.',
    });
    this.#add('queue-age', {
      metric: work.queue.metricApproximateAgeOfOldestMessage({ period: MINUTE, statistic: Stats.MAXIMUM }),
      threshold: QUEUE_AGE.toSeconds(),
      evaluationPeriods: 3,
      alarmDescription: 'Batches wait longer for a worker than scaling should let them.',
    });
    this.#add('dead-letters', {
      metric: waiting(work),
      threshold: 0,
      alarmDescription: 'A pointer to a batch was taken five times and never acknowledged.',
    });
    this.#add('mail-events-dead-letters', {
      metric: waiting(mailEvents),
      threshold: 0,
      alarmDescription: 'An event of SES, such as a bounce, could not be worked.',
    });
  }

  #onApi({ loadBalancer, targets }: Front): void {
    // A count is not reported where it is nothing.
    const errors = '(FILL(own, 0) + FILL(theirs, 0))';
    this.#add('server-errors', {
      metric: new MathExpression({
        expression: `IF(${errors} >= ${SERVER_ERROR_LEAST}, 100 * ${errors} / requests, 0)`,
        usingMetrics: {
          own: loadBalancer.metrics.httpCodeElb(HttpCodeElb.ELB_5XX_COUNT, { period: FIVE_MINUTES }),
          theirs: targets.metrics.httpCodeTarget(HttpCodeTarget.TARGET_5XX_COUNT, { period: FIVE_MINUTES }),
          requests: loadBalancer.metrics.requestCount({ period: FIVE_MINUTES }),
        },
        period: FIVE_MINUTES,
        label: 'answers with 5xx, in percent',
      }),
      threshold: SERVER_ERROR_PERCENT,
      alarmDescription: 'More than one request in a hundred is answered with 5xx.',
    });
    this.#add('unhealthy-targets', {
      metric: targets.metrics.unhealthyHostCount({ period: MINUTE, statistic: Stats.MAXIMUM }),
      threshold: 0,
      evaluationPeriods: 5,
      alarmDescription: 'A task of the api has not been ready for five minutes.',
    });
    this.#add('no-healthy-target', {
      metric: targets.metrics.healthyHostCount({ period: MINUTE, statistic: Stats.MINIMUM }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: 2,
      treatMissingData: TreatMissingData.BREACHING,
      alarmDescription: 'No task of the api is ready: nobody is answered.',
    });
  }

  #onReputation(): void {
    this.#add('bounce-rate', {
      metric: reputation('BounceRate'),
      threshold: BOUNCE_RATE,
      // SES publishes it when mail is sent, now and then; between, it is what it was.
      treatMissingData: TreatMissingData.IGNORE,
      alarmDescription: 'So many mails bounce that AWS will soon review the account (from 5 % on).',
    });
    this.#add('complaint-rate', {
      metric: reputation('ComplaintRate'),
      threshold: COMPLAINT_RATE,
      treatMissingData: TreatMissingData.IGNORE,
      alarmDescription: 'So many complain that AWS will soon review the account (from 0.1 % on).',
    });
  }

  #add(name: string, plan: AlarmPlan): void {
    const alarm = new Alarm(this, name, {
      alarmName: `${this.#installation}-${name}`,
      evaluationPeriods: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      ...plan,
    });
    const tell = new SnsAction(this.topic);
    alarm.addAlarmAction(tell);
    alarm.addOkAction(tell);
    this.all.push(alarm);
  }

  #topic(mail: string | undefined): Topic {
    const topic = new Topic(this, 'topic', { topicName: `${this.#installation}-alarms`, enforceSSL: true });
    topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: {
          StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID },
          ArnLike: {
            'aws:SourceArn': `arn:${Aws.PARTITION}:cloudwatch:${Aws.REGION}:${Aws.ACCOUNT_ID}:alarm:*`,
          },
        },
      }),
    );
    if (mail !== undefined) {
      topic.addSubscription(new EmailSubscription(mail));
    }
    return topic;
  }
}

function waiting({ deadLetters }: QueueWithDeadLetters): IMetric {
  return deadLetters.metricApproximateNumberOfMessagesVisible({ period: MINUTE, statistic: Stats.MAXIMUM });
}

/** Of a table and its indexes: an index that is throttled holds up the writes to its table, and has metrics of its own. */
function throttles(tableName: string, indexNames: readonly string[]): IMetric {
  const dimensions = [
    { TableName: tableName },
    ...indexNames.map((indexName) => ({ TableName: tableName, GlobalSecondaryIndexName: indexName })),
  ];
  const metrics = dimensions.flatMap((dimensionsMap, index) =>
    ['ReadThrottleEvents', 'WriteThrottleEvents'].map((metricName): [string, Metric] => [
      `${metricName === 'ReadThrottleEvents' ? 'reads' : 'writes'}${index}`,
      new Metric({
        namespace: 'AWS/DynamoDB',
        metricName,
        dimensionsMap,
        statistic: Stats.SUM,
        period: MINUTE,
      }),
    ]),
  );
  return new MathExpression({
    expression: metrics.map(([name]) => `FILL(${name}, 0)`).join(' + '),
    usingMetrics: Object.fromEntries(metrics),
    period: MINUTE,
    label: tableName,
  });
}

/** Of the account in this region: that is what AWS judges. */
export function reputation(rate: 'BounceRate' | 'ComplaintRate'): Metric {
  return new Metric({
    namespace: 'AWS/SES',
    metricName: `Reputation.${rate}`,
    statistic: Stats.AVERAGE,
    period: Duration.hours(1),
  });
}

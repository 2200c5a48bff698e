import { Duration } from 'aws-cdk-lib';
import {
  AdjustmentType,
  CfnScalingPolicy,
  MetricAggregationType,
} from 'aws-cdk-lib/aws-applicationautoscaling';
import { Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { ApplicationTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Service } from './service.ts';

// Fifty a second: half a processor answers several times as many, so there is time for a new task to come.
const REQUESTS_PER_TASK_AND_MINUTE = 3_000;

// A pointer stands for up to fifty deliveries, of which a task hands over some two hundred a second (README, Measured): two minutes of work.
const POINTERS_PER_TASK = 500;

// A pointer that waits longer than a minute has found nobody free; five minutes is far behind.
const LATE = Duration.minutes(1);
const FAR_BEHIND = Duration.minutes(5);

const COOLDOWN = Duration.minutes(2);

/** More tasks of the api where there are more requests for each. */
export function scaleOnRequests({ taskCount }: Service, targetGroup: ApplicationTargetGroup): void {
  taskCount.scaleOnRequestCount('requests', {
    targetGroup,
    requestsPerTarget: REQUESTS_PER_TASK_AND_MINUTE,
    scaleOutCooldown: Duration.minutes(1),
    scaleInCooldown: Duration.minutes(5),
  });
}

/**
 * More tasks of the worker where more pointers wait for each, or where one has waited long. The first policy also takes tasks away; the
 * second, which a single slow batch may set off, only adds. Where the sending rate of SES is what holds everything up, more tasks do not
 * help, and the most that there can be is the end of it.
 */
export function scaleOnQueue({ service, taskCount }: Service, queue: Queue): void {
  taskCount.scaleOnMetric('age', {
    metric: queue.metricApproximateAgeOfOldestMessage({
      period: Duration.minutes(1),
      statistic: Stats.MAXIMUM,
    }),
    metricAggregationType: MetricAggregationType.MAXIMUM,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    scalingSteps: [
      { lower: LATE.toSeconds(), change: 1 },
      { lower: FAR_BEHIND.toSeconds(), change: 3 },
    ],
    cooldown: COOLDOWN,
  });
  new CfnScalingPolicy(taskCount, 'pointers', {
    policyName: 'pointers-per-task',
    policyType: 'TargetTrackingScaling',
    ...taskCount.scalableTargetRef,
    targetTrackingScalingPolicyConfiguration: {
      targetValue: POINTERS_PER_TASK,
      scaleOutCooldown: COOLDOWN.toSeconds(),
      scaleInCooldown: Duration.minutes(10).toSeconds(),
      customizedMetricSpecification: {
        metrics: [
          metricData('waiting', {
            namespace: 'AWS/SQS',
            metricName: 'ApproximateNumberOfMessagesVisible',
            dimensions: [{ name: 'QueueName', value: queue.queueName }],
            stat: Stats.MAXIMUM,
          }),
          // Each task reports its processor once a minute, so the number of reports is that of tasks (ECS Developer Guide, "Service
          // utilization"); the metric of that name costs Container Insights.
          metricData('tasks', {
            namespace: 'AWS/ECS',
            metricName: 'CPUUtilization',
            dimensions: [
              { name: 'ClusterName', value: service.cluster.clusterName },
              { name: 'ServiceName', value: service.serviceName },
            ],
            stat: Stats.SAMPLE_COUNT,
          }),
          { id: 'perTask', expression: 'waiting / FILL(tasks, 1)', returnData: true },
        ],
      },
    },
  });
}

interface MetricName {
  readonly namespace: string;
  readonly metricName: string;
  readonly dimensions: CfnScalingPolicy.TargetTrackingMetricDimensionProperty[];
  readonly stat: string;
}

function metricData(
  id: string,
  { stat, ...metric }: MetricName,
): CfnScalingPolicy.TargetTrackingMetricDataQueryProperty {
  return { id, metricStat: { metric, stat }, returnData: false };
}

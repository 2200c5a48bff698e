import { Duration } from 'aws-cdk-lib';
import { MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { FeedbackKind } from '../src/delivery/feedback.ts';

/*
 * What the application measures. It writes these into its log once a minute (CloudWatch's embedded metric format), from which CloudWatch
 * takes them. The names are its own (src/platform/metrics/embedded-metrics.ts makes them of what it shows to Prometheus), and
 * test/infra/metrics.spec.ts holds the two against each other: what was called otherwise here would never alarm.
 */
const NAMESPACE = 'Belfry';

const MINUTE = Duration.minutes(1);

/** How long the oldest message has been due that nobody has claimed; 0 while there is none. */
export const dueLagMs = belfry('DueLagMs', Stats.MAXIMUM);
/** From the time of a message to its claim. */
export const latenessMs = belfry('LatenessMs', Stats.p(99));
export const latenessMedianMs = belfry('LatenessMs', Stats.p(50));
/** From the cut of a batch to its first claim. */
export const queueWaitMs = belfry('QueueWaitMs', Stats.p(99));
/** Batches that failed again and again for a reason that nobody foresaw. */
export const batchesSetAside = belfry('BatchesSetAside', Stats.SUM);
export const eventLoopLagMs = belfry('EventLoopLagMs', Stats.MAXIMUM);

/** Claims that found somebody else had been quicker. */
export function claimConflicts(claimed: 'message' | 'batch'): Metric {
  return belfry('ClaimConflicts', Stats.SUM, { Claimed: claimed });
}

export function deliveries(outcome: string): Metric {
  return belfry('Deliveries', Stats.SUM, { Channel: 'ses', Outcome: outcome });
}

/** What was heard of deliveries: `bounced`, `complained` and the others of FEEDBACK_KINDS. */
export function feedback(kind: FeedbackKind): Metric {
  return belfry('Feedback', Stats.SUM, { Kind: kind });
}

/** Messages that held themselves, because too many of their deliveries bounced or were complained about. */
export const messagesHeld = belfry('MessagesHeld', Stats.SUM);

/** Of each operation that there was: DynamoDB's and S3's. */
export const storeLatencyMs = new MathExpression({
  expression: `SEARCH('{${NAMESPACE},Operation} MetricName="StoreLatencyMs"', 'p99')`,
  usingMetrics: {},
  period: MINUTE,
  label: '',
});

function belfry(metricName: string, statistic: string, dimensionsMap: Record<string, string> = {}): Metric {
  return new Metric({
    namespace: NAMESPACE,
    metricName,
    dimensionsMap,
    statistic,
    period: MINUTE,
    label: [metricName, ...Object.values(dimensionsMap)].join(' '),
  });
}

import { Duration } from 'aws-cdk-lib';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/*
 * What the application measures: it writes these metrics into its log (CloudWatch's embedded metric format), from which CloudWatch
 * takes them. The names are a contract with src/platform/metrics: a metric that is called otherwise there is not seen here.
 */
const NAMESPACE = 'Belfry';

const MINUTE = Duration.minutes(1);

/** Milliseconds by which the oldest due message is late that nobody has claimed yet; 0 while there is none. */
export const dueLagMs = belfry('DueLagMs', Stats.MAXIMUM);
/** From when a message is due until its first attempt. */
export const latenessMs = belfry('LatenessMs', Stats.p(99));
export const latenessMedianMs = belfry('LatenessMs', Stats.p(50));
/** Batches that failed again and again for a reason that nobody foresaw. */
export const batchesSetAside = belfry('BatchesSetAside', Stats.SUM);
/** Conditional writes that found somebody else had been quicker. */
export const claimConflicts = belfry('ClaimConflicts', Stats.SUM);
export const storeLatencyMs = belfry('StoreLatencyMs', Stats.p(99));
export const eventLoopLagMs = belfry('EventLoopLagMs', Stats.MAXIMUM);

/** By channel and outcome, as the application counts them. */
export function deliveries(channel: string, outcome: string): Metric {
  return new Metric({
    namespace: NAMESPACE,
    metricName: 'Deliveries',
    dimensionsMap: { Channel: channel, Outcome: outcome },
    statistic: Stats.SUM,
    period: MINUTE,
    label: outcome,
  });
}

function belfry(metricName: string, statistic: string): Metric {
  return new Metric({ namespace: NAMESPACE, metricName, statistic, period: MINUTE });
}

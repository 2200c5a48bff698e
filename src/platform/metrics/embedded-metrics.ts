import type { MetricObjectWithValues, MetricValue } from 'prom-client';

/*
 * CloudWatch's embedded metric format: metrics as lines of the log, which CloudWatch reads by itself where the log is sent there
 * (CloudWatch User Guide, "Specification: Embedded metric format"). No call, no agent, nothing that could fail.
 */

export const NAMESPACE = 'Belfry';

export type Metric = MetricObjectWithValues<MetricValue<string>>;

/** One line: values of one set of dimensions. */
export interface EmbeddedMetrics {
  readonly _aws: {
    /** Epoch milliseconds. */
    readonly Timestamp: number;
    readonly CloudWatchMetrics: readonly {
      readonly Namespace: string;
      readonly Dimensions: readonly (readonly string[])[];
      readonly Metrics: readonly { readonly Name: string; readonly Unit: 'Milliseconds' | 'Count' }[];
    }[];
  };
  readonly [member: string]: unknown;
}

/** A value of a histogram as CloudWatch takes it: how often each of these was seen. */
interface Distribution {
  readonly Values: readonly number[];
  readonly Counts: readonly number[];
}

// Of what prom-client measures by itself, the one that says whether the process keeps up.
const EVENT_LOOP_LAG = 'nodejs_eventloop_lag_p99_seconds';

const OWN_PREFIX = 'belfry_';

/**
 * What has happened between two readings of the registry, and how gauges stand, as lines for the log: one for each set of labels.
 * Seconds become milliseconds: `belfry_due_lag_seconds` is `DueLagMs`, `belfry_deliveries_total` is `Deliveries`.
 */
export function embeddedMetrics(
  before: readonly Metric[],
  after: readonly Metric[],
  at: Temporal.Instant,
): readonly EmbeddedMetrics[] {
  const lines = new Map<string, { readonly labels: Labels; readonly values: Record<string, Value> }>();
  for (const metric of after) {
    const name = nameOf(metric.name);
    if (name === undefined) {
      continue;
    }
    const earlier = before.find((one) => one.name === metric.name);
    for (const { labels, value } of valuesOf(metric, earlier)) {
      const key = JSON.stringify(labels);
      const line = lines.get(key) ?? { labels, values: {} };
      line.values[name] = value;
      lines.set(key, line);
    }
  }
  return [...lines.values()].map(({ labels, values }) => lineOf(labels, values, at));
}

type Labels = Readonly<Record<string, string>>;
type Value = number | Distribution;

interface Labelled {
  readonly labels: Labels;
  readonly value: Value;
}

function lineOf(
  labels: Labels,
  values: Readonly<Record<string, Value>>,
  at: Temporal.Instant,
): EmbeddedMetrics {
  return {
    _aws: {
      Timestamp: at.epochMilliseconds,
      CloudWatchMetrics: [
        {
          Namespace: NAMESPACE,
          Dimensions: [Object.keys(labels)],
          Metrics: Object.keys(values).map((name) => ({
            Name: name,
            Unit: name.endsWith('Ms') ? 'Milliseconds' : 'Count',
          })),
        },
      ],
    },
    ...labels,
    ...values,
  };
}

/** `DueLagMs` of `belfry_due_lag_seconds`; absent for what is not sent to CloudWatch. */
function nameOf(name: string): string | undefined {
  if (name === EVENT_LOOP_LAG) {
    return 'EventLoopLagMs';
  }
  if (!name.startsWith(OWN_PREFIX)) {
    return undefined;
  }
  const words = name
    .slice(OWN_PREFIX.length)
    .replace(/_seconds$/, '_ms')
    .replace(/_total$/, '');
  return words.split('_').map(capitalised).join('');
}

function capitalised(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

function valuesOf(metric: Metric, earlier: Metric | undefined): readonly Labelled[] {
  switch (String(metric.type)) {
    case 'counter':
      return metric.values
        .map(({ labels, value }) => ({ labels: textsOf(labels), value: value - valueIn(earlier, labels) }))
        .filter(({ value }) => value > 0);
    case 'histogram':
      return distributionsOf(metric, earlier);
    default:
      return metric.values.map(({ labels, value }) => ({
        labels: textsOf(labels),
        value: metric.name.endsWith('_seconds') ? Math.round(value * 1_000) : value,
      }));
  }
}

/** What fell into each bucket since, each counted at its upper bound; what is beyond the last at that. */
function distributionsOf(metric: Metric, earlier: Metric | undefined): readonly Labelled[] {
  const buckets = metric.values.filter(({ labels }) => labels['le'] !== undefined);
  const sets = new Map(buckets.map(({ labels }) => [JSON.stringify(withoutBound(labels)), labels]));
  return [...sets].flatMap(([key, anyLabels]) => {
    const own = buckets.filter(({ labels }) => JSON.stringify(withoutBound(labels)) === key);
    const values: number[] = [];
    const counts: number[] = [];
    let below = 0;
    let bound = 0;
    for (const { labels, value } of own) {
      const total = value - valueIn(earlier, labels);
      bound = labels['le'] === '+Inf' ? bound : Number(labels['le']);
      if (total > below) {
        values.push(Math.round(bound * 1_000));
        counts.push(total - below);
      }
      below = total;
    }
    return counts.length === 0
      ? []
      : [{ labels: withoutBound(anyLabels), value: { Values: values, Counts: counts } }];
  });
}

function valueIn(metric: Metric | undefined, labels: MetricValue<string>['labels']): number {
  const key = JSON.stringify(labels);
  return metric?.values.find((one) => JSON.stringify(one.labels) === key)?.value ?? 0;
}

function withoutBound(labels: MetricValue<string>['labels']): Labels {
  const { le: _le, ...rest } = labels;
  return textsOf(rest);
}

/** CloudWatch's dimensions begin with a capital, as AWS's own do. */
function textsOf(labels: MetricValue<string>['labels']): Labels {
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [capitalised(name), String(value)]),
  );
}

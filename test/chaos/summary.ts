import type { FaultKind } from './checker.ts';
import type { Outcome } from './run-plan.ts';

/** The numbers of many runs as a table, in Markdown: a row for each engine, and one for both. */
export function summaryOf(outcomes: readonly Outcome[]): string {
  const engines = (['embedded', 'aws'] as const).filter((name) =>
    outcomes.some(({ engine }) => engine === name),
  );
  const rows = engines.map((name) =>
    rowOf(
      name,
      outcomes.filter(({ engine }) => engine === name),
    ),
  );
  const all = engines.length > 1 ? [rowOf('both', outcomes)] : [];
  return [HEAD, ['', ...HEAD.slice(1).map(() => '-:')].with(0, '-'), ...rows, ...all]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

const HEAD = [
  'engine',
  'runs',
  'kills',
  'stops',
  'deliveries',
  'lost',
  'twice without `unknown`',
  'other faults',
  'in doubt',
  'arrived twice, and said so',
  'kill to next mail: median, longest',
  'to everybody reached',
  'to all settled',
];

function rowOf(name: string, outcomes: readonly Outcome[]): readonly string[] {
  const sum = (number: (outcome: Outcome) => number): string =>
    outcomes.reduce((total, outcome) => total + number(outcome), 0).toLocaleString('en');
  const faults = (isMeant: (kind: FaultKind) => boolean): string =>
    sum((outcome) => outcome.faults.filter(({ kind }) => isMeant(kind)).length);
  const recoveries = outcomes.flatMap((outcome) => outcome.recoveries);
  return [
    name,
    String(outcomes.length),
    sum(({ kills }) => kills),
    sum(({ stops }) => stops),
    sum(({ deliveries }) => deliveries),
    faults((kind) => kind === 'lost'),
    faults((kind) => kind === 'twice'),
    faults((kind) => kind !== 'lost' && kind !== 'twice'),
    sum(({ inDoubt }) => inDoubt),
    sum(({ twice }) => twice),
    spread(recoveries.flatMap(({ nextMailMs }) => nextMailMs ?? [])),
    spread(recoveries.flatMap(({ reachedMs }) => reachedMs ?? [])),
    spread(recoveries.map(({ settledMs }) => settledMs)),
  ];
}

function spread(timesMs: readonly number[]): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const longest = sorted.at(-1);
  return median === undefined || longest === undefined ? 'none' : `${seconds(median)}, ${seconds(longest)}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

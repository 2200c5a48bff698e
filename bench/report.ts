import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench, Measured, Row, Table } from './frame/bench.ts';
import { svgOf } from './frame/plot.ts';
import { print } from './frame/print.ts';
import { type Surroundings, surroundingsLine } from './frame/surroundings.ts';

export const RESULTS = join(import.meta.dirname, 'results');
const DOCS = join(import.meta.dirname, '../docs');
const PLOTS = 'performance';

/** As run.ts writes it. */
interface Recorded extends Measured {
  readonly surroundings: Surroundings;
  readonly args: readonly string[];
}

const INTRODUCTION = `# Performance

Written by \`npm run bench -- report\` from what the benchmarks recorded in \`bench/results/\`. A figure is worth something beside another of the
same run: where two sides are compared they took turns on the same machine, and the table gives the least, the median and the greatest of
their runs. CPU per operation is steadier than a rate on a machine that others use too.
`;

/** Writes docs/performance.md and its plots. A bench that has not been run is not in it. */
export async function writeReport(benches: readonly Bench[]): Promise<void> {
  await rm(join(DOCS, PLOTS), { recursive: true, force: true });
  await mkdir(join(DOCS, PLOTS), { recursive: true });
  const sections: string[] = [];
  const goals: string[] = [];
  for (const bench of benches) {
    const recorded = await readRecorded(bench.name);
    if (recorded) {
      await writePlots(bench.name, recorded);
      sections.push(sectionOf(bench, recorded));
      goals.push(...goalLines(bench.name, recorded));
    }
  }
  const overview = [
    '## Goals',
    '',
    '| bench | what | goal | measured | |',
    '|---|---|---|--:|---|',
    ...goals,
    '',
  ];
  await writeFile(join(DOCS, 'performance.md'), [INTRODUCTION, overview.join('\n'), ...sections].join('\n'));
  print(`Written to docs/performance.md, with ${sections.length} benches`);
}

async function readRecorded(name: string): Promise<Recorded | undefined> {
  const path = join(RESULTS, `${name}.json`);
  try {
    await access(path);
  } catch {
    print(`${name} has not been run`);
    return undefined;
  }
  const recorded: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (!isRecorded(recorded)) {
    throw new Error(`${path} is of an earlier form; run the bench again.`);
  }
  return recorded;
}

function isRecorded(value: unknown): value is Recorded {
  return typeof value === 'object' && value !== null && 'surroundings' in value && 'goals' in value;
}

async function writePlots(name: string, { plots }: Recorded): Promise<void> {
  for (const [index, plot] of plots.entries()) {
    await writeFile(join(DOCS, plotPath(name, index)), svgOf(plot));
  }
}

function plotPath(name: string, index: number): string {
  return `${PLOTS}/${name}-${index + 1}.svg`;
}

function goalLines(name: string, { goals }: Recorded): readonly string[] {
  return goals.map(
    ({ what, goal, measured, isMet }) =>
      `| [${name}](#${name}) | ${what} | ${goal} | ${measured} | ${isMet ? 'met' : '**not met**'} |`,
  );
}

function sectionOf({ name, question, method }: Bench, recorded: Recorded): string {
  const { surroundings, args, tables, plots, columns, remarks = [] } = recorded;
  const command = ['npm run bench --', name, ...args].join(' ');
  return [
    `## ${name}`,
    `**${question}** ${method}`,
    `\`${command}\`, ${surroundings.measured_at.slice(0, 10)}: ${surroundingsLine(surroundings)}.`,
    ...tables.map(markdownTable),
    ...plots.map(({ title }, index) => `![${title}](${plotPath(name, index)})`),
    Object.entries(columns)
      .map(([column, meaning]) => `- \`${column}\`: ${meaning}`)
      .join('\n'),
    ...remarks,
    '',
  ].join('\n\n');
}

function markdownTable({ title, rows }: Table): string {
  const names = Object.keys(rows[0] ?? {});
  const alignment = names.map((name) => (typeof rows[0]?.[name] === 'number' ? '--:' : '---'));
  return [
    `${title}:`,
    '',
    lineOf(names),
    lineOf(alignment),
    ...rows.map((row: Row) => lineOf(names.map((name) => row[name] ?? ''))),
  ].join('\n');
}

function lineOf(cells: readonly unknown[]): string {
  return `| ${cells.join(' | ')} |`;
}

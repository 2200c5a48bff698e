import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseObject, textAt } from '../test/support/json.ts';

const RESULTS = join(import.meta.dirname, 'results');
const PACKAGE = join(import.meta.dirname, '../package.json');

export type Row = Readonly<Record<string, string | number>>;

/** The machine and the versions: a figure without them means nothing. */
export interface Surroundings {
  readonly measured_at: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memory_gb: number;
  /** Of the minute before: more than 0.5 or so means that something else was running. */
  readonly load_before: number;
  readonly node: string;
  readonly sqlite: string;
  readonly belfry: string;
  readonly nodemailer: string;
}

export async function readSurroundings(): Promise<Surroundings> {
  const belfry = parseObject(await readFile(PACKAGE, 'utf8'));
  return {
    measured_at: Temporal.Now.instant().toString({ smallestUnit: 'second' }),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory_gb: Math.round(totalmem() / 2 ** 30),
    load_before: round(loadavg()[0] ?? 0, 2),
    node: process.versions.node,
    sqlite: process.versions['sqlite'] ?? 'unknown',
    belfry: textAt(belfry, 'version'),
    nodemailer: textAt(belfry, 'dependencies', 'nodemailer'),
  };
}

export function printSurroundings({ cpu, cores, memory_gb, load_before, node, sqlite }: Surroundings): void {
  print(`${cpu}, ${cores} cores, ${memory_gb} GB, load ${load_before}; Node ${node}, SQLite ${sqlite}\n`);
}

/** The columns are the fields of the first row; numbers stand to the right. */
export function printTable(rows: readonly Row[]): void {
  const names = Object.keys(rows[0] ?? {});
  const lines = [Object.fromEntries(names.map((name) => [name, name])), ...rows];
  const widths = new Map(
    names.map((name) => [name, Math.max(...lines.map((line) => String(line[name] ?? '').length))]),
  );
  for (const line of lines) {
    const cells = names.map((name) => {
      const cell = String(line[name] ?? '');
      const width = widths.get(name) ?? 0;
      return typeof rows[0]?.[name] === 'number' ? cell.padStart(width) : cell.padEnd(width);
    });
    print(`  ${cells.join('  ').trimEnd()}`);
  }
  print('');
}

export async function writeResult(name: string, result: object): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await writeFile(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  print(`Written to bench/results/${name}.json`);
}

/** The value below which a share of the values lies, the nearest of them. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function round(value: number, decimals = 0): number {
  return Number(value.toFixed(decimals));
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

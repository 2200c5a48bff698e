import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseObject, textAt } from '../../test/support/json.ts';
import { round } from './figures.ts';

const PACKAGE = join(import.meta.dirname, '../../package.json');

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

export function surroundingsLine({ cpu, cores, memory_gb, load_before, node, sqlite }: Surroundings): string {
  return `${cpu}, ${cores} cores, ${memory_gb} GB, load ${load_before}; Node ${node}, SQLite ${sqlite}`;
}

/*
 * Benchmarks: each answers one question, prints a table and writes bench/results/NAME.json.
 *
 *   npm run bench -- NAME [options]    one of them
 *   npm run bench -- short             all of them, in a form that takes seconds: shows that they work, writes nothing
 *   npm run bench -- report            docs/performance.md, from what was written
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deliver } from './deliver.ts';
import { fanout } from './fanout.ts';
import type { Bench } from './frame/bench.ts';
import { print, printMeasured, printTables } from './frame/print.ts';
import { readSurroundings, surroundingsLine } from './frame/surroundings.ts';
import { idle } from './idle.ts';
import { importFile } from './import.ts';
import { punctual } from './punctual.ts';
import { RESULTS, writeReport } from './report.ts';
import { scan } from './scan.ts';
import { schedule } from './schedule.ts';

// In the order of the report.
const BENCHES: readonly Bench[] = [schedule, deliver, fanout, punctual, scan, importFile, idle];

// Most of a short one is waiting, and its figures are too rough to be spoilt.
const SHORT_AT_ONCE = 2;

const [asked = '', ...options] = process.argv.slice(2);
const bench = BENCHES.find((each) => each.name === asked);
if (bench) {
  await runWhole(bench, options);
} else if (asked === 'short') {
  const left = BENCHES.values();
  await Promise.all(Array.from({ length: SHORT_AT_ONCE }, () => runShortly(left)));
} else if (asked === 'report') {
  await writeReport(BENCHES);
} else {
  const names = BENCHES.map((each) => each.name).join(', ');
  print(`Usage: npm run bench -- NAME [options], NAME one of ${names}, short, report`);
  process.exitCode = 1;
}

async function runWhole({ name, measure }: Bench, args: readonly string[]): Promise<void> {
  const surroundings = await readSurroundings();
  print(surroundingsLine(surroundings));
  const measured = await measure(args);
  printMeasured(measured);
  await mkdir(RESULTS, { recursive: true });
  await writeFile(
    join(RESULTS, `${name}.json`),
    `${JSON.stringify({ surroundings, args, ...measured }, null, 2)}\n`,
  );
  print(`\nWritten to bench/results/${name}.json`);
}

/** One after another. */
async function runShortly(left: Iterable<Bench>): Promise<void> {
  for (const { name, short, measure } of left) {
    const { tables } = await measure(short);
    print(`\n== ${name} ${short.join(' ')}`);
    printTables(tables); // no goals: it is too short to tell
  }
}

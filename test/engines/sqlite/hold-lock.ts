// A process of its own that takes the lock on the file named by its argument, says so, and holds it for as long as it lives.
import { DataLock } from '../../../src/engines/sqlite/data-lock.ts';

const path = process.argv[2];
if (path === undefined) {
  throw new Error('Which file?');
}
const lock = new DataLock(path, Temporal.Instant.from('2026-11-23T14:10:00Z'));
process.stdout.write('held\n');
process.stdin.resume(); // ends with the process that started it
process.stdin.on('end', () => lock.release());

/*
 * Runs the due scan on a file: node dist/bench/scan-sqlite.js FILE SCANS (../scan.ts builds it). Prints how long each scan took, in microseconds, how
 * many messages each found, and how many pages the first one of a new connection read, beyond those of the schema.
 */
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { SqliteMessageStore } from '../../src/engines/sqlite/message-store.ts';
import { SqliteDatabase } from '../../src/engines/sqlite/sqlite-database.ts';

const [, , path, scans] = process.argv;
const LOOK_AHEAD_MS = 5_000;
const LIMIT = 1_000;
const PAGE_BYTES = 4_096;

const database = new SqliteDatabase(path);
database.get('SELECT 1 FROM sqlite_schema'); // the schema is read
const store = new SqliteMessageStore(database);

async function scan() {
  const until = Temporal.Now.instant().add({ milliseconds: LOOK_AHEAD_MS });
  const startedAtMs = performance.now();
  const found = await store.findWaking(until, LIMIT);
  return { tookUs: (performance.now() - startedAtMs) * 1_000, found: found.length };
}

/** Bytes that this process has read by calls of the system. */
function readBytes() {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))[1]);
}

const before = readBytes();
const ownBytes = readBytes() - before; // of asking
const beforeScan = readBytes();
const { found } = await scan();
const pages = Math.round((readBytes() - beforeScan - ownBytes) / PAGE_BYTES);
const tookUs = [];
for (let number = 0; number < Number(scans); number += 1) {
  tookUs.push((await scan()).tookUs);
}
process.stdout.write(`${JSON.stringify({ tookUs, found, units: pages })}\n`);
database.close();

import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { bodyOf } from '../test/support/belfry-api.ts';
import { numberAt, textAt } from '../test/support/json.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { until } from '../test/support/until.ts';
import { atLeast, atMost, type Bench, type Measured, type Row } from './frame/bench.ts';
import { median, quantile, round } from './frame/figures.ts';
import { inFolder } from './frame/folder.ts';
import { readCpuMs, readMemory } from './frame/process-usage.ts';
import { NODE_OPTION, nodeArgsOf } from './frame/server.ts';

export const importFile: Bench = {
  name: 'import',
  question:
    'How fast does a file of subscribers get into a group, in how much memory, and how long does the server take to answer others meanwhile?',
  method: `The file goes to the real server over HTTP, once in no order and once in the order of addresses; beside it the same rows go into
    the same table by a bare loop of node:sqlite, as many to a commit, which is what the disk and SQLite allow.`,
  short: ['--rows', '20000'],
  measure,
};

const ROWS = 1_000_000;
const CHUNK_ROWS = 1_000;
const GROUP = 'imported';
const ORDERS = ['none', 'by address'] as const;
const ASK_EVERY_MS = 250;
const LIMIT_MS = 1_800_000;
const BAR_ROWS_PER_S = 50_000;
const BAR_MB = 200;
const MIB = 2 ** 20;
// Prime, and larger than any number of rows here: each number up to that of the rows comes once, in no order.
const STRIDE = 15_485_863;

async function measure(args: readonly string[]): Promise<Measured> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: 'string', default: String(ROWS) },
      // Only one of the two.
      order: { type: 'string' },
      node: NODE_OPTION,
    },
  });
  const nodeArgs = nodeArgsOf(values.node);
  const rows = Number(values.rows);
  return inFolder(async (folder) => {
    const table: Row[] = [];
    for (const order of ORDERS.filter((one) => values.order === undefined || values.order === one)) {
      const file = join(folder, 'subscribers.csv');
      const position = (index: number): number => (order === 'none' ? (index * STRIDE) % rows : index);
      await pipeline(Readable.from(linesOf(rows, position)), createWriteStream(file));
      table.push({ order, ...(await throughServer(file, join(folder, order), { rows, nodeArgs })) });
      table.push({ order, ...bareLoop(join(folder, `${order}.db`), rows, position) });
    }
    const rates = table.flatMap((row) =>
      row['by'] === 'import over HTTP' ? [Number(row['rows_per_s'])] : [],
    );
    const peaks = table.map((row) => Number(row['peak_mb'] ?? 0));
    return {
      goals: [
        atLeast('rows in a second, in the slower order', BAR_ROWS_PER_S, 'rows/s', Math.min(...rates)),
        atMost('peak of resident memory', BAR_MB, 'MB', Math.max(...peaks)),
      ],
      tables: [{ title: `${rows} rows`, rows: table }],
      plots: [],
      columns: {
        cpu_us_per_row:
          'time on a processor of the whole server, from the beginning of the upload to the end of the import',
        peak_mb: 'the most that was ever resident, by the kernel (VmHWM), the start of the server included',
        health_p99_ms: 'GET /health/live, asked four times a second while the import runs',
      },
    };
  });
}

async function throughServer(
  file: string,
  dataDir: string,
  { rows, nodeArgs }: { readonly rows: number; readonly nodeArgs: readonly string[] },
): Promise<Row> {
  await using server = await ServerProcess.start({ env: { DATA_DIR: dataDir }, nodeArgs });
  const cpuBeforeMs = await readCpuMs(server.pid);
  const startedAtMs = performance.now();
  const key = await upload(server, file);
  const storedAtMs = performance.now();
  const answersMs: number[] = [];
  await until(
    'The import ends',
    LIMIT_MS,
    async () => {
      const askedAtMs = performance.now();
      bodyOf(await server.request('GET', '/health/live'), 200);
      answersMs.push(performance.now() - askedAtMs);
      const job = bodyOf(await server.request('GET', `/v1/groups/${GROUP}/imports/${key}`), 200);
      if (textAt(job, 'state') === 'done' && numberAt(job, 'rows', 'created') !== rows) {
        throw new Error(`Not every row was created: ${JSON.stringify(job)}`);
      }
      return textAt(job, 'state') === 'done' || undefined;
    },
    ASK_EVERY_MS,
  );
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const { peakBytes } = await readMemory(server.pid);
  const cpuMs = await readCpuMs(server.pid);
  await server.kill('SIGTERM'); // by which a profile is written
  return {
    by: 'import over HTTP',
    file_mb: round((await stat(file)).size / MIB, 1),
    upload_s: round((storedAtMs - startedAtMs) / 1_000, 1),
    seconds: round(seconds, 1),
    rows_per_s: round(rows / seconds),
    cpu_us_per_row: round(((cpuMs - cpuBeforeMs) * 1_000) / rows, 1),
    peak_mb: round(peakBytes / MIB),
    health_median_ms: round(median(answersMs)),
    health_p99_ms: round(quantile(answersMs, 0.99)),
  };
}

async function upload(server: ServerProcess, file: string): Promise<string> {
  const response = await fetch(`${server.url}/v1/groups/${GROUP}/imports`, {
    method: 'POST',
    headers: { 'content-type': 'text/csv' },
    body: Readable.toWeb(createReadStream(file)),
    duplex: 'half',
  });
  const body: unknown = await response.json();
  if (response.status !== 202) {
    throw new Error(`202 is needed, not ${response.status}: ${JSON.stringify(body)}`);
  }
  return textAt(body, 'key');
}

/** The same columns and pragmas as the server's, and nothing else: no CSV, no rules, no counts, no results. */
function bareLoop(path: string, rows: number, position: (index: number) => number): Row {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8000; PRAGMA wal_autocheckpoint = 4000;
    CREATE TABLE subscribers (group_name TEXT NOT NULL, subscriber TEXT NOT NULL, email TEXT NOT NULL, status TEXT NOT NULL, name TEXT,
      attributes TEXT NOT NULL, time_zone TEXT, date_joined INTEGER NOT NULL, version INTEGER NOT NULL,
      PRIMARY KEY (group_name, subscriber)) STRICT, WITHOUT ROWID`);
  const insert = db.prepare(`INSERT INTO subscribers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const startedAtMs = performance.now();
  for (let start = 0; start < rows; start += CHUNK_ROWS) {
    db.exec('BEGIN');
    for (let index = start; index < Math.min(start + CHUNK_ROWS, rows); index += 1) {
      const [email, name, city] = rowOf(position(index));
      insert.run(
        GROUP,
        email,
        email,
        'active',
        name,
        JSON.stringify({ city }),
        'Europe/London',
        startedAtMs | 0,
        1,
      );
    }
    db.exec('COMMIT');
  }
  const seconds = (performance.now() - startedAtMs) / 1_000;
  db.close();
  return { by: 'bare node:sqlite', seconds: round(seconds, 1), rows_per_s: round(rows / seconds) };
}

function* linesOf(rows: number, position: (index: number) => number): Generator<string> {
  yield 'email,name,city,time_zone\r\n';
  for (let start = 0; start < rows; start += CHUNK_ROWS) {
    const lines = Array.from(
      { length: Math.min(CHUNK_ROWS, rows - start) },
      (_, index) => `${rowOf(position(start + index)).join(',')},Europe/London\r\n`,
    );
    yield lines.join('');
  }
}

function rowOf(number: number): readonly [email: string, name: string, city: string] {
  const padded = String(number).padStart(7, '0');
  return [
    `subscriber.${padded}@mail${number % 100}.example.com`,
    `Subscriber Number ${padded}`,
    `City ${number % 1_000}`,
  ];
}

/*
 * Imports a file of subscribers into a group of a running server:
 *
 *   npm run import -- FILE --group GROUP [--url http://localhost:3000] [--key KEY] [--format csv|ndjson] [--dry-run]
 *                 [--no-ask]
 *
 * The address and the key are BELFRY_URL and BELFRY_KEY where they are not given. --no-ask sends nobody who is
 * pending a mail that asks to confirm. On a terminal it draws a progress bar, elsewhere it prints a line at each quarter. Rows that are
 * rejected are printed, and then it exits with 1; with 2 where there was no import at all.
 */
import { openAsBlob } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ProgressBar } from '../demo/progress-bar.ts';
import {
  at,
  isObject,
  type JsonObject,
  numberAt,
  objectsAt,
  parseObject,
  textAt,
} from '../test/support/json.ts';

const USAGE =
  'Usage: npm run import -- FILE --group GROUP [--url http://localhost:3000] [--key KEY] [--format csv|ndjson] [--dry-run] [--no-ask]';
const ASK_EVERY_MS = 500;
const ENDED = new Set(['done', 'failed', 'cancelled']);
const NDJSON_NAME = /\.(?:ndjson|jsonl)$/i;

interface Plan {
  readonly file: string;
  readonly format: string;
  readonly dryRun: boolean;
  readonly asks: boolean;
  /** Of the imports of the group. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

try {
  process.exitCode = await importFile(readPlan());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

function readPlan(): Plan {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      group: { type: 'string' },
      url: { type: 'string', default: process.env['BELFRY_URL'] ?? 'http://localhost:3000' },
      key: { type: 'string', default: process.env['BELFRY_KEY'] ?? '' },
      format: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      'no-ask': { type: 'boolean', default: false },
    },
  });
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0 || values.group === undefined) {
    throw new Error(USAGE);
  }
  return {
    file,
    format: values.format ?? (NDJSON_NAME.test(file) ? 'ndjson' : 'csv'),
    dryRun: values['dry-run'],
    asks: !values['no-ask'],
    url: `${values.url.replace(/\/+$/, '')}/v1/groups/${encodeURIComponent(values.group)}/imports`,
    headers: values.key === '' ? {} : { authorization: `Bearer ${values.key}` },
  };
}

async function importFile(plan: Plan): Promise<number> {
  const posted = await upload(plan);
  const ended = await follow(plan, textAt(posted, 'key'));
  const rows = (name: string): number => numberAt(ended, 'rows', name);
  const duplicates =
    rows('duplicates') === 0 ? '' : `; ${rows('duplicates')} of them for an address that came before`;
  print(
    `${plan.dryRun ? 'Dry run: ' : ''}${textAt(ended, 'state')}. ${countOf(rows('read'))}: ${rows('created')} created, ${rows('updated')} updated, ${rows('unchanged')} unchanged, ${rows('rejected')} rejected${duplicates}.`,
  );
  if (ended['reason'] !== null) {
    print(textAt(ended, 'reason'));
  }
  if (rows('rejected') > 0) {
    await printRejected(plan, textAt(posted, 'key'));
  }
  return textAt(ended, 'state') === 'done' && rows('rejected') === 0 ? 0 : 1;
}

async function upload({ file, format, dryRun, asks, url, headers }: Plan): Promise<JsonObject> {
  const body = await openAsBlob(file); // is read as it is sent
  const response = await fetch(`${url}?format=${format}&dry_run=${dryRun}&ask_to_confirm=${asks}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': format === 'csv' ? 'text/csv' : 'application/x-ndjson' },
    body,
  });
  return answerOf(response);
}

/** Shows how far it has got, until it has ended. */
async function follow({ url, headers }: Plan, key: string): Promise<JsonObject> {
  let bar: ProgressBar | undefined;
  for (;;) {
    const job = await answerOf(await fetch(`${url}/${key}`, { headers }));
    bar ??= new ProgressBar(process.stdout, Math.max(1, numberAt(job, 'bytes')), 'bytes');
    bar.show(
      numberAt(job, 'bytes_done'),
      `${textAt(job, 'state')}, ${countOf(numberAt(job, 'rows', 'read'))}`,
    );
    if (ENDED.has(textAt(job, 'state'))) {
      bar.end();
      return job;
    }
    await delay(ASK_EVERY_MS);
  }
}

function countOf(rows: number): string {
  return rows === 1 ? '1 row' : `${rows} rows`;
}

async function printRejected({ url, headers }: Plan, key: string): Promise<void> {
  const response = await fetch(`${url}/${key}/report?result=rejected`, { headers });
  if (!response.ok || !response.body) {
    throw new Error(`The report cannot be read: ${response.status}.`);
  }
  let rest = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      printRow(parseObject(line));
    }
  }
}

function printRow(row: JsonObject): void {
  const faults = objectsAt(row, 'errors').map((fault) =>
    `${textAt(fault, 'pointer')} ${textAt(fault, 'detail')}`.trim(),
  );
  print(`  line ${numberAt(row, 'line')} ${textAt(row, 'email')}: ${faults.join(' ')}`);
}

async function answerOf(response: Response): Promise<JsonObject> {
  const body: unknown = await response.json();
  if (!response.ok || !isObject(body)) {
    const detail = at(body, 'detail');
    throw new Error(`${response.status}: ${typeof detail === 'string' ? detail : response.statusText}`);
  }
  return body;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

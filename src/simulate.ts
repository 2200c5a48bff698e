/*
 * Shows what would be sent, when and to how many, by running the real scan and delivery over a copy of the embedded store:
 *
 *   npm run simulate -- --from 2030-01-01T00:00Z --to 2030-02-01T00:00Z [--data-dir ./data]
 *
 * The settings are those of the environment, as the server reads them. Nothing is sent, and nothing is written to the store, which a server
 * may be using. What lies before now has gone: it begins with now. Exits with 2 where it cannot be done.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { copyStore, NoStoreError } from './engines/sqlite/copy-store.ts';
import { formatInstant, later } from './platform/clock/clock.ts';
import { SystemClock } from './platform/clock/system-clock.ts';
import { readEnvironment } from './platform/config/environment.ts';
import { parseSettings, type Settings, SettingsError } from './platform/config/settings.ts';
import { InvalidInputError } from './platform/errors/domain-error.ts';
import { parseScheduleTime } from './schedule/schedule-time.ts';
import { type Course, Simulation } from './simulation/simulation.ts';

const USAGE =
  'Usage: npm run simulate -- --from 2030-01-01T00:00Z --to 2030-02-01T00:00Z [--data-dir ./data]';

class UsageError extends Error {}

interface Range {
  readonly from: Temporal.Instant;
  readonly to: Temporal.Instant;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${faultOf(error)}\n`);
  process.exitCode = 2;
}

async function main(): Promise<void> {
  const { from, to, 'data-dir': dataDir } = readArguments();
  const settings = parseSettings({
    ...readEnvironment(),
    ...(dataDir !== undefined && { DATA_DIR: dataDir }),
  });
  if (settings.engine !== 'embedded') {
    throw new UsageError('Only the store of the engine embedded can be copied, and ENGINE is another.');
  }
  if (from === undefined || to === undefined) {
    throw new UsageError(USAGE);
  }
  const range = { from: parseScheduleTime(from, '--from'), to: parseScheduleTime(to, '--to') };
  if (Temporal.Instant.compare(range.from, range.to) >= 0) {
    throw new UsageError('--to must be later than --from.');
  }
  print(range, await simulate(settings, range));
}

function readArguments(): { readonly from?: string; readonly to?: string; readonly 'data-dir'?: string } {
  try {
    return parseArgs({
      options: { from: { type: 'string' }, to: { type: 'string' }, 'data-dir': { type: 'string' } },
    }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`, {
      cause: error,
    });
  }
}

async function simulate(settings: Settings, { from, to }: Range): Promise<Course> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-simulation-'));
  try {
    const copy = await copyStore(settings.dataDir, folder);
    const now = new SystemClock().now();
    const simulation = new Simulation(copy, now, settings);
    try {
      return await simulation.run(later(from, now), to);
    } finally {
      simulation.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

function print({ from, to }: Range, { sendings, remarks }: Course): void {
  const lines = [
    ...sendings.map(({ at, group, messageKey, mails }) => ({
      at,
      text: `${group} ${messageKey}: ${mails === 1 ? '1 mail' : `${mails} mails`}`,
    })),
    ...remarks.map(({ at, messageKey, event }) => ({ at, text: `${messageKey}: ${event}` })),
  ].toSorted((a, b) => Temporal.Instant.compare(a.at, b.at));
  for (const { at, text } of lines) {
    process.stdout.write(`${formatInstant(at)} ${text}\n`);
  }
  const mails = sendings.reduce((sum, sending) => sum + sending.mails, 0);
  const messages = new Set(sendings.map(({ messageKey }) => messageKey)).size;
  process.stdout.write(
    `From ${formatInstant(from)} to ${formatInstant(to)}: ${mails} mails of ${messages} messages.\n`,
  );
}

/** What the operator can mend is told in words; anything else with its stack. */
function faultOf(error: unknown): string {
  const isToMend =
    error instanceof UsageError ||
    error instanceof InvalidInputError ||
    error instanceof SettingsError ||
    error instanceof NoStoreError;
  if (isToMend) {
    return error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

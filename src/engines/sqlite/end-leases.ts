import type { SqliteDatabase } from './sqlite-database.ts';

/**
 * Ends every lease. One process owns the file, so at its start whoever held a lease is gone, and nothing needs to wait
 * until it ends by itself. A wake that has come stays as it was: it tells how long nobody was there. What was in flight stays marked: whoever claims the batch decides about that. A second run does nothing.
 */
export async function endLeases(database: SqliteDatabase, now: Temporal.Instant): Promise<void> {
  await database.write(() => {
    database.run(
      `UPDATE batches SET lease_token = NULL, lease_until = NULL WHERE state = 'open' AND lease_token IS NOT NULL`,
    );
    database.run(
      `UPDATE messages SET lease_token = NULL, lease_until = NULL, wake_at = MIN(wake_at, :now)
       WHERE wake_at IS NOT NULL AND dispatch_begun_at IS NOT NULL`,
      { now: now.epochMilliseconds },
    );
    database.run(
      `UPDATE imports SET lease_token = NULL, wake_at = :now WHERE state IN ('receiving', 'working')`,
      { now: now.epochMilliseconds },
    );
  });
}

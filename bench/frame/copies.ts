import { DatabaseSync } from 'node:sqlite';

export interface CopyPlan {
  readonly table: string;
  /** How many rows are made of the one that is there. */
  readonly count: number;
  /** SQL by column, where a copy differs from it; `n` is its number, from 1 on. */
  readonly columns: Readonly<Record<string, string>>;
}

/**
 * Makes many rows of one that the API has made, in the file of a server that has stopped: what a million calls would leave, in seconds.
 * The first row of the table is the one that is copied; its triggers and indexes do their work.
 */
export function copyRows(path: string, plans: readonly CopyPlan[]): void {
  const db = new DatabaseSync(path);
  try {
    // A file that is thrown away: no commit of it has to survive anything.
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN');
    for (const plan of plans) {
      copyFirstRow(db, plan);
    }
    countSubscribers(db);
    db.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
}

function copyFirstRow(db: DatabaseSync, { table, count, columns }: CopyPlan): void {
  const names = db
    .prepare(`SELECT name FROM pragma_table_info('${table}')`)
    .all()
    .map(({ name }) => String(name));
  const values = names.map((name) => columns[name] ?? `original.${name}`);
  db.exec(
    `WITH RECURSIVE original AS MATERIALIZED (SELECT * FROM ${table} LIMIT 1),
       numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
     INSERT INTO ${table} (${names.join(', ')}) SELECT ${values.join(', ')} FROM numbers, original`,
  );
}

/** As the server keeps them, which counts whom it adds. */
function countSubscribers(db: DatabaseSync): void {
  db.exec(`DELETE FROM subscriber_counts;
    INSERT INTO subscriber_counts SELECT group_name, status, COUNT(*) FROM subscribers GROUP BY 1, 2;
    DELETE FROM subscriber_zones;
    INSERT INTO subscriber_zones
      SELECT group_name, LOWER(COALESCE(time_zone, '')), COUNT(*) FROM subscribers WHERE status = 'active' GROUP BY 1, 2`);
}

/** SQL for the key of the copy number `n`: a UUIDv7 that differs from the original's in its random part. */
export function keyOfCopy(column: string): string {
  return `substr(original.${column}, 1, 24) || printf('%012x', n)`;
}

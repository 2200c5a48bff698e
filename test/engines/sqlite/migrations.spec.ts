import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../../../src/engines/sqlite/migrations.ts';

function anEmptyDatabase(): DatabaseSync {
  const db = new DatabaseSync(':memory:');
  onTestFinished(() => db.close());
  return db;
}

function schemaOf(db: DatabaseSync): unknown {
  return db.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all();
}

function versionOf(db: DatabaseSync): unknown {
  return db.prepare('PRAGMA user_version').get()?.['user_version'];
}

describe('migrate', () => {
  it('makes the schema in a file that is empty', () => {
    const db = anEmptyDatabase();

    migrate(db);

    expect(versionOf(db)).toBeGreaterThan(0);
    const tables = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`).all();
    expect(tables.map((table) => table['name'])).toEqual([
      'batches',
      'consents',
      'contents',
      'deliveries',
      'groups',
      'idempotency_keys',
      'import_results',
      'imports',
      'messages',
      'paces',
      'subscriber_counts',
      'subscriber_zones',
      'subscribers',
      'suppressions',
    ]);
  });

  it('does nothing when it runs twice', () => {
    const db = anEmptyDatabase();
    migrate(db);
    const version = versionOf(db);
    const schema = schemaOf(db);
    db.exec(`INSERT INTO groups (group_name, date_added, version) VALUES ('serverless', 0, 1)`);

    migrate(db);

    expect(versionOf(db)).toBe(version);
    expect(schemaOf(db)).toEqual(schema);
    expect(db.prepare('SELECT COUNT(*) AS count FROM groups').get()?.['count']).toBe(1);
  });

  it('refuses a file that a newer Belfry wrote, and leaves it as it is', () => {
    const db = anEmptyDatabase();
    migrate(db);
    const newer = Number(versionOf(db)) + 1;
    db.exec(`PRAGMA user_version = ${newer}`);
    const schema = schemaOf(db);

    expect(() => migrate(db)).toThrow(`schema ${newer}, which a newer Belfry wrote`);

    expect(versionOf(db)).toBe(newer);
    expect(schemaOf(db)).toEqual(schema);
  });
});

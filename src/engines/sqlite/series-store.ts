import { Injectable } from '@nestjs/common';
import type { GroupName } from '../../groups/group.ts';
import { requireVersion } from '../../platform/errors/version-mismatch-error.ts';
import { type SealedContent, sha256Hex } from '../../schedule/content.ts';
import { ContentDamagedError } from '../../schedule/message.ts';
import type { SeriesKey } from '../../schedule/occurrence.ts';
import { decodeSeries, encodeSeries } from '../../schedule/series-record.ts';
import { type SeriesPage, SeriesStore } from '../../schedule/series-store.ts';
import { type Series, SeriesNotFoundError } from '../../schedule/series.ts';
import { bytes, integer, text } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

@Injectable()
export class SqliteSeriesStore extends SeriesStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override async find(group: GroupName, key: SeriesKey): Promise<Series | undefined> {
    const row = this.database.get(
      'SELECT record FROM series WHERE group_name = :group AND series_key = :key',
      { group, key },
    );
    return row && decodeSeries(text(row, 'record'));
  }

  override async findLatest(group: GroupName): Promise<Series | undefined> {
    const row = this.database.get(
      'SELECT record FROM series WHERE group_name = :group ORDER BY series_key DESC LIMIT 1',
      { group },
    );
    return row && decodeSeries(text(row, 'record'));
  }

  override async list(group: GroupName, { after, limit }: SeriesPage): Promise<readonly Series[]> {
    return this.database
      .all(
        `SELECT record FROM series WHERE group_name = :group AND series_key > :after
         ORDER BY series_key LIMIT +:limit`,
        { group, after: after ?? '', limit },
      )
      .map((row) => decodeSeries(text(row, 'record')));
  }

  override async readContent({ group, key, content }: Series): Promise<Buffer> {
    const row = this.database.get(
      'SELECT content FROM series WHERE group_name = :group AND series_key = :key',
      { group, key },
    );
    if (!row) {
      throw new ContentDamagedError(key, 'is missing');
    }
    const stored = bytes(row, 'content');
    if (sha256Hex(stored) !== content.sha256) {
      throw new ContentDamagedError(key, 'does not have the hash that it was sealed with');
    }
    return stored;
  }

  override replace(after: Series, content?: SealedContent): Promise<void> {
    return this.database.write(() => {
      const row = findVersion(this.database, after);
      if (!row) {
        throw new SeriesNotFoundError(after.group);
      }
      requireVersion(after.version - 1, integer(row, 'version'));
      this.database.run(
        `UPDATE series SET record = :record, version = :version, wake_at = :wakeAt,
           content = COALESCE(:content, content)
         WHERE group_name = :group AND series_key = :key`,
        { ...columns(after), content: content?.bytes ?? null },
      );
    });
  }
}

/** For use inside the transaction that stores the message of its first occurrence. */
export function insertSeries(database: SqliteDatabase, series: Series, content: SealedContent): void {
  database.run(
    `INSERT INTO series (group_name, series_key, record, version, wake_at, content)
     VALUES (:group, :key, :record, :version, :wakeAt, :content)`,
    { ...columns(series), content: content.bytes },
  );
}

/** True where this very version is stored; for use inside a transaction. */
export function isStored(database: SqliteDatabase, series: Series): boolean {
  const row = findVersion(database, series);
  return row !== undefined && integer(row, 'version') === series.version;
}

function findVersion(database: SqliteDatabase, { group, key }: Series): Row | undefined {
  return database.get('SELECT version FROM series WHERE group_name = :group AND series_key = :key', {
    group,
    key,
  });
}

function columns(series: Series): Record<string, string | number | null> {
  return {
    group: series.group,
    key: series.key,
    record: encodeSeries(series),
    version: series.version,
    wakeAt: series.wakeAt?.epochMilliseconds ?? null,
  };
}

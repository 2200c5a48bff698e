import { Injectable } from '@nestjs/common';
import type { Pace } from '../../delivery/rate/pace.ts';
import { type RateKey, RateStore } from '../../delivery/rate/rate-store.ts';
import { instant, number, optionalInstant, optionalNumber } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

/** One process owns the file, so a pace is shared by its batches only; what it keeps is what is known of the provider. */
@Injectable()
export class SqliteRateStore extends RateStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override async find(key: RateKey): Promise<Pace | undefined> {
    const row = this.database.get('SELECT * FROM paces WHERE rate_key = :key', { key });
    return row && toPace(row);
  }

  override change<Answer>(
    key: RateKey,
    change: (pace: Pace | undefined) => { readonly pace: Pace; readonly answer: Answer },
  ): Promise<Answer> {
    return this.database.write(() => {
      const row = this.database.get('SELECT * FROM paces WHERE rate_key = :key', { key });
      const { pace, answer } = change(row && toPace(row));
      this.database.run(
        `INSERT OR REPLACE INTO paces (rate_key, next_at, lowered_rate, lowered_at, quota_rate, quota_left, quota_read_at)
         VALUES (:key, :nextAt, :loweredRate, :loweredAt, :quotaRate, :quotaLeft, :quotaReadAt)`,
        {
          key,
          nextAt: pace.nextAt.epochMilliseconds,
          loweredRate: pace.lowered?.rate ?? null,
          loweredAt: pace.lowered?.at.epochMilliseconds ?? null,
          quotaRate: pace.quota?.rate ?? null,
          quotaLeft: pace.quota?.left ?? null,
          quotaReadAt: pace.quota?.readAt.epochMilliseconds ?? null,
        },
      );
      return answer;
    });
  }
}

function toPace(row: Row): Pace {
  const loweredAt = optionalInstant(row, 'lowered_at');
  const readAt = optionalInstant(row, 'quota_read_at');
  return {
    nextAt: instant(row, 'next_at'),
    lowered: loweredAt && { rate: number(row, 'lowered_rate'), at: loweredAt },
    quota: readAt && { rate: number(row, 'quota_rate'), left: optionalNumber(row, 'quota_left'), readAt },
  };
}

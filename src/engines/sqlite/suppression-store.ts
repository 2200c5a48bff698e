import { Injectable } from '@nestjs/common';
import { isSubscriberKey, type SubscriberKey } from '../../groups/subscriber.ts';
import { type SuppressionPage, SuppressionStore } from '../../groups/suppression-store.ts';
import { type Suppression, SUPPRESSION_REASONS } from '../../groups/suppression.ts';
import { branded, instant, oneOf, optionalText } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

@Injectable()
export class SqliteSuppressionStore extends SuppressionStore {
  constructor(private readonly database: SqliteDatabase) {
    super();
  }

  override add({ subscriber, reason, detail, addedAt }: Suppression): Promise<boolean> {
    return this.database.write(() => {
      const inserted = this.database.run(
        `INSERT INTO suppressions (subscriber, reason, detail, added_at) VALUES (:subscriber, :reason, :detail, :addedAt)
         ON CONFLICT DO NOTHING`,
        { subscriber, reason, detail: detail ?? null, addedAt: addedAt.epochMilliseconds },
      );
      return inserted === 1;
    });
  }

  override remove(subscriber: SubscriberKey): Promise<boolean> {
    return this.database.write(
      () =>
        this.database.run('DELETE FROM suppressions WHERE subscriber = :subscriber', { subscriber }) === 1,
    );
  }

  override async find(subscriber: SubscriberKey): Promise<Suppression | undefined> {
    const row = this.database.get('SELECT * FROM suppressions WHERE subscriber = :subscriber', {
      subscriber,
    });
    return row && toSuppression(row);
  }

  override async findAmong(
    subscribers: readonly SubscriberKey[],
  ): Promise<ReadonlyMap<SubscriberKey, Suppression>> {
    const rows = this.database.all(
      'SELECT * FROM suppressions WHERE subscriber IN (SELECT value FROM json_each(:subscribers))',
      { subscribers: JSON.stringify(subscribers) },
    );
    return new Map(rows.map(toSuppression).map((suppression) => [suppression.subscriber, suppression]));
  }

  override async mayHaveErased(): Promise<boolean> {
    return this.database.get(`SELECT 1 FROM suppressions WHERE reason = 'erased' LIMIT 1`) !== undefined;
  }

  override async list({ after, limit }: SuppressionPage): Promise<readonly Suppression[]> {
    return this.database
      .all('SELECT * FROM suppressions WHERE subscriber > :after ORDER BY subscriber LIMIT +:limit', {
        after: after ?? '',
        limit,
      })
      .map(toSuppression);
  }
}

function toSuppression(row: Row): Suppression {
  return {
    subscriber: branded(row, 'subscriber', isSubscriberKey),
    reason: oneOf(row, 'reason', SUPPRESSION_REASONS),
    detail: optionalText(row, 'detail'),
    addedAt: instant(row, 'added_at'),
  };
}

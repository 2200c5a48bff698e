import type { DatabaseSync } from 'node:sqlite';

/**
 * The schema, as numbered steps: each runs once, in order, and is never changed after its release.
 * `user_version` says how many have run. Instants are epoch milliseconds.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE groups (
    group_name TEXT PRIMARY KEY,
    from_mailbox TEXT,
    reply_to TEXT,
    time_zone TEXT,
    date_added INTEGER NOT NULL,
    version INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE subscribers (
    group_name TEXT NOT NULL REFERENCES groups (group_name) ON DELETE CASCADE,
    subscriber TEXT NOT NULL, -- the address in lower case: compared and ordered by it
    email TEXT NOT NULL,      -- the address as mail is sent to it
    status TEXT NOT NULL,
    name TEXT,
    attributes TEXT NOT NULL, -- a JSON object
    time_zone TEXT,
    date_joined INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (group_name, subscriber)
  ) STRICT, WITHOUT ROWID;

  -- Counted as they change, because counting a large group on every reading would hold the event loop.
  CREATE TABLE subscriber_counts (
    group_name TEXT NOT NULL REFERENCES groups (group_name) ON DELETE CASCADE,
    status TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (group_name, status)
  ) STRICT, WITHOUT ROWID;

  CREATE TRIGGER subscriber_added AFTER INSERT ON subscribers BEGIN
    INSERT INTO subscriber_counts VALUES (new.group_name, new.status, 1)
      ON CONFLICT DO UPDATE SET count = count + 1;
  END;
  CREATE TRIGGER subscriber_removed AFTER DELETE ON subscribers BEGIN
    UPDATE subscriber_counts SET count = count - 1 WHERE group_name = old.group_name AND status = old.status;
  END;
  CREATE TRIGGER subscriber_changed AFTER UPDATE OF status ON subscribers WHEN old.status <> new.status BEGIN
    UPDATE subscriber_counts SET count = count - 1 WHERE group_name = old.group_name AND status = old.status;
    INSERT INTO subscriber_counts VALUES (new.group_name, new.status, 1)
      ON CONFLICT DO UPDATE SET count = count + 1;
  END;

  -- No reference to groups: the record of who got what outlives its group.
  CREATE TABLE messages (
    message_key TEXT PRIMARY KEY,
    group_name TEXT NOT NULL,
    subject TEXT NOT NULL,
    from_mailbox TEXT,
    reply_to TEXT,
    template TEXT NOT NULL,
    content_sha256 TEXT NOT NULL,
    content_bytes INTEGER NOT NULL,
    tags TEXT NOT NULL,       -- URL-encoded, as S3 takes them
    status TEXT NOT NULL,
    reason TEXT,
    schedule_on INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    message_added INTEGER NOT NULL,
    expires_at INTEGER,
    on_missed TEXT NOT NULL,
    on_unknown TEXT NOT NULL,
    version INTEGER NOT NULL,
    wake_at INTEGER,
    lease_token TEXT,
    lease_until INTEGER,
    dispatch_begun_at INTEGER,
    dispatched_through TEXT,
    dispatch_complete INTEGER NOT NULL DEFAULT 0,
    batches_cut INTEGER NOT NULL DEFAULT 0,
    batches_settled INTEGER NOT NULL DEFAULT 0,
    subscriber_count INTEGER NOT NULL DEFAULT 0,
    sent_count INTEGER NOT NULL DEFAULT 0,
    failed_count INTEGER NOT NULL DEFAULT 0,
    skipped_count INTEGER NOT NULL DEFAULT 0,
    unknown_count INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER,
    last_attempt_at INTEGER,
    last_accepted_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX messages_by_time ON messages (group_name, schedule_on, message_key);
  CREATE INDEX messages_by_group ON messages (group_name, message_key);
  -- Sparse: a message that needs no attention is not in it, so a scan costs the same however many are stored.
  CREATE INDEX messages_due ON messages (wake_at) WHERE wake_at IS NOT NULL;
  CREATE INDEX messages_at_work ON messages (due_at) WHERE wake_at IS NOT NULL AND dispatch_begun_at IS NOT NULL;

  CREATE TABLE contents (
    message_key TEXT PRIMARY KEY REFERENCES messages (message_key) ON DELETE CASCADE,
    content BLOB NOT NULL
  ) STRICT;

  CREATE TABLE idempotency_keys (
    group_name TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    message_key TEXT NOT NULL,
    answer TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (group_name, idempotency_key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);

  CREATE TABLE batches (
    message_key TEXT NOT NULL REFERENCES messages (message_key) ON DELETE CASCADE,
    first_subscriber TEXT NOT NULL,
    last_subscriber TEXT NOT NULL,
    count INTEGER NOT NULL,
    cut_at INTEGER NOT NULL,
    state TEXT NOT NULL,      -- open or settled
    available_at INTEGER NOT NULL,
    lease_token TEXT,
    lease_until INTEGER,
    in_flight_first TEXT,
    in_flight_last TEXT,
    PRIMARY KEY (message_key, first_subscriber)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX batches_open ON batches (message_key, first_subscriber) WHERE state = 'open';

  CREATE TABLE deliveries (
    message_key TEXT NOT NULL REFERENCES messages (message_key) ON DELETE CASCADE,
    subscriber TEXT NOT NULL,
    email TEXT NOT NULL,
    outcome TEXT,
    at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    unknown_attempts INTEGER NOT NULL,
    provider_id TEXT,
    reason TEXT,
    PRIMARY KEY (message_key, subscriber)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE messages ADD COLUMN batches_set_aside INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE messages ADD COLUMN retry_outcomes TEXT;  -- with commas; there while batches are opened again
  ALTER TABLE messages ADD COLUMN retried_through TEXT;
  ALTER TABLE messages ADD COLUMN looked_at INTEGER;    -- when batches left behind were last looked for
  ALTER TABLE batches ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE batches ADD COLUMN mishaps INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE batches ADD COLUMN error TEXT;
  ALTER TABLE batches ADD COLUMN left_count INTEGER NOT NULL DEFAULT 0; -- counted without a delivery, because they had left the group
  ALTER TABLE batches ADD COLUMN in_flight_count INTEGER NOT NULL DEFAULT 0;
  CREATE INDEX batches_set_aside ON batches (message_key, first_subscriber) WHERE state = 'set_aside';
  `,
  `
  ALTER TABLE groups ADD COLUMN max_send_rate REAL; -- mails per second
  CREATE TABLE paces (
    rate_key TEXT PRIMARY KEY,
    next_at INTEGER NOT NULL,
    lowered_rate REAL,        -- mails per second; with the next, where it was lowered
    lowered_at INTEGER,
    quota_rate REAL,          -- what the provider allows; with the next two, where it was asked
    quota_left INTEGER,       -- mails in 24 hours; without limit where null
    quota_read_at INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Of the account, whatever group an address is in.
  CREATE TABLE suppressions (
    subscriber TEXT PRIMARY KEY, -- the address in lower case
    reason TEXT NOT NULL,
    detail TEXT,
    added_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- No reference to subscribers or groups: what was agreed to is known for longer than they are there.
  CREATE TABLE consents (
    group_name TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    position INTEGER NOT NULL, -- within the record of a subscriber in a group
    what TEXT NOT NULL,
    how TEXT NOT NULL,
    at INTEGER NOT NULL,
    ip TEXT,
    wording TEXT,
    reason TEXT,
    message_key TEXT,
    PRIMARY KEY (group_name, subscriber, position)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX consents_by_subscriber ON consents (subscriber, group_name);
  CREATE INDEX subscribers_by_subscriber ON subscribers (subscriber, group_name);
  `,
  `
  ALTER TABLE groups ADD COLUMN mail_kind TEXT NOT NULL DEFAULT 'bulk';
  ALTER TABLE groups ADD COLUMN opt_in TEXT NOT NULL DEFAULT 'single';
  ALTER TABLE groups ADD COLUMN display_name TEXT;
  ALTER TABLE groups ADD COLUMN list_help TEXT;
  ALTER TABLE groups ADD COLUMN list_owner TEXT;
  ALTER TABLE groups ADD COLUMN unsubscribe_mailto TEXT;
  ALTER TABLE groups ADD COLUMN postal_address TEXT;
  ALTER TABLE groups ADD COLUMN language TEXT;
  `,
  `
  -- No reference to groups: the first rows make the group.
  CREATE TABLE imports (
    import_key TEXT PRIMARY KEY,
    group_name TEXT NOT NULL,
    format TEXT NOT NULL,
    dry_run INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    file_bytes INTEGER NOT NULL,
    read_bytes INTEGER NOT NULL DEFAULT 0,
    read_count INTEGER NOT NULL DEFAULT 0,
    created_count INTEGER NOT NULL DEFAULT 0,
    updated_count INTEGER NOT NULL DEFAULT 0,
    unchanged_count INTEGER NOT NULL DEFAULT 0,
    rejected_count INTEGER NOT NULL DEFAULT 0,
    duplicate_count INTEGER NOT NULL DEFAULT 0,
    added_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    wake_at INTEGER NOT NULL,
    lease_token TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX imports_of_group ON imports (group_name, import_key);
  CREATE INDEX imports_waking ON imports (wake_at);

  CREATE TABLE import_results (
    import_key TEXT NOT NULL REFERENCES imports (import_key) ON DELETE CASCADE,
    first_row INTEGER NOT NULL,
    results TEXT NOT NULL, -- a letter for each row from there on
    PRIMARY KEY (import_key, first_row)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  ALTER TABLE groups ADD COLUMN send_window TEXT;       -- JSON
  ALTER TABLE messages ADD COLUMN local_delivery TEXT;  -- JSON
  ALTER TABLE messages ADD COLUMN last_due_at INTEGER;  -- from when the delivery could go that was attempted last

  -- Active subscribers by zone, counted as they change, for the same reason as subscriber_counts; in lower case, '' is no zone.
  CREATE TABLE subscriber_zones (
    group_name TEXT NOT NULL REFERENCES groups (group_name) ON DELETE CASCADE,
    time_zone TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (group_name, time_zone)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO subscriber_zones
    SELECT group_name, LOWER(COALESCE(time_zone, '')), COUNT(*) FROM subscribers WHERE status = 'active' GROUP BY 1, 2;

  CREATE TRIGGER subscriber_zone_added AFTER INSERT ON subscribers WHEN new.status = 'active' BEGIN
    INSERT INTO subscriber_zones VALUES (new.group_name, LOWER(COALESCE(new.time_zone, '')), 1)
      ON CONFLICT DO UPDATE SET count = count + 1;
  END;
  CREATE TRIGGER subscriber_zone_removed AFTER DELETE ON subscribers WHEN old.status = 'active' BEGIN
    UPDATE subscriber_zones SET count = count - 1
      WHERE group_name = old.group_name AND time_zone = LOWER(COALESCE(old.time_zone, ''));
    DELETE FROM subscriber_zones
      WHERE group_name = old.group_name AND time_zone = LOWER(COALESCE(old.time_zone, '')) AND count = 0;
  END;
  CREATE TRIGGER subscriber_zone_left AFTER UPDATE OF status, time_zone ON subscribers WHEN old.status = 'active' BEGIN
    UPDATE subscriber_zones SET count = count - 1
      WHERE group_name = old.group_name AND time_zone = LOWER(COALESCE(old.time_zone, ''));
    DELETE FROM subscriber_zones
      WHERE group_name = old.group_name AND time_zone = LOWER(COALESCE(old.time_zone, '')) AND count = 0;
  END;
  CREATE TRIGGER subscriber_zone_joined AFTER UPDATE OF status, time_zone ON subscribers WHEN new.status = 'active' BEGIN
    INSERT INTO subscriber_zones VALUES (new.group_name, LOWER(COALESCE(new.time_zone, '')), 1)
      ON CONFLICT DO UPDATE SET count = count + 1;
  END;

  -- With what says when each can be claimed: a message may have thousands of batches that wait for hours.
  DROP INDEX batches_open;
  CREATE INDEX batches_open ON batches (message_key, first_subscriber, available_at, lease_until) WHERE state = 'open';
    `,
  `
  ALTER TABLE messages ADD COLUMN meant TEXT;          -- JSON: the local time that schedule_on stands for
  ALTER TABLE messages ADD COLUMN tzdata TEXT;         -- with it: by which rules
  ALTER TABLE messages ADD COLUMN series_key TEXT;
  ALTER TABLE messages ADD COLUMN occurrence TEXT;     -- with it: the local time at which the series has it
  ALTER TABLE messages ADD COLUMN followed_at INTEGER; -- when the occurrence after it comes
  -- Sparse: those whose time other rules may move.
  CREATE INDEX messages_by_tzdata ON messages (tzdata, message_key)
    WHERE tzdata IS NOT NULL AND wake_at IS NOT NULL AND dispatch_begun_at IS NULL;

  -- No reference to groups, as messages have none.
  CREATE TABLE series (
    group_name TEXT NOT NULL,
    series_key TEXT NOT NULL,
    record TEXT NOT NULL,     -- JSON: all of it
    version INTEGER NOT NULL, -- with the next, as in the record
    wake_at INTEGER,
    content BLOB NOT NULL,
    PRIMARY KEY (group_name, series_key)
  ) STRICT;
  CREATE INDEX series_due ON series (wake_at) WHERE wake_at IS NOT NULL; -- sparse, as messages_due
  `,
  `
  ALTER TABLE deliveries ADD COLUMN heard TEXT; -- a JSON object; absent where nothing was heard of it
  ALTER TABLE messages ADD COLUMN delivered_count INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE messages ADD COLUMN bounced_count INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE messages ADD COLUMN complained_count INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE messages ADD COLUMN brake_handed_over INTEGER; -- with the next two, once it was resumed after a brake
  ALTER TABLE messages ADD COLUMN brake_bounced INTEGER;
  ALTER TABLE messages ADD COLUMN brake_complained INTEGER;
  `,
  `
  CREATE TABLE confirmations (
    group_name TEXT NOT NULL,
    subscriber TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    is_wanted INTEGER NOT NULL, -- 1 where a mail is to be sent
    sent_count INTEGER NOT NULL,
    last_sent_at INTEGER,
    due_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (group_name, subscriber)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX confirmations_due ON confirmations (due_at);
  `,
  `
  ALTER TABLE messages ADD COLUMN content_findings TEXT; -- JSON: what is wrong with the content; absent where nothing is
  ALTER TABLE messages ADD COLUMN sending_findings TEXT; -- JSON: what else the preflight found before it began; likewise
  `,
  `
  -- Sparse, as messages_due: whether anybody was erased is asked for each chunk of an import.
  CREATE INDEX suppressions_erased ON suppressions (reason) WHERE reason = 'erased';
  ALTER TABLE imports ADD COLUMN ask_to_confirm INTEGER NOT NULL DEFAULT 0; -- of those of before, nobody was told that it would
  ALTER TABLE import_results ADD COLUMN positions BLOB; -- of the rows in the file; those from first_row on where null
  -- Rows come in the order of addresses now: an import that is under way begins anew, and finds what it has done unchanged.
  DELETE FROM import_results WHERE import_key IN (SELECT import_key FROM imports WHERE state = 'working');
  UPDATE imports SET read_bytes = 0, read_count = 0, created_count = 0, updated_count = 0, unchanged_count = 0, rejected_count = 0,
    duplicate_count = 0 WHERE state = 'working';
  `,
  `
  -- Whoever inserts subscribers counts them, many at a time: a trigger for each row took a third of the time of an import.
  DROP TRIGGER subscriber_added;
  DROP TRIGGER subscriber_zone_added;
  `,
];

/** Brings the schema up to date; a second run does nothing. Throws on a file that a newer Belfry wrote. */
export function migrate(db: DatabaseSync): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
  if (version > MIGRATIONS.length) {
    throw new Error(
      `The database has schema ${version}, which a newer Belfry wrote; this one knows up to ${MIGRATIONS.length}.`,
    );
  }
  if (version < MIGRATIONS.length) {
    const pending = MIGRATIONS.slice(version).join(';\n'); // at one stroke: each commit waits for the disk
    db.exec(`BEGIN IMMEDIATE; ${pending}; PRAGMA user_version = ${MIGRATIONS.length}; COMMIT`);
  }
}

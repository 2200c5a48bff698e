import { Injectable } from '@nestjs/common';
import { type PutGroup, type GroupPage, GroupStore } from '../../groups/group-store.ts';
import {
  type Group,
  GroupInUseError,
  type GroupName,
  GroupNotFoundError,
  type GroupSettings,
  isGroupName,
} from '../../groups/group.ts';
import { LANGUAGES } from '../../groups/language.ts';
import { GROUP_KINDS, OPT_INS } from '../../groups/mailing-settings.ts';
import { parseSendWindow, type SendWindow, windowFields } from '../../groups/send-window.ts';
import { SUBSCRIBER_STATUSES, type SubscriberStatus } from '../../groups/subscriber.ts';
import { Clock } from '../../platform/clock/clock.ts';
import { type ExpectedVersion, requireVersion } from '../../platform/errors/version-mismatch-error.ts';
import { branded, instant, integer, oneOf, optionalNumber, optionalOneOf, optionalText } from './row.ts';
import { type Row, SqliteDatabase } from './sqlite-database.ts';

// What `isFinished` says of a status, and the one that waits for an operator who has to mend something.
const UNFINISHED = `status IN ('scheduled', 'held', 'paused', 'sending', 'failed')`;

@Injectable()
export class SqliteGroupStore extends GroupStore {
  #found: { readonly revision: number; readonly groups: Map<GroupName, Group> } = {
    revision: 0,
    groups: new Map(),
  };

  constructor(
    private readonly database: SqliteDatabase,
    private readonly clock: Clock,
  ) {
    super();
  }

  override put(
    name: GroupName,
    settings: GroupSettings,
    expectedVersion?: ExpectedVersion,
  ): Promise<PutGroup> {
    return this.database.write(() => {
      const before = this.#find(name);
      requireVersion(expectedVersion, before?.version);
      this.database.run(
        `INSERT INTO groups (group_name, from_mailbox, reply_to, time_zone, max_send_rate, send_window, mail_kind, opt_in, display_name,
           list_help, list_owner, unsubscribe_mailto, postal_address, language, date_added, version)
         VALUES (:name, :from, :replyTo, :timeZone, :maxSendRate, :sendWindow, :kind, :optIn, :displayName,
           :listHelp, :listOwner, :unsubscribeMailto, :postalAddress, :language, :now, 1)
         ON CONFLICT DO UPDATE SET from_mailbox = :from, reply_to = :replyTo, time_zone = :timeZone, max_send_rate = :maxSendRate, send_window = :sendWindow,
           mail_kind = :kind, opt_in = :optIn, display_name = :displayName, list_help = :listHelp, list_owner = :listOwner,
           unsubscribe_mailto = :unsubscribeMailto, postal_address = :postalAddress, language = :language,
           version = version + 1`,
        {
          name,
          from: settings.from ?? null,
          replyTo: settings.replyTo ?? null,
          timeZone: settings.timeZone ?? null,
          maxSendRate: settings.maxSendRate ?? null,
          kind: settings.kind,
          optIn: settings.optIn,
          displayName: settings.displayName ?? null,
          listHelp: settings.listHelp ?? null,
          listOwner: settings.listOwner ?? null,
          unsubscribeMailto: settings.unsubscribeMailto ?? null,
          postalAddress: settings.postalAddress ?? null,
          language: settings.language ?? null,
          sendWindow: settings.sendWindow ? JSON.stringify(windowFields(settings.sendWindow)) : null,
          now: this.clock.now().epochMilliseconds,
        },
      );
      const group = this.#find(name);
      if (!group) {
        throw new GroupNotFoundError(name);
      }
      return { group, created: before === undefined };
    });
  }

  /** Every message that is scheduled asks for its group: those between two commits share what they read. */
  override async find(name: GroupName): Promise<Group | undefined> {
    if (this.#found.revision !== this.database.revision) {
      this.#found = { revision: this.database.revision, groups: new Map() };
    }
    const found = this.#found.groups.get(name) ?? this.#find(name);
    if (found) {
      this.#found.groups.set(name, found);
    }
    return found;
  }

  override async list(page: GroupPage): Promise<readonly Group[]> {
    return this.database
      .all('SELECT * FROM groups WHERE group_name > :after ORDER BY group_name LIMIT +:limit', {
        after: page.after ?? '',
        limit: page.limit,
      })
      .map((row) => this.#toGroup(row));
  }

  override remove(name: GroupName, expectedVersion?: number): Promise<void> {
    return this.database.write(() => {
      const group = this.#find(name);
      if (!group) {
        throw new GroupNotFoundError(name);
      }
      requireVersion(expectedVersion, group.version);
      if (
        this.database.get(`SELECT 1 FROM messages WHERE group_name = :name AND ${UNFINISHED} LIMIT 1`, {
          name,
        })
      ) {
        throw new GroupInUseError(name);
      }
      this.database.run('DELETE FROM groups WHERE group_name = :name', { name });
    });
  }

  #find(name: GroupName): Group | undefined {
    const row = this.database.get('SELECT * FROM groups WHERE group_name = :name', { name });
    return row && this.#toGroup(row);
  }

  #toGroup(row: Row): Group {
    const name = branded(row, 'group_name', isGroupName);
    return {
      name,
      from: optionalText(row, 'from_mailbox'),
      replyTo: optionalText(row, 'reply_to'),
      timeZone: optionalText(row, 'time_zone'),
      maxSendRate: optionalNumber(row, 'max_send_rate'),
      kind: oneOf(row, 'mail_kind', GROUP_KINDS),
      optIn: oneOf(row, 'opt_in', OPT_INS),
      displayName: optionalText(row, 'display_name'),
      listHelp: optionalText(row, 'list_help'),
      listOwner: optionalText(row, 'list_owner'),
      unsubscribeMailto: optionalText(row, 'unsubscribe_mailto'),
      postalAddress: optionalText(row, 'postal_address'),
      language: optionalOneOf(row, 'language', LANGUAGES),
      sendWindow: toSendWindow(optionalText(row, 'send_window')),
      addedAt: instant(row, 'date_added'),
      version: integer(row, 'version'),
      counts: this.#counts(name),
    };
  }

  #counts(name: GroupName): Record<SubscriberStatus, number> {
    const counts = { active: 0, pending: 0, unsubscribed: 0, bounced: 0, complained: 0 };
    for (const row of this.database.all('SELECT * FROM subscriber_counts WHERE group_name = :name', {
      name,
    })) {
      counts[oneOf(row, 'status', SUBSCRIBER_STATUSES)] = integer(row, 'count');
    }
    return counts;
  }
}

function toSendWindow(json: string | undefined): SendWindow | undefined {
  return json === undefined ? undefined : parseSendWindow(JSON.parse(json), 'send_window');
}

/** Makes the group where there is none; for use inside a transaction. A second run does nothing. */
export function ensureGroup(database: SqliteDatabase, name: GroupName, at: Temporal.Instant): void {
  database.runInPlace(
    'INSERT INTO groups (group_name, date_added, version) VALUES (?, ?, 1) ON CONFLICT DO NOTHING',
    [name, at.epochMilliseconds],
  );
}

import { randomBytes } from 'node:crypto';
import { deliverByHand } from '../delivery/by-hand.ts';
import type { Mail } from '../delivery/channels/channel.ts';
import type { DueScanner } from '../delivery/due-scanner.ts';
import { type PacedBatch, Pacer, type Turn } from '../delivery/rate/pacer.ts';
import type { Worker } from '../delivery/worker.ts';
import { SqliteDeliveryStore } from '../engines/sqlite/delivery-store.ts';
import { endLeases } from '../engines/sqlite/end-leases.ts';
import { SqliteGroupStore } from '../engines/sqlite/group-store.ts';
import { SqliteMessageStore } from '../engines/sqlite/message-store.ts';
import { SqliteRateStore } from '../engines/sqlite/rate-store.ts';
import { SqliteSeriesStore } from '../engines/sqlite/series-store.ts';
import { SqliteDatabase } from '../engines/sqlite/sqlite-database.ts';
import { SqliteSubscriberStore } from '../engines/sqlite/subscriber-store.ts';
import { SqliteSuppressionStore } from '../engines/sqlite/suppression-store.ts';
import { SqliteWorkQueue } from '../engines/sqlite/work-queue.ts';
import type { GroupName } from '../groups/group.ts';
import { isReached, plusMs, SECOND_MS } from '../platform/clock/clock.ts';
import type { Settings } from '../platform/config/settings.ts';
import { SigningKey } from '../platform/http/signing-key.ts';
import { Log, type LogFields } from '../platform/logging/log.ts';
import type { MessageKey } from '../schedule/message.ts';
import { systemZoneRules } from '../schedule/zone-rules.ts';
import { DrivenClock } from './driven-clock.ts';
import { NotingChannel } from './noting-channel.ts';

/** The mails of a message that would go out at one moment. */
export interface Sending {
  readonly at: Temporal.Instant;
  readonly group: GroupName;
  readonly messageKey: MessageKey;
  readonly mails: number;
}

/** What would be logged as a warning or an error about a message: that it is held, say. */
export interface Remark {
  readonly at: Temporal.Instant;
  readonly messageKey: string;
  /** The name of the event. */
  readonly event: string;
}

export interface Course {
  /** In order of time. */
  readonly sendings: readonly Sending[];
  readonly remarks: readonly Remark[];
}

const KEY_BYTES = 32;

/** No time passes in which anybody could wait for a rate. */
class Unpaced extends Pacer {
  override async take(_batch: PacedBatch, wanted: number): Promise<Turn> {
    return { kind: 'go', count: wanted };
  }
}

/** Everything that delivers, over a copy of a store that is thrown away afterwards; from wake to wake, and no mail leaves. */
export class Simulation {
  readonly #clock: DrivenClock;
  readonly #database: SqliteDatabase;
  readonly #messages: SqliteMessageStore;
  readonly #scanner: DueScanner;
  readonly #worker: Worker;
  readonly #sendings = new Map<string, Sending>();
  readonly #remarks: Remark[] = [];

  /** @param path of the copy: what would happen is written to it. */
  constructor(path: string, start: Temporal.Instant, settings: Settings) {
    const clock = new DrivenClock(start);
    const database = new SqliteDatabase(path);
    const hear = (fields: object, event: string): void => this.#hear(event, { ...fields });
    const log = new Log({ debug: ignore, info: ignore, warn: hear, error: hear });
    const messages = new SqliteMessageStore(database);
    const { scanner, worker } = deliverByHand({
      stores: {
        groups: new SqliteGroupStore(database, clock),
        subscribers: new SqliteSubscriberStore(database),
        suppressions: new SqliteSuppressionStore(database),
        messages,
        series: new SqliteSeriesStore(database),
        deliveries: new SqliteDeliveryStore(database),
        queue: new SqliteWorkQueue(database, clock),
        rates: new SqliteRateStore(database),
      },
      channel: new NotingChannel((mail) => this.#note(mail)),
      pacer: Unpaced,
      // Nobody ever sees its links, and whoever was erased is in no group.
      key: new SigningKey(randomBytes(KEY_BYTES)),
      rules: systemZoneRules,
      clock,
      settings,
      log,
    });
    this.#clock = clock;
    this.#database = database;
    this.#messages = messages;
    this.#scanner = scanner;
    this.#worker = worker;
  }

  /** Does all that is due before `to`, and says what of it is at `from` and later. */
  async run(from: Temporal.Instant, to: Temporal.Instant): Promise<Course> {
    await endLeases(this.#database, this.#clock.now()); // of the server that the copy was taken from
    while (!isReached(to, this.#clock.now())) {
      await this.#scanner.runOnce();
      await this.#worker.runOnce();
      const next = (await this.#messages.findWaking(to, 1)).at(0)?.wakeAt ?? to;
      const now = this.#clock.now();
      this.#clock.moveTo(isReached(next, now) ? plusMs(now, SECOND_MS) : next);
    }
    const isAsked = ({ at }: { readonly at: Temporal.Instant }): boolean => isReached(from, at);
    return {
      sendings: [...this.#sendings.values()].filter(isAsked),
      remarks: this.#remarks.filter(isAsked),
    };
  }

  close(): void {
    this.#database.close();
  }

  #note({ messageKey, group }: Mail): void {
    const at = this.#clock.now();
    const name = `${at.epochMilliseconds} ${messageKey}`;
    const mails = (this.#sendings.get(name)?.mails ?? 0) + 1;
    this.#sendings.set(name, { at, group, messageKey, mails });
  }

  #hear(event: string, { message_key: messageKey }: LogFields): void {
    if (typeof messageKey === 'string') {
      this.#remarks.push({ at: this.#clock.now(), messageKey, event });
    }
  }
}

function ignore(): void {}

import { Injectable } from '@nestjs/common';
import type { GroupName } from '../groups/group.ts';
import { Clock, isReached } from '../platform/clock/clock.ts';
import { Settings } from '../platform/config/settings.ts';
import { InvalidInputError, StoreUnavailableError } from '../platform/errors/domain-error.ts';
import { VersionMismatchError } from '../platform/errors/version-mismatch-error.ts';
import { contentFindings } from './content-rules.ts';
import { openContent, type SealedContent } from './content.ts';
import { resolveMeant } from './meant-time.ts';
import { MessageStore } from './message-store.ts';
import { sealOf } from './new-message.ts';
import { announceSeries, newestDue, nextOccurrence, noOccurrence, occurrenceMessage } from './new-series.ts';
import type { Occurrence, SeriesKey } from './occurrence.ts';
import { firstAfter, occurrences, type Placed, type Recurrence } from './recurrence.ts';
import { type Draft, ScheduleService, touchesContent } from './schedule.service.ts';
import { SeriesStore } from './series-store.ts';
import {
  EXCEPT_MAX,
  OccurrenceNotFoundError,
  type Retired,
  type Series,
  SeriesNotFoundError,
  SeriesStatusConflictError,
} from './series.ts';
import { WakeSignal } from './wake-signal.ts';
import { ZoneRules } from './zone-rules.ts';

/** What changes of a series; a field that is absent stays, `undefined` empties it. */
export type SeriesRedraft = Partial<Omit<Draft, 'scheduleOn' | 'time' | 'expiresAt' | 'repeat'>> & {
  readonly recurrence?: Recurrence;
};

// As for a message: many changes at once mean that something is wrong.
const CHANGE_TRIES = 5;
// Further ahead nobody knows what they want to skip.
const SKIPPED_AHEAD_MAX = 1_000;

/** What is written of a series; its version is the next. */
type SeriesChange = Partial<Omit<Series, 'key' | 'group' | 'version' | 'addedAt'>>;

interface Decision {
  readonly change: SeriesChange;
  readonly content?: SealedContent | undefined;
}

/**
 * Decides what becomes of a series. The record comes first, and names the message of its next occurrence; then `attend` brings the
 * messages in line with it, which whoever finds its wake can do as well: so a crash between the two, or two workers, make none twice and
 * leave none out.
 */
@Injectable()
export class SeriesService {
  constructor(
    private readonly series: SeriesStore,
    private readonly messages: MessageStore,
    private readonly schedule: ScheduleService,
    private readonly wakes: WakeSignal,
    private readonly rules: ZoneRules,
    private readonly clock: Clock,
    private readonly settings: Settings,
  ) {}

  /** @throws {SeriesNotFoundError} */
  async get(group: GroupName, key: SeriesKey | 'latest'): Promise<Series> {
    const series =
      key === 'latest' ? await this.series.findLatest(group) : await this.series.find(group, key);
    if (!series) {
      throw new SeriesNotFoundError(group);
    }
    return series;
  }

  /**
   * Changes a series that has not ended. Its next occurrence is made anew, unless that is being sent already; one that was changed by
   * itself loses that.
   * @throws {SeriesStatusConflictError} @throws {InvalidInputError} where it would have no occurrence any more.
   */
  async change(
    group: GroupName,
    key: SeriesKey | 'latest',
    redraft: SeriesRedraft,
    ifVersion?: number,
  ): Promise<Series> {
    return this.#change(group, key, ifVersion, async (series) => {
      if (series.status === 'ended') {
        throw new SeriesStatusConflictError(series.status, 'changed');
      }
      const content = touchesContent(redraft)
        ? this.schedule.seal({ ...openContent(await this.series.readContent(series)), ...redraft })
        : undefined;
      const { recurrence = series.recurrence, body: _body, text: _text, template, ...recorded } = redraft;
      const changed = {
        ...series,
        ...recorded,
        recurrence,
        ...(content && { content: sealOf(content, template ?? series.content.template) }),
      };
      const isSameRule = redraft.recurrence === undefined;
      if (!isSameRule && !firstAfter(recurrence, this.rules, this.clock.now())) {
        throw noOccurrence(recurrence);
      }
      return {
        content,
        change: {
          ...changed,
          ...(series.status === 'active' &&
            this.#remake(changed, isSameRule ? series.next : undefined, 'The series was changed.')),
        },
      };
    });
  }

  /** Its next occurrence is cancelled, unless that is being sent already, and there is none until `resume`. A second call changes nothing. */
  async pause(group: GroupName, key: SeriesKey | 'latest', ifVersion?: number): Promise<Series> {
    return this.#change(group, key, ifVersion, (series) => {
      switch (series.status) {
        case 'active':
          return {
            change: { status: 'paused', next: undefined, retired: retire(series, 'The series was paused.') },
          };
        case 'paused':
          return undefined;
        default:
          throw new SeriesStatusConflictError(series.status, 'paused');
      }
    });
  }

  /** Goes on with the first occurrence that is still to come. A second call changes nothing. */
  async resume(group: GroupName, key: SeriesKey | 'latest', ifVersion?: number): Promise<Series> {
    return this.#change(group, key, ifVersion, (series) => {
      switch (series.status) {
        case 'paused':
          return { change: { status: 'active', ...this.#remake(series, undefined, '') } };
        case 'active':
          return undefined;
        default:
          throw new SeriesStatusConflictError(series.status, 'resumed');
      }
    });
  }

  /** Its next occurrence is cancelled, unless that is being sent already, and there will be none any more. A second call changes nothing. */
  async end(group: GroupName, key: SeriesKey | 'latest', ifVersion?: number): Promise<Series> {
    return this.#change(group, key, ifVersion, (series) =>
      series.status === 'ended'
        ? undefined
        : {
            change: {
              status: 'ended',
              reason: 'Somebody ended it.',
              next: undefined,
              retired: retire(series, 'The series was ended.'),
            },
          },
    );
  }

  /**
   * Leaves out an occurrence that is to come: the next one where none is named, whose message is cancelled. A second call with the same
   * name changes nothing; without, it skips the one after.
   * @throws {OccurrenceNotFoundError}
   */
  async skip(
    group: GroupName,
    key: SeriesKey | 'latest',
    local: Temporal.PlainDateTime | undefined,
    ifVersion?: number,
  ): Promise<Series> {
    return this.#change(group, key, ifVersion, (series) => {
      const { next, recurrence } = series;
      if (series.status !== 'active' || !next) {
        throw new SeriesStatusConflictError(series.status, 'skipped');
      }
      const skipped = nameOf(local ?? next.local);
      if (recurrence.except.includes(skipped)) {
        return undefined;
      }
      if (recurrence.except.length >= EXCEPT_MAX) {
        throw new InvalidInputError([
          { pointer: '/occurrence', detail: `A series has at most ${EXCEPT_MAX} exceptions.` },
        ]);
      }
      const isNext = local === undefined || local.equals(next.local);
      if (!isNext && !this.#isToCome(series, next, local)) {
        throw new OccurrenceNotFoundError();
      }
      const changed = { ...recurrence, except: [...recurrence.except, skipped] };
      return {
        change: {
          recurrence: changed,
          ...(isNext && this.#goOn({ ...series, recurrence: changed }, next, 'It was skipped.')),
        },
      };
    });
  }

  /**
   * Brings the messages in line with the record: cancels what is not wanted any more, makes the next occurrence where it is missing and, once
   * its time has come, the one after it. A second run, or another worker's, finds nothing left to do.
   */
  async attend(group: GroupName, key: SeriesKey): Promise<void> {
    for (;;) {
      const series = await this.series.find(group, key);
      if (!series?.wakeAt) {
        return;
      }
      const after = await this.#nextState(series);
      if (!after) {
        return;
      }
      if (after === series) {
        continue;
      }
      try {
        await this.series.replace(after);
      } catch (error) {
        if (!(error instanceof VersionMismatchError)) {
          throw error;
        }
        continue; // another one was quicker: what is left to do is decided upon what it wrote
      }
      announceSeries(this.wakes, after);
    }
  }

  /** The record as it is to be next: itself where it must be read again, absent where nothing is left to do. */
  async #nextState(series: Series): Promise<Series | undefined> {
    const now = this.clock.now();
    const { next } = series;
    if (series.retired.length > 0) {
      const gone = await this.schedule.retire(series.group, series.retired);
      // What could not be cancelled any more goes out: it must not be made again.
      const goesOut = next !== undefined && gone.some((local) => local.equals(next.local));
      return evolve(series, { retired: [], ...(goesOut && this.#advance(series, next, now)) });
    }
    if (series.status !== 'active' || !next) {
      return evolve(series, { wakeAt: undefined });
    }
    const at = resolveMeant(
      { local: next.local, timeZone: series.recurrence.timeZone, dst: 'series' },
      this.rules,
    );
    if (!at.equals(next.at)) {
      return evolve(series, { next: { ...next, at }, wakeAt: now }); // the rules of its zone have changed
    }
    if (!(await this.#ensureMade(series, now))) {
      return series;
    }
    if (isReached(next.at, now)) {
      return evolve(series, this.#advance(series, next, now));
    }
    return series.wakeAt?.equals(next.at) === true ? undefined : evolve(series, { wakeAt: next.at });
  }

  /** False where the series has changed since it was read, and with it what is to be made. */
  async #ensureMade(series: Series, now: Temporal.Instant): Promise<boolean> {
    const placed = occurrenceMessage(series, this.rules, now, this.settings.missedGraceMs);
    if (await this.messages.find(series.group, placed.key)) {
      return true;
    }
    const bytes = await this.series.readContent(series);
    const content = { bytes, sha256: series.content.sha256 };
    const made = { ...placed, contentFindings: contentFindings(openContent(bytes)) };
    const { kind } = await this.messages.create(made, content, { series: { kind: 'unchanged', series } });
    if (kind === 'created' && made.wakeAt) {
      this.wakes.announce({ kind: 'message', group: made.group, key: made.key, wakeAt: made.wakeAt });
    }
    return kind !== 'series-changed';
  }

  /** What comes behind `next`, whose time has come or which is not to be made. */
  #advance(series: Series, next: Placed, now: Temporal.Instant): SeriesChange {
    const placed = newestDue(series.recurrence, next, this.rules, now);
    return placed
      ? { next: nextOccurrence(series, placed, this.rules), wakeAt: now }
      : { status: 'ended', reason: 'Its last occurrence has come.', next: undefined, wakeAt: undefined };
  }

  /** The next occurrence as another message: that which comes first by the rule, or `same` where that is still to come. */
  #remake(series: Series, same: Placed | undefined, reason: string): SeriesChange {
    const now = this.clock.now();
    const revision = series.revision + 1;
    const { recurrence } = series;
    const placed = same && !isReached(same.at, now) ? same : firstAfter(recurrence, this.rules, now);
    if (!placed) {
      throw noOccurrence(recurrence);
    }
    const next = nextOccurrence({ ...series, revision }, placed, this.rules);
    return { revision, next, retired: retire(series, reason) };
  }

  /** The occurrence behind `skipped`, which is retired. */
  #goOn(series: Series, skipped: Placed, reason: string): SeriesChange {
    const now = this.clock.now();
    const retired = retire(series, reason);
    const placed = firstAfter(series.recurrence, this.rules, now, skipped);
    return placed
      ? { next: nextOccurrence(series, placed, this.rules), retired }
      : { status: 'ended', reason: 'Its last occurrence was skipped.', next: undefined, retired };
  }

  #isToCome({ recurrence }: Series, after: Placed, local: Temporal.PlainDateTime): boolean {
    return occurrences(recurrence, this.rules, after)
      .take(SKIPPED_AHEAD_MAX)
      .some((occurrence) => occurrence.local.equals(local));
  }

  async #change(
    group: GroupName,
    key: SeriesKey | 'latest',
    ifVersion: number | undefined,
    decide: (series: Series) => Decision | undefined | Promise<Decision | undefined>,
  ): Promise<Series> {
    for (let tries = 1; ; tries += 1) {
      const before = await this.get(group, key);
      if (ifVersion !== undefined && ifVersion !== before.version) {
        throw new VersionMismatchError(ifVersion, before.version);
      }
      try {
        const decision = await decide(before);
        if (!decision) {
          return before;
        }
        const after = evolve(before, { ...decision.change, wakeAt: this.clock.now() });
        await this.series.replace(after, decision.content);
        return await this.#attended(after);
      } catch (error) {
        if (!(error instanceof VersionMismatchError) || ifVersion !== undefined || tries === CHANGE_TRIES) {
          throw error;
        }
      }
    }
  }

  /** The change is durable, and its wake has come: where the store does not answer now, the next scan goes on from there. */
  async #attended(changed: Series): Promise<Series> {
    try {
      await this.attend(changed.group, changed.key);
      return await this.get(changed.group, changed.key);
    } catch (error) {
      if (!(error instanceof StoreUnavailableError)) {
        throw error;
      }
      return changed;
    }
  }
}

function evolve(series: Series, change: SeriesChange): Series {
  return { ...series, ...change, version: series.version + 1 };
}

function retire({ next, retired }: Series, reason: string): readonly Retired[] {
  return next ? [...retired, { message: next.message, local: next.local, reason }] : retired;
}

/** As exceptions are written. */
export function nameOf(local: Occurrence['local']): string {
  return local.toString({ smallestUnit: 'second' });
}

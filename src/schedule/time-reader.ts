import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import type { GroupName } from '../groups/group.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import type { DstChoice } from './meant-time.ts';
import type { Recurrence } from './recurrence.ts';
import type { Series } from './series.ts';
import { readRepeat, readStart, type RecurrenceStart, type RepeatBody } from './repeat.dto.ts';
import { placeTime, readTime, type SaidTime, type ScheduledTime } from './schedule-time.ts';
import { ZoneRules } from './zone-rules.ts';

/** Reads times of requests about a group, whose zone is that of a local time which has none of its own. */
@Injectable()
export class TimeReader {
  constructor(
    private readonly groups: GroupStore,
    private readonly rules: ZoneRules,
  ) {}

  /**
   * @param dst what is chosen beside the time.
   * @throws {InvalidInputError} as `readTime` and `placeTime` do.
   */
  async read(group: GroupName, input: unknown, pointer: string, dst?: DstChoice): Promise<ScheduledTime> {
    const said = withChoice(readTime(input, pointer), dst);
    return placeTime(
      said.kind === 'local' && said.timeZone === undefined
        ? { ...said, timeZone: await this.zoneOf(group) }
        : said,
      this.rules,
      pointer,
    );
  }

  /**
   * When a series is that begins at `scheduleOn`.
   * @throws {InvalidInputError} as `readStart` and `readRepeat` do.
   */
  async readRecurrence(group: GroupName, scheduleOn: unknown, repeat: RepeatBody): Promise<Recurrence> {
    const start = await this.readStart(group, scheduleOn);
    return readRepeat(repeat, start, this.rules);
  }

  /** @throws {InvalidInputError} as `readStart` does. */
  async readStart(group: GroupName, scheduleOn: unknown): Promise<RecurrenceStart> {
    return readStart(scheduleOn, await this.zoneOf(group), this.rules);
  }

  /**
   * Another recurrence for a series, of what a change names; absent where it names neither start nor rule.
   * @throws {InvalidInputError} as `readRecurrence` does.
   */
  async changeRecurrence(
    { group, recurrence }: Series,
    change: { readonly schedule_on?: unknown; readonly repeat?: RepeatBody },
  ): Promise<Recurrence | undefined> {
    if (change.schedule_on === undefined && change.repeat === undefined) {
      return undefined;
    }
    const start =
      change.schedule_on === undefined ? recurrence : await this.readStart(group, change.schedule_on);
    return change.repeat === undefined
      ? { ...recurrence, start: start.start, timeZone: start.timeZone }
      : readRepeat(change.repeat, start, this.rules);
  }

  async zoneOf(group: GroupName): Promise<string | undefined> {
    return (await this.groups.find(group))?.timeZone;
  }
}

function withChoice(said: SaidTime, dst: DstChoice | undefined): SaidTime {
  if (dst === undefined) {
    return said;
  }
  if (said.kind === 'instant') {
    throw new InvalidInputError([
      {
        pointer: '/dst',
        detail: 'It chooses between moments of a local time, and schedule_on is one moment.',
      },
    ]);
  }
  if (said.dst !== undefined && said.dst !== dst) {
    throw new InvalidInputError([{ pointer: '/dst', detail: 'schedule_on has chosen another one.' }]);
  }
  return { ...said, dst };
}

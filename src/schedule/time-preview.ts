import { Injectable } from '@nestjs/common';
import type { GroupName } from '../groups/group.ts';
import { Clock, isReached } from '../platform/clock/clock.ts';
import { noOccurrence } from './new-series.ts';
import { occurrences, positionBefore } from './recurrence.ts';
import {
  type PreviewBody,
  type PreviewView,
  viewInstant,
  viewOccurrenceTime,
  viewOnce,
} from './series.dto.ts';
import { TimeReader } from './time-reader.ts';
import { ZoneRules } from './zone-rules.ts';

/** Says when what is asked for would go out, without making any of it. */
@Injectable()
export class TimePreview {
  constructor(
    private readonly times: TimeReader,
    private readonly rules: ZoneRules,
    private readonly clock: Clock,
  ) {}

  /** @throws {InvalidInputError} as scheduling does. */
  async preview(group: GroupName, body: PreviewBody): Promise<PreviewView> {
    return body.repeat ? this.#series(group, body, body.repeat) : this.#once(group, body);
  }

  async #once(group: GroupName, { schedule_on: scheduleOn, dst }: PreviewBody): Promise<PreviewView> {
    const { at, time } = await this.times.read(group, scheduleOn, '/schedule_on', dst);
    const item = time
      ? viewOnce(at, time, this.rules.place(time.local, time.timeZone).kind)
      : viewInstant(at);
    return { tzdata: this.rules.tzdata, items: [item], complete: true };
  }

  async #series(
    group: GroupName,
    { schedule_on: scheduleOn, limit }: PreviewBody,
    repeat: NonNullable<PreviewBody['repeat']>,
  ): Promise<PreviewView> {
    const now = this.clock.now();
    const recurrence = await this.times.readRecurrence(group, scheduleOn, repeat);
    const items = occurrences(recurrence, this.rules, positionBefore(recurrence, now))
      .filter(({ at }) => !isReached(at, now))
      .take(limit + 1)
      .map((placed) => viewOccurrenceTime(placed, recurrence.timeZone))
      .toArray();
    if (items.length === 0) {
      throw noOccurrence(recurrence);
    }
    return { tzdata: this.rules.tzdata, items: items.slice(0, limit), complete: items.length <= limit };
  }
}

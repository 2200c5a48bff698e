import { Injectable } from '@nestjs/common';
import type { GroupName } from '../groups/group.ts';
import { Clock, isReached } from '../platform/clock/clock.ts';
import type { LocalTime } from './local-delivery.ts';
import { readTimes, refuseWithRepeat } from './message.dto.ts';
import { noOccurrence } from './new-series.ts';
import { viewPlan } from './plan-view.ts';
import { Planner } from './planner.ts';
import { occurrences, positionBefore } from './recurrence.ts';
import {
  type PreviewBody,
  type PreviewView,
  viewInstant,
  viewOccurrenceTime,
  viewOnce,
  viewWaveTimes,
} from './series.dto.ts';
import { TimeReader } from './time-reader.ts';
import { ZoneRules } from './zone-rules.ts';

/** Says when what is asked for would go out, without making any of it. */
@Injectable()
export class TimePreview {
  constructor(
    private readonly times: TimeReader,
    private readonly planner: Planner,
    private readonly rules: ZoneRules,
    private readonly clock: Clock,
  ) {}

  /** @throws {InvalidInputError} as scheduling does. */
  async preview(group: GroupName, body: PreviewBody): Promise<PreviewView> {
    if (body.repeat) {
      refuseWithRepeat(body);
      return this.#series(group, body, body.repeat);
    }
    const { scheduleOn, localDelivery, time } = await readTimes(body, (input, pointer, dst) =>
      this.times.read(group, input, pointer, dst),
    );
    if (localDelivery) {
      return this.#waves(group, localDelivery, body.limit);
    }
    if (!scheduleOn) {
      throw new Error('A preview says neither when to send nor at which local time.');
    }
    const item = time
      ? viewOnce(scheduleOn, time, this.rules.place(time.local, time.timeZone).kind)
      : viewInstant(scheduleOn);
    return { tzdata: this.rules.tzdata, items: [item], complete: true, plan: null };
  }

  /** As of a message that were made now. */
  async #waves(group: GroupName, local: LocalTime, limit: number): Promise<PreviewView> {
    const since = this.clock.now();
    const localDelivery = { ...local, since, missedBefore: undefined };
    const scheduleOn = await this.planner.firstSending(group, local, since);
    const plan = await this.planner.plan({ group, scheduleOn, localDelivery });
    const items = viewWaveTimes(plan, localDelivery, scheduleOn);
    return {
      tzdata: this.rules.tzdata,
      items: items.slice(0, limit),
      complete: items.length <= limit,
      plan: viewPlan(plan),
    };
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
    return {
      tzdata: this.rules.tzdata,
      items: items.slice(0, limit),
      complete: items.length <= limit,
      plan: null,
    };
  }
}

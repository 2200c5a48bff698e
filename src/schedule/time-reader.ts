import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import type { GroupName } from '../groups/group.ts';
import { InvalidInputError } from '../platform/errors/domain-error.ts';
import type { DstChoice } from './meant-time.ts';
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

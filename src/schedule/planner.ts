import { Injectable } from '@nestjs/common';
import { GroupStore } from '../groups/group-store.ts';
import type { Group, GroupName } from '../groups/group.ts';
import { openFrom, zoneOfWindow } from '../groups/send-window.ts';
import { SubscriberStore, type ZoneCount } from '../groups/subscriber-store.ts';
import type { Bend } from '../groups/zone-time.ts';
import { isReached } from '../platform/clock/clock.ts';
import { deliveryZone, firstSending, isPassed, type LocalTime, waveIn } from './local-delivery.ts';
import type { Message } from './message.ts';

/** The subscribers of one zone in a wave. */
export interface PlannedZone {
  readonly zone: string;
  /** Active ones, as of now. */
  readonly subscribers: number;
  /** How many of those have no zone of their own. */
  readonly assumed: number;
  readonly bend: Bend | undefined;
  /** The start of the send window for which they wait after their wave; absent where they need not. */
  readonly waitsUntil: Temporal.Instant | undefined;
}

/** Everybody whose time comes at one instant. */
export interface Wave {
  readonly at: Temporal.Instant;
  readonly subscribers: number;
  readonly isPassed: boolean;
  /** In order of name. */
  readonly zones: readonly PlannedZone[];
}

/** When a message goes to whom, as things are now: whoever joins, leaves or changes zone changes it. */
export interface Plan {
  readonly subscribers: number;
  /** In order of time; none where the group has nobody. */
  readonly waves: readonly Wave[];
  /** Subscribers who count as being in UTC, because neither they nor the group say where they are. */
  readonly zoneless: number;
}

/** The group of a message, as far as times are concerned. */
export interface Audience {
  readonly group: Pick<Group, 'timeZone' | 'sendWindow'> | undefined;
  readonly zones: readonly ZoneCount[];
}

type Timed = Pick<Message, 'scheduleOn' | 'localDelivery'>;

/** Knows where the subscribers of a group are, and so when a message goes to whom. */
@Injectable()
export class Planner {
  constructor(
    private readonly groups: GroupStore,
    private readonly subscribers: SubscriberStore,
  ) {}

  /** When a message begins that is to go at this local time to everybody in the group, as it is now. */
  async firstSending(name: GroupName, local: LocalTime, since: Temporal.Instant): Promise<Temporal.Instant> {
    const { group, zones } = await this.#audience(name);
    // Nobody there yet: whoever comes may be where the group is.
    const counted = zones.length > 0 ? zones : [{ timeZone: undefined, count: 0 }];
    const waves = counted.map(({ timeZone }) => waveIn(local, deliveryZone(timeZone, group?.timeZone)).at);
    return firstSending(local, waves, since);
  }

  async plan(message: Timed & Pick<Message, 'group'>): Promise<Plan> {
    return planOf(message, await this.#audience(message.group));
  }

  /** The next moment after `now` at which the time of more subscribers comes; absent where nobody waits for one. */
  async waitingUntil(
    message: Timed & Pick<Message, 'group'>,
    now: Temporal.Instant,
  ): Promise<Temporal.Instant | undefined> {
    const group = await this.groups.find(message.group);
    if (!message.localDelivery && !group?.sendWindow) {
      return undefined;
    }
    return waitingUntil(message, { group, zones: await this.subscribers.countZones(message.group) }, now);
  }

  async #audience(name: GroupName): Promise<Audience> {
    const [group, zones] = await Promise.all([this.groups.find(name), this.subscribers.countZones(name)]);
    return { group, zones };
  }
}

export function planOf(message: Timed, { group, zones }: Audience): Plan {
  const waves = new Map<
    number,
    { readonly at: Temporal.Instant; readonly zones: Map<string, PlannedZone> }
  >();
  for (const { timeZone, count } of zones) {
    const zone = deliveryZone(timeZone, group?.timeZone);
    const { at, bend } = timeIn(message, zone);
    const wave = waves.get(at.epochMilliseconds) ?? { at, zones: new Map<string, PlannedZone>() };
    const before = wave.zones.get(zone);
    wave.zones.set(zone, {
      zone,
      subscribers: (before?.subscribers ?? 0) + count,
      assumed: (before?.assumed ?? 0) + (timeZone === undefined ? count : 0),
      bend,
      waitsUntil: before?.waitsUntil ?? windowStart(group, timeZone, at),
    });
    waves.set(at.epochMilliseconds, wave);
  }
  return {
    subscribers: zones.reduce((sum, { count }) => sum + count, 0),
    zoneless:
      group?.timeZone === undefined
        ? zones.reduce((sum, { timeZone, count }) => sum + (timeZone === undefined ? count : 0), 0)
        : 0,
    waves: [...waves.values()]
      .toSorted((a, b) => Temporal.Instant.compare(a.at, b.at))
      .map((wave) => ({
        at: wave.at,
        subscribers: [...wave.zones.values()].reduce((sum, { subscribers }) => sum + subscribers, 0),
        isPassed: message.localDelivery !== undefined && isPassed(wave.at, message.localDelivery, message),
        zones: [...wave.zones.values()].toSorted((a, b) => (a.zone < b.zone ? -1 : 1)),
      })),
  };
}

function timeIn(
  { scheduleOn, localDelivery }: Timed,
  zone: string,
): { readonly at: Temporal.Instant; readonly bend: Bend | undefined } {
  return localDelivery ? waveIn(localDelivery, zone) : { at: scheduleOn, bend: undefined };
}

function windowStart(
  group: Audience['group'],
  timeZone: string | undefined,
  at: Temporal.Instant,
): Temporal.Instant | undefined {
  if (!group?.sendWindow) {
    return undefined;
  }
  const zone = zoneOfWindow(group.sendWindow, group.timeZone, timeZone);
  const from = openFrom(group.sendWindow, zone, at);
  return from.equals(at) ? undefined : from;
}

function waitingUntil(
  message: Timed,
  { group, zones }: Audience,
  now: Temporal.Instant,
): Temporal.Instant | undefined {
  const moments = zones.flatMap(({ timeZone }) => {
    const { at } = timeIn(message, deliveryZone(timeZone, group?.timeZone));
    const from = isReached(at, now) ? now : at;
    const window = group?.sendWindow;
    const opens = window ? openFrom(window, zoneOfWindow(window, group.timeZone, timeZone), from) : from;
    return isReached(opens, now) ? [] : [opens];
  });
  return moments.toSorted((a, b) => Temporal.Instant.compare(a, b)).at(0);
}

import { ApiProperty } from '@nestjs/swagger';
import type { Bend } from '../groups/zone-time.ts';
import { formatInstant } from '../platform/clock/clock.ts';
import type { Plan, PlannedZone, Wave } from './planner.ts';

class PlannedZoneView {
  @ApiProperty({ example: 'Europe/Paris' })
  readonly time_zone!: string;

  @ApiProperty({ type: 'integer', description: 'Active ones, as of now.', example: 120 })
  readonly subscribers!: number;

  @ApiProperty({
    type: 'integer',
    description: "How many of them have no zone of their own, so that the group's counts, or UTC.",
    example: 4,
  })
  readonly assumed!: number;

  @ApiProperty({
    enum: ['gap', 'overlap'],
    type: String,
    nullable: true,
    description:
      'gap: clocks skip that time there, so it is the first instant after it. overlap: they show it twice, so it is the first of both.',
    example: null,
  })
  readonly bend!: Bend | null;

  @ApiProperty({
    format: 'date-time',
    type: String,
    nullable: true,
    description: "The start of the group's send window, where the wave lies outside it.",
    example: null,
  })
  readonly waits_until!: string | null;
}

class WaveView {
  @ApiProperty({ format: 'date-time', example: '2030-03-28T08:00:00.000Z' })
  readonly at!: string;

  @ApiProperty({ type: 'integer', example: 120 })
  readonly subscribers!: number;

  @ApiProperty({
    description: 'It had passed when it was asked for; passed of the message says what becomes of it.',
    example: false,
  })
  readonly passed!: boolean;

  @ApiProperty({ type: [PlannedZoneView], description: 'Where it is that time then; in order of name.' })
  readonly zones!: readonly PlannedZoneView[];
}

/** When a message goes to whom. */
export class PlanView {
  @ApiProperty({ type: 'integer', description: 'Active ones, as of now.', example: 120 })
  readonly subscribers!: number;

  @ApiProperty({
    type: [WaveView],
    description: 'In order of time, one for each instant; none where the group has nobody.',
  })
  readonly waves!: readonly WaveView[];
}

export function viewPlan(plan: Plan): PlanView {
  return { subscribers: plan.subscribers, waves: plan.waves.map(viewWave) };
}

function viewWave(wave: Wave): WaveView {
  return {
    at: formatInstant(wave.at),
    subscribers: wave.subscribers,
    passed: wave.isPassed,
    zones: wave.zones.map(viewZone),
  };
}

function viewZone({ zone, subscribers, assumed, bend, waitsUntil }: PlannedZone): PlannedZoneView {
  return {
    time_zone: zone,
    subscribers,
    assumed,
    bend: bend ?? null,
    waits_until: waitsUntil ? formatInstant(waitsUntil) : null,
  };
}

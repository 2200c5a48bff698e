import { assertNever } from '../platform/errors/assert-never.ts';
import type { ZoneRules } from './zone-rules.ts';

export const DST_CHOICES = ['earlier', 'later'] as const;
/** Which moment a local time means that the clocks skip or repeat. */
export type DstChoice = (typeof DST_CHOICES)[number];

const DST_RULES = [...DST_CHOICES, 'series'] as const;

/** A change of the moment that a local time stands for, because the rules of its zone have changed. */
export interface Move {
  readonly from: Temporal.Instant;
  readonly to: Temporal.Instant;
  /** The rules that moved it. */
  readonly tzdata: string;
  readonly at: Temporal.Instant;
}

/** What somebody meant who named a local time; the instant beside it is what it stands for by the rules that are known. */
export interface MeantTime {
  readonly local: Temporal.PlainDateTime;
  readonly timeZone: string;
  /** What was chosen. `series`: as its occurrences go, behind what is skipped, and at the first of two. */
  readonly dst: (typeof DST_RULES)[number] | undefined;
  /** The version of the rules by which it was resolved last. */
  readonly tzdata: string;
  /** Oldest first; the last MOVES_KEPT. */
  readonly moved: readonly Move[];
}

// Rules of one zone change once or twice a year at most.
const MOVES_KEPT = 20;

/**
 * The instant that `meant` stands for by these rules. Nobody can be asked any more: where nothing was chosen, what is skipped now
 * is counted with the offset before the change, and of two moments the first is taken, as RFC 5545 (3.3.5) has it.
 */
export function resolveMeant(
  { local, timeZone, dst }: Pick<MeantTime, 'local' | 'timeZone' | 'dst'>,
  rules: ZoneRules,
): Temporal.Instant {
  const placement = rules.place(local, timeZone);
  switch (placement.kind) {
    case 'once':
      return placement.at;
    case 'twice':
      return dst === 'later' ? placement.later : placement.earlier;
    case 'never':
      if (dst === 'series') {
        return placement.resumes;
      }
      return dst === 'earlier' ? placement.earlier : placement.later;
    default:
      return assertNever(placement);
  }
}

/** What is stored of a time that `rules` resolve anew, and its instant; absent where these rules have resolved it already. */
export function resolveAnew(
  before: { readonly scheduleOn: Temporal.Instant; readonly time: MeantTime | undefined },
  rules: ZoneRules,
  now: Temporal.Instant,
): { readonly scheduleOn: Temporal.Instant; readonly time: MeantTime } | undefined {
  const { scheduleOn, time } = before;
  if (!time || time.tzdata === rules.tzdata) {
    return undefined;
  }
  const to = resolveMeant(time, rules);
  const move: Move = { from: scheduleOn, to, tzdata: rules.tzdata, at: now };
  const moved = to.equals(scheduleOn) ? time.moved : [...time.moved, move].slice(-MOVES_KEPT);
  return { scheduleOn: to, time: { ...time, tzdata: rules.tzdata, moved } };
}

/** As it is stored, beside the instant. */
export function encodeMeant({ local, timeZone, dst, tzdata, moved }: MeantTime): string {
  return JSON.stringify({
    local: local.toString(),
    time_zone: timeZone,
    dst: dst ?? null,
    tzdata,
    moved: moved.map((move) => ({
      from: move.from.epochMilliseconds,
      to: move.to.epochMilliseconds,
      tzdata: move.tzdata,
      at: move.at.epochMilliseconds,
    })),
  });
}

/** Reads what `encodeMeant` made; throws on anything else, which is a defect or a damaged record. */
export function decodeMeant(stored: string): MeantTime {
  const value: unknown = JSON.parse(stored);
  const moved = property(value, 'moved');
  const dst = property(value, 'dst');
  return {
    local: Temporal.PlainDateTime.from(textOf(value, 'local')),
    timeZone: textOf(value, 'time_zone'),
    dst: DST_RULES.find((rule) => rule === dst),
    tzdata: textOf(value, 'tzdata'),
    moved: (Array.isArray(moved) ? moved : []).map((move: unknown) => ({
      from: instantOf(move, 'from'),
      to: instantOf(move, 'to'),
      tzdata: textOf(move, 'tzdata'),
      at: instantOf(move, 'at'),
    })),
  };
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined;
}

function textOf(value: unknown, name: string): string {
  const text = property(value, name);
  if (typeof text !== 'string') {
    throw new Error(`A stored time has no ${name}.`);
  }
  return text;
}

function instantOf(value: unknown, name: string): Temporal.Instant {
  const ms = property(value, name);
  if (typeof ms !== 'number') {
    throw new Error(`A stored time has no ${name}.`);
  }
  return Temporal.Instant.fromEpochMilliseconds(ms);
}

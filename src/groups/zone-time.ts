/*
 * When clocks somewhere show a local time. What a change of the clocks skips or repeats is decided once, here: a time that is
 * skipped comes at the first instant after the gap, one that comes twice counts the first time only.
 */

/** What a change of the clocks has done to a local time. */
export type Bend = 'gap' | 'overlap';

export interface LocalInstant {
  readonly at: Temporal.Instant;
  /** Absent where clocks show that time exactly once. */
  readonly bend: Bend | undefined;
}

// Where neither subscriber nor group says another, or says one that this machine does not know.
const FALLBACK_ZONE = 'UTC';

/** The instant at which clocks in `zone` first show `local`; in a gap, the first instant after it. */
export function resolveLocal(local: Temporal.PlainDateTime, zone: string): LocalInstant {
  const earlier = local.toZonedDateTime(zone, { disambiguation: 'earlier' });
  if (!earlier.toPlainDateTime().equals(local)) {
    // In a gap Temporal moves it to before the change of the clocks, by which the gap ends.
    const end = earlier.getTimeZoneTransition('next') ?? earlier;
    return { at: end.toInstant(), bend: 'gap' };
  }
  const later = local.toZonedDateTime(zone, { disambiguation: 'later' });
  return { at: earlier.toInstant(), bend: earlier.equals(later) ? undefined : 'overlap' };
}

/** The first of these zones that there is in the time zone data of this machine, as that writes it; UTC where there is none. */
export function firstKnownZone(...zones: readonly (string | undefined)[]): string {
  for (const zone of zones) {
    const name = zone === undefined ? undefined : canonicalName(zone);
    if (name !== undefined) {
      return name;
    }
  }
  return FALLBACK_ZONE;
}

const names = new Map<string, string | undefined>();
// There are some 600 zones; offsets such as +01:00 can be named too, and all are the callers'.
const NAMES_KEPT = 10_000;

function canonicalName(zone: string): string | undefined {
  if (names.has(zone)) {
    return names.get(zone);
  }
  const name = readName(zone);
  if (names.size < NAMES_KEPT) {
    names.set(zone, name);
  }
  return name;
}

function readName(zone: string): string | undefined {
  try {
    return Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone).timeZoneId;
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
    return undefined; // it was known where it was stored: to another machine's time zone data
  }
}

import { Injectable } from '@nestjs/common';

/** Where a local time lies in a zone. */
export type Placement =
  | { readonly kind: 'once'; readonly at: Temporal.Instant }
  /** The clocks are set back over it. */
  | { readonly kind: 'twice'; readonly earlier: Temporal.Instant; readonly later: Temporal.Instant }
  /** The clocks skip it. `earlier` and `later` count it with the offset after the change, and with that before it. */
  | {
      readonly kind: 'never';
      readonly earlier: Temporal.Instant;
      readonly later: Temporal.Instant;
      /** The first moment that there is after what is skipped. */
      readonly resumes: Temporal.Instant;
    };

/** The rules of the world's time zones as this process knows them; they change a few times a year, with short notice. */
export abstract class ZoneRules {
  /** The version of the IANA time zone data, such as 2026c. */
  abstract readonly tzdata: string;

  /** @throws {RangeError} where there is no such zone. */
  abstract place(local: Temporal.PlainDateTime, timeZone: string): Placement;
}

/** Those that came with this Node. */
@Injectable()
export class SystemZoneRules extends ZoneRules {
  override readonly tzdata = process.versions['tz'] ?? 'unknown';

  override place(local: Temporal.PlainDateTime, timeZone: string): Placement {
    const earlier = local.toZonedDateTime(timeZone, { disambiguation: 'earlier' });
    const later = local.toZonedDateTime(timeZone, { disambiguation: 'later' });
    const bounds = { earlier: earlier.toInstant(), later: later.toInstant() };
    if (!earlier.toPlainDateTime().equals(local)) {
      const change = earlier.getTimeZoneTransition('next') ?? later;
      return { kind: 'never', ...bounds, resumes: change.toInstant() };
    }
    return earlier.equals(later) ? { kind: 'once', at: bounds.earlier } : { kind: 'twice', ...bounds };
  }
}

export const systemZoneRules = new SystemZoneRules();

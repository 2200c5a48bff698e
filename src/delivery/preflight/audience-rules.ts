import type { Group } from '../../groups/group.ts';
import { formatInstant, later, plusMs, SECOND_MS } from '../../platform/clock/clock.ts';
import { type Finding, finding } from '../../schedule/finding.ts';

const recipientsRule = finding('recipients', 'Belfry: only active subscribers receive');
const suppressedRule = finding('suppressed', 'Belfry: suppressed addresses are skipped');
const quotaRule = finding('quota', 'SES Developer Guide, Sending quotas: mails in 24 hours');
const durationRule = finding(
  'duration',
  'Belfry: MAX_SEND_RATE, max_send_rate of the group, and the quota of the account',
);

/** Who is to get it, and how fast mails may go. */
export interface Audience {
  readonly group: Group | undefined;
  /** Of the group, who is on the suppression list. */
  readonly suppressed: {
    readonly count: number;
    /** False where both the group and the list are too long to look through. */ readonly isAll: boolean;
  };
  /** Mails that may still go within 24 hours; absent where there is no such limit, or it is not known. */
  readonly quotaLeft: number | undefined;
  /** Mails per second, the lowest of all limits; absent where there is none. */
  readonly rate: number | undefined;
  readonly dueAt: Temporal.Instant;
  readonly now: Temporal.Instant;
}

export function audienceFindings(audience: Audience): readonly Finding[] {
  const active = audience.group?.counts.active ?? 0;
  const expected = Math.max(0, active - audience.suppressed.count);
  return [
    recipientsFinding(audience, active),
    suppressedFinding(audience, active),
    quotaFinding(audience, expected),
    durationFinding(audience, expected),
  ];
}

function recipientsFinding({ group }: Audience, active: number): Finding {
  if (!group || active === 0) {
    return recipientsRule('warn', 'The group has no active subscriber.');
  }
  const { pending, unsubscribed, bounced, complained } = group.counts;
  const others = pending + unsubscribed + bounced + complained;
  return recipientsRule('pass', `${active} active subscribers; ${others} others are skipped.`);
}

function suppressedFinding({ suppressed: { count, isAll } }: Audience, active: number): Finding {
  if (active > 0 && count >= active) {
    return suppressedRule('warn', 'Everybody in the group is suppressed: nothing would be sent.');
  }
  const told = `${count} subscribers of the group are suppressed`;
  return isAll
    ? suppressedRule('pass', `${told}.`)
    : suppressedRule('pass', `At least ${told}; group and list are too long to look through both.`);
}

function quotaFinding({ quotaLeft }: Audience, expected: number): Finding {
  if (quotaLeft === undefined) {
    return quotaRule('pass', 'No quota of 24 hours is known.');
  }
  const told = `${expected} mails, and ${quotaLeft} may go within the 24 hours.`;
  return quotaLeft < expected
    ? quotaRule('fail', `${told} The rest waits until there is room again.`)
    : quotaRule('pass', told);
}

function durationFinding({ rate, dueAt, now }: Audience, expected: number): Finding {
  const start = later(dueAt, now);
  if (rate === undefined) {
    return durationRule('pass', `Begins at ${formatInstant(start)}, as fast as the mail server takes it.`);
  }
  const end = plusMs(start, Math.ceil((expected / rate) * SECOND_MS));
  return durationRule(
    'pass',
    `Begins at ${formatInstant(start)} and ends at about ${formatInstant(end)}, at ${rate} mails a second.`,
  );
}

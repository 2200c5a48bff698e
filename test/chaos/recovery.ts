import { messageKeyOf } from '../support/sink-process.ts';
import type { Received } from '../support/smtp-sink.ts';
import type { AskedMessage } from './evidence.ts';
import type { Kill } from './fleet.ts';

/** How long it took after one kill; only where a message was at work then. */
export interface Recovery {
  /** To the next mail of such a message; absent where none came. */
  readonly nextMailMs: number | undefined;
  /** Until everybody had got it for whom the mail server did nothing else than taking it. */
  readonly reachedMs: number | undefined;
  /** To the moment at which all of them were finished, retries and everything. */
  readonly settledMs: number;
}

export interface Course {
  readonly messages: readonly AskedMessage[];
  /** When a caller first saw them finished. */
  readonly finishedAtMs: ReadonlyMap<string, number>;
  readonly mails: readonly Received[];
  readonly disturbed: ReadonlySet<string | undefined>;
}

/**
 * What each kill cost after which there was something to recover. Messages that a caller paused, cancelled or retried do not
 * count: they wait for something else.
 */
export function recoveriesOf(kills: readonly Kill[], course: Course): readonly Recovery[] {
  return kills.flatMap((kill) => recoveryAfter(kill, course) ?? []);
}

function recoveryAfter(
  { atMs, recoversFromMs: fromMs }: Kill,
  { messages, finishedAtMs, mails, disturbed }: Course,
): Recovery | undefined {
  const finishes = messages
    .filter(({ dueAtMs, posted }) => dueAtMs < atMs && posted.answeredAtMs < atMs)
    .filter(({ pauses, retries, cancelled }) => pauses.length + retries.length === 0 && !cancelled)
    .map(({ key }) => ({ key, finishMs: finishedAtMs.get(key) ?? Number.POSITIVE_INFINITY }))
    .filter(({ finishMs }) => finishMs > atMs);
  if (finishes.length === 0 || fromMs === undefined) {
    return undefined;
  }
  const keys = new Set(finishes.map(({ key }) => key));
  const theirs = mails.filter((mail) => keys.has(messageKeyOf(mail)));
  const next = theirs.find(({ beganAtMs }) => beganAtMs > fromMs);
  const firsts = new Map(
    theirs.toReversed().map((mail) => [`${messageKeyOf(mail)} ${mail.recipient}`, mail] as const),
  );
  const lastFirst = firsts
    .values()
    .filter(({ recipient, beganAtMs }) => beganAtMs > fromMs && !disturbed.has(recipient))
    .reduce((latestMs, { beganAtMs }) => Math.max(latestMs, beganAtMs), Number.NEGATIVE_INFINITY);
  return {
    nextMailMs: next && next.beganAtMs - fromMs,
    reachedMs: Number.isFinite(lastFirst) ? lastFirst - fromMs : undefined,
    settledMs: Math.max(...finishes.map(({ finishMs }) => finishMs)) - fromMs,
  };
}

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reasonToHold } from '../../src/delivery/brake.ts';
import {
  afterFeedback,
  decodeHeard,
  encodeHeard,
  type Feedback,
  FEEDBACK_KINDS,
} from '../../src/delivery/feedback.ts';
import { OUTCOMES } from '../../src/delivery/delivery.ts';
import { plusMs } from '../../src/platform/clock/clock.ts';
import { aDelivery, aFeedback, anInstant } from '../support/builders.ts';

const anyFeedback: fc.Arbitrary<Feedback> = fc.record({
  kind: fc.constantFrom(...FEEDBACK_KINDS),
  at: fc.integer({ min: 0, max: 3 }).map((ms) => plusMs(anInstant(), ms)),
  detail: fc.constantFrom(undefined, '550 no', '551 no'),
  providerId: fc.constant('ses-1'),
});

describe('a delivery and what is heard of it', () => {
  it('is the same in the end in whatever order it is heard, and however often', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...OUTCOMES),
        fc
          .array(anyFeedback, { maxLength: 8 })
          .chain((heard) =>
            fc.tuple(
              fc.constant(heard),
              fc.shuffledSubarray([...heard, ...heard], { minLength: heard.length * 2 }),
            ),
          ),
        (outcome, [heard, again]) => {
          const end = heard.reduce(afterFeedback, aDelivery('ada@example.com', { outcome }));
          const other = again.reduce(afterFeedback, aDelivery('ada@example.com', { outcome }));

          expect(other).toEqual(end);
          expect(heard.reduce(afterFeedback, end)).toBe(end);
          expect(decodeHeard(JSON.parse(JSON.stringify(encodeHeard(end.heard))))).toEqual(end.heard);
        },
      ),
    );
  });

  it.each([
    ['unknown', 'sent', 'sent'],
    ['unknown', 'delivered', 'sent'],
    ['unknown', 'delayed', 'sent'],
    ['unknown', 'bounced', 'sent'],
    ['unknown', 'complained', 'sent'],
    ['unknown', 'rejected', 'failed'],
    ['sent', 'rejected', 'failed'],
    ['sent', 'bounced', 'sent'],
    ['failed', 'sent', 'failed'],
    ['skipped', 'rejected', 'skipped'],
  ] as const)('that is %s and of which is heard that it was %s, is %s', (before, kind, after) => {
    const delivery = aDelivery('ada@example.com', { outcome: before });

    expect(afterFeedback(delivery, aFeedback({ kind })).outcome).toBe(after);
  });
});

describe('the brake', () => {
  const RULES = { bounceRate: 0.04, complaintRate: 0.0008, minimum: 500 };

  it.each([
    ['nothing bounced', { handedOver: 10_000, bounced: 0, complained: 0 }, /^nothing$/],
    ['499 of 499 bounced', { handedOver: 499, bounced: 499, complained: 0 }, /^nothing$/],
    ['4 % bounced', { handedOver: 500, bounced: 20, complained: 0 }, /^nothing$/],
    [
      'more bounced',
      { handedOver: 500, bounced: 21, complained: 0 },
      /^21 of 500 .* \(4\.2 %\), more than 4 %/,
    ],
    ['one of 1,250 complained', { handedOver: 1_250, bounced: 0, complained: 1 }, /^nothing$/],
    [
      'two of 1,250 complained',
      { handedOver: 1_250, bounced: 0, complained: 2 },
      /0\.16 %.*more than 0\.08 %/,
    ],
  ])('judges after %s', (_, { handedOver, bounced, complained }, reason) => {
    const message = aMessageOf(handedOver, bounced, complained);

    const judged = reasonToHold(message, RULES);

    expect(judged ?? 'nothing').toMatch(reason);
  });

  it('does not judge again what somebody has seen and resumed', () => {
    const brakeFrom = { handedOver: 500, bounced: 100, complained: 0 };

    expect(reasonToHold({ ...aMessageOf(999, 120, 0), brakeFrom }, RULES)).toBeUndefined();
    expect(reasonToHold({ ...aMessageOf(1_000, 120, 0), brakeFrom }, RULES)).toBeUndefined();
    expect(reasonToHold({ ...aMessageOf(1_000, 121, 0), brakeFrom }, RULES)).toMatch(/^21 of 500/);
  });
});

function aMessageOf(
  handedOver: number,
  bounced: number,
  complained: number,
): Parameters<typeof reasonToHold>[0] {
  const failed = Math.min(bounced, 3); // some of them at once
  return {
    counts: { subscribers: handedOver, sent: handedOver - failed, failed, skipped: 0, unknown: 0 },
    feedback: { delivered: 0, bounced, complained },
    brakeFrom: undefined,
  };
}

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readSesEvent } from '../../src/feedback/ses-event.ts';
import type { JsonObject } from '../support/json.ts';
import { SES_EVENT_TYPES, sesEvent, type SesEventType, snsEnvelope } from '../support/ses-events.ts';

const OF = {
  messageKey: '019ab0a2-7c1e-7d3a-9f65-3a1b5c8e2d47',
  group: 'serverless',
  recipient: 'Ada@Example.com',
};

describe('an event of SES', () => {
  it.each([
    ['Send', 'sent', undefined],
    ['Delivery', 'delivered', '250 2.6.0 Message received'],
    ['Permanent bounce', 'bounced', 'Permanent, General: smtp; 550 5.1.1 user unknown'],
    ['Transient bounce', 'delayed', 'Transient, General: smtp; 550 5.1.1 user unknown'],
    ['Complaint', 'complained', 'abuse'],
    ['DeliveryDelay', 'delayed', 'MailboxFull: smtp; 452 4.2.2 full'],
    ['Reject', 'rejected', 'Bad content'],
    ['Rendering Failure', 'rejected', "Attribute 'name' is not present"],
  ] as const)('%s says that it was %s', (type, kind, detail) => {
    const event = sesEvent(type, OF);

    const reading = readSesEvent(JSON.stringify(event));

    const hasOwnTime = !['Send', 'Reject', 'Rendering Failure'].includes(type);
    expect(reading).toEqual({
      kind: 'event',
      event: {
        kind,
        detail,
        at: Temporal.Instant.from(hasOwnTime ? '2026-11-23T14:10:01.412Z' : '2026-11-23T14:10:00.087Z'),
        providerId: '0100019ab0a27c1e-61b59c11-9236-11e6-8f96-7be8aexample-000000',
        messageKey: OF.messageKey,
        group: OF.group,
        subscriber: 'ada@example.com',
      },
    });
    expect(readSesEvent(JSON.stringify(snsEnvelope(event)))).toEqual(reading);
  });

  it('tells of a recipient with a name', () => {
    const reading = readSesEvent(
      JSON.stringify(sesEvent('Send', { ...OF, recipient: 'Ada Lovelace <ada@example.com>' })),
    );

    expect(reading).toMatchObject({ event: { subscriber: 'ada@example.com' } });
  });

  it.each(['Open', 'Click', 'Subscription'])('%s is none that matters', (eventType) => {
    expect(readSesEvent(JSON.stringify({ ...sesEvent('Send', OF), eventType }))).toEqual({ kind: 'ignored' });
  });

  it('is none where SES only greets the topic', () => {
    const greeting = 'Successfully validated SNS topic for Amazon SES event publishing.';

    expect(readSesEvent(greeting)).toEqual({ kind: 'ignored' });
    expect(readSesEvent(JSON.stringify({ ...snsEnvelope({}), Message: greeting }))).toEqual({
      kind: 'ignored',
    });
  });

  it.each<[string, unknown]>([
    ['text', 'hello'],
    ['nothing', ''],
    ['a list', []],
    ['null', null],
    ['an object', {}],
    [
      'a confirmation of a subscription',
      { ...snsEnvelope(sesEvent('Send', OF)), Type: 'SubscriptionConfirmation' },
    ],
    ['an envelope with an object in it', { ...snsEnvelope({}), Message: sesEvent('Send', OF) }],
    ['an envelope in an envelope', snsEnvelope(snsEnvelope(sesEvent('Send', OF)))],
    ['an envelope with text in it', { ...snsEnvelope({}), Message: 'hello' }],
    ['an unknown eventType', { ...sesEvent('Send', OF), eventType: 'Sent' }],
    ['a bounce without its section', { ...sesEvent('Permanent bounce', OF), bounce: undefined }],
    ['a bounce of an unknown type', withSection('Permanent bounce', 'bounce', { bounceType: 'Hard' })],
    ['a bounce of nobody', withSection('Permanent bounce', 'bounce', { bouncedRecipients: [] })],
    ['a bounce at no time', withSection('Permanent bounce', 'bounce', { timestamp: 'yesterday' })],
    [
      'a bounce on the 31st of February',
      withSection('Permanent bounce', 'bounce', { timestamp: '2026-13-31T00:00:00Z' }),
    ],
    ['no tags', withSection('Send', 'mail', { tags: undefined })],
    ["somebody else's tags", withSection('Send', 'mail', { tags: { campaign: ['x'] } })],
    [
      'two messages',
      withSection('Send', 'mail', { tags: { message_key: [OF.messageKey, OF.messageKey], group: ['a'] } }),
    ],
    ['a key that is none', sesEvent('Send', { ...OF, messageKey: '../../etc' })],
    ['a group that is none', sesEvent('Send', { ...OF, group: 'A B' })],
    ['no address', sesEvent('Send', { ...OF, recipient: 'ada' })],
    ['two recipients', withSection('Send', 'mail', { destination: ['ada@example.com', 'bob@example.com'] })],
    ['no id', withSection('Send', 'mail', { messageId: 7 })],
  ])('is not read of %s', (_, body) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);

    expect(readSesEvent(text).kind).toBe('unreadable');
  });

  it('is read or not read, and never throws, whatever is changed in it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SES_EVENT_TYPES), fc.nat(), fc.jsonValue(), (type, where, value) => {
        const event = sesEvent(type, OF);
        const paths = pathsOf(event);
        const changed = JSON.stringify(setAt(event, paths[where % paths.length] ?? [], value));

        expect(['event', 'unreadable', 'ignored']).toContain(readSesEvent(changed).kind);
        expect(readSesEvent(changed.slice(0, where % changed.length)).kind).toBe('unreadable');
      }),
    );
  });
});

function withSection(type: SesEventType, section: string, fields: JsonObject): JsonObject {
  const event = sesEvent(type, OF);
  return { ...event, [section]: Object.assign({}, event[section], fields) };
}

function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  return typeof value === 'object' && value !== null
    ? [path, ...Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...path, name]))]
    : [path];
}

function setAt(value: unknown, [name, ...rest]: readonly string[], to: unknown): unknown {
  if (name === undefined) {
    return to;
  }
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const changed = entries.map(([key, inner]): [string, unknown] => [
    key,
    key === name ? setAt(inner, rest, to) : inner,
  ]);
  return Array.isArray(value) ? changed.map(([, inner]) => inner) : Object.fromEntries(changed);
}

import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Showing, type ShownAnswer } from './shown-answer.ts';
import type { Answer } from './test-app.ts';

interface Plan {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly text?: string;
}

function anAnswer({ status = 200, headers = {}, text = '' }: Plan): Answer {
  return { status, headers: new Headers(headers), text, body: {} };
}

/** How each of two engines that have answered so is shown at the end. */
function shown(...plans: readonly Plan[]): readonly ShownAnswer[] {
  const showing = new Showing();
  return plans.map((plan) => showing.show(anAnswer(plan)));
}

describe('Showing', () => {
  it('makes alike what differs in random names only', () => {
    const answers = (key: string, id: string, cursor: string): readonly Plan[] => [
      { headers: { 'x-request-id': id, date: new Date().toUTCString() }, text: `{"key":"${key}"}` },
      { headers: { location: `/v1/${key}` }, text: `{"request_id":"${id}","next_cursor":"${cursor}"}` },
    ];

    const one = shown(...answers(randomUUID(), randomUUID(), 'AbC_-1'));
    const other = shown(...answers(randomUUID(), randomUUID(), 'xYz_-2'));

    expect(one).toEqual(other);
    expect(one.at(1)).toEqual({
      status: 200,
      headers: { location: '/v1/<uuid 2>' },
      body: '{"request_id":"<uuid 1>","next_cursor":"<cursor 1>"}',
    });
  });

  it.each<readonly [what: string, one: readonly Plan[], other: readonly Plan[]]>([
    ['a status', [{ status: 200 }], [{ status: 201 }]],
    ['a header', [{ headers: { etag: '"1"' } }], [{ headers: { etag: '"2"' } }]],
    ['a header that only one has', [{ headers: { etag: '"1"' } }], [{}]],
    ['a body', [{ text: '{"a":1}' }], [{ text: '{"a":2}' }]],
    ['the order of a body', [{ text: '{"a":1,"b":1}' }], [{ text: '{"b":1,"a":1}' }]],
    ['a page that is not the last', [{ text: '{"next_cursor":"a"}' }], [{ text: '{"next_cursor":null}' }]],
  ])('does not hide %s that differs', (_what, one, other) => {
    expect(shown(...one)).not.toEqual(shown(...other));
  });

  it('does not hide that one engine names one thing where the other names two', () => {
    const [key, another] = [randomUUID(), randomUUID()];

    expect(shown({ text: key }, { text: key })).not.toEqual(shown({ text: key }, { text: another }));
  });
});

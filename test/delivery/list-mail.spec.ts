import { describe, expect, it } from 'vitest';
import { Footers } from '../../src/delivery/footer.ts';
import { leaveHeader, listDomain, listHeaders } from '../../src/delivery/list-headers.ts';
import type { Group } from '../../src/groups/group.ts';
import { newMessageKey } from '../../src/schedule/message.ts';
import type { Rendered } from '../../src/schedule/compiled-content.ts';
import { aGroupName, anInstant, groupSettings } from '../support/builders.ts';

const URLS = { unsubscribe: 'https://example.com/u/x', preferences: 'https://example.com/p/x' };

function aGroup(overrides: Partial<Group> = {}): Group {
  return {
    name: aGroupName(),
    addedAt: anInstant(),
    version: 1,
    counts: { active: 0, pending: 0, unsubscribed: 0, bounced: 0, complained: 0 },
    ...groupSettings(),
    ...overrides,
  };
}

function headerOf(name: string, group: Group, unsubscribeUrl = URLS.unsubscribe): string | undefined {
  const list = { name: group.name, group, messageKey: newMessageKey(), domain: 'news.example.com' };
  return [leaveHeader(list, unsubscribeUrl), ...listHeaders(list)].find((header) => header.name === name)
    ?.value;
}

describe('the headers of a list', () => {
  it('leave the address for mails out where there is no room for it in the line', () => {
    const group = aGroup({ unsubscribeMailto: 'leave@example.com' });
    const long = `https://example.com/${'x'.repeat(950)}`;

    expect(headerOf('List-Unsubscribe', group)).toContain('mailto:');
    expect(headerOf('List-Unsubscribe', group, long)).toBe(`<${long}>`);
  });

  it.each([
    [undefined, '<serverless.news.example.com>'],
    ['Workshop', 'Workshop <serverless.news.example.com>'],
    ['The "best" \\ one', String.raw`"The \"best\" \\ one" <serverless.news.example.com>`],
    ['Grüße', '=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= <serverless.news.example.com>'],
  ])('name a list that is called %j', (displayName, expected) => {
    expect(headerOf('List-Id', aGroup({ displayName }))).toBe(expected);
  });

  it.each([
    ['https://news.example.com/belfry', 'a@example.org', 'news.example.com'],
    ['http://localhost:3000', 'News <a@example.org>', 'example.org'],
    ['https://192.0.2.1', 'a@example.org', 'example.org'],
    [undefined, 'Belfry <belfry@localhost>', 'localhost'],
  ])('are of the domain of PUBLIC_URL %s, or of the sender %s: %s', (publicUrl, from, expected) => {
    expect(listDomain(publicUrl, from)).toBe(expected);
  });
});

describe('a footer', () => {
  const footers = new Footers('A & B', undefined);

  function rendered(html: string, text: string): Rendered {
    return { subject: 'Hello', html, text, merge: undefined };
  }

  it.each([
    ['<p>Hello</p>', /^<p>Hello<\/p>\n<div .*<\/div>\n$/],
    ['<body>Hello</body></html>', /^<body>Hello\n<div .*<\/div>\n<\/body><\/html>$/],
    ['<BODY>a</body> b</BODY >\n', /^<BODY>a<\/body> b\n<div .*<\/div>\n<\/BODY >\n$/],
  ])('stands at the end of what is seen of %s', (html, expected) => {
    expect(footers.add(rendered(html, 'Hello'), URLS, 'en').html).toMatch(expected);
  });

  it('is put only where there is no link to unsubscribe with', () => {
    const linked = rendered(`<a href="${URLS.unsubscribe}">x</a>`, 'Hello');

    const { html, text } = footers.add(linked, URLS, 'en');

    expect(html).toBe(linked.html);
    expect(text).toContain(URLS.unsubscribe);
  });

  it('says what the list is called as text, whatever is in its name', () => {
    const odd = new Footers('<b>$& %s {{ x }}</b>', '</p><script>');

    const { html, text } = odd.add(rendered('', ''), URLS, 'en');

    expect(html).toContain('“&lt;b&gt;$&amp; %s {{ x }}&lt;/b&gt;”');
    expect(html).toContain('&lt;/p&gt;&lt;script&gt;');
    expect(text).toContain('“<b>$& %s {{ x }}</b>”');
  });

  it('keeps what can be merged mergeable: the same literals for everybody, and parts that are as they were joined', () => {
    const literals = ['<body>Dear ', ', bye</body>'];
    const merge = (name: string): Rendered => ({
      subject: 'Hello',
      html: `<body>Dear ${name}, bye</body>`,
      text: 'Hello',
      merge: { html: { literals, values: [name] }, text: { literals: ['Hello'], values: [] } },
    });

    const ada = footers.add(merge('Ada'), URLS, 'en');
    const bob = footers.add(merge('Bob'), { ...URLS, unsubscribe: 'https://example.com/u/y' }, 'en');

    expect(bob.merge?.html.literals).toBe(ada.merge?.html.literals);
    expect(ada.merge?.html.values).toEqual(['Ada', URLS.unsubscribe, URLS.preferences]);
    expect(ada.html).toMatch(
      /^<body>Dear Ada, bye\n<div .*<a href="https:\/\/example\.com\/u\/x">.*<\/body>$/s,
    );
  });
});

import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { InvalidInputError } from '../../src/platform/errors/domain-error.ts';
import {
  compileContent,
  type MergedPart,
  type Recipient,
  RenderError,
} from '../../src/schedule/compiled-content.ts';
import type { Content } from '../../src/schedule/content.ts';
import { htmlToText } from '../../src/schedule/html-to-text.ts';
import { matching } from '../support/matching.ts';
import { anEmail } from './a-mail.ts';

const IN_HTML = 'This message is in HTML. Please open it in a mail program that shows HTML.';

function aContent(content: Partial<Content> = {}): Content {
  return {
    subject: 'Hello',
    body: '<p>Hello</p>',
    text: undefined,
    template: 'liquid',
    from: undefined,
    replyTo: undefined,
    ...content,
  };
}

function aRecipient(recipient: Partial<Recipient> = {}): Recipient {
  return { email: anEmail(), name: 'Ada', attributes: {}, ...recipient };
}

function faultsOf(content: Content): unknown {
  try {
    compileContent(content);
  } catch (error) {
    return error instanceof InvalidInputError ? error.faults : error;
  }
  return [];
}

describe('content without a template', () => {
  it('is sent exactly as it was given, to everybody the same', () => {
    const content = aContent({ template: 'none', subject: '{{ name }}', body: '{% if %}<b>', text: '{{ x' });

    const compiled = compileContent(content);

    expect(compiled.render(aRecipient())).toMatchObject({
      subject: '{{ name }}',
      html: '{% if %}<b>',
      text: '{{ x',
    });
    expect(compiled.render(aRecipient({ name: 'Bo' }))).toBe(compiled.render(aRecipient()));
  });

  it('gets its text from the HTML where it has none', () => {
    const content = aContent({ template: 'none', body: 'Not recorded.<h1>Welcome dear friends</h1>' });

    const { text } = compileContent(content).render(aRecipient());

    expect(text).toBe('Not recorded.\n\n\nWelcome dear friends');
  });
});

describe('a Liquid template', () => {
  it.each([
    ['{{ subscriber.name }}', 'Ada'],
    ['{{ subscriber.email }}', 'ada@example.com'],
    ['{{ subscriber.attributes.city.name }}', 'Paris'],
    ['{{ name }} {{ email }} {{ attributes.plan }}', 'Ada ada@example.com pro'],
    ['{{ attributes.missing | default: "friend" }}', 'friend'],
    ['{% if attributes.plan == "pro" %}yes{% else %}no{% endif %}', 'yes'],
    ['{{ attributes.constructor }}{{ attributes.__proto__ }}{{ name.constructor }}', ''],
  ])('renders %s as %s', (template, rendered) => {
    const recipient = aRecipient({ attributes: { plan: 'pro', city: { name: 'Paris' } } });

    const { subject, html, text } = compileContent(
      aContent({ subject: template, body: template, text: template }),
    ).render(recipient);

    expect([subject, html, text]).toEqual([rendered, rendered, rendered]);
  });

  it('renders a subscriber without a name as nothing', () => {
    const { html } = compileContent(aContent({ body: '[{{ name }}]' })).render(
      aRecipient({ name: undefined }),
    );

    expect(html).toBe('[]');
  });

  it.each(['{{ name }}', '{{ name | escape }}', '{{ subscriber.name }}', '{{ attributes.name }}'])(
    'escapes %s once in the HTML and never in subject and text',
    (template) => {
      const name = `<script>"A" & 'B'</script>`;

      const rendered = compileContent(
        aContent({ subject: '{{ name }}', body: template, text: '{{ name }}' }),
      ).render(aRecipient({ name, attributes: { name } }));

      expect(rendered).toMatchObject({
        subject: name,
        html: '&lt;script&gt;&#34;A&#34; &amp; &#39;B&#39;&lt;/script&gt;',
        text: name,
      });
    },
  );

  it('makes the text of each recipient from their own HTML', () => {
    const compiled = compileContent(aContent({ body: '<p>Dear {{ name }}</p>' }));

    expect(compiled.render(aRecipient({ name: 'A & B' })).text).toBe('Dear A & B');
    expect(compiled.render(aRecipient({ name: 'Bo' })).text).toBe('Dear Bo');
  });

  it.each([
    ['a line break', 'Ada\r\nBcc: eve@example.com', 'Hi Ada Bcc: eve@example.com'],
    ['a lone line feed', 'Ada\nX: y', 'Hi Ada X: y'],
    ['a Unicode line separator', 'Ada\u2028X: y', 'Hi Ada X: y'],
    ['other control characters', 'A\u0000d\u001ba', 'Hi A d a'],
    ['half a surrogate pair', 'A\ud83d', 'Hi A\ufffd'],
  ])('turns %s in a name into something harmless in the subject', (_what, name, subject) => {
    const compiled = compileContent(aContent({ subject: 'Hi {{ name }}' }));

    expect(compiled.render(aRecipient({ name })).subject).toBe(subject);
  });

  it.each([
    ['subject', '{{ name'],
    ['body', 'Hello\n  {% if name %}'],
    ['text', '{{ name | uppercase }}'],
    ['body', '{% include "x" %}'],
    ['body', '{% render "x" %}'],
    ['body', '{% layout "x" %}'],
    ['body', '{% liquid\necho name\n%}'],
    ['body', '{% if a %}'.repeat(4_000)],
  ])('is refused in the %s where it does not parse, with the place of the fault', (part, source) => {
    const faults = faultsOf(aContent({ [part]: source }));

    expect(faults).toEqual([
      {
        pointer: `/${part}`,
        detail: matching(/^It is no Liquid template: .+, line:\d+, col:\d+\.$/),
      },
    ]);
  });

  it('tells the faults of all its parts at once', () => {
    const faults = faultsOf(aContent({ subject: '{{', body: '{%', text: '{{' }));

    expect(faults).toMatchObject([{ pointer: '/subject' }, { pointer: '/body' }, { pointer: '/text' }]);
  });

  it('is refused with too many tags, for parsing them would stop the server for minutes', () => {
    const faults = faultsOf(aContent({ body: '{{ name }}'.repeat(100_000) }));

    expect(faults).toEqual([
      { pointer: '/body', detail: 'It has 100000 Liquid tags and outputs; at most 5000 are allowed.' },
    ]);
  });

  it.each([
    ['a loop without end', '{% for i in (1..9000) %}{% for j in (1..9000) %}x{% endfor %}{% endfor %}'],
    ['a range that does not fit into memory', '{% for i in (1..1000000000) %}x{% endfor %}'],
    ['text that grows and grows', '{% for i in (1..90) %}{{ attributes.long }}{% endfor %}'],
  ])('fails for one recipient with %s, and goes on with the next', (_what, body) => {
    const compiled = compileContent(aContent({ body: `{% if name == "Eve" %}${body}{% endif %}` }));
    const eve = aRecipient({ name: 'Eve', attributes: { long: 'x'.repeat(300_000) } });

    expect(() => compiled.render(eve)).toThrow(RenderError);
    expect(compiled.render(aRecipient()).html).toBe('');
  });
});

describe('the text of a Liquid template that has none', () => {
  const ada = aRecipient({
    name: 'Ada & Co',
    attributes: { city: 'Zürich', vip: true, items: ['a<b', 'c'] },
  });

  it.each([
    ['variables', '<h1>Dear {{ name }}</h1><p>Greetings to {{ attributes.city }}</p>'],
    ['a link', '<p><a href="https://example.com/?c={{ attributes.city }}">{{ name }}</a></p>'],
    ['a condition', '<p>{% if attributes.vip %}Dear friend{% else %}Hello{% endif %}</p>'],
    ['a loop', '<ul>{% for item in attributes.items %}<li>{{ item }}</li>{% endfor %}</ul>'],
    ['a filter that makes HTML', '<p>{{ name | escape }} and {{ "<b>x</b>" | raw }}</p>'],
    ['an assignment where text has no place', '<head>{% assign who = name %}</head><p>{{ who }}</p>'],
    ['half a condition in a tag that is left out', '<img alt="{% if true %}"><p>Hello{% endif %}</p>'],
  ])('is that of the rendered HTML, with %s', (_name, body) => {
    const content = compileContent(aContent({ template: 'liquid', body }));

    const { html, text } = content.render(ada);

    expect(words(text)).toEqual(words(htmlToText(html)));
  });

  function words(text: string): readonly string[] {
    return text.split(/\s+/).filter((word) => word !== '');
  }
});

describe('content that is the same for everybody but for values', () => {
  function substituted({ literals, values }: MergedPart): string {
    return literals.reduce((text, literal, index) => text + values[index - 1] + literal);
  }

  it('says how HTML and text are put together, with what is between the values the same object for everybody', () => {
    const compiled = compileContent(
      aContent({ body: '<b>{{ name }}</b>, {{- attributes.plan | upcase }}!', text: 'To {{ name }}' }),
    );

    const ada = compiled.render(aRecipient({ name: 'A & B', attributes: { plan: 'pro' } })).merge;
    const bo = compiled.render(aRecipient({ name: 'Bo' })).merge;

    expect(ada).toEqual({
      html: { literals: ['<b>', '</b>,', '!'], values: ['A &amp; B', 'PRO'] },
      text: { literals: ['To ', ''], values: ['A & B'] },
    });
    expect(bo?.html.values).toEqual(['Bo', '']);
    expect(bo?.html.literals).toBe(ada?.html.literals);
    expect(bo?.text.literals).toBe(ada?.text.literals);
  });

  it('may get its text from the HTML, as long as the text needs no HTML of anybody', () => {
    const { merge } = compileContent(aContent({ body: '<h1>Dear {{ name }}</h1>' })).render(aRecipient());

    expect(merge?.text).toEqual({ literals: ['Dear ', ''], values: ['Ada'] });
  });

  it('has no values at all where it has no template', () => {
    const content = aContent({ template: 'none', body: '<p>{{ name }}</p>', text: 'Hi' });

    expect(compileContent(content).render(aRecipient()).merge).toEqual({
      html: { literals: ['<p>{{ name }}</p>'], values: [] },
      text: { literals: ['Hi'], values: [] },
    });
  });

  it('has what a tag says as a value too', () => {
    const body =
      '<p>Dear {% if name %}{{ name }}{% else %}reader{% endif %},</p>{% assign name = "Bo" %}{{ name }}';

    const { merge } = compileContent(aContent({ body, text: 'a{% comment %}b{% endcomment %}c' })).render(
      aRecipient({ name: '<Ada>' }),
    );

    expect(merge).toEqual({
      html: { literals: ['<p>Dear ', ',</p>', '', ''], values: ['&lt;Ada&gt;', '', 'Bo'] },
      text: { literals: ['a', 'c'], values: [''] },
    });
  });

  it.each([
    ['text that must be made from the HTML of each recipient', { body: '<p>{{ "<b>x</b>" | raw }}</p>' }],
    ['a template that ends before its end', { body: 'a{{ name }}b{% break %}c', text: 'a' }],
  ])('is not what there is with %s', (_what, content) => {
    expect(compileContent(aContent(content)).render(aRecipient()).merge).toBeUndefined();
  });

  it('ends where it says so', () => {
    const content = aContent({ body: 'a{{ name }}b{% break %}c{{ name }}', text: 'a' });

    expect(compileContent(content).render(aRecipient()).html).toBe('aAdab');
  });

  it('reads the same with the values put in as rendered by LiquidJS in one piece', () => {
    const words = fc.constantFrom('name', 'email', 'attributes.a', 'attributes.b', '"q & a"', 'missing');
    const filters = fc.constantFrom('', ' | upcase', ' | escape', ' | default: "<x>"', ' | raw', ' | size');
    const outputs = fc
      .tuple(fc.constantFrom('{{', '{{-'), words, filters, fc.constantFrom('}}', '-}}'))
      .map(([open, word, filter, close]) => `${open} ${word}${filter} ${close}`);
    const literals = fc
      .array(fc.constantFrom('a', ' ', '\r', '\n', '{', '}', '\\', '<p>', '&', '$1', 'ü', '😀', '\u0000'), {
        maxLength: 6,
      })
      .map((pieces) => pieces.join('').replaceAll(/\{(?=[{%])|\{$/g, ''));
    const templates = fc.array(fc.oneof(outputs, literals), { maxLength: 12 }).map((all) => all.join(''));
    const values = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.integer(),
      fc.constantFrom(null, true, '{{ name }}'),
    );
    const recipients = fc.record({ name: fc.string({ unit: 'binary' }), a: values, b: values });

    fc.assert(
      fc.property(templates, templates, recipients, (body, text, { name, a, b }) => {
        const recipient = aRecipient({ name, attributes: { a, b } });
        // Inside of a tag, LiquidJS renders all of it by itself.
        const inside = (template: string): string => `{% if true %}${template}{% endif %}`;

        const whole = compileContent(aContent({ body: inside(body), text: inside(text) })).render(recipient);
        const { html, text: plain, merge } = compileContent(aContent({ body, text })).render(recipient);

        expect(whole.merge?.html.literals).toEqual(['', '']);
        expect([html, plain]).toEqual([whole.html, whole.text]);
        expect(merge && [substituted(merge.html), substituted(merge.text)]).toEqual([html, plain]);
      }),
      { numRuns: 500 },
    );
  });

  it('renders once more where the process stood still meanwhile', () => {
    const now = vi.spyOn(performance, 'now');
    onTestFinished(() => now.mockRestore());
    now.mockReturnValueOnce(0).mockReturnValueOnce(0).mockReturnValue(10_000);

    const { subject } = compileContent(aContent({ subject: 'Hello {{ name }}' })).render(aRecipient());

    expect(subject).toBe('Hello Ada');
  });

  it('keeps to the limits of a template as a whole', () => {
    // None of them takes too much memory, but all of them do.
    const body = '{{ attributes.long | append: "x" | size }}'.repeat(8);
    const compiled = compileContent(aContent({ body, text: 'a' }));

    const rendering = (): unknown =>
      compiled.render(aRecipient({ attributes: { long: 'x'.repeat(9 * 1024 * 1024) } }));

    expect(rendering).toThrow(RenderError);
  });
});

describe('text made from HTML', () => {
  it.each([
    ['headings as they are written', '<h1>Welcome to Paris</h1>', 'Welcome to Paris'],
    [
      'links with their target',
      '<a href="https://x.test/?a=1&amp;b=2">Go</a>',
      'Go [https://x.test/?a=1&b=2]',
    ],
    ['a link that is its own text once', '<a href="https://x.test">https://x.test</a>', 'https://x.test'],
    ['no images', 'a<img src="x.png" alt="logo">b', 'ab'],
    [
      'no styles, scripts and titles',
      '<head><title>T</title><style>p{}</style></head><script>1</script>a',
      'a',
    ],
    [
      'cells apart from each other',
      '<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>',
      'a b\nc',
    ],
    ['lists', '<ul><li>a</li><li>b</li></ul>', '* a\n * b'],
    ['long lines unbroken', `<p>${'word '.repeat(60)}</p>`, 'word '.repeat(60).trim()],
    ['a sentence where there is no text', '<img src="x.png">', IN_HTML],
    ['a sentence where it is too large', '<p>a</p>'.repeat(100_000), IN_HTML],
    ['a sentence where it is nested too deeply', '<div>'.repeat(26_000), IN_HTML],
  ])('has %s', (_what, html, text) => {
    expect(htmlToText(html)).toBe(text);
  });

  it('never takes seconds, however the HTML is built', () => {
    const begun = process.cpuUsage(); // what others do on the machine meanwhile does not count

    for (const piece of [
      '<ul><li>x',
      '<div>',
      '<span>',
      '<ol><li>',
      '<p>x',
      '<table><tr><td>',
      '<a href=x>',
    ]) {
      htmlToText(piece.repeat(Math.floor((128 * 1024) / piece.length)));
    }

    const { user, system } = process.cpuUsage(begun);
    expect((user + system) / 1_000 / 7).toBeLessThan(2_000);
  });
});

import { connect } from 'node:net';
import * as fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type {
  Mail,
  MailHeader,
  SenderStanding,
  SendQuota,
  SendResult,
} from '../../src/delivery/channels/channel.ts';
import { SesChannel, type SesTimeouts } from '../../src/delivery/channels/ses.channel.ts';
import { SmtpChannel } from '../../src/delivery/channels/smtp.channel.ts';
import type { MailParts } from '../../src/delivery/mime.ts';
import { compileContent } from '../../src/schedule/compiled-content.ts';
import type { Content } from '../../src/schedule/content.ts';
import { SystemClock } from '../../src/platform/clock/system-clock.ts';
import { Child } from '../support/child.ts';
import { numberAt, parseObject } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import type { SesMail } from '../support/ses-protocol.ts';
import { type SesAccount, type SesBehaviour, type SesOptions, SesStandIn } from '../support/ses-stand-in.ts';
import { SmtpSink } from '../support/smtp-sink.ts';
import { until } from '../support/until.ts';
import { aMail, anEmail } from './a-mail.ts';

const TIMEOUTS: Partial<SesTimeouts> = { connectMs: 2_000, callMs: 5_000 };
const IMPATIENT: Partial<SesTimeouts> = { connectMs: 2_000, callMs: 200 };
const { signal } = new AbortController();

/** A recipient, and what there is of them for a template. */
interface Reader {
  readonly name?: string;
  readonly address?: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
}

beforeEach(() => {
  vi.stubEnv('AWS_REGION', 'eu-west-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function aStandIn(options: SesOptions = {}): Promise<SesStandIn> {
  const standIn = await SesStandIn.start(options);
  onTestFinished(() => standIn.close());
  return standIn;
}

async function aChannel(
  endpoint: string,
  timeouts: Partial<SesTimeouts> = TIMEOUTS,
  configurationSet?: string,
): Promise<SesChannel> {
  vi.stubEnv('AWS_ENDPOINT_URL_SESV2', endpoint);
  const channel = await SesChannel.open({ configurationSet, timeouts });
  onTestFinished(() => channel.close());
  return channel;
}

/** The mails of one message: one for each of these readers. */
async function mailsOf(
  content: Partial<Content>,
  to: readonly Reader[] = [{}],
  parts: Partial<MailParts> = {},
): Promise<readonly Mail[]> {
  const compiled = compileContent({
    subject: 'Hello',
    body: '<p>Dear {{ name }}</p>',
    text: undefined,
    template: 'liquid',
    from: undefined,
    replyTo: undefined,
    ...content,
  });
  return Promise.all(
    to.map(async ({ name = 'Ada', address = 'ada@example.com', attributes = {} }) => {
      const email = anEmail(address);
      return aMail({ ...compiled.render({ email, name, attributes }), to: email, toName: name, ...parts });
    }),
  );
}

/** An address at which a connection is neither made nor refused: a process that is stopped, with as many waiting as it has places. */
async function aFullHouse(): Promise<string> {
  const child = new Child({
    args: [
      '-e',
      `const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
        console.log(JSON.stringify(server.address()));
        process.kill(process.pid, 'SIGSTOP');
      })`,
    ],
  });
  onTestFinished(() => child[Symbol.asyncDispose]());
  const port = await child.untilLine('It listens', 10_000, (line) => numberAt(parseObject(line), 'port'));
  for (let place = 0; place < 4; place += 1) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  }
  return `http://127.0.0.1:${port}`;
}

function readers(count: number): readonly Reader[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `Reader ${index}`,
    address: `r${String(index).padStart(3, '0')}@example.com`,
  }));
}

/** Two braces make content that SES is not given a template for; nobody sees these. */
const ASIDE = '<!-- {% raw %}{{{% endraw %} -->';

describe('the SES channel', () => {
  it('hands over fifty mails in one call, each with its own values, and answers in order', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const mails = await mailsOf({ subject: 'Hello {{ name }}' }, readers(50));

    const results = await channel.send(mails, signal);

    expect(channel.window).toBe(50);
    expect(standIn.calls).toEqual([{ kind: 'bulk', recipients: 50 }]);
    expect(standIn.received).toMatchObject(
      mails.map(({ to, toName }, index) => ({
        recipient: to,
        to: `"${toName}" <${to}>`,
        subject: `Hello Reader ${index}`,
        html: `<p>Dear Reader ${index}</p>`,
        text: `Dear Reader ${index}`,
        via: 'bulk',
      })),
    );
    expect(results).toEqual(
      standIn.received.map(({ messageId }) => ({ kind: 'accepted', providerId: messageId })),
    );
  });

  it('hands over what tags say as values too', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const mails = await mailsOf({ body: '<p>{% if name %}Dear {{ name }}{% endif %}</p>' }, readers(25));

    await channel.send(mails, signal);

    expect(standIn.calls).toEqual([{ kind: 'bulk', recipients: 25 }]);
    const taken = new Map(standIn.received.map((mail) => [mail.recipient, mail]));
    expect(mails.map(({ to }) => taken.get(to)?.html)).toEqual(
      mails.map((_mail, index) => `<p>Dear Reader ${index}</p>`),
    );
  });

  it('sends each as a MIME message where SES might read the content otherwise', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const mails = await mailsOf({ body: '<p>Dear {{ name }} {% raw %}{{{% endraw %}</p>' }, readers(25));

    const results = await channel.send(mails, signal);

    expect(standIn.calls).toHaveLength(25);
    expect(standIn.calls).toEqual(mails.map(() => ({ kind: 'single', recipients: 1 })));
    const ids = new Map(standIn.received.map((mail) => [mail.recipient, mail]));
    expect(mails.map(({ to }) => ids.get(to))).toMatchObject(
      mails.map(({ to }, index) => ({
        recipient: to,
        html: `<p>Dear Reader ${index} {{</p>`,
        via: 'single',
      })),
    );
    expect(results).toEqual(
      mails.map(({ to }) => ({ kind: 'accepted', providerId: ids.get(to)?.messageId })),
    );
  });

  it.each<['bulk' | 'single', string]>([
    ['bulk', '<p>{{ name }}</p>'],
    ['single', `${ASIDE}<p>{{ name }}</p>`],
  ])('gives every mail its tags, its headers and the configuration set (%s)', async (via, body) => {
    const standIn = await aStandIn({ configurationSets: ['belfry-mails'] });
    const channel = await aChannel(standIn.url, TIMEOUTS, 'belfry-mails');
    const oneClick = { name: 'List-Unsubscribe-Post', value: 'List-Unsubscribe=One-Click' };
    const headersOf = (name: string): readonly MailHeader[] => [
      { name: 'List-Unsubscribe', value: `<https://example.com/u/${name}>` },
      oneClick,
    ];
    const mails = (
      await Promise.all(
        ['ada', 'bo'].map((name) =>
          mailsOf({ body, text: 'a' }, [{ name, address: `${name}@example.com` }], {
            from: '"Die Öffnung, täglich" <news@example.com>',
            replyTo: 'Help <help@example.com>',
            headers: headersOf(name),
          }),
        ),
      )
    ).flat();

    await channel.send(mails, signal);

    expect(standIn.received.toSorted((a, b) => a.recipient.localeCompare(b.recipient))).toMatchObject(
      ['ada', 'bo'].map((name) => ({
        via,
        recipient: `${name}@example.com`,
        from: '"Die Öffnung, täglich" <news@example.com>',
        replyTo: '"Help" <help@example.com>',
        tags: {
          message_key: '01999999-0000-7000-8000-000000000001',
          group: 'serverless',
          'ses:feedback-id-a': '01999999-0000-7000-8000-000000000001',
          'ses:feedback-id-b': 'serverless',
        },
        configurationSet: 'belfry-mails',
        headers: {
          'list-unsubscribe': `<https://example.com/u/${name}>`,
          'list-unsubscribe-post': 'List-Unsubscribe=One-Click',
        },
      })),
    );
  });

  it('asks again over the connections that it has', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);

    for (let turn = 0; turn < 5; turn += 1) {
      await channel.send(await mailsOf({}, readers(50)), signal);
    }

    expect(standIn.count).toBe(250);
    expect(standIn.connected).toBe(1);
  });

  it('closes a connection that nobody uses before SES does, and none that waits for its answer', async () => {
    const standIn = await aStandIn({ behaviours: [{ do: 'delay', ms: 400 }] });
    const channel = await aChannel(standIn.url, { ...TIMEOUTS, idleMs: 100 });

    const results = await channel.send(await mailsOf({}), signal);
    await until('The connection is closed', 5_000, async () =>
      (await standIn.connections()) === 0 ? true : undefined,
    );

    expect(results).toMatchObject([{ kind: 'accepted' }]);
    expect(standIn.connected).toBe(1);
  });

  it('begins nothing once the right to send has ended', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const mails = [...(await mailsOf({}, readers(3))), ...(await mailsOf({ body: ASIDE }, readers(3)))];

    const results = await channel.send(mails, AbortSignal.abort());

    expect(standIn.calls).toEqual([]);
    expect(results.map(({ kind }) => kind)).toEqual(mails.map(() => 'deferred'));
  });

  it('breaks off what is under way when the right to send ends: whether it was taken is unknown', async () => {
    const standIn = await aStandIn({ behaviours: [{ do: 'hang' }] });
    const channel = await aChannel(standIn.url);
    const right = new AbortController();

    const sending = channel.send(await mailsOf({}), right.signal);
    await standIn.untilCalled(1);
    right.abort();

    expect(await sending).toEqual([{ kind: 'unknown', reason: matching(/AbortError/) }]);
  });

  it('cannot be opened without a region, and says so in words', async () => {
    vi.stubEnv('AWS_REGION', undefined);
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');

    await expect(SesChannel.open({ configurationSet: undefined })).rejects.toThrow(/AWS_REGION: is not set/);
  });
});

describe('the quota of the account', () => {
  it.each<[string, Partial<SesAccount>, SendQuota]>([
    [
      'with a limit',
      { maxSendRate: 14, max24HourSend: 50_000, sentLast24Hours: 49_000 },
      { rate: 14, left: 1_000 },
    ],
    ['without a limit', { maxSendRate: 500, max24HourSend: -1 }, { rate: 500, left: undefined }],
    ['that is used up', { maxSendRate: 1, max24HourSend: 200, sentLast24Hours: 203 }, { rate: 1, left: 0 }],
  ])('is read, %s', async (_what, account, expected) => {
    const standIn = await aStandIn({ account });
    const channel = await aChannel(standIn.url);

    const quota = await channel.readQuota();

    expect(quota).toEqual(expected);
  });

  it('cannot be read where that is not allowed', async () => {
    const standIn = await aStandIn({
      behaviours: [{ on: 'account', do: 'fail', name: 'AccessDeniedException', status: 403 }],
    });
    const channel = await aChannel(standIn.url);

    await expect(channel.readQuota()).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });
});

describe('what SES lets be sent from an address', () => {
  const VERIFIED: SenderStanding = {
    identity: 'verified',
    isSigned: false,
    isSandbox: false,
    isEnabled: true,
  };

  it.each<[string, NonNullable<SesOptions['identities']>, Partial<SesAccount>, SenderStanding]>([
    ['the address', { 'news@mail.example.com': true }, {}, VERIFIED],
    ['its domain', { 'mail.example.com': true }, {}, VERIFIED],
    [
      'signed',
      { 'news@mail.example.com': true, 'mail.example.com': 'signed' },
      {},
      { ...VERIFIED, isSigned: true },
    ],
    ['the domain above', { 'news@mail.example.com': false, 'example.com': true }, {}, VERIFIED],
    [
      'an address that is not verified yet',
      { 'news@mail.example.com': false },
      {},
      { ...VERIFIED, identity: 'not-verified' },
    ],
    ['nothing of it', { 'other.example': true, com: true }, {}, { ...VERIFIED, identity: 'not-verified' }],
    ['a sandbox', { 'example.com': true }, { productionAccess: false }, { ...VERIFIED, isSandbox: true }],
    [
      'an account that is stopped',
      { 'example.com': true },
      { sendingEnabled: false },
      { ...VERIFIED, isEnabled: false },
    ],
  ])('is read: %s', async (_what, identities, account, expected) => {
    const standIn = await aStandIn({ identities, account });
    const channel = await aChannel(standIn.url);

    expect(await channel.readSender('news@mail.example.com')).toEqual(expected);
  });

  it('is known of a domain where the address must not be asked about, and of nothing where none may be', async () => {
    const denied = { on: 'identity', do: 'fail', name: 'AccessDeniedException', status: 403 } as const;
    const some = await aStandIn({
      identities: { 'example.com': true },
      behaviours: [{ ...denied, match: '@' }],
    });
    const none = await aStandIn({ identities: { 'example.com': true }, behaviours: [denied] });

    const known = await (await aChannel(some.url)).readSender('news@example.com');
    const unknown = await (await aChannel(none.url)).readSender('news@example.com');

    expect(known.identity).toBe('verified');
    expect(unknown.identity).toBe('unknown');
  });
});

describe('content that SES puts together', () => {
  const SOME: [string, Partial<Content>, Reader?][] = [
    ['plain ASCII', { body: '<p>Hello</p>', text: 'Hello' }],
    ['no template', { template: 'none', body: '<p>{ a } }} {% if %}</p>', text: '$1 $& {v0} }}' }],
    ['CSS', { body: '<style>@media{p{color:red}}</style><p>{{ name }}</p>' }],
    [
      'other scripts',
      { subject: 'Привет, {{ name }} 🎉', body: '<p>大家好 {{ name }}</p>' },
      { name: 'Zoë 王' },
    ],
    ['a name to be escaped', { body: '<p title="{{ name }}">{{ name }}</p>' }, { name: `<b>"A" & 'B'</b>` }],
    ['values side by side', { body: '<p>{{ name }}{{ name }}</p>', text: '{{ name }}{{ name }}' }],
    ['an absent value', { body: '<p>{{ attributes.city }}!</p>', text: '{{ attributes.city }}!' }],
    [
      'line ends of all kinds',
      { body: '<p>a\nb\r\nc\rd</p>\n', text: 'a\n\nb\r\n{{ attributes.lines }}\nc' },
      { attributes: { lines: 'x\ny\r\nz\rw' } },
    ],
    ['a long line', { body: `<p>${'long '.repeat(500)}</p>`, text: 'long '.repeat(500) }],
    ['lines that begin with dots', { text: '.\n..a\n.{{ name }}', body: '<p>a</p>' }],
    [
      'a subject that would be two lines',
      { subject: 'Hi {{ name }}' },
      { name: 'Ada\r\nBcc: eve@example.com' },
    ],
    ['a backslash', { body: 'a\\b {{ name }}', text: 'c\\ {{ name }}\\' }, { name: 'x\\' }],
    ['dollars', { body: '<p>$& {{ name }} $1</p>' }, { name: '$& $$ $1' }],
    [
      'raw HTML in a value',
      { body: '{{ attributes.html | raw }}', text: 'a' },
      { attributes: { html: '<i>x</i>' } },
    ],
  ];

  it.each(SOME)(
    'reads the same by template, by MIME message and by SMTP: %s',
    async (_what, content, reader = {}) => {
      const standIn = await aStandIn();
      const channel = await aChannel(standIn.url);
      const sink = await SmtpSink.start({ keepRaw: true });
      onTestFinished(() => sink.close());
      const smtp = new SmtpChannel({
        url: sink.url,
        connections: 1,
        window: { least: 1, most: 1 },
        clock: new SystemClock(),
      });
      onTestFinished(() => smtp.close());
      const [mail] = await mailsOf(content, [reader]);

      const results = [
        await channel.send(mail ? [mail] : [], signal),
        await channel.send(mail ? [{ ...mail, merge: undefined }] : [], signal),
        await smtp.send(mail ? [mail] : [], signal),
      ];

      expect(results.flat().map(({ kind }) => kind)).toEqual(['accepted', 'accepted', 'accepted']);
      const [byTemplate, byMime] = standIn.received;
      expect([byTemplate?.via, byMime?.via]).toEqual(['bulk', 'single']);
      const bySmtp = await simpleParser(sink.received[0]?.raw ?? '');
      const read = { subject: bySmtp.subject, html: bySmtp.html, text: bySmtp.text, from: bySmtp.from?.text };
      expect(readOf(byMime)).toEqual(read);
      expect(readOf(byTemplate)).toEqual(read);
      expect(byTemplate?.to).toBe(byMime?.to);
    },
  );

  it.each<[string, Partial<Content>, Reader?]>([
    ['two braces in the body', { template: 'none', body: '<p>{{ name }}</p>', text: 'a' }],
    ['two braces in the text', { template: 'none', body: '<p>a</p>', text: '{{ name }}' }],
    ['two braces in a value', {}, { name: '{{ x }}' }],
    ['two braces in the subject', { template: 'none', subject: '{{ x }}' }],
    ['a brace before a value', { body: '<p>{ {{- name }}</p>', text: 'a' }],
    ['a brace behind a value', { body: '<p>{{ name -}} }</p>', text: 'a' }],
    ['a backslash before a value', { body: '<p>\\{{ name }}</p>', text: 'a' }],
    ['a CR before a value', { body: '<p>a</p>', text: 'a\r{{ name }}' }, { name: '\nb' }],
    ['a CR at the end of a value', { body: '<p>a</p>', text: 'a{{ name }}\n' }, { name: 'b\r' }],
    ['a control character in the text', { template: 'none', body: '<p>a</p>', text: 'a\u0000b' }],
    ['a control character in a value', {}, { name: 'a\u001bb' }],
    [
      'half a surrogate pair',
      { body: '<p>{{ attributes.a }}</p>', text: 'a' },
      { attributes: { a: '\ud83d' } },
    ],
    ['no HTML', { body: '{{ attributes.none }}', text: 'a' }],
    ['no text', { text: '{{ attributes.none }}\n' }],
    ['a subject that looks encoded', { subject: '=?UTF-8?Q?a?= {{ name }}' }],
    ['a subject that cannot be folded', { subject: 'x'.repeat(200) }],
    ['no subject', { subject: '{{ attributes.none }}' }],
    ['text that must be made from the HTML of each', { body: '<p>{{ "<b>x</b>" | raw }}</p>' }],
    [
      'values larger than SES takes',
      { body: '<p>{{ attributes.a }}</p>', text: 'a' },
      { attributes: { a: 'x'.repeat(262_144) } },
    ],
    ['a template larger than SES takes', { body: `<p>${'x'.repeat(1_000_000)}</p>`, text: 'a' }],
    ['a name longer than a line', {}, { name: '王'.repeat(256) }],
  ])('goes as a MIME message instead, with %s', async (_what, content, reader = {}) => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const mails = await mailsOf(content, [reader]);

    const results = await channel.send(mails, signal);

    expect(results).toMatchObject([{ kind: 'accepted' }]);
    expect(standIn.calls).toEqual([{ kind: 'single', recipients: 1 }]);
    const sent = await simpleParser(mails[0]?.compose() ?? '');
    expect(readOf(standIn.received[0])).toMatchObject({
      subject: sent.subject ?? '',
      html: typeof sent.html === 'string' ? sent.html : '',
    });
  });

  it.each<[string, MailHeader[]]>([
    [
      'more headers than SES takes',
      Array.from({ length: 16 }, (_, index) => ({ name: `X-${index}`, value: 'a' })),
    ],
    ['a header longer than SES takes', [{ name: 'X-Long', value: 'x'.repeat(991) }]],
    ['a header that is not ASCII', [{ name: 'X-Name', value: 'ü' }]],
    ['a header that SES might fill in', [{ name: 'List-Id', value: '"{{s}}" <news.example.com>' }]],
  ])('goes as a MIME message instead, with %s', async (_what, headers) => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);

    await channel.send(await mailsOf({}, [{}], { headers }), signal);

    expect(standIn.received).toMatchObject([{ via: 'single' }]);
  });

  it('goes by template for all but those for whom it cannot', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const [odd = {}, ...others] = readers(10);
    const mails = await mailsOf({}, [...others.slice(0, 4), { ...odd, name: '{{ x }}' }, ...others.slice(4)]);

    const results = await channel.send(mails, signal);

    expect(results.every(({ kind }) => kind === 'accepted')).toBe(true);
    expect(standIn.calls).toEqual([
      { kind: 'bulk', recipients: 9 },
      { kind: 'single', recipients: 1 },
    ]);
  });

  it('goes in several calls where one would be larger than SES takes', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const long = readers(50).map((reader) => ({ ...reader, attributes: { long: 'ü'.repeat(50_000) } }));
    const mails = await mailsOf({ body: '<p>{{ attributes.long }}</p>', text: 'a' }, long);

    const results = await channel.send(mails, signal);

    expect(results.every(({ kind }) => kind === 'accepted')).toBe(true);
    expect(standIn.calls.every(({ kind, recipients }) => kind === 'bulk' && recipients <= 9)).toBe(true);
    expect(new Set(standIn.received.map(({ recipient }) => recipient)).size).toBe(50);
    expect(standIn.count).toBe(50);
  });

  it('reads as it was rendered, whatever the template and the data', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const outputs = ['{{ name }}', '{{- attributes.a -}}', '{{ attributes.b | upcase }}'];
    const literals = ['{ ', '} ', '\\ ', ' ', 'a', '\n', '\r\n', '\r', '\t', '<p>', '&', '$&', 'ü', '😀'];
    const pieces = fc.constantFrom(...outputs, ...literals);
    const templates = fc.array(pieces, { maxLength: 12 }).map((all) => all.join(''));
    const values = fc.string({
      unit: fc.constantFrom('a', '\r', '\n', '\t', '{', '}', '\\', '<', '&', '$', 'ü', '😀', '\u0000', ' '),
      maxLength: 6,
    });

    await fc.assert(
      fc.asyncProperty(templates, templates, values, values, values, async (body, text, name, a, b) => {
        const mails = await mailsOf({ subject: '{{ name }} x', body: `x${body}`, text: `x${text}` }, [
          { name, attributes: { a, b } },
          { name: 'Bo', address: 'bo@example.com', attributes: { a: 1, b: 2 } },
        ]);
        standIn.received.length = 0;

        const results = await channel.send(mails, signal);

        expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'accepted']);
        for (const mail of mails) {
          const sent = await simpleParser(mail.compose());
          const got = standIn.received.find(({ recipient }) => recipient === mail.to);
          expect(readOf(got)).toMatchObject({ subject: sent.subject, html: sent.html, text: sent.text });
        }
      }),
      { numRuns: 200 },
    );
    expect(standIn.lost).toBe(0);
    expect(standIn.calls.filter(({ kind }) => kind === 'bulk').length).toBeGreaterThan(50);
  });
});

function readOf(mail: SesMail | undefined): unknown {
  return mail && { subject: mail.subject, html: mail.html, text: mail.text, from: mail.from };
}

describe('what SES says', () => {
  const NOT_VERIFIED =
    'Email address is not verified. The following identities failed the check in region EU-WEST-1: ';

  const ERRORS: [SendResult['kind'], RegExp, Partial<SesBehaviour>][] = [
    [
      'throttled',
      /Maximum sending rate/,
      { name: 'TooManyRequestsException', status: 429, message: 'Maximum sending rate exceeded.' },
    ],
    [
      'throttled',
      /Throttling/,
      { name: 'ThrottlingException', status: 400, message: 'Maximum sending rate exceeded.' },
    ],
    ['throttled', /429|Unknown/, { name: '', status: 429 }],
    [
      'refused',
      /quota .* resume/,
      { name: 'TooManyRequestsException', status: 429, message: 'Daily message quota exceeded.' },
    ],
    [
      'refused',
      /quota .* resume/,
      { name: 'ThrottlingException', status: 400, message: 'Daily message quota exceeded' },
    ],
    ['refused', /limit .* resume/, { name: 'LimitExceededException', status: 400 }],
    ['refused', /paused .* resume/, { name: 'SendingPausedException', status: 400 }],
    ['refused', /suspended .* resume/, { name: 'AccountSuspendedException', status: 400 }],
    ['refused', /verify it/, { name: 'MailFromDomainNotVerifiedException', status: 400 }],
    ['refused', /SES_CONFIGURATION_SET/, { name: 'NotFoundException', status: 404 }],
    [
      'refused',
      /'news@example.com' .* Verify it/,
      { name: 'MessageRejected', status: 400, message: `${NOT_VERIFIED}ada@example.com, news@example.com` },
    ],
    [
      'refused',
      /'news@example.com'/,
      { name: 'MessageRejected', status: 400, message: `${NOT_VERIFIED}News <news@example.com>` },
    ],
    [
      'refused',
      /'news@example.com'/,
      { name: 'MessageRejected', status: 400, message: `${NOT_VERIFIED}example.com` },
    ],
    [
      'rejected',
      /ada@example.com/,
      { name: 'MessageRejected', status: 400, message: `${NOT_VERIFIED}ada@example.com` },
    ],
    ['rejected', /virus/, { name: 'MessageRejected', status: 400, message: 'It contains a virus.' }],
    ['refused', /credentials/, { name: 'AccessDeniedException', status: 403 }],
    ['refused', /credentials/, { name: 'UnrecognizedClientException', status: 403 }],
    ['refused', /credentials/, { name: 'InvalidSignatureException', status: 403 }],
    ['refused', /credentials/, { name: 'SignatureDoesNotMatch', status: 403 }],
    ['deferred', /ExpiredToken/, { name: 'ExpiredTokenException', status: 403 }],
    ['deferred', /RequestExpired/, { name: 'RequestExpired', status: 400 }],
    ['deferred', /Strange/, { name: 'StrangeException', status: 418 }],
    ['unknown', /InternalServiceError/, { name: 'InternalServiceErrorException', status: 500 }],
    ['unknown', /InternalFailure/, { name: 'InternalFailure', status: 500, taken: true }],
    ['unknown', /502/, { name: '', status: 502 }],
    ['unknown', /503/, { name: 'ServiceUnavailable', status: 503, taken: true }],
    ['unknown', /504/, { name: '', status: 504 }],
    ['unknown', /RequestTimeout/, { name: 'RequestTimeoutException', status: 408 }],
    ['unknown', /302/, { name: '', status: 302 }],
  ];

  describe.each<['bulk' | 'single', string]>([
    ['bulk', '<p>{{ name }}</p>'],
    ['single', `${ASIDE}<p>{{ name }}</p>`],
  ])('to a %s call', (on, body) => {
    it.each(ERRORS)('is %s, and tells why (%s): %j', async (kind, reason, error) => {
      const standIn = await aStandIn({ behaviours: [{ message: 'as it is', ...error, on, do: 'fail' }] });
      const channel = await aChannel(standIn.url);

      const results = await channel.send(await mailsOf({ body, text: 'a' }), signal);

      expect(results).toEqual([{ kind, reason: matching(reason) }]);
      expect(standIn.calls, 'It does not ask again').toHaveLength(1);
    });

    it.each<[SendResult['kind'], SesBehaviour]>([
      ['unknown', { do: 'cut' }],
      ['unknown', { do: 'cut', taken: true }],
      ['unknown', { do: 'hang' }],
      ['unknown', { do: 'hang', taken: true }],
      ['unknown', { do: 'garble', taken: true }],
      ['unknown', { do: 'stall', taken: true }],
    ])(
      'is %s where no answer comes that can be read, and nothing is sent again: %j',
      async (kind, behaviour) => {
        const standIn = await aStandIn({ behaviours: [{ ...behaviour, on, times: 1 }] });
        const channel = await aChannel(standIn.url, IMPATIENT);

        const results = await channel.send(await mailsOf({ body, text: 'a' }), signal);

        expect(results).toEqual([{ kind, reason: matching(/\S/) }]);
        expect(standIn.calls).toHaveLength(1);
        expect(standIn.count).toBe(behaviour.taken === true ? 1 : 0);
      },
    );

    it('is unknown where a connection that was kept is cut', async () => {
      const standIn = await aStandIn();
      const channel = await aChannel(standIn.url);
      await channel.send(await mailsOf({ body, text: 'a' }), signal);
      standIn.behave([{ do: 'cut', taken: true }]);

      const results = await channel.send(await mailsOf({ body, text: 'a' }), signal);

      expect(results).toMatchObject([{ kind: 'unknown' }]);
      expect(standIn.count).toBe(2);
    });

    it.each([
      ['nobody listens', 'http://127.0.0.1:1', /ECONNREFUSED/],
      ['the name is unknown', 'http://ses.invalid', /ses\.invalid/],
    ])('is deferred where %s', async (_what, endpoint, reason) => {
      const channel = await aChannel(endpoint);

      const results = await channel.send(await mailsOf({ body, text: 'a' }), signal);

      expect(results).toEqual([{ kind: 'deferred', reason: matching(reason) }]);
    });

    it('is deferred where TLS was asked for and is not spoken', async () => {
      const standIn = await aStandIn();
      const channel = await aChannel(standIn.url.replace('http:', 'https:'));

      const results = await channel.send(await mailsOf({ body, text: 'a' }), signal);

      expect(results).toMatchObject([{ kind: 'deferred' }]);
    });

    it('is deferred where there are no credentials to be had', async () => {
      const standIn = await aStandIn();
      vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
      vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
      vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
      const channel = await aChannel(standIn.url);

      const results = await channel.send(await mailsOf({ body, text: 'a' }), signal);

      expect(results).toEqual([{ kind: 'deferred', reason: matching(/[Cc]redentials/) }]);
      expect(standIn.calls).toEqual([]);
    });
  });

  it('is deferred where a connection is not made in time: nothing had been said', async () => {
    const channel = await aChannel(await aFullHouse(), { connectMs: 200, callMs: 2_000 });

    const results = await channel.send(await mailsOf({}), signal);

    expect(results).toEqual([
      { kind: 'deferred', reason: matching(/No connection .*within the configured timeout/) },
    ]);
  });

  it.each<[SendResult['kind'], string, string, RegExp]>([
    ['rejected', 'MESSAGE_REJECTED', 'It contains a virus', /virus/],
    ['refused', 'MESSAGE_REJECTED', `${NOT_VERIFIED}news@example.com`, /Verify it/],
    ['refused', 'MAIL_FROM_DOMAIN_NOT_VERIFIED', '', /verify it/],
    ['refused', 'CONFIGURATION_SET_NOT_FOUND', '', /SES_CONFIGURATION_SET/],
    ['refused', 'CONFIGURATION_SET_SENDING_PAUSED', '', /paused/],
    ['refused', 'INVALID_SENDING_POOL_NAME', '', /pool/],
    ['refused', 'ACCOUNT_SUSPENDED', '', /suspended/],
    ['refused', 'ACCOUNT_SENDING_PAUSED', '', /paused/],
    ['refused', 'ACCOUNT_DAILY_QUOTA_EXCEEDED', '', /quota/],
    ['throttled', 'ACCOUNT_THROTTLED', 'slower', /slower/],
    ['deferred', 'TRANSIENT_FAILURE', 'again', /again/],
    ['deferred', 'FAILED', 'no idea', /no idea/],
    ['unknown', 'SOMETHING_NEW', '', /SOMETHING_NEW/],
  ])('is %s for a destination that is %s (%s), and for no other', async (kind, name, message, reason) => {
    const standIn = await aStandIn({ behaviours: [{ do: 'entry', match: '^r001@', name, message }] });
    const channel = await aChannel(standIn.url);

    const results = await channel.send(await mailsOf({}, readers(3)), signal);

    expect(results).toMatchObject([
      { kind: 'accepted' },
      { kind, reason: matching(reason) },
      { kind: 'accepted' },
    ]);
    expect(standIn.calls).toHaveLength(1);
  });

  it.each(['INVALID_PARAMETER', 'TEMPLATE_NOT_FOUND'])(
    'lets a destination that is %s go as a MIME message, and no other again',
    async (name) => {
      const standIn = await aStandIn({ behaviours: [{ do: 'entry', match: '^r001@', name, times: 1 }] });
      const channel = await aChannel(standIn.url);

      const results = await channel.send(await mailsOf({}, readers(3)), signal);

      expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'accepted', 'accepted']);
      expect(standIn.received.map(({ recipient, via }) => [recipient, via])).toEqual([
        ['r000@example.com', 'bulk'],
        ['r002@example.com', 'bulk'],
        ['r001@example.com', 'single'],
      ]);
    },
  );

  it.each([
    ['BadRequestException', 400],
    ['ValidationError', 400],
    ['RequestEntityTooLargeException', 413],
  ])(
    'fails only the one for whom a bulk call is refused as a whole (%s), and nobody gets it twice',
    async (name, status) => {
      const standIn = await aStandIn({
        behaviours: [{ do: 'fail', match: '^r001@', name, status, message: 'Invalid' }],
      });
      const channel = await aChannel(standIn.url);

      const results = await channel.send(await mailsOf({}, readers(20)), signal);

      expect(results.map(({ kind }) => kind)).toEqual(
        readers(20).map((_, index) => (index === 1 ? 'rejected' : 'accepted')),
      );
      expect(standIn.count).toBe(19);
      expect(new Set(standIn.received.map(({ recipient }) => recipient)).size).toBe(19);
    },
  );

  it('sends nothing again after a call of which nobody knows what became', async () => {
    const standIn = await aStandIn({ behaviours: [{ do: 'cut', taken: true, times: 1 }] });
    const channel = await aChannel(standIn.url);

    const results = await channel.send(await mailsOf({}, readers(50)), signal);

    expect(results.every(({ kind }) => kind === 'unknown')).toBe(true);
    expect(standIn.count).toBe(50);
  });

  it.each<[string, string, string, SesBehaviour]>([
    [
      'bulk',
      'content',
      'a',
      { do: 'fail', name: 'MessageRejected', status: 400, message: 'Invalid content' },
    ],
    ['bulk', 'content', 'a', { do: 'entry', name: 'MESSAGE_REJECTED', message: 'It contains a virus' }],
    ['bulk', 'requests', 'a', { do: 'fail', name: 'BadRequestException', status: 400, message: 'Sender' }],
    [
      'single',
      'requests',
      `${ASIDE}a`,
      { do: 'fail', name: 'BadRequestException', status: 400, message: 'Sender' },
    ],
  ])('refuses the message where SES says the same of all its %s %s', async (_on, _what, body, behaviour) => {
    const standIn = await aStandIn({ behaviours: [behaviour] });
    const channel = await aChannel(standIn.url);

    const results = await channel.send(await mailsOf({ body, text: 'a' }, readers(3)), signal);

    expect(results).toEqual(readers(3).map(() => ({ kind: 'refused', reason: matching(/every mail/) })));
  });

  it('rejects each by itself where SES names another address in each answer', async () => {
    const standIn = await aStandIn({
      behaviours: ['r000', 'r001', 'r002'].map((name) => ({
        do: 'fail',
        match: `^${name}@`,
        name: 'MessageRejected',
        status: 400,
        message: `${NOT_VERIFIED}${name}@example.com`,
      })),
    });
    const channel = await aChannel(standIn.url);

    const results = await channel.send(await mailsOf({ body: `${ASIDE}a`, text: 'a' }, readers(3)), signal);

    expect(results.map(({ kind }) => kind)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  it('refuses a mail larger than SES takes, without sending it', async () => {
    const standIn = await aStandIn();
    const channel = await aChannel(standIn.url);
    const [mail] = await mailsOf({ body: `${ASIDE}a`, text: 'a' });
    const compose = (): Buffer => Buffer.alloc(40 * 1024 * 1024 + 1);

    const results = await channel.send(mail ? [{ ...mail, compose }] : [], signal);

    expect(results).toEqual([{ kind: 'refused', reason: matching(/41943041 bytes/) }]);
    expect(standIn.calls).toEqual([]);
  });

  it('asks no more for the MIME messages of a window once SES wants it slower', async () => {
    const standIn = await aStandIn({
      behaviours: [{ do: 'fail', name: 'TooManyRequestsException', status: 429, message: 'slower' }],
    });
    const channel = await aChannel(standIn.url);

    const results = await channel.send(await mailsOf({ body: ASIDE, text: 'a' }, readers(50)), signal);

    expect(results.every(({ kind }) => kind === 'throttled')).toBe(true);
    expect(standIn.calls.length).toBeLessThanOrEqual(10);
  });

  it('is throttled for those of a window for whom there is no room in this second', async () => {
    const standIn = await aStandIn({ account: { maxSendRate: 14 } });
    const channel = await aChannel(standIn.url);

    const results = await channel.send(await mailsOf({}, readers(50)), signal);

    expect(results.slice(0, 14).every(({ kind }) => kind === 'accepted')).toBe(true);
    expect(results.slice(20).every(({ kind }) => kind === 'throttled')).toBe(true);
  });
});

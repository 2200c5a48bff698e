import { execFileSync, spawnSync } from 'node:child_process';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import type { MailParts } from '../../src/delivery/mime.ts';
import { parseMailbox } from '../../src/platform/mail/mailbox.ts';
import { matching } from '../support/matching.ts';
import { aMail, anEmail } from './a-mail.ts';

const SUBJECTS = [
  ['Latin', 'Grüße an alle – schöne Feiertage!'],
  ['Greek', 'Καλημέρα σε όλους'],
  ['Cyrillic', 'Привет всем подписчикам'],
  ['Hebrew', 'שלום לכולם'],
  ['Arabic', 'مرحبا بالجميع'],
  ['Devanagari', 'सभी को नमस्ते'],
  ['Thai', 'สวัสดีทุกคน'],
  ['Chinese', '大家好，欢迎参加研讨会'],
  ['Japanese', 'こんにちは、皆さん'],
  ['Korean', '안녕하세요 여러분'],
  ['emoji', '👩‍👩‍👧 family 🎉🇫🇷'],
  ['long, of many bytes', '大家好，欢迎参加研讨会。'.repeat(40)],
  ['long, of ASCII', 'word '.repeat(150).trim()],
  ['one long word', 'x'.repeat(998)],
  ['what looks encoded already', '=?UTF-8?Q?a?= <b>'],
] as const;

const PYTHON = `
import sys, json
from email import policy, message_from_bytes
mail = message_from_bytes(sys.stdin.buffer.read(), policy=policy.default)
parts = [part.get_content_type() for part in mail.walk()]
defects = [str(d) for part in mail.walk() for d in part.defects]
print(json.dumps({
  'subject': mail['subject'], 'to': str(mail['to']), 'parts': parts, 'defects': defects,
  'text': mail.get_body(('plain',)).get_content(), 'html': mail.get_body(('html',)).get_content(),
}))
`;
const hasPython = spawnSync('python3', ['--version']).status === 0;

async function linesOf(parts: Partial<MailParts>): Promise<readonly string[]> {
  const { mime } = aMail(parts);
  return mime.toString('latin1').split('\r\n');
}

function headOf(mime: Buffer): string {
  return mime.toString('latin1').split('\r\n\r\n', 1)[0] ?? '';
}

describe('a mail', () => {
  it('has the headers that RFC 5322 asks for, and no others', async () => {
    const { mime } = aMail({ replyTo: 'Help <help@example.com>' });

    const names = headOf(mime)
      .replaceAll(/\r\n[ \t]/g, ' ')
      .split('\r\n')
      .map((line) => line.split(':', 1)[0] ?? '');
    expect(names.toSorted()).toEqual(
      ['From', 'To', 'Reply-To', 'Subject', 'Message-ID', 'Date', 'MIME-Version', 'Content-Type'].toSorted(),
    );
  });

  it('reads as it was written', async () => {
    const html = '<p>Grüße &amp; 大家好</p>\r\n.\r\nFrom here on\n..\n';

    const parsed = await simpleParser(
      aMail({ html, text: 'Grüße\n.\n大家好', toName: 'Ada, "the" First' }).mime,
    );

    expect(parsed.html).toBe(html.replaceAll('\r\n', '\n'));
    expect(parsed.text).toBe('Grüße\n.\n大家好');
    expect(parsed.from?.value).toEqual([{ name: 'News', address: 'news@example.com' }]);
    expect(parsed.to).toMatchObject({ value: [{ name: 'Ada, "the" First', address: 'ada@example.com' }] });
    expect(parsed.date).toEqual(new Date('2026-11-23T14:10:00Z'));
  });

  it('has the text first and the HTML last, so that programs prefer the HTML', async () => {
    const types = (await linesOf({})).filter((line) => line.startsWith('Content-Type:'));

    expect(types.map((line) => line.split(';', 1)[0])).toEqual([
      'Content-Type: multipart/alternative',
      'Content-Type: text/plain',
      'Content-Type: text/html',
    ]);
  });

  it.each(SUBJECTS)('carries a subject: %s', async (_script, subject) => {
    const { mime } = aMail({ subject });

    expect((await simpleParser(mime)).subject).toBe(subject);
    expect(headOf(mime)).toMatch(/^[\x20-\x7e\r\n]*$/);
  });

  it.skipIf(!hasPython).each(SUBJECTS)(
    "is read the same by Python's parser, without a defect: %s",
    async (_script, subject) => {
      const { mime } = aMail({ subject, toName: 'Ünï, "x"', html: '<p>大</p>', text: '大' });

      const output = execFileSync('python3', ['-c', PYTHON], { input: mime, encoding: 'utf8' });

      expect(JSON.parse(output)).toEqual({
        subject,
        to: '"Ünï, \\"x\\"" <ada@example.com>',
        parts: ['multipart/alternative', 'text/plain', 'text/html'],
        defects: [],
        text: '大',
        html: '<p>大</p>',
      });
    },
  );

  it.each([
    ['one endless line of ASCII', 'x'.repeat(50_000)],
    ['one endless line of other characters', '大'.repeat(50_000)],
    ['a large body', '<p>Hello wörld</p>'.repeat(20_000)],
    ['bare line feeds and carriage returns', 'a\nb\rc\r\nd'],
  ])('keeps lines short and ended with CRLF: %s', async (_what, body) => {
    const { mime } = aMail({
      html: body,
      text: body,
      subject: 'x'.repeat(998),
      toName: 'N'.repeat(900),
    });

    const source = mime.toString('latin1');
    expect(Math.max(...source.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
    expect(source.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(source).toMatch(/^[\t\n\r\x20-\x7e]*$/);
  });

  it.each([
    ['the name', { toName: 'Ada\r\nBcc: eve@example.com' }],
    ['the name, to end the headers', { toName: 'Ada\r\n\r\n<script>' }],
    ['the name, as another address', { toName: 'Ada <eve@example.com>, Eve' }],
    ['the subject', { subject: 'Hi\r\nBcc: eve@example.com' }],
    ['the subject, with a lone line feed', { subject: 'Hi\nBcc: eve@example.com' }],
  ])('goes to nobody else, whatever is in %s', async (_where, parts) => {
    const { mime } = aMail(parts);

    const parsed = await simpleParser(mime);
    expect(parsed.headers.has('bcc')).toBe(false);
    expect(parsed.headers.has('cc')).toBe(false);
    expect(parsed.to).toMatchObject({ value: [{ address: 'ada@example.com' }] });
    expect(parsed.text).toBe('Hello');
  });

  it.each(['html', 'text'])('can be composed without any %s', async (part) => {
    const { mime } = aMail({ [part]: '' });

    const parsed = await simpleParser(mime);
    expect([parsed.html, parsed.text].map((text) => String(text).trim()).toSorted()).toContain('');
  });

  it('has one recipient in its envelope, and the bare address of the sender', async () => {
    const mail = aMail({ from: '"News, daily" <News@Example.COM>', to: anEmail('Bo@Example.org') });

    expect(mail).toMatchObject({ envelopeFrom: 'News@example.com', to: 'Bo@example.org' });
  });

  it('has the same Message-ID at every attempt, and another for anybody else', async () => {
    const [first, again, inCapitals, other] = [
      aMail({ subject: 'one' }),
      aMail({ subject: 'two', date: Temporal.Instant.from('2027-01-01T00:00Z') }),
      aMail({ to: anEmail('ADA@example.com') }),
      aMail({ to: anEmail('bo@example.com') }),
    ];

    expect(first.messageId).toMatch(/^<01999999-0000-7000-8000-000000000001\.[0-9a-f]{16}@example\.com>$/);
    expect(again.messageId).toBe(first.messageId);
    expect(inCapitals.messageId).toBe(first.messageId);
    expect(other.messageId).not.toBe(first.messageId);
    expect(headOf(first.mime).split('\r\n')).toContain(`Message-ID: ${first.messageId}`);
  });

  it('names a local host as it is', async () => {
    const { messageId, envelopeFrom } = aMail({ from: 'Belfry <belfry@localhost>' });

    expect(messageId).toMatch(/@localhost>$/);
    expect(envelopeFrom).toBe('belfry@localhost');
  });
});

describe('a mailbox', () => {
  it.each([
    ['news@example.com', '', 'news@example.com'],
    ['News <news@example.com>', 'News', 'news@example.com'],
    ['"News, daily" <news@example.com>', 'News, daily', 'news@example.com'],
    ['Grüße <news@exämple.com>', 'Grüße', 'news@xn--exmple-cua.com'],
    ['Belfry <belfry@localhost>', 'Belfry', 'belfry@localhost'],
    ['belfry@localhost', '', 'belfry@localhost'],
    ['N <News+a@EXAMPLE.com>', 'N', 'News+a@example.com'],
  ])('is read: %s', (text, name, address) => {
    expect(parseMailbox(text)).toEqual({ kind: 'mailbox', mailbox: { name, address } });
  });

  it.each([
    ['nothing', ''],
    ['a name only', 'News'],
    ['two', 'a@b.example, c@d.example'],
    ['a group', 'All: a@b.example;'],
    ['a line break', 'a@b.example\r\nBcc: c@d.example'],
    ['a line break in the name', 'A\nB <a@b.example>'],
    ['a control character', 'A\u0000 <a@b.example>'],
    ['a surrogate half', 'A\ud800 <a@b.example>'],
    ['no domain', 'News <news@>'],
    ['no local part', '<@example.com>'],
    ['a route', '<@relay.example:a@b.example>'],
    ['brackets that do not close', '<a@b.example'],
    ['words after it', 'News <a@b.example> daily'],
    ['words before a bare address', 'News a@b.example'],
    ['a local part that is not ASCII', 'ü@example.com'],
    ['a quoted local part', '"a b"@example.com'],
    ['500 characters', `${'N'.repeat(490)} <a@b.example>`],
  ])('is refused: %s', (_what, text) => {
    expect(parseMailbox(text)).toMatchObject({ kind: 'invalid', detail: matching(/\.$/) });
  });
});

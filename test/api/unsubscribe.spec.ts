import { execFileSync, spawnSync } from 'node:child_process';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bulkMailFaults, oneClickUrl } from '../support/bulk-mail.ts';
import { objectsAt, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { type Answer, startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const PUBLIC_URL = 'https://news.example.com';
const LIMIT_MS = 30_000;
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const ONE_CLICK = 'List-Unsubscribe=One-Click';

const PYTHON = `
import sys, json
from email import policy, message_from_bytes
mail = message_from_bytes(sys.stdin.buffer.read(), policy=policy.default)
print(json.dumps({
  'subject': mail['Subject'], 'help': mail['List-Help'], 'unsubscribe': mail['List-Unsubscribe'], 'post': mail['List-Unsubscribe-Post'], 'id': mail['List-Id'],
  'defects': [str(d) for part in mail.walk() for d in part.defects],
  'text': mail.get_body(('plain',)).get_content().replace('\\r\\n', '\\n'),
  'html': mail.get_body(('html',)).get_content().replace('\\r\\n', '\\n'),
}))
`;
const hasPython = spawnSync('python3', ['--version']).status === 0;

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp({ env: { PUBLIC_URL, MAIL: 'outbox', TRUSTED_PROXIES: '1' } });
});
afterAll(() => app.close());

/** The mail of one message to one subscriber, as it went out. */
async function sendMail(group: string, fields: object = {}, email = 'ada@example.com'): Promise<Buffer> {
  const base = `/v1/groups/${group}`;
  await app.request('POST', `${base}/subscribers`, { body: { email } });
  const { body } = await app.request('POST', `${base}/schedule`, {
    body: {
      subject: 'Hello',
      body: '<p>Hello</p>',
      schedule_on: 1_649_753_447_000,
      on_missed: 'send',
      ...fields,
    },
  });
  const path = `${base}/schedule/${textAt(body, 'key')}`;
  const id = await until(`The mail to ${group} is sent`, LIMIT_MS, async () => {
    const [delivery] = objectsAt((await app.request('GET', `${path}/deliveries`)).body, 'items');
    return delivery?.['outcome'] === 'sent' ? textAt(delivery, 'provider_id') : undefined;
  });
  const raw = await fetch(`${app.url}/outbox/${id.replace('.eml', '')}/raw`);
  return Buffer.from(await raw.arrayBuffer());
}

/** The path of the link, on this server. */
async function linkOf(group: string): Promise<string> {
  return oneClickUrl(await sendMail(group)).slice(PUBLIC_URL.length);
}

async function statusOf(group: string): Promise<unknown> {
  const { body } = await app.request('GET', `/v1/groups/${group}/subscribers/ada@example.com`);
  return body['status'];
}

describe('a mail to a group', () => {
  it('is as the RFCs want it, with all that a group can say of itself', async () => {
    await app.request('PUT', '/v1/groups/full', {
      body: {
        from: 'News <news@example.org>',
        display_name: 'Freunde der "Brücke"',
        list_help: 'https://example.com/help',
        list_owner: 'mailto:owner@example.com',
        unsubscribe_mailto: 'leave@example.com',
        postal_address: 'Example Ltd\n1 Example Street',
      },
    });

    const mail = await sendMail('full');

    expect(bulkMailFaults(mail)).toEqual([]);
    const parsed = await simpleParser(mail);
    const link = oneClickUrl(mail);
    const header = (name: string): unknown => parsed.headerLines.find(({ key }) => key === name)?.line;
    expect(header('list-unsubscribe')).toBe(
      `List-Unsubscribe: <${link}>, <mailto:leave@example.com?subject=unsubscribe>`,
    );
    expect(header('list-help')).toBe('List-Help: <https://example.com/help>');
    expect(header('list-owner')).toBe('List-Owner: <mailto:owner@example.com>');
    expect(header('list-id')).toMatch(/^List-Id: =\?UTF-8\?Q\?.*\?= <full\.news\.example\.com>$/);
    expect(parsed.text).toContain(
      `\n-- \nYou receive this because you are subscribed to “Freunde der "Brücke"”.\nUnsubscribe: ${link}\n`,
    );
    expect(parsed.text).toContain('Example Ltd\n1 Example Street');
    expect(parsed.html).toContain(`<a href="${link}">Unsubscribe</a>`);
    expect(parsed.html).toContain('Freunde der &quot;Brücke&quot;');
    expect(parsed.html).toContain('Example Ltd<br>1 Example Street');
  });

  it.skipIf(!hasPython)(
    `is read by Python's email package as by mailparser${hasPython ? '' : ' (SKIPPED: there is no python3)'}`,
    async () => {
      await app.request('PUT', '/v1/groups/python', {
        body: {
          display_name: 'Grüße',
          unsubscribe_mailto: 'leave@example.com',
          list_help: 'https://example.com/help',
        },
      });
      const mail = await sendMail('python', { subject: 'Größe', body: `<p>${'Straße '.repeat(200)}</p>` });

      const read: unknown = JSON.parse(
        execFileSync('python3', ['-c', PYTHON], { input: mail, encoding: 'utf8' }),
      );

      const link = oneClickUrl(mail);
      const parsed = await simpleParser(mail);
      expect(bulkMailFaults(mail)).toEqual([]);
      expect(read).toMatchObject({
        subject: 'Größe',
        unsubscribe: `<${link}>, <mailto:leave@example.com?subject=unsubscribe>`,
        post: ONE_CLICK,
        id: 'Grüße <python.news.example.com>',
        help: '<https://example.com/help>',
        defects: [],
      });
      expect(read).toMatchObject({ html: parsed.html, text: parsed.text });
    },
  );

  it('has one link to unsubscribe where the template has its own place for it', async () => {
    const mail = await sendMail('placed', {
      template: 'liquid',
      body: '<p>Hello. <a href="{{ unsubscribe_url }}">Enough?</a></p>',
    });

    const { html, text } = await simpleParser(mail);
    const link = oneClickUrl(mail);
    expect(html).toBe(`<p>Hello. <a href="${link}">Enough?</a></p>`);
    expect(text).toContain(link);
    expect(text).not.toContain('You receive this');
    expect(bulkMailFaults(mail)).toEqual([]);
  });

  it.each([
    [{ language: 'de-AT' }, 'Abbestellen'],
    [{ lang: 'fr' }, 'Se désabonner'],
    [{ language: 'es' }, 'Darse de baja'],
    [{ language: 'tlh' }, 'Unsubscribe'],
  ])("says so in the subscriber's language: %j", async (attributes, word) => {
    const group = `in-${Object.values(attributes).join('').toLowerCase()}`;
    await app.request('POST', `/v1/groups/${group}/subscribers`, {
      body: { email: 'ada@example.com', attributes },
    });

    const { text } = await simpleParser(await sendMail(group));

    expect(text).toContain(`${word}: ${PUBLIC_URL}/u/`);
  });

  it('has nothing of all that where the group is transactional, and the API warns of it', async () => {
    await app.request('PUT', '/v1/groups/orders', { body: { kind: 'transactional' } });

    const mail = await sendMail('orders');
    const { body } = await app.request('POST', '/v1/groups/orders/schedule', {
      body: { subject: 'Later', body: 'Later', schedule_on: '2100-01-01T00:00Z' },
    });

    expect(mail.toString()).not.toMatch(/List-|Precedence|Feedback-ID|unsubscribe/i);
    expect(body['warnings']).toEqual([expect.objectContaining({ code: 'transactional' })]);
  });
});

describe('one click', () => {
  const multipart =
    '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n';

  // Neither cookie nor key; Gmail sends the form from its servers, other programs from their page.
  it.each([
    ['as Gmail posts it', FORM, ONE_CLICK],
    ['with a charset', { 'content-type': `${FORM['content-type']}; charset=utf-8` }, ONE_CLICK],
    ['as multipart', { 'content-type': 'multipart/form-data; boundary=x' }, multipart],
    [
      'from a page elsewhere',
      { ...FORM, origin: 'https://mail.example.net', 'sec-fetch-site': 'cross-site' },
      ONE_CLICK,
    ],
  ])('unsubscribes at once, %s, and again changes nothing', async (how, headers, body) => {
    const group = `click-${how.replaceAll(/\W+/g, '-')}`;
    const link = await linkOf(group);

    const first = await app.request('POST', link, { headers, body });
    const second = await app.request('POST', link, { headers, body });

    expect([first.status, second.status]).toEqual([200, 200]);
    expect(first.headers.get('location')).toBeNull();
    expect(first.headers.get('set-cookie')).toBeNull();
    expect(await statusOf(group)).toBe('unsubscribed');
    const { body: subscriber } = await app.request('GET', `/v1/groups/${group}/subscribers/ada@example.com`);
    expect(subscriber['version']).toBe(2);
    const record = await app.request('GET', `/v1/groups/${group}/subscribers/ada@example.com/consent`);
    expect(objectsAt(record.body, 'entries')).toEqual([
      expect.objectContaining({ what: 'subscribed', how: 'api' }),
      expect.objectContaining({
        what: 'unsubscribed',
        how: 'one-click',
        ip: null,
        message_key: matching(/-/),
      }),
    ]);
  });

  it.each([
    ['nothing', {}, undefined],
    ['an empty form', FORM, ''],
    ['another form', FORM, 'List-Unsubscribe=Maybe'],
    ['JSON', { 'content-type': 'application/json' }, '{"List-Unsubscribe":"One-Click"}'],
    ['half a multipart', { 'content-type': 'multipart/form-data; boundary=x' }, multipart.slice(0, 40)],
    ['a form that is too large', FORM, `${ONE_CLICK}&x=${'x'.repeat(70_000)}`],
    ['text', { 'content-type': 'text/plain' }, ONE_CLICK],
  ])('changes nothing on a POST with %s', async (what, headers, body) => {
    const group = `unclear-${what.replaceAll(/\W+/g, '-')}`;
    const link = await linkOf(group);

    const answer = await app.request('POST', link, { headers, body });

    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    expect(await statusOf(group)).toBe('active');
  });

  it.each(['GET', 'HEAD'])('needs more than a %s: what looks into mails opens every link', async (method) => {
    const group = `opened-${method.toLowerCase()}`;
    const link = await linkOf(group);

    const answer = await app.request(method, link);

    expect(answer.status).toBe(200);
    expect(await statusOf(group)).toBe('active');
  });

  it('of somebody who is not in the group any more is answered alike', async () => {
    const link = await linkOf('gone');
    await app.request('DELETE', '/v1/groups/gone/subscribers/ada@example.com');

    const answer = await app.request('POST', link, { headers: FORM, body: ONE_CLICK });

    expect(answer.status).toBe(200);
    expect(await statusOf('gone')).toBe(404);
  });

  it('keeps who has bounced from being written to again by mistake', async () => {
    const link = await linkOf('bounced');
    await app.request('PATCH', '/v1/groups/bounced/subscribers/ada@example.com', {
      body: { status: 'bounced' },
    });

    await app.request('POST', link, { headers: FORM, body: ONE_CLICK });

    expect(await statusOf('bounced')).toBe('unsubscribed');
  });

  it.each([
    ['whose page was seen through a proxy', { 'x-forwarded-for': '203.0.113.9, 192.0.2.7' }, '192.0.2.7'],
    ['whose proxy says nonsense', { 'x-forwarded-for': '203.0.113.9, who' }, null],
    ['who came past the proxy', {}, null],
  ])('has the address of somebody %s in the record where they used the page', async (who, headers, ip) => {
    const group = `by-page-${who.replaceAll(/\W+/g, '-')}`;
    const link = await linkOf(group);

    await app.request('POST', link, { headers: { ...FORM, ...headers }, body: `${ONE_CLICK}&from=page` });

    const record = await app.request('GET', `/v1/groups/${group}/subscribers/ada@example.com/consent`);
    expect(objectsAt(record.body, 'entries').at(-1)).toMatchObject({ what: 'unsubscribed', how: 'page', ip });
  });

  it('is possible under any name of the server', async () => {
    const link = await linkOf('named');

    const answer = await app.request('GET', link, { headers: { host: 'news.example.com' } });

    expect(answer.status).toBe(200);
  });
});

describe('the preferences', () => {
  /** The path of the page of somebody who is in these groups. */
  async function pageOf(...groups: readonly [string, ...string[]]): Promise<string> {
    const [first, ...others] = groups;
    for (const group of others) {
      await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { email: 'ada@example.com' } });
    }
    const path = (await linkOf(first)).replace('/u/', '/p/');
    await until('All groups are on the page', LIMIT_MS, async () => {
      const { text } = await app.request('GET', path);
      return groups.every((group) => text.includes(`value="${group}"`)) ? true : undefined;
    });
    return path;
  }

  it('show every group of the address, and change nothing by being opened', async () => {
    const path = await pageOf('shown-a', 'shown-b');

    const { status, text } = await app.request('GET', path);

    expect(status).toBe(200);
    expect(text).toContain('name="kept" value="shown-a" checked');
    expect(text).toContain('name="kept" value="shown-b" checked');
    expect(await statusOf('shown-a')).toBe('active');
  });

  it('end what has no tick any more and begin what has one again, of what was shown and nothing else', async () => {
    const path = await pageOf('kept-a', 'kept-b', 'kept-c');
    const form = (kept: string): string => `from=page&shown=kept-a&shown=kept-b&${kept}`;

    const first = await app.request('POST', path, { headers: FORM, body: form('kept=kept-b') });
    const afterFirst = [await statusOf('kept-a'), await statusOf('kept-b'), await statusOf('kept-c')];
    await app.request('POST', path, { headers: FORM, body: form('kept=kept-a&kept=nonsense') });
    const afterSecond = [await statusOf('kept-a'), await statusOf('kept-b'), await statusOf('kept-c')];

    expect(first.text).toContain('Your preferences are saved.');
    expect(afterFirst).toEqual(['unsubscribed', 'active', 'active']);
    expect(afterSecond).toEqual(['active', 'unsubscribed', 'active']);
    const record = await app.request('GET', '/v1/groups/kept-a/subscribers/ada@example.com/consent');
    expect(
      objectsAt(record.body, 'entries').map(({ what, how }) => `${String(what)} ${String(how)}`),
    ).toEqual(['subscribed api', 'unsubscribed page', 'resubscribed page']);
  });

  it('change nothing without the button', async () => {
    const path = await pageOf('button');

    const answer = await app.request('POST', path, { headers: FORM, body: 'shown=button' });

    expect(answer.status).toBe(400);
    expect(await statusOf('button')).toBe('active');
  });

  it('end everything at once: no group sends to the address any more, whoever adds it', async () => {
    const email = 'cyd@example.com';
    const link = oneClickUrl(await sendMail('all-a', {}, email)).slice(PUBLIC_URL.length);

    const answer = await app.request('POST', link.replace('/u/', '/p/'), {
      headers: FORM,
      body: 'from=page&all=yes',
    });
    const again = await app.request('GET', link.replace('/u/', '/p/'));

    expect(answer.text).toContain('Nothing is sent to cyd@example.com any more.');
    expect(again.text).toContain('Nothing is sent to this address');
    const { body } = await app.request('GET', `/v1/suppressions/${email}`);
    expect(body).toMatchObject({ reason: 'unsubscribed' });
    const record = await app.request('GET', `/v1/groups/all-a/subscribers/${email}/consent`);
    expect(objectsAt(record.body, 'entries').map(({ what }) => what)).toEqual([
      'subscribed',
      'unsubscribed',
      'suppressed',
    ]);
  });
});

describe('a page behind a link', () => {
  it('loads nothing, is kept and found by nobody, and tells nobody where its reader came from', async () => {
    const answer = await app.request('GET', await linkOf('page'));

    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    expect(answer.headers.get('x-robots-tag')).toContain('noindex');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.text).toContain('<html lang="en">');
    expect(answer.text).not.toMatch(/<script|<img|<link|src=|@import|url\(/);
  });

  it.each(['GET', 'POST'])('says the same of whatever is no link of ours, on %s', async (method) => {
    const link = await linkOf(`tampered-${method.toLowerCase()}`);
    const last = link.at(-2) === 'A' ? 'B' : 'A';
    const paths = [
      `${link.slice(0, -2)}${last}${link.at(-1) ?? ''}`,
      link.slice(0, -5),
      `${link}A`,
      link.replace('/u/', '/u/B'),
      `/u/${'A'.repeat(90)}`,
      `/u/${'A'.repeat(2_000)}`,
      `/u/${encodeURIComponent('../'.repeat(9))}`,
      `/u/${'%F0%9F%8E%89'.repeat(20)}`,
    ];

    const answers: Answer[] = [];
    for (const path of paths) {
      answers.push(
        await app.request(method, path, method === 'POST' ? { headers: FORM, body: ONE_CLICK } : {}),
      );
    }

    expect(answers.map(({ status }) => status)).toEqual(paths.map(() => 404));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await statusOf(`tampered-${method.toLowerCase()}`)).toBe('active');
  });

  it.each(['u', 'c', 'p'])("leaves the sample's paths to a group named %s", async (group) => {
    const added = await app.request('POST', `/${group}/subscribers`, { body: { email: 'ada@example.com' } });
    const listed = await app.request('GET', `/${group}/subscribers`);

    expect([added.status, listed.status]).toEqual([201, 200]);
  });
});

import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { MINUTE_MS } from '../../src/platform/clock/clock.ts';
import { anInstant } from '../support/builders.ts';
import { DnsServer, type Zone } from '../support/dns-server.ts';
import { objectsAt, textAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SesStandIn } from '../support/ses-stand-in.ts';
import { SmtpSink } from '../support/smtp-sink.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const KEY = `v=DKIM1; k=rsa; p=${'A'.repeat(400)}`;
const ZONE: Zone = {
  'good.example': ['v=spf1 include:_spf.example -all', 'something else'],
  'mail._domainkey.good.example': [KEY],
  '_dmarc.good.example': ['v=DMARC1; p=reject'],
  'sub.good.example': ['v=spf1 mx ~all'],
  'mail._domainkey.sub.good.example': [KEY],
  'bad.example': ['v=spf1 +all', 'v=spf1 -all'],
  'mail._domainkey.bad.example': ['v=DKIM1; p='],
  '_dmarc.bad.example': ['v=DMARC1'],
  'open.example': ['v=spf1 all'],
  'silent.example': 'failing',
  'mail._domainkey.silent.example': 'failing',
  '_dmarc.silent.example': 'failing',
};

let dns: DnsServer;
let app: TestApp;
beforeAll(async () => {
  dns = await DnsServer.start(ZONE);
  app = await startTestApp({
    env: {
      DNS_SERVERS: dns.address,
      DKIM_SELECTOR: 'mail',
      PUBLIC_URL: 'https://belfry.example.com',
      MAX_SEND_RATE: '2',
    },
  });
});
afterAll(async () => {
  await app.close();
  await dns[Symbol.asyncDispose]();
});

interface Reading {
  readonly group?: object;
  readonly readers?: readonly string[];
}

const LIMIT_MS = 30_000;

let groups = 0;
async function preflight(
  message: Readonly<Record<string, unknown>>,
  { group = {}, readers = ['ada@example.com'] }: Reading = {},
  of: TestApp = app,
): Promise<Readonly<Record<string, string>>> {
  groups += 1;
  const path = `/v1/groups/preflight-${groups}`;
  await of.request('PUT', path, { body: group });
  await of.request('POST', `${path}/subscribers`, {
    body: { subscribers: readers.map((email) => ({ email })) },
  });
  const body = { subject: 'Hello', body: '<p>Hello</p>', schedule_on: '2100-01-01T00:00:00Z', ...message };
  expect((await of.request('POST', `${path}/schedule`, { body })).status).toBe(201);
  const { status, body: answer } = await of.request('POST', `${path}/schedule/latest/preflight`);
  expect(status).toBe(200);
  const findings = objectsAt(answer, 'findings');
  expect(findings.every((each) => textAt(each, 'source') !== '')).toBe(true);
  return {
    all: textAt(answer, 'result'),
    ...Object.fromEntries(
      findings.map((each) => [textAt(each, 'rule'), `${textAt(each, 'result')}: ${textAt(each, 'detail')}`]),
    ),
  };
}

describe('POST …/schedule/{key}/preflight', () => {
  it('passes what is as it should be', async () => {
    const findings = await preflight(
      { from: 'News <news@good.example>', body: '<a href="https://example.com">Hello</a>' },
      {
        group: { postal_address: 'Belfry\nTower Street 1\nLondon' },
        readers: ['a@example.com', 'b@example.com'],
      },
    );

    expect(Object.entries(findings).filter(([, told]) => !told.startsWith('pass'))).toEqual([]);
    expect(findings).toMatchObject({
      all: 'pass',
      recipients: 'pass: 2 active subscribers; 0 others are skipped.',
      duration:
        'pass: Begins at 2100-01-01T00:00:00.000Z and ends at about 2100-01-01T00:00:01.000Z, at 2 mails a second.',
    });
  });

  it.each([
    [
      'two SPF records, a revoked key, a DMARC record without a policy',
      'bad.example',
      ['fail', 'fail', 'warn'],
    ],
    ['an SPF record that lets anybody send, and nothing else', 'open.example', ['warn', 'fail', 'fail']],
    ['nothing', 'nothing.example', ['fail', 'fail', 'fail']],
    ['no answer', 'silent.example', ['warn', 'warn', 'warn']],
    ['the policy of the domain above', 'sub.good.example', ['pass', 'pass', 'pass']],
  ])('says what DNS has of the domain: %s', async (_what, domain, results) => {
    const findings = await preflight({ from: `news@${domain}` });

    expect(['spf', 'dkim', 'dmarc'].map((rule) => findings[rule]?.split(':', 1)[0])).toEqual(results);
  });

  it('says of a sender that is no domain of the Internet that nothing arrives', async () => {
    const findings = await preflight({ from: 'belfry@localhost' });

    expect(findings).toMatchObject({
      all: 'fail',
      'from-domain': expect.stringMatching(/^fail: Mail from localhost/) as unknown,
    });
    expect(findings['spf']).toBeUndefined();
  });

  it('warns of what keeps a mail from arriving well', async () => {
    const findings = await preflight({
      from: 'news@good.example',
      body: `<a href="http://example.com/x">x</a><img src='http://example.com/y.png'>${'<p>long</p>'.repeat(11_000)}`,
    });

    expect(findings['links']).toBe(
      'warn: 2 links or images without TLS: http://example.com/x, http://example.com/y.png',
    );
    expect(findings['html-size']).toMatch(/^warn: The HTML has \d+ bytes; Gmail cuts off/);
    expect(findings['postal-address']).toMatch(/^warn/);
  });

  it('says where the template fails, and that a transactional mail cannot be left', async () => {
    const failing = await preflight({
      template: 'liquid',
      body: '{% for i in (1..1000000000) %}x{% endfor %}',
      from: 'news@good.example',
    });
    const transactional = await preflight(
      { from: 'news@good.example' },
      { group: { kind: 'transactional' } },
    );

    expect(failing['template']).toMatch(/^fail: The template fails/);
    expect(transactional['unsubscribe']).toMatch(/^warn: The group is transactional/);
    expect(transactional['list-id']).toBeUndefined();
  });

  it('counts who is suppressed', async () => {
    await app.request('POST', '/v1/suppressions', { body: { email: 'gone@example.com' } });

    const findings = await preflight(
      { from: 'news@good.example' },
      { readers: ['gone@example.com', 'here@example.com'] },
    );

    expect(findings['suppressed']).toBe('pass: 1 subscribers of the group are suppressed.');
    expect(findings['duration']).toContain('ends at about 2100-01-01T00:00:00.500Z');

    for (const email of ['stranger@example.com', 'another@example.com']) {
      await app.request('POST', '/v1/suppressions', { body: { email } });
    }
    const ofShorterGroup = await preflight({}, { readers: ['gone@example.com', 'here@example.com'] });
    const ofNobody = await preflight({}, { readers: ['gone@example.com'] });

    expect(ofShorterGroup['suppressed']).toBe('pass: 1 subscribers of the group are suppressed.');
    expect(ofNobody['suppressed']).toBe('warn: Everybody in the group is suppressed: nothing would be sent.');
  });

  it('asks SES whether it would take the mail, and from whom', async () => {
    const ses = await SesStandIn.start({
      identities: { 'good.example': 'signed' },
      account: { productionAccess: false },
    });
    onTestFinished(() => ses.close());
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
    vi.stubEnv('AWS_ENDPOINT_URL_SESV2', ses.url);
    const asking = await startTestApp({ env: { MAIL: 'ses', DNS_SERVERS: dns.address } });
    onTestFinished(async () => {
      await asking.close();
      vi.unstubAllEnvs();
    });

    const sandbox = await preflight({ from: 'news@good.example' }, {}, asking);
    ses.setAccount({ productionAccess: true });
    const unknown = await preflight({ from: 'news@bad.example' }, {}, asking);
    ses.behave([{ on: 'account', do: 'fail', name: 'AccessDeniedException', status: 403 }]);
    const denied = await preflight({ from: 'news@good.example' }, {}, asking);

    expect(sandbox['ses-identity']).toMatch(/^pass/);
    expect(sandbox['dkim']).toBe('pass: SES signs mail from news@good.example.');
    expect(unknown['dkim']).toMatch(/^fail: SES does not sign/);
    expect(denied['dkim']).toMatch(/^warn: .*DKIM_SELECTOR/);
    expect(sandbox['ses-account']).toMatch(/^fail: The account is in the sandbox/);
    expect(unknown['ses-identity']).toMatch(/^fail: SES takes no mail from news@bad.example/);
    expect(unknown['ses-account']).toMatch(/^pass/);
    expect(denied['ses-identity']).toBeUndefined();
    expect(denied['ses-account']).toMatch(/^warn: .* \(AccessDeniedException\)/);
    expect(await preflight({ from: 'news@good.example' })).not.toHaveProperty('ses-account');
  });

  it('is not found where there is no such message', async () => {
    expect((await app.request('POST', '/v1/groups/nobody/schedule/latest/preflight')).status).toBe(404);
  });
});

describe('the warnings of a message', () => {
  const LINK = { rule: 'links', detail: '1 links or images without TLS: http://example.com/x' };

  async function warningsOf(of: TestApp, path: string): Promise<readonly string[]> {
    const { body } = await of.request('GET', path);
    return objectsAt(body, 'warnings').map(({ code }) => String(code));
  }

  async function startSending(
    zone: Zone,
  ): Promise<{ readonly sending: TestApp; readonly clock: ManualClock }> {
    const server = await DnsServer.start(zone);
    const sink = await SmtpSink.start();
    const clock = new ManualClock(anInstant());
    const sending = await startTestApp({
      clock,
      env: {
        SMTP_URL: sink.url,
        DNS_SERVERS: server.address,
        DKIM_SELECTOR: 'mail',
        PUBLIC_URL: 'https://belfry.example.com',
      },
    });
    onTestFinished(async () => {
      await sending.close();
      await sink.close();
      await server[Symbol.asyncDispose]();
    });
    return { sending, clock };
  }

  async function schedule(of: TestApp, minutes: number): Promise<string> {
    const path = '/v1/groups/warned';
    await of.request('PUT', path, { body: { postal_address: 'Tower Street 1' } });
    await of.request('POST', `${path}/subscribers`, { body: { email: 'ada@example.com' } });
    const { body } = await of.request('POST', `${path}/schedule`, {
      body: {
        subject: 'Hello',
        body: '<p>Hello</p>',
        from: 'news@good.example',
        schedule_on: anInstant().epochMilliseconds + minutes * MINUTE_MS,
      },
    });
    return `${path}/schedule/${textAt(body, 'key')}`;
  }

  it('say at once what is wrong with its content, and no longer once that is mended', async () => {
    const path = '/v1/groups/content/schedule';
    const body = {
      subject: 'Hello',
      body: '<a href="http://example.com/x">x</a>',
      schedule_on: '2100-01-01T00:00Z',
    };

    const answer = await app.request('POST', path, { body });
    const found = objectsAt((await app.request('GET', `${path}/latest`)).body, 'warnings');
    await app.request('PATCH', `${path}/latest`, { body: { subject: 'Hello again' } });
    const still = await warningsOf(app, `${path}/latest`);
    await app.request('PATCH', `${path}/latest`, {
      body: { body: `<p>${'long '.repeat(30_000)}</p>`, text: ' ' },
    });

    expect(objectsAt(answer.body, 'warnings')).toContainEqual(found[0]);
    expect(found).toEqual([{ code: LINK.rule, detail: LINK.detail, source: 'RFC 9325, 3.2' }]);
    expect(still).toEqual(['links']);
    expect(await warningsOf(app, `${path}/latest`)).toEqual(['text-part', 'html-size']);
  });

  it('say of each occurrence of a series what is wrong with its content', async () => {
    const path = '/v1/groups/weekly';
    const repeat = { rrule: 'FREQ=WEEKLY;BYDAY=MO' };
    const body = {
      subject: 'Hello',
      body: '<img src=http://example.com/x>',
      schedule_on: '2099-01-05T09:00[Europe/Paris]',
      repeat,
    };
    const { body: first } = await app.request('POST', `${path}/schedule`, { body });
    const skip = `${path}/series/${textAt(first, 'series', 'key')}/skip`;
    expect((await app.request('POST', skip, { body: {} })).status).toBe(200);
    const made = await until('the next occurrence is made', LIMIT_MS, async () => {
      const all = objectsAt((await app.request('GET', `${path}/schedule`)).body, 'items');
      return all.length === 2 ? all : undefined;
    });

    const occurrences = made.map((one) => [one['status'], objectsAt(one, 'warnings')[0]?.['code']]);
    expect(occurrences).toEqual([
      ['cancelled', 'links'],
      ['scheduled', 'links'],
    ]);
  });

  it('say a quarter of an hour ahead what the preflight finds, and what it finds when the message begins', async () => {
    const zone: Zone = {
      'mail._domainkey.good.example': [KEY],
      '_dmarc.good.example': ['v=DMARC1; p=reject'],
    };
    const { sending, clock } = await startSending(zone);
    const path = await schedule(sending, 30);
    const warned = (code: string, everyMs: number): Promise<readonly string[]> =>
      until(`${code} is warned of`, LIMIT_MS, async () => {
        clock.advance(everyMs);
        const found = await warningsOf(sending, path);
        return found.includes(code) ? found : undefined;
      });

    clock.advance(14 * MINUTE_MS);
    const early = await warningsOf(sending, path);
    clock.advance(6 * MINUTE_MS);
    const ahead = await warned('spf', 5_000);
    const { status: statusAhead } = (await sending.request('GET', path)).body;
    zone['good.example'] = ['v=spf1 -all'];
    delete zone['_dmarc.good.example'];
    clock.advance(10 * MINUTE_MS);
    const begun = await warned('dmarc', 1_000);

    expect([early, ahead, statusAhead, begun]).toEqual([[], ['spf'], 'scheduled', ['dmarc']]);
    expect((await sending.request('GET', path)).body['warnings']).toEqual([
      {
        code: 'dmarc',
        detail: 'good.example has no DMARC record; Gmail and Yahoo want one of whoever sends in bulk.',
        source: 'RFC 9989, 4.10; Google Email sender guidelines',
      },
    ]);
  });
});

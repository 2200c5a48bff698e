import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { HOUR_MS, MINUTE_MS } from '../../src/platform/clock/clock.ts';
import { objectsAt } from '../support/json.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const LIMIT_MS = 30_000;
const PUBLIC_URL = 'https://news.example.com';
const CONFIRM_WITHIN_HOURS = 6;
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

let clock: ManualClock;
let app: TestApp;
beforeAll(async () => {
  clock = new ManualClock(Temporal.Instant.from('2030-01-01T08:00Z'));
  app = await startTestApp({
    clock,
    env: { PUBLIC_URL, MAIL: 'outbox', CONFIRM_WITHIN: `${CONFIRM_WITHIN_HOURS}h` },
  });
});
afterAll(() => app.close());

/** Mails to the address so far; time goes on until there are so many. */
async function mailsTo(email: string, count: number): Promise<readonly string[]> {
  return until(`${email} has ${count} mails`, LIMIT_MS, async () => {
    clock.advance(1_000); // so that the next look comes soon
    const mails = await readMails();
    const found = mails.filter((mail) => mail.includes(`To: ${email}\r\n`));
    return found.length >= count ? found : undefined;
  });
}

async function readMails(of = app): Promise<readonly string[]> {
  const folder = join(of.dataDir, 'outbox');
  const entries = await readdir(folder, { recursive: true }).catch(() => []);
  const files = entries.filter((name) => name.endsWith('.eml')).toSorted((a, b) => a.localeCompare(b));
  return Promise.all(files.map((name) => readFile(join(folder, name), 'latin1')));
}

async function subscribe(group: string, email: string): Promise<void> {
  await app.request('PUT', `/v1/groups/${group}`, { body: { opt_in: 'double', display_name: 'The News' } });
  await app.request('POST', `/v1/groups/${group}/subscribers`, { body: { email } });
}

async function statusOf(group: string, email: string): Promise<unknown> {
  return (await app.request('GET', `/v1/groups/${group}/subscribers/${email}`)).body['status'];
}

async function linkIn(mail: string | undefined): Promise<string> {
  const { text = '' } = await simpleParser(mail ?? '');
  return /https:\/\/news\.example\.com(\/c\/\S+)/.exec(text)?.[1] ?? '';
}

async function historyOf(group: string, email: string): Promise<readonly unknown[]> {
  const { body } = await app.request('GET', `/v1/groups/${group}/subscribers/${email}/consent`);
  return objectsAt(body, 'entries').map(({ what, how }) => `${String(what)} ${String(how)}`);
}

describe('a group with double opt-in', () => {
  it('asks whoever is added with one mail, and has them once they press the button', async () => {
    const email = 'ada@example.com';
    await subscribe('asks', email);

    const [mail, ...others] = await mailsTo(email, 1);
    const link = await linkIn(mail);
    const asked = await app.request('GET', link);
    const afterOpening = await statusOf('asks', email);
    const confirmed = await app.request('POST', link, { headers: FORM, body: 'from=page' });
    const again = await app.request('POST', link, { headers: FORM, body: 'from=page' });

    expect(others).toEqual([]);
    expect(mail).toMatch(/^Subject: Please confirm: The News\r$/m);
    expect(mail).toMatch(/^Auto-Submitted: auto-generated\r$/m);
    expect(mail).not.toMatch(/^(?:List-|Precedence)/m);
    expect([asked.status, confirmed.status, again.status]).toEqual([200, 200, 200]);
    expect(afterOpening).toBe('pending');
    expect(confirmed.text).toContain('Thank you');
    expect(await statusOf('asks', email)).toBe('active');
    expect(await historyOf('asks', email)).toEqual(['pending api', 'confirmed page']);
  });

  it('needs the button and its own link', async () => {
    const email = 'bob@example.com';
    await subscribe('needs', email);
    const link = await linkIn((await mailsTo(email, 1))[0]);

    const unclear = await app.request('POST', link, { headers: FORM, body: '' });
    const foreign = await app.request('POST', link.replace('/c/', '/u/'), {
      headers: FORM,
      body: 'List-Unsubscribe=One-Click',
    });
    const tampered = await app.request('POST', `${link.slice(0, -4)}AAAA`, {
      headers: FORM,
      body: 'from=page',
    });

    expect([unclear.status, foreign.status, tampered.status]).toEqual([400, 404, 404]);
    expect(await statusOf('needs', email)).toBe('pending');
  });

  it('asks three times at most, ten minutes apart', async () => {
    const email = 'cyd@example.com';
    const path = `/v1/groups/limits/subscribers/${email}/confirmation`;
    await subscribe('limits', email);
    await mailsTo(email, 1);

    const tooSoon = await app.request('POST', path);
    const answers: number[] = [];
    for (const count of [2, 3]) {
      clock.advance(10 * MINUTE_MS);
      await until('It may be asked for', LIMIT_MS, async () => {
        const { status } = await app.request('POST', path);
        return status === 202 ? answers.push(status) : undefined;
      });
      await mailsTo(email, count);
    }
    clock.advance(10 * MINUTE_MS);
    const tooOften = await app.request('POST', path);

    expect(tooSoon.body['code']).toBe('confirmation-limit');
    expect(answers).toEqual([202, 202]);
    expect([tooOften.status, tooOften.body['code']]).toEqual([409, 'confirmation-limit']);
  });

  it('has nobody to ask of those who are active, or not there', async () => {
    await app.request('POST', '/v1/groups/single/subscribers', { body: { email: 'ada@example.com' } });

    const active = await app.request('POST', '/v1/groups/single/subscribers/ada@example.com/confirmation');
    const absent = await app.request('POST', '/v1/groups/single/subscribers/eve@example.com/confirmation');

    expect([active.status, active.body['code']]).toEqual([409, 'not-pending']);
    expect(absent.status).toBe(404);
  });

  it('asks whoever is imported, one after the other, and nobody where the import says so', async () => {
    const imported = async (query: string, ...emails: readonly string[]): Promise<void> => {
      await app.request('POST', `/v1/groups/imports/imports${query}`, {
        body: `email\n${emails.join('\n')}\n`,
        headers: { 'content-type': 'text/csv' },
      });
      await until('The import ends', LIMIT_MS, async () => {
        const { body } = await app.request('GET', '/v1/groups/imports/imports/latest');
        return body['state'] === 'done' || undefined;
      });
    };
    await app.request('PUT', '/v1/groups/imports', { body: { opt_in: 'double' } });

    await imported('?ask_to_confirm=false', 'iris@example.com');
    await imported('', 'ivan@example.com', 'ines@example.com');
    await imported('', 'ivan@example.com', 'ines@example.com');
    const [mail] = await mailsTo('ines@example.com', 1);
    await mailsTo('ivan@example.com', 1);
    await app.request('POST', await linkIn(mail), { body: 'from=page', headers: FORM });

    expect(await statusOf('imports', 'ines@example.com')).toBe('active');
    expect(await statusOf('imports', 'ivan@example.com')).toBe('pending');
    expect(await mailsTo('ivan@example.com', 0)).toHaveLength(1);
    expect(await mailsTo('iris@example.com', 0)).toEqual([]);
    expect((await app.request('GET', '/v1/groups/imports/imports/latest')).body['ask_to_confirm']).toBe(true);
  });

  it('forgets who does not confirm in time, and their link is none any more', async () => {
    const email = 'dan@example.com';
    await subscribe('forgets', email);
    const link = await linkIn((await mailsTo(email, 1))[0]);

    clock.advance(CONFIRM_WITHIN_HOURS * HOUR_MS);
    await until('They are gone', LIMIT_MS, async () => {
      clock.advance(1_000);
      return (await statusOf('forgets', email)) === 404 ? true : undefined;
    });

    expect((await app.request('GET', link)).status).toBe(404);
    await app.request('POST', '/v1/groups/forgets/subscribers', { body: { email } });
    expect(await mailsTo(email, 2)).toHaveLength(2);
    expect(await historyOf('forgets', email)).toEqual(['pending api', 'expired expiry', 'pending api']);
  });
});

describe('mails that ask', () => {
  it('keep to the rate together with those of a message', async () => {
    const time = new ManualClock(Temporal.Instant.from('2030-01-01T08:00Z'));
    const beganAtMs = time.now().epochMilliseconds;
    const paced = await startTestApp({
      clock: time,
      env: { PUBLIC_URL, MAIL: 'outbox', MAX_SEND_RATE: '1' },
    });
    onTestFinished(() => paced.close());
    const readers = ['a', 'b', 'c', 'd'].map((name) => ({ email: `${name}@readers.example` }));
    const asked = ['x', 'y', 'z'].map((name) => ({ email: `${name}@asked.example` }));
    await paced.request('POST', '/v1/groups/going/subscribers', { body: { subscribers: readers } });
    await paced.request('PUT', '/v1/groups/asking', { body: { opt_in: 'double' } });
    await paced.request('POST', '/v1/groups/asking/subscribers', { body: { subscribers: asked } });
    await paced.request('POST', '/v1/groups/going/schedule', {
      body: { subject: 'News', body: '<p>News</p>', schedule_on: time.now().epochMilliseconds },
    });

    const mails = await until('all have gone', LIMIT_MS, async () => {
      time.advance(500);
      const found = await readMails(paced);
      return found.length === readers.length + asked.length ? found : undefined;
    });

    const sent = mails
      .map((mail) => Date.parse(/^Date: (.*)\r$/m.exec(mail)?.[1] ?? ''))
      .toSorted((a, b) => a - b);
    // A mail may be made some time after it was allowed, so no gap says anything; but none is made before.
    const ahead = sent.filter((at, index) => at < beganAtMs + index * 1_000);
    expect(ahead).toEqual([]);
  });

  it('do not go to whoever is suppressed while they wait for their turn', async () => {
    const time = new ManualClock(Temporal.Instant.from('2030-01-01T08:00Z'));
    const paced = await startTestApp({
      clock: time,
      env: { PUBLIC_URL, MAIL: 'outbox', MAX_SEND_RATE: '1' },
    });
    onTestFinished(() => paced.close());
    const emails = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((name) => `${name}@asked.example`);
    await paced.request('PUT', '/v1/groups/asking', { body: { opt_in: 'double' } });
    const subscribers = emails.map((email) => ({ email }));
    await paced.request('POST', '/v1/groups/asking/subscribers', { body: { subscribers } });
    await until('The first is asked', LIMIT_MS, async () => {
      time.advance(500);
      return (await readMails(paced)).length > 0 || undefined;
    });

    await Promise.all(emails.map((email) => paced.request('POST', '/v1/suppressions', { body: { email } })));
    for (let second = 0; second < 30; second += 1) {
      time.advance(1_000);
      await readMails(paced);
    }

    // One or two more may have been on their way.
    expect((await readMails(paced)).length).toBeLessThan(emails.length - 2);
  });
});

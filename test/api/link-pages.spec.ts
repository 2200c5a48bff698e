import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CHROMIUM, hasChromium, launchChromium } from '../support/chromium.ts';
import { oneClickUrl } from '../support/bulk-mail.ts';
import { objectsAt, textAt } from '../support/json.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';
import { until } from '../support/until.ts';

const WAIT_MS = 15_000;
// To look at them: a folder for pictures of the pages.
const PICTURES = process.env['PICTURES'];

describe.skipIf(!hasChromium)(
  `the pages behind links in a browser${hasChromium ? '' : ` (skipped: there is no ${CHROMIUM})`}`,
  () => {
    let app: TestApp;
    let browser: Browser;
    let page: Page;
    let complaints: string[];
    let requests: string[];

    beforeAll(async () => {
      app = await startTestApp({ env: { MAIL: 'outbox' } });
      browser = await launchChromium();
    });
    afterAll(async () => {
      await browser.close();
      await app.close();
    });
    beforeEach(async () => {
      complaints = [];
      requests = [];
      page = await browser.newPage({ viewport: { width: 420, height: 620 }, colorScheme: 'light' });
      page.setDefaultTimeout(WAIT_MS);
      page.on('request', (request) => requests.push(request.url()));
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => complaints.push(message.text()));
    });
    afterEach(async () => {
      await page.close();
    });

    /** The link in the mail that a new subscriber of the group gets. */
    async function linkOf(group: string, attributes: object = {}): Promise<string> {
      const base = `/v1/groups/${group}`;
      await app.request('POST', `${base}/subscribers`, { body: { email: 'ada@example.com', attributes } });
      const { body } = await app.request('POST', `${base}/schedule`, {
        body: { subject: 'Hello', body: 'Hello', schedule_on: 1_649_753_447_000, on_missed: 'send' },
      });
      const deliveries = `${base}/schedule/${textAt(body, 'key')}/deliveries`;
      const id = await until(`The mail to ${group} is sent`, WAIT_MS, async () => {
        const [delivery] = objectsAt((await app.request('GET', deliveries)).body, 'items');
        return delivery?.['outcome'] === 'sent' ? textAt(delivery, 'provider_id') : undefined;
      });
      const raw = await fetch(`${app.url}/outbox/${id.replace('.eml', '')}/raw`);
      return oneClickUrl(Buffer.from(await raw.arrayBuffer()));
    }

    /** The link in the mail that asks for a confirmation, to the list of this name. */
    async function confirmLinkTo(list: string): Promise<string> {
      const folder = join(app.dataDir, 'outbox');
      return until(`The mail that asks for ${list} is sent`, WAIT_MS, async () => {
        const entries = await readdir(folder, { recursive: true }).catch(() => []);
        for (const name of entries.filter((entry) => entry.endsWith('.eml'))) {
          const { subject, text } = await simpleParser(await readFile(join(folder, name)));
          const [link] = /http:\S+\/c\/\S+/.exec(text ?? '') ?? [];
          if (subject?.includes(list) === true && link !== undefined) {
            return link;
          }
        }
        return undefined;
      });
    }

    async function statusOf(group: string): Promise<unknown> {
      const { body } = await app.request('GET', `/v1/groups/${group}/subscribers/ada@example.com`);
      return body['status'];
    }

    /** In both colour schemes, where somebody wants to look. */
    async function picture(name: string): Promise<void> {
      for (const colorScheme of PICTURES === undefined ? [] : (['light', 'dark'] as const)) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: join(PICTURES ?? '', `${name}-${colorScheme}.png`) });
      }
    }

    it('ask, and unsubscribe with the button alone', async () => {
      const link = await linkOf('asked');

      await page.goto(link);
      await picture('unsubscribe');
      const asked = await page.getByRole('heading').innerText();
      const before = await statusOf('asked');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'You are unsubscribed' }).waitFor();
      await picture('unsubscribed');

      expect([asked, before]).toEqual(['Unsubscribe', 'active']);
      expect(await statusOf('asked')).toBe('unsubscribed');
      expect(new Set(requests)).toEqual(new Set([link]));
      expect(complaints).toEqual([]);
    });

    it('show all groups, and keep what has a tick', async () => {
      await app.request('PUT', '/v1/groups/ticked', { body: { display_name: 'Freunde der Brücke' } });
      await app.request('POST', '/v1/groups/unticked/subscribers', { body: { email: 'ada@example.com' } });

      await page.goto((await linkOf('ticked', { language: 'de' })).replace('/u/', '/p/'));
      await picture('preferences');
      await page.getByLabel('unticked').uncheck();
      await page.getByRole('button', { name: 'Speichern' }).click();
      await page.getByRole('status').waitFor();
      await picture('preferences-saved');

      expect(await page.locator('html').getAttribute('lang')).toBe('de');
      expect(await page.getByLabel('Freunde der Brücke').isChecked()).toBe(true);
      expect(await page.getByLabel('unticked').isChecked()).toBe(false);
      expect([await statusOf('ticked'), await statusOf('unticked')]).toEqual(['active', 'unsubscribed']);
      expect(complaints).toEqual([]);
    });

    it('ask whether an address is theirs, and confirm it with the button alone', async () => {
      await app.request('PUT', '/v1/groups/confirmed', {
        body: { opt_in: 'double', display_name: 'Les amis du pont', language: 'fr' },
      });
      await app.request('POST', '/v1/groups/confirmed/subscribers', { body: { email: 'ada@example.com' } });

      await page.goto(await confirmLinkTo('Les amis du pont'));
      await picture('confirm');
      const before = await statusOf('confirmed');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Merci' }).waitFor();
      await picture('confirmed');

      expect(before).toBe('pending');
      expect(await page.locator('html').getAttribute('lang')).toBe('fr');
      expect(await statusOf('confirmed')).toBe('active');
      expect(complaints).toEqual([]);
    });

    it('say of a link that does not work that it does not', async () => {
      await page.goto(`${app.url}/u/${'A'.repeat(90)}`);
      await picture('no-such-link');

      expect(await page.getByRole('heading').innerText()).toBe('This link does not work');
    });
  },
);

import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, hasChromium, launchChromium } from '../support/chromium.ts';
import { parseObject } from '../support/json.ts';
import { startTestApp, type TestApp } from '../support/test-app.ts';

const KEY = 'sender-correct-horse-battery';
const WAIT_MS = 15_000;

describe(`Swagger UI in a browser${hasChromium ? '' : ` (skipped: there is no ${CHROMIUM})`}`, () => {
  let app: TestApp;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    if (!hasChromium) {
      return;
    }
    app = await startTestApp({ env: { API_KEYS: `shop:sender:${KEY}` } });
    browser = await launchChromium();
    page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    page.setDefaultTimeout(WAIT_MS);
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') {
        complaints.push(message.text());
      }
    });
    page.on('pageerror', (error) => complaints.push(error.message));
  });
  afterAll(async () => {
    await browser?.close();
    await app?.close();
  });

  it.skipIf(!hasChromium)('shows the operations in the order in which they are needed', async () => {
    await page.goto(app.url); // leads to /docs

    await page.locator('.opblock').first().waitFor();

    expect(await page.locator('.opblock-tag > a').allInnerTexts()).toEqual([
      'groups',
      'subscribers',
      'consent',
      'suppressions',
      'imports',
      'messages',
      'series',
      'deliveries',
      'feedback',
      'health',
      'sample paths',
    ]);
  });

  it.skipIf(!hasChromium)(
    'runs the example of POST …/schedule as it stands, once it has the key',
    async () => {
      await page.goto(`${app.url}/docs`);
      await page.getByRole('button', { name: 'Authorize' }).click();
      await page.getByLabel('auth-bearer-value').fill(KEY);
      await page.getByRole('button', { name: 'Apply credentials' }).click();
      await page.getByRole('button', { name: 'Close' }).click();

      const operation = page.locator('#operations-messages-schedule_schedule');
      await operation.locator('.opblock-summary-control').click();
      await operation.getByRole('button', { name: 'Execute' }).click();

      const answer = operation.locator('.live-responses-table .response').first();
      await answer.waitFor();
      expect(await answer.locator('.response-col_status').innerText()).toMatch(/^201/);
      expect(parseObject(await answer.locator('.microlight').first().innerText())).toMatchObject({
        message: 'The message is scheduled.',
        details: { group: 'serverless', subject: 'Hello SLS workshop!' },
        status: 'scheduled',
      });
    },
  );

  it.skipIf(!hasChromium)('finds nothing to complain about', () => {
    expect(complaints).toEqual([]);
  });
});

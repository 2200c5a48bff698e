import { mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it } from 'vitest';
import type { Mail } from '../../src/delivery/channels/channel.ts';
import { OutboxChannel } from '../../src/delivery/channels/outbox.channel.ts';
import { Outbox } from '../../src/delivery/outbox/outbox.ts';
import { OutboxController } from '../../src/delivery/outbox/outbox.controller.ts';
import type { Environment } from '../../src/platform/config/settings.ts';
import { aDirectory, aServer } from '../platform/a-server.ts';
import { matching } from '../support/matching.ts';
import { aMail, aMessageKey, anEmail, type ComposedMail } from './a-mail.ts';

const KEY = aMessageKey();

function pathOf({ messageId }: Mail): string {
  const [, key, hash] = /^<(.+)\.(.+)@/.exec(messageId) ?? [];
  return `${key}/${hash}.eml`;
}

function aMailTo(name: string): ComposedMail {
  return aMail({ to: anEmail(`${name}@example.com`) });
}

/** A server whose outbox holds these mails, the last of them the newest. */
async function anOutbox(mails: readonly Mail[], env: Environment = {}): Promise<NestFastifyApplication> {
  const dataDir = await aDirectory();
  await new OutboxChannel(dataDir).send(mails);
  for (const [index, mail] of mails.entries()) {
    await utimes(join(dataDir, 'outbox', pathOf(mail)), 1_800_000_000 + index, 1_800_000_000 + index);
  }
  return aServer({
    env: { DATA_DIR: dataDir, ...env },
    controllers: [OutboxController],
    providers: [Outbox],
  });
}

async function get(
  app: NestFastifyApplication,
  url: string,
): Promise<{ status: number; body: string; type: string }> {
  const answer = await app.inject({ url, headers: { host: 'localhost', accept: 'text/html' } });
  return { status: answer.statusCode, body: answer.body, type: String(answer.headers['content-type']) };
}

function urlOf(mail: Mail): string {
  return `/outbox/${pathOf(mail).replace('.eml', '')}`;
}

describe('the outbox channel', () => {
  it('writes each mail whole, to a file of its own', async () => {
    const dataDir = await aDirectory();
    const mails = ['ada', 'bo', 'cy'].map(aMailTo);

    const results = await new OutboxChannel(dataDir).send(mails);

    expect(results).toEqual(mails.map((mail) => ({ kind: 'accepted', providerId: pathOf(mail) })));
    expect((await readdir(join(dataDir, 'outbox', KEY))).toSorted()).toEqual(
      mails.map((mail) => pathOf(mail).replace(`${KEY}/`, '')).toSorted(),
    );
    for (const mail of mails) {
      expect(await readFile(join(dataDir, 'outbox', pathOf(mail)))).toEqual(mail.mime);
    }
  });

  it('replaces the file when the same delivery is sent again', async () => {
    const dataDir = await aDirectory();
    const channel = new OutboxChannel(dataDir);
    const [first, second] = [aMail({ subject: 'one' }), aMail({ subject: 'two' })];

    await channel.send([first]);
    await channel.send([second]);

    expect(await readdir(join(dataDir, 'outbox', KEY))).toHaveLength(1);
    expect(await readFile(join(dataDir, 'outbox', pathOf(second)), 'utf8')).toMatch(/^Subject: two\r\n/m);
  });

  it.each([
    '<../../etc/passwd.0123456789abcdef@example.com>',
    `<${KEY}.../../x@example.com>`,
    `<${KEY}.0123456789abcdef/../../x@example.com>`,
    `<${KEY}@example.com>`,
    '',
  ])('refuses a Message-ID that could lead elsewhere: %s', async (messageId) => {
    const dataDir = await aDirectory();
    const mail = { ...aMail(), messageId };

    await expect(async () => new OutboxChannel(dataDir).send([mail])).rejects.toThrow('Message-ID');

    expect(await readdir(dataDir)).toEqual([]);
  });

  it('throws where the folder cannot be written, and leaves nothing half done', async () => {
    const dataDir = await aDirectory();
    const mail = aMail();
    await mkdir(join(dataDir, 'outbox', pathOf(mail)), { recursive: true }); // a directory in the place of the file

    await expect(new OutboxChannel(dataDir).send([mail])).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST/);

    expect(await readdir(join(dataDir, 'outbox', KEY))).toHaveLength(1);
  });
});

describe('the pages of the outbox', () => {
  it('list the mails, the newest first, with a link to each', async () => {
    const mails = ['ada', 'bo', 'cy'].map(aMailTo);
    const app = await anOutbox(mails);

    const { status, body, type } = await get(app, '/outbox');

    expect({ status, type }).toEqual({ status: 200, type: 'text/html; charset=utf-8' });
    const links = [...body.matchAll(/href="(outbox\/[^"]+)"/g)].map(([, href]) => `/${href}`);
    expect(links).toEqual(mails.map(urlOf).toReversed());
    expect(body).toContain('<time datetime="2027-01-15T08:00:02Z">2027-01-15 08:00:02 UTC</time>');
  });

  it('list a hundred a page', async () => {
    const app = await anOutbox(Array.from({ length: 101 }, (_, index) => aMailTo(`n${index}`)));

    const [first, second, third] = await Promise.all(
      ['/outbox', '/outbox?page=2', '/outbox?page=3'].map((url) => get(app, url)),
    );

    expect([first, second, third].map((page) => page?.body.match(/<time/g)?.length ?? 0)).toEqual([
      100, 1, 0,
    ]);
    expect(first?.body).toContain('href="?page=2"');
    expect(second?.body).toContain('href="?page=1"');
    expect(second?.body).not.toContain('href="?page=3"');
  });

  it('say so where there is nothing', async () => {
    const app = await aServer({ controllers: [OutboxController], providers: [Outbox] });

    expect(await get(app, '/outbox')).toMatchObject({
      status: 200,
      body: matching(/nothing here/),
    });
  });

  it('pass over what is no mail', async () => {
    const dataDir = await aDirectory();
    const mail = aMail();
    await new OutboxChannel(dataDir).send([mail]);
    await writeFile(join(dataDir, 'outbox', KEY, '0123456789abcdef.eml.7d1f.tmp'), 'half a mail');
    await writeFile(join(dataDir, 'outbox', KEY, 'notes.eml'), 'x');
    await writeFile(
      join(dataDir, 'outbox', aMessageKey('01999999-0000-7000-8000-000000000002')),
      'no folder',
    );
    await mkdir(join(dataDir, 'outbox', 'other'));
    const app = await aServer({
      env: { DATA_DIR: dataDir },
      controllers: [OutboxController],
      providers: [Outbox],
    });

    const { body } = await get(app, '/outbox');

    expect(body.match(/<time/g)).toHaveLength(1);
  });

  it('show a mail: its headers, its HTML in a sandbox, its text', async () => {
    const mail = aMail({ subject: 'Grüße', html: '<p class="x">Hi & "you"</p>', text: 'Hi & <you>' });
    const app = await anOutbox([mail]);

    const { status, body } = await get(app, urlOf(mail));

    expect(status).toBe(200);
    expect(body).toContain('<h1>Grüße</h1>');
    expect(body).toContain('News &lt;news@example.com&gt;');
    expect(body).toContain(mail.messageId.replace('<', '&lt;').replace('>', '&gt;'));
    expect(body).toContain('sandbox=""');
    expect(body).toContain('srcdoc="&lt;p class=&quot;x&quot;&gt;Hi &amp; &quot;you&quot;&lt;/p&gt;');
    expect(body).toContain('Hi &amp; &lt;you&gt;');
  });

  it('hand out the mail as it was written, to be saved', async () => {
    const mail = aMail({ text: 'Grüße' });
    const app = await anOutbox([mail]);

    const answer = await app.inject({ url: `${urlOf(mail)}/raw`, headers: { host: 'localhost' } });

    expect(answer.rawPayload).toEqual(mail.mime);
    expect(answer.headers).toMatchObject({
      'content-type': 'message/rfc822',
      'content-disposition': matching(/^attachment; filename="[0-9a-f]{16}\.eml"$/),
    });
  });

  it.each([
    ['subject', { subject: '<script>alert(1)</script>"\'' }],
    ['name', { toName: '<script>alert(1)</script>' }],
    ['sender', { from: '"<script>alert(1)</script>" <news@example.com>' }],
    ['HTML', { html: '"><script>alert(1)</script><iframe srcdoc="' }],
    ['text', { text: '</pre><script>alert(1)</script>' }],
  ])('never have a script in them, whatever the %s is', async (_part, parts) => {
    const mail = aMail(parts);
    const app = await anOutbox([mail]);

    const pages = await Promise.all(['/outbox', urlOf(mail)].map((url) => get(app, url)));

    for (const { status, body } of pages) {
      expect(status).toBe(200);
      expect(body).not.toMatch(/<script|<iframe[^>]*>\s*<iframe/i);
      expect(body.match(/<iframe/g)?.length ?? 0).toBeLessThanOrEqual(1);
    }
  });

  it.each(['/outbox', '/outbox/:mail', '/outbox/:mail/raw'])(
    'may load nothing and run nothing: %s',
    async (path) => {
      const mail = aMail();
      const app = await anOutbox([mail]);

      const { headers } = await app.inject({
        url: path.replace('/outbox/:mail', urlOf(mail)),
        headers: { host: 'localhost' },
      });

      expect(headers['content-security-policy']).toBe(
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
    },
  );

  it.each([
    `/outbox/${KEY}/0123456789abcdef`,
    `/outbox/${KEY}/0123456789abcdef/raw`,
    `/outbox/${KEY}/x`,
    '/outbox/..%2f..%2fbelfry.db/0123456789abcdef',
    `/outbox/${KEY}/..%2f..%2f..%2fetc%2fpasswd`,
    `/outbox/${KEY}/..%2f..%2fbelfry.db/raw`,
    '/outbox/%2e%2e/0123456789abcdef/raw',
    `/outbox/${KEY}/0123456789abcdef%00`,
    `/outbox/${KEY.toUpperCase()}/0123456789ABCDEF`,
    `/outbox/${KEY}`,
  ])('answer 404 with a problem document: %s', async (url) => {
    const dataDir = await aDirectory();
    await writeFile(join(dataDir, 'belfry.db'), 'secret');
    const app = await aServer({
      env: { DATA_DIR: dataDir },
      controllers: [OutboxController],
      providers: [Outbox],
    });

    const { status, type, body } = await get(app, url);

    expect({ status, type }).toEqual({
      status: 404,
      type: matching(/^application\/problem\+json/),
    });
    expect(body).not.toContain('secret');
  });

  it.each(['/outbox?page=0', '/outbox?page=x', '/outbox?page=1e9', '/outbox?other=1'])(
    'answer 400 with a problem document: %s',
    async (url) => {
      const app = await aServer({ controllers: [OutboxController], providers: [Outbox] });

      expect(await get(app, url)).toMatchObject({
        status: 400,
        type: matching(/^application\/problem\+json/),
      });
    },
  );

  it.each(['/outbox', `/outbox/${KEY}/0123456789abcdef`, `/outbox/${KEY}/0123456789abcdef/raw`])(
    'say that there is no outbox where mail leaves by SMTP: %s',
    async (url) => {
      const app = await aServer({
        env: { SMTP_URL: 'smtp://127.0.0.1:1' },
        controllers: [OutboxController],
        providers: [Outbox],
      });

      const { status, body } = await get(app, url);

      expect(status).toBe(404);
      expect(JSON.parse(body)).toMatchObject({
        code: 'outbox-unused',
        detail: matching(/smtp/),
      });
    },
  );

  it('want a key where the server has keys', async () => {
    const mail = aMail();
    const app = await anOutbox([mail], { API_KEYS: 'me:reader:0123456789abcdef' });
    const authorization = `Basic ${Buffer.from('me:0123456789abcdef').toString('base64')}`;

    const [without, withKey] = await Promise.all([
      app.inject({ url: '/outbox' }),
      app.inject({ url: '/outbox', headers: { authorization } }),
    ]);

    expect([without.statusCode, withKey.statusCode]).toEqual([401, 200]);
  });

  it('still list the others when files vanish meanwhile', async () => {
    const dataDir = await aDirectory();
    const mails = Array.from({ length: 50 }, (_, index) => aMailTo(`n${index}`));
    await new OutboxChannel(dataDir).send(mails);
    const app = await aServer({
      env: { DATA_DIR: dataDir },
      controllers: [OutboxController],
      providers: [Outbox],
    });

    const [page] = await Promise.all([
      get(app, '/outbox'),
      ...mails.map((mail) => rm(join(dataDir, 'outbox', pathOf(mail)))),
    ]);

    expect(page?.status).toBe(200);
  });
});

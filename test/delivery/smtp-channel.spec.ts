import { createServer, type Server, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Mail, SendResult } from '../../src/delivery/channels/channel.ts';
import type { SmtpTimeouts } from '../../src/delivery/channels/smtp-session.ts';
import { resultOfReply } from '../../src/delivery/channels/smtp-results.ts';
import { SmtpChannel } from '../../src/delivery/channels/smtp.channel.ts';
import { SystemClock } from '../../src/platform/clock/system-clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { matching } from '../support/matching.ts';
import { until } from '../support/until.ts';
import { type Behaviour, type SinkOptions, SmtpSink } from '../support/smtp-sink.ts';
import { aMail, anEmail } from './a-mail.ts';

const TIMEOUTS: SmtpTimeouts = { connectMs: 2_000, silenceMs: 2_000, mailMs: 10_000 };
const IMPATIENT: SmtpTimeouts = { connectMs: 300, silenceMs: 300, mailMs: 10_000 };
// Too much for the buffers of a connection, so that it cannot be handed to the kernel as a whole.
const LARGE_HTML = '<p>Hello</p>'.repeat(2_000_000);

describe('a refusal of a recipient', () => {
  it.each([
    ['5.1.1 No such user', true],
    ['5.1.2 No such host', true],
    ['5.1.3 Bad address', true],
    ['5.1.6 Moved', true],
    ['5.1.10 Null MX', true],
    ['5.2.1 Disabled', true],
    ['5.1.0 Address rejected', undefined],
    ['5.1.11 Something else', undefined],
    ['5.2.2 Mailbox full', undefined],
    ['5.4.4 Unable to route', undefined],
    ['5.7.1 Blocked', undefined],
    ['No such user 5.1.1', undefined],
  ])('%s: says whether the address is dead: %s', (text, isDead) => {
    const expected = { kind: 'rejected', reason: `550 ${text}`, bounced: true, ...(isDead === true && { isDead }) };

    expect(resultOfReply('RCPT TO', { code: 550, text: `550 ${text}` })).toEqual(expected);
    expect(resultOfReply('MAIL FROM', { code: 550, text: `550 ${text}` })).toMatchObject({ kind: 'refused' });
  });
});

async function aSink(options: SinkOptions = {}): Promise<SmtpSink> {
  const sink = await SmtpSink.start(options);
  onTestFinished(() => sink.close());
  return sink;
}

const GO_ON = new AbortController().signal;

function aChannel(url: string, timeouts: Partial<SmtpTimeouts> = TIMEOUTS, connections = 2): SmtpChannel {
  const channel = new SmtpChannel({
    url,
    connections,
    window: { least: 5, most: 50 },
    clock: new SystemClock(),
    timeouts,
  });
  onTestFinished(() => channel.close());
  return channel;
}

async function sendOne(channel: SmtpChannel, mail: Mail): Promise<SendResult | undefined> {
  const [result] = await channel.send([mail], GO_ON);
  return result;
}

/** A server that says what it is told to, line by line; for what no decent server does. */
async function aRudeServer(serve: (socket: Socket) => void): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `smtp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

/** What a server that offers PIPELINING answers to all that came in one piece. */
function repliesTo(data: string): string {
  const content = data.includes('\r\n.\r\n') ? data.indexOf('\r\n.\r\n') + '\r\n.\r\n'.length : 0;
  const replies = data
    .slice(content)
    .split('\r\n')
    .flatMap((line) => {
      switch (line.slice(0, 4)) {
        case 'EHLO':
          return ['250-rude', '250 PIPELINING'];
        case 'MAIL':
          return ['250 sender'];
        case 'RCPT':
          return ['250 recipient'];
        case 'DATA':
          return ['354 go on'];
        case 'RSET':
        case '.':
          return ['250 done'];
        default:
          return [];
      }
    });
  return [...(content > 0 ? ['250 taken'] : []), ...replies].map((reply) => `${reply}\r\n`).join('');
}

function secureUrl(url: string, tls: 'implicit' | 'starttls', rejectUnauthorized: string): string {
  const secure = tls === 'implicit' ? url.replace('smtp:', 'smtps:') : url;
  return `${secure}?tls.rejectUnauthorized=${rejectUnauthorized}${tls === 'starttls' ? '&requireTLS=true' : ''}`;
}

describe('the SMTP channel', () => {
  it('hands over each mail of a window to its one recipient, and answers in order', async () => {
    const sink = await aSink({ keepRaw: true });
    const mails = ['ada', 'bo', 'cy', 'di', 'ed'].map((name) =>
      aMail({ to: anEmail(`${name}@example.com`) }),
    );

    const results = await aChannel(sink.url).send(mails, GO_ON);

    expect(results).toEqual(mails.map(() => ({ kind: 'accepted', providerId: matching(/^250 .*Taken/) })));
    expect(sink.received.toSorted((a, b) => a.recipient.localeCompare(b.recipient))).toMatchObject(
      mails.map(({ to, messageId }) => ({ recipient: to, from: 'news@example.com', messageId })),
    );
    for (const { raw, messageId } of sink.received) {
      expect(raw?.toString()).toBe(mails.find((mail) => mail.messageId === messageId)?.mime.toString());
    }
  });

  it('keeps its connections, and takes no more than it was given', async () => {
    const sink = await aSink();
    const channel = aChannel(sink.url, TIMEOUTS, 3);
    const mails = Array.from({ length: 30 }, () => aMail());

    await channel.send(mails.slice(0, 15), GO_ON);
    await channel.send(mails.slice(15), GO_ON);

    expect(sink.count).toBe(30);
    expect(sink.connected).toBe(3);
  });

  it('takes more at once while the server is quick, and begins anew when something went wrong', async () => {
    const sink = await aSink({ behaviours: [{ match: '^full', at: 'rcpt', do: 'reply', code: 452 }] });
    const clock = new ManualClock(Temporal.Instant.from('2026-11-23T14:10:00Z'));
    const channel = new SmtpChannel({ url: sink.url, connections: 2, window: { least: 2, most: 7 }, clock });
    onTestFinished(() => channel.close());
    const windows: number[] = [];

    for (const name of ['ada', 'bo', 'cy', 'full']) {
      windows.push(channel.window);
      const mails = Array.from({ length: channel.window }, () =>
        aMail({ to: anEmail(`${name}@example.com`) }),
      );
      await channel.send(mails, GO_ON);
    }

    expect([...windows, channel.window]).toEqual([2, 4, 7, 7, 2]);
  });

  it('begins nothing once it was told to stop', async () => {
    const sink = await aSink();
    const channel = aChannel(sink.url);

    const results = await channel.send([aMail()], AbortSignal.abort());

    expect(results).toMatchObject([{ kind: 'deferred' }]);
    expect(sink.count).toBe(0);
  });

  it('breaks off a mail when it is told to stop, and says that it was not taken', async () => {
    const sink = await aSink({ behaviours: [{ match: '.', at: 'rcpt', do: 'hang' }] });
    const stop = new AbortController();
    const results = aChannel(sink.url).send([aMail()], stop.signal);
    await until('a connection', 2_000, async () => sink.connected || undefined);

    stop.abort();

    expect(await results).toMatchObject([{ kind: 'deferred' }]);
  });

  it('carries a mail of many slices unchanged', async () => {
    const sink = await aSink({ keepRaw: true });
    const mail = aMail({ html: '<p>Hello wörld</p>\n'.repeat(100_000) });

    const result = await sendOne(aChannel(sink.url), mail);

    expect(result?.kind).toBe('accepted');
    expect(sink.received[0]?.raw?.equals(mail.mime)).toBe(true);
  });

  it('carries a mail whose lines begin with dots unchanged', async () => {
    const sink = await aSink({ keepRaw: true });
    const mail = aMail({ text: '.\n..\n.\nend' });

    await sendOne(aChannel(sink.url), mail);

    expect(sink.received[0]?.raw?.toString()).toBe(mail.mime.toString());
  });

  describe.each([
    ['with PIPELINING', false],
    ['without PIPELINING', true],
  ])('%s', (_how, hidePipelining) => {
    it.each<[SendResult['kind'], string, Behaviour]>([
      ['deferred', '421 at the greeting', { at: 'connect', do: 'reply', code: 421 }],
      ['refused', '554 at the greeting', { at: 'connect', do: 'reply', code: 554 }],
      ['deferred', '451 to MAIL FROM', { at: 'mail', do: 'reply', code: 451 }],
      ['refused', '530 to MAIL FROM', { at: 'mail', do: 'reply', code: 530 }],
      ['refused', '550 to MAIL FROM', { at: 'mail', do: 'reply', code: 550 }],
      ['refused', '552 to MAIL FROM', { at: 'mail', do: 'reply', code: 552 }],
      ['deferred', '421 to RCPT TO', { at: 'rcpt', do: 'reply', code: 421 }],
      ['deferred', '450 to RCPT TO', { at: 'rcpt', do: 'reply', code: 450 }],
      ['deferred', '503 to RCPT TO', { at: 'rcpt', do: 'reply', code: 503 }],
      ['refused', '530 to RCPT TO', { at: 'rcpt', do: 'reply', code: 530 }],
      ['rejected', '550 to RCPT TO', { at: 'rcpt', do: 'reply', code: 550 }],
      ['rejected', '552 to RCPT TO', { at: 'rcpt', do: 'reply', code: 552, text: '5.2.2 Mailbox full' }],
      [
        'refused',
        '553 to RCPT TO about the sender',
        { at: 'rcpt', do: 'reply', code: 553, text: '5.1.8 Sender' },
      ],
      ['deferred', '421 after the dot', { at: 'after-dot', do: 'reply', code: 421 }],
      ['deferred', '451 after the dot', { at: 'after-dot', do: 'reply', code: 451 }],
      ['rejected', '550 after the dot', { at: 'after-dot', do: 'reply', code: 550 }],
      ['rejected', '554 after the dot', { at: 'after-dot', do: 'reply', code: 554, text: '5.7.1 Spam' }],
      ['refused', '552 after the dot', { at: 'after-dot', do: 'reply', code: 552, text: '5.3.4 Too big' }],
    ])('says %s for %s, with what the server said', async (kind, _what, behaviour) => {
      const sink = await aSink({ hidePipelining, behaviours: [{ text: 'No thanks', ...behaviour }] });

      const result = await sendOne(aChannel(sink.url), aMail());

      const said = new RegExp(`^${behaviour.code} .*${behaviour.text ?? 'No thanks'}`);
      const bounced = kind === 'rejected' && { bounced: true };
      expect(result).toEqual({ kind, reason: matching(said), ...bounced });
      expect(sink.count).toBe(0);
    });

    it.each<[SendResult['kind'], string, Behaviour]>([
      ['deferred', 'at the greeting', { at: 'connect', do: 'cut' }],
      ['deferred', 'after MAIL FROM', { at: 'mail', do: 'cut' }],
      ['deferred', 'after RCPT TO', { at: 'rcpt', do: 'cut' }],
      ['unknown', 'after the whole mail went out, before the server read the dot', { at: 'data', do: 'cut' }],
      ['unknown', 'after the dot', { at: 'after-dot', do: 'cut' }],
    ])(
      'says %s where the connection is cut %s, and sends nothing by itself',
      async (kind, _where, behaviour) => {
        const sink = await aSink({ hidePipelining, behaviours: [{ ...behaviour, times: 1 }] });
        const channel = aChannel(sink.url);
        const mail = aMail();

        const result = await sendOne(channel, mail);
        const taken = sink.count;
        // A mail that the pool had put back would go before this one, over the same single connection.
        const next = await sendOne(channel, aMail({ to: anEmail('bo@example.com') }));

        expect(result).toEqual({ kind, reason: matching(/./) });
        expect(next?.kind).toBe('accepted');
        expect(sink.received.map(({ recipient }) => recipient)).toEqual([
          ...(taken === 1 ? ['ada@example.com'] : []),
          'bo@example.com',
        ]);
        expect(taken).toBe(behaviour.at === 'after-dot' ? 1 : 0);
      },
    );

    it.each<[SendResult['kind'], string, Behaviour]>([
      ['deferred', 'at the greeting', { at: 'connect', do: 'hang' }],
      ['deferred', 'at MAIL FROM', { at: 'mail', do: 'hang' }],
      ['deferred', 'at RCPT TO', { at: 'rcpt', do: 'hang' }],
      ['unknown', 'while it reads the mail', { at: 'data', do: 'hang' }],
      ['unknown', 'after the dot', { at: 'after-dot', do: 'hang' }],
    ])('says %s where the server hangs %s', async (kind, _where, behaviour) => {
      const sink = await aSink({ hidePipelining, behaviours: [behaviour] });

      const result = await sendOne(aChannel(sink.url, IMPATIENT), aMail());

      expect(result).toEqual({ kind, reason: matching(/./) });
    });
  });

  it('sends nothing twice over a connection that was good before and is cut after the dot', async () => {
    const sink = await aSink({ behaviours: [{ match: '^bo@', at: 'after-dot', do: 'cut' }] });
    const channel = aChannel(sink.url, TIMEOUTS, 1);
    const names = ['ada', 'bo', 'cy'];
    const mails = names.map((name) => aMail({ to: anEmail(`${name}@example.com`) }));

    const results = [];
    for (const mail of mails) {
      results.push(await sendOne(channel, mail));
    }

    expect(results.map((result) => result?.kind)).toEqual(['accepted', 'unknown', 'accepted']);
    expect(sink.received.map(({ recipient }) => recipient)).toEqual(mails.map(({ to }) => to));
  });

  it('says deferred where a connection is cut in the middle of the content: without its final dot it cannot be taken', async () => {
    const sink = await aSink({ behaviours: [{ at: 'data', do: 'cut' }] });

    const result = await sendOne(aChannel(sink.url), aMail({ html: LARGE_HTML }));

    expect(result?.kind).toBe('deferred');
    expect(sink.count).toBe(0);
  });

  it('introduces the next mail in one write with the content of the one before, where PIPELINING is offered', async () => {
    const chunks: string[] = [];
    const url = await aRudeServer((socket) => {
      socket.write('220 rude\r\n');
      socket.on('data', (data) => {
        chunks.push(data.toString('latin1'));
        socket.write(repliesTo(data.toString('latin1')));
      });
    });

    const mails = ['ada', 'bo'].map((name) => aMail({ to: anEmail(`${name}@example.com`) }));
    const results = await aChannel(url, TIMEOUTS, 1).send(mails, GO_ON);

    expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'accepted']);
    expect(chunks.find((chunk) => chunk.includes('\r\n.\r\n'))).toMatch(
      /\r\n\.\r\nMAIL FROM:<news@example\.com>\r\nRCPT TO:<bo@example\.com>\r\nDATA\r\n$/,
    );
  });

  it('has in doubt only the mail whose content had gone out, not the one introduced behind it', async () => {
    const sink = await aSink({ behaviours: [{ match: '^bo@', at: 'after-dot', do: 'cut' }] });
    const mails = ['ada', 'bo', 'cy', 'di'].map((name) => aMail({ to: anEmail(`${name}@example.com`) }));

    const results = await aChannel(sink.url, TIMEOUTS, 1).send(mails, GO_ON);

    expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'unknown', 'accepted', 'accepted']);
    expect(sink.received.map(({ recipient }) => recipient)).toEqual(mails.map(({ to }) => to));
  });

  it('says deferred for a mail at which one connection breaks after the other, and goes on with the next', async () => {
    const sink = await aSink({ behaviours: [{ match: '^bo@', at: 'rcpt', do: 'cut' }] });
    const mails = ['ada', 'bo', 'cy'].map((name) => aMail({ to: anEmail(`${name}@example.com`) }));

    const results = await aChannel(sink.url, TIMEOUTS, 1).send(mails, GO_ON);

    expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'deferred', 'accepted']);
    expect(sink.received.map(({ recipient }) => recipient)).toEqual(['ada@example.com', 'cy@example.com']);
  });

  it('sends a mail over a new connection where the server has ended the idle one', async () => {
    let connections = 0;
    const url = await aRudeServer((socket) => {
      connections += 1;
      socket.write('220 rude\r\n');
      socket.on('data', (data) => {
        socket.write(repliesTo(data.toString('latin1')));
        if (data.includes('\r\n.\r\n')) {
          socket.end('421 4.4.2 idle for too long\r\n');
        }
      });
    });
    const channel = aChannel(url, TIMEOUTS, 1);

    const results = [await sendOne(channel, aMail()), await sendOne(channel, aMail())];

    expect(results).toMatchObject([{ kind: 'accepted' }, { kind: 'accepted' }]);
    expect(connections).toBe(2);
  });

  it('gives no content to a server that asks for it after it has refused the recipient', async () => {
    const chunks: string[] = [];
    const url = await aRudeServer((socket) => {
      socket.write('220 rude\r\n');
      socket.on('data', (data) => {
        chunks.push(data.toString('latin1'));
        socket.write(repliesTo(data.toString('latin1')).replace('250 recipient', '550 no such recipient'));
      });
    });

    const result = await sendOne(aChannel(url), aMail());

    expect(result).toEqual({ kind: 'rejected', reason: '550 no such recipient', bounced: true });
    await until(
      'the reset',
      2_000,
      async () => chunks.join('').endsWith('DATA\r\n.\r\nRSET\r\n') || undefined,
    );
  });

  describe.each(['implicit', 'starttls'] as const)('over TLS (%s)', (tls) => {
    it.each(['with PIPELINING', 'without'])('signs in and hands over every mail, %s', async (how) => {
      const auth = { user: 'belfry', pass: 'right' };
      const sink = await aSink({ tls, auth, hidePipelining: how === 'without' });
      const mails = ['ada', 'bo', 'cy'].map((name) => aMail({ to: anEmail(`${name}@example.com`) }));

      const results = await aChannel(secureUrl(sink.url, tls, 'false')).send(mails, GO_ON);

      expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'accepted', 'accepted']);
      expect(sink.count).toBe(3);
    });

    it('says deferred where nobody vouches for the certificate of the server', async () => {
      const sink = await aSink({ tls });

      const result = await sendOne(aChannel(secureUrl(sink.url, tls, 'true')), aMail());

      expect(result).toEqual({ kind: 'deferred', reason: matching(/self-signed|certificate/) });
      expect(sink.count).toBe(0);
    });
  });

  it('does not stop the others of a window for one that is rejected', async () => {
    const sink = await aSink({ behaviours: [{ match: '^bo@', at: 'rcpt', do: 'reply', code: 550 }] });
    const mails = ['ada', 'bo', 'cy', 'di'].map((name) => aMail({ to: anEmail(`${name}@example.com`) }));

    const results = await aChannel(sink.url).send(mails, GO_ON);

    expect(results.map(({ kind }) => kind)).toEqual(['accepted', 'rejected', 'accepted', 'accepted']);
  });

  it('goes on over the same connection after a mail was rejected', async () => {
    const sink = await aSink({ behaviours: [{ match: '^bo@', at: 'after-dot', do: 'reply', code: 550 }] });
    const channel = aChannel(sink.url, TIMEOUTS, 1);
    const mails = ['bo', 'ada'].map((name) => aMail({ to: anEmail(`${name}@example.com`) }));

    const results = await channel.send(mails, GO_ON);

    expect(results.map(({ kind }) => kind)).toEqual(['rejected', 'accepted']);
    expect(sink.connected).toBe(1);
  });

  it('signs in where the URL has a name and a password', async () => {
    const sink = await aSink({ auth: { user: 'belfry', pass: 'p@ss:word' } });

    const result = await sendOne(aChannel(sink.url), aMail());

    expect(result?.kind).toBe('accepted');
  });

  it.each([
    ['the password is wrong', (url: string): string => url.replace('right', 'wrong'), /^535 /],
    ['no name and password are given', (url: string): string => url.replace(/\/\/.*@/, '//'), /^530 /],
  ])('says refused where %s', async (_what, change, reason) => {
    const sink = await aSink({ auth: { user: 'belfry', pass: 'right' } });

    const result = await sendOne(aChannel(change(sink.url)), aMail());

    expect(result).toEqual({ kind: 'refused', reason: matching(reason) });
  });

  it('says refused for a mail that is larger than the server takes, without sending it', async () => {
    const sink = await aSink({ maxBytes: 1_000 });

    const result = await sendOne(aChannel(sink.url), aMail({ html: 'x'.repeat(2_000) }));

    expect(result).toEqual({ kind: 'refused', reason: matching(/1000/) });
  });

  it.each([
    ['nobody listens', 'smtp://127.0.0.1:1', /ECONNREFUSED/],
    ['the name is unknown', 'smtp://mail.invalid:25', /mail\.invalid/],
  ])('says deferred where %s', async (_what, url, reason) => {
    const result = await sendOne(aChannel(url), aMail());

    expect(result).toEqual({ kind: 'deferred', reason: matching(reason) });
  });

  it('says deferred where TLS was asked for and is not spoken', async () => {
    const sink = await aSink();

    const result = await sendOne(aChannel(sink.url.replace('smtp:', 'smtps:'), IMPATIENT), aMail());

    expect(result?.kind).toBe('deferred');
  });

  it('tells a reply of many lines in one, and not without end', async () => {
    const url = await aRudeServer((socket) => {
      socket.write('220 rude\r\n');
      socket.on('data', (data) => {
        const isRecipient = data.toString().startsWith('RCPT');
        socket.write(isRecipient ? `${'550-no\r\n'.repeat(100)}550 5.1.1 never\r\n` : '250 yes\r\n');
      });
    });

    const result = await sendOne(aChannel(url), aMail());

    expect(result).toEqual({ kind: 'rejected', reason: matching(/^550-no 550-no [^\r\n]*$/), bounced: true });
    expect(result?.kind === 'rejected' ? result.reason.length : 0).toBe(500);
  });

  it('gives up on a server that keeps the line busy without ever answering', async () => {
    const url = await aRudeServer((socket) => {
      socket.write('220 rude\r\n');
      socket.once('data', () => {
        const timer = setInterval(() => socket.write('250-still thinking\r\n'), 20);
        socket.on('close', () => clearInterval(timer));
      });
    });

    const result = await sendOne(aChannel(url, { ...TIMEOUTS, mailMs: 400 }), aMail());

    expect(result?.kind).toBe('deferred');
  });
});

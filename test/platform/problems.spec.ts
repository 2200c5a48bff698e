import { type IncomingMessage, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Body, Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { Type } from 'class-transformer';
import { IsEmail, IsInt, IsOptional, ValidateNested } from 'class-validator';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it } from 'vitest';
import { Public } from '../../src/platform/auth/roles.ts';
import { type ErrorKind, DomainError } from '../../src/platform/errors/domain-error.ts';
import { IfMatch } from '../../src/platform/http/etag.ts';
import { type Problem } from '../../src/platform/http/problem.ts';
import { IsText } from '../../src/platform/http/is-plain-text.ts';
import { aServer, logged, parseObject } from './a-server.ts';

class Subscriber {
  @IsEmail()
  readonly email!: string;
}

class Order {
  @IsText({ min: 1, max: 2_000_000 })
  readonly subject!: string;

  @IsOptional()
  @ValidateNested({ each: true })
  @Type(() => Subscriber)
  readonly subscribers?: readonly Subscriber[];
}

class Page {
  @IsOptional()
  @Type(() => Number)
  @IsInt()
  readonly limit?: number;
}

class SampleError extends DomainError {
  readonly kind: ErrorKind;
  readonly code = 'sample';

  constructor(kind: ErrorKind) {
    super('A sentence.', { cause: new Error('behind it') });
    this.kind = kind;
  }
}

let orderCount = 0;

@Public()
@Controller('orders')
class OrdersController {
  @Post()
  add(@Body() order: Order): { readonly length: number } {
    orderCount += 1;
    return { length: order.subject.length };
  }

  @Post('pause')
  @HttpCode(200)
  pause(): { readonly paused: true } {
    return { paused: true };
  }

  @Get('kinds/:kind')
  fail(@Param('kind') kind: ErrorKind): never {
    throw new SampleError(kind);
  }

  @Get('broken')
  break(): never {
    throw new Error('password=hunter2', { cause: new Error('the table is gone') });
  }

  @Get('version')
  version(@IfMatch() version: number | undefined): { readonly version: number | null } {
    return { version: version ?? null };
  }

  @Get()
  list(@Query() page: Page): Page {
    return page;
  }

  @Get(':id')
  read(@Param('id') id: string): { readonly length: number } {
    return { length: id.length };
  }
}

const JSON_TYPE = { 'content-type': 'application/json', host: 'localhost' };
const LIMIT_1KB = { BODY_LIMIT: '1KB' };

describe('a problem document', () => {
  it('has a stable type, a title, the status, a code, the request id, and is never stored', async () => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({ url: '/orders/kinds/conflict', headers: { host: 'localhost' } });

    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.json()).toEqual({
      type: 'urn:belfry:problem:sample',
      title: 'Sample',
      status: 409,
      detail: 'A sentence.',
      code: 'sample',
      request_id: answer.headers['x-request-id'],
    });
  });

  it.each([
    ['invalid', 400],
    ['unauthenticated', 401],
    ['forbidden', 403],
    ['not-found', 404],
    ['conflict', 409],
    ['precondition-failed', 412],
    ['too-large', 413],
    ['unprocessable', 422],
    ['unavailable', 503],
  ])('of the kind %s has the status %i', async (kind, status) => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({ url: `/orders/kinds/${kind}`, headers: { host: 'localhost' } });

    expect(answer.statusCode).toBe(status);
    expect(answer.headers['retry-after']).toBe(status === 503 ? '5' : undefined);
  });

  it('tells nothing of what nobody foresaw, and the log tells all of it, once', async () => {
    const app = await aServer({ controllers: [OrdersController] });
    const requestId = 'unforeseen-1';

    const answer = await app.inject({
      url: '/orders/broken',
      headers: { host: 'localhost', 'x-request-id': requestId },
    });

    expect(answer.statusCode).toBe(500);
    expect(answer.body).not.toMatch(/hunter2|table|\.ts/);
    expect(answer.json()).toMatchObject({ code: 'internal-error', request_id: requestId });
    const lines = logged.filter(
      (line) => line['msg'] === 'request.failed' && line['request_id'] === requestId,
    );
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).toMatch(/hunter2.*the table is gone/);
  });
});

describe('a body that cannot be used', () => {
  it.each([
    ['is cut off', Buffer.from('{"subject":'), /not valid JSON: .*end/],
    ['has a comma too many', Buffer.from('{"subject":"a",}'), /not valid JSON: .*position 15/],
    ['is not UTF-8', Buffer.from([0x22, 0xff, 0x22]), /not valid UTF-8/],
    ['is Latin-1', Buffer.from('{"subject":"é"}', 'latin1'), /not valid UTF-8/],
    ['poisons the prototype', Buffer.from('{"subject":"a","__proto__":{"x":1}}'), /__proto__/],
    ['poisons the constructor', Buffer.from('{"constructor":{"prototype":{}}}'), /__proto__/],
    [
      'is nested too deep',
      Buffer.from(`${'['.repeat(100_000)}${']'.repeat(100_000)}`),
      /more than 64 levels/,
    ],
  ])('is refused with 400 when it %s', async (_name, payload, detail) => {
    const app = await aServer({ controllers: [OrdersController] });
    orderCount = 0;

    const answer = await app.inject({ method: 'POST', url: '/orders', headers: JSON_TYPE, payload });

    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'malformed-body' });
    expect(answer.json<Problem>().detail).toMatch(detail);
    expect(orderCount).toBe(0);
  });

  it.each([
    ['a list', '[]', { pointer: '', detail: 'The body must be a JSON object.' }],
    ['a word', '"x"', { pointer: '', detail: 'The body must be a JSON object.' }],
    ['null', 'null', { pointer: '', detail: 'The body must be a JSON object.' }],
    ['without a property', '{}', { pointer: '/subject', detail: 'It is missing; text is needed.' }],
    ['of a wrong type', '{"subject":7}', { pointer: '/subject', detail: 'It must be text.' }],
    [
      'with an unknown property',
      '{"subject":"a","a/b~":1}',
      { pointer: '/a~1b~0', detail: 'This is an unknown property.' },
    ],
    [
      'wrong far inside',
      '{"subject":"a","subscribers":[{"email":"a@example.com"},{"email":"b"}]}',
      { pointer: '/subscribers/1/email', detail: 'email must be an email.' },
    ],
    [
      'with an unknown property far inside',
      '{"subject":"a","subscribers":[{"email":"a@example.com","x":1}]}',
      { pointer: '/subscribers/0/x', detail: 'This is an unknown property.' },
    ],
  ])('is refused with a pointer to the fault when it is %s', async (_name, payload, fault) => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({ method: 'POST', url: '/orders', headers: JSON_TYPE, payload });

    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'invalid-input', errors: [fault] });
  });

  it('is told to be needed where there is none', async () => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({ method: 'POST', url: '/orders', headers: { host: 'localhost' } });

    expect(answer.json()).toMatchObject({
      status: 400,
      errors: [
        { pointer: '', detail: 'The request has no body; a JSON object is needed.' },
        { pointer: '/subject' },
      ],
    });
  });

  it('with a thousand faults gets an answer of a hundred', async () => {
    const app = await aServer({ controllers: [OrdersController] });
    const payload = { subject: 'a', subscribers: Array.from({ length: 1000 }, () => ({ email: 'x' })) };

    const answer = await app.inject({ method: 'POST', url: '/orders', headers: JSON_TYPE, payload });

    const { errors } = answer.json<{ errors: unknown[] }>();
    expect(errors).toHaveLength(101);
    expect(errors.at(-1)).toEqual({ pointer: '', detail: 'There are 900 more faults.' });
  });

  it.each([
    ['application/x-www-form-urlencoded', 'subject=a'],
    ['text/plain', '{"subject":"a"}'],
    ['application/merge-patch+json', '{"subject":"a"}'],
    ['nonsense', '{"subject":"a"}'],
    [undefined, '{"subject":"a"}'],
  ])('is refused with 415 when its type is %s', async (type, payload) => {
    const app = await aServer({ controllers: [OrdersController] });
    const headers = { host: 'localhost', ...(type !== undefined && { 'content-type': type }) };

    const answer = await app.inject({ method: 'POST', url: '/orders', headers, payload });

    expect(answer.statusCode).toBe(415);
    expect(answer.json()).toMatchObject({ code: 'media-type-not-supported' });
  });

  it('is refused with 413 and the limit when it is too large, whether or not it says so', async () => {
    const app = await aServer({ controllers: [OrdersController], env: LIMIT_1KB });
    const body = JSON.stringify({ subject: 'x'.repeat(1024 * 1024 + 2048) });

    const announced = await post(app, body, { 'content-length': Buffer.byteLength(body) });
    const streamed = await post(app, body, { 'transfer-encoding': 'chunked' });

    for (const answer of [announced, streamed]) {
      expect(answer).toMatchObject({
        status: 413,
        code: 'body-too-large',
        detail: `The body is too large: at most ${1024 * 1024 + 2048} bytes are read.`,
      });
    }
  });

  it('is read when it is just not too large', async () => {
    const app = await aServer({ controllers: [OrdersController], env: LIMIT_1KB });
    const body = JSON.stringify({ subject: 'x'.repeat(1024 * 1024) });

    const answer = await post(app, body, { 'content-length': Buffer.byteLength(body) });

    expect(answer).toEqual({ length: 1024 * 1024 });
  });

  it.each([[{}], [{ 'content-type': 'application/json' }]])(
    'is not needed by a handler that takes none (%j)',
    async (headers) => {
      const app = await aServer({ controllers: [OrdersController] });

      const answer = await app.inject({
        method: 'POST',
        url: '/orders/pause',
        headers: { host: 'localhost', ...headers },
      });

      expect(answer.json()).toEqual({ paused: true });
    },
  );
});

describe('a method that an address has not', () => {
  const CASES = [
    { method: 'DELETE', url: '/orders?key=hunter2', allow: 'GET, HEAD, POST' },
    { method: 'PUT', url: '/orders/pause', allow: 'GET, HEAD, POST' },
    { method: 'POST', url: '/orders/kinds/conflict', allow: 'GET, HEAD' },
    { method: 'POST', url: '/docs', allow: 'GET, HEAD' },
  ] as const;
  it.each(CASES)('is told those that it has: $method $url', async ({ method, url, allow }) => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({ method, url, headers: { host: 'localhost' } });

    expect(answer.json()).toMatchObject({ status: 405, code: 'method-not-allowed' });
    expect(answer.headers['allow']).toBe(allow);
    expect(answer.body).not.toContain('hunter2');
  });
});

describe('an address that leads nowhere', () => {
  it('is named without its query', async () => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({
      method: 'PUT',
      url: '/nowhere?key=hunter2',
      headers: { host: 'localhost' },
    });

    expect(answer.json()).toMatchObject({ status: 404, code: 'route-not-found' });
    expect(answer.body).toContain('PUT /nowhere.');
    expect(answer.body).not.toContain('hunter2');
  });

  it.each([['/orders/%zz'], ['/orders/%ff'], ['/orders/%']])(
    'is refused when it is malformed: %s',
    async (url) => {
      const app = await aServer({ controllers: [OrdersController] });

      const answer = await app.inject({ url, headers: { host: 'localhost' } });

      expect(answer.json()).toMatchObject({
        status: 400,
        code: 'malformed-url',
        request_id: answer.headers['x-request-id'],
      });
      expect(answer.headers['content-type']).toContain('application/problem+json');
    },
  );

  it('reaches its handler with a parameter of 300 characters, and not with one of 3000', async () => {
    const app = await aServer({ controllers: [OrdersController] });

    const long = await app.inject({ url: `/orders/${'x'.repeat(300)}`, headers: { host: 'localhost' } });
    const tooLong = await app.inject({ url: `/orders/${'x'.repeat(3000)}`, headers: { host: 'localhost' } });

    expect(long.json()).toEqual({ length: 300 });
    expect(tooLong.json()).toMatchObject({ status: 414, code: 'url-too-long' });
  });

  it('names a parameter of the query that is wrong or unknown', async () => {
    const app = await aServer({ controllers: [OrdersController] });

    const answer = await app.inject({ url: '/orders?limit=many&x=1', headers: { host: 'localhost' } });

    expect(answer.json()).toMatchObject({ status: 400, errors: [{ pointer: 'x' }, { pointer: 'limit' }] });
  });

  it('names the header If-Match when it is wrong', async () => {
    const app = await aServer({ controllers: [OrdersController] });
    const ask = (value: string): ReturnType<NestFastifyApplication['inject']> =>
      app.inject({ url: '/orders/version', headers: { host: 'localhost', 'if-match': value } });

    expect((await ask('"3"')).json()).toEqual({ version: 3 });
    expect((await ask('W/"3"')).json()).toMatchObject({ status: 400, errors: [{ pointer: 'If-Match' }] });
  });
});

describe('what is not HTTP at all', () => {
  it.each([
    ['garbage', 'GARBAGE\r\n\r\n', 'HTTP/1.1 400', 'malformed-request'],
    [
      'headers without end',
      `GET / HTTP/1.1\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
      'HTTP/1.1 431',
      'headers-too-large',
    ],
  ])('is answered with a problem document too: %s', async (_name, bytes, statusLine, code) => {
    const app = await aServer();
    await app.listen(0, '127.0.0.1');
    const { port } = new URL(await app.getUrl());

    const socket = connect(Number(port), '127.0.0.1');
    socket.write(bytes);
    const answer = await text(socket);

    const [head = '', body = ''] = answer.split('\r\n\r\n');
    expect(head).toContain(statusLine);
    expect(head).toContain('content-type: application/problem+json');
    expect(parseObject(body)).toMatchObject({ code });
  });
});

describe('a request from a page elsewhere', () => {
  it('cannot press a button here', async () => {
    const app = await aServer({ controllers: [OrdersController] });
    const press = (site: string): ReturnType<NestFastifyApplication['inject']> =>
      app.inject({
        method: 'POST',
        url: '/orders/pause',
        headers: { host: 'localhost', 'sec-fetch-site': site },
      });

    expect((await press('cross-site')).json()).toMatchObject({ status: 403, code: 'forbidden' });
    expect((await press('same-origin')).statusCode).toBe(200);
  });
});

describe('security headers', () => {
  it('stand on every answer, of a problem too; that of https only where the world comes in by it', async () => {
    const plain = await aServer({ controllers: [OrdersController] });
    const secure = await aServer({ env: { PUBLIC_URL: 'https://news.example.com' } });
    const HEADERS = {
      'content-security-policy':
        "default-src 'none';style-src 'self';img-src 'self' data:;form-action 'self';base-uri 'none';frame-ancestors 'none'",
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      'origin-agent-cluster': '?1',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-dns-prefetch-control': 'off',
      'x-download-options': 'noopen',
      'x-frame-options': 'SAMEORIGIN',
      'x-permitted-cross-domain-policies': 'none',
      'x-xss-protection': '0',
    };

    const found = await plain.inject({ url: '/health/live', headers: { host: 'localhost' } });
    const missing = await plain.inject({ url: '/nothing', headers: { host: 'localhost' } });
    const overHttps = await secure.inject({ url: '/health/live', headers: { host: 'localhost' } });

    expect(found.headers).toMatchObject(HEADERS);
    expect(missing.headers).toMatchObject(HEADERS);
    expect(found.headers).not.toHaveProperty('strict-transport-security');
    expect(overHttps.headers).toMatchObject({
      ...HEADERS,
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
    });
  });

  it('forbid scripts everywhere but in Swagger UI', async () => {
    const app = await aServer({ controllers: [OrdersController] });
    const policyOf = async (url: string): Promise<unknown> =>
      (await app.inject({ url, headers: { host: 'localhost' } })).headers['content-security-policy'];

    expect(await policyOf('/orders/1')).not.toContain('script-src');
    expect(await policyOf('/docsandmore')).not.toContain('script-src');
    expect(await policyOf('/docs')).toContain("script-src 'self';");
    expect(await policyOf('/docs/swagger-ui-init.js')).toContain("script-src 'self';");
  });
});

describe('the documentation', () => {
  it('is where / leads, as a page and as a document with the security scheme', async () => {
    const app = await aServer({ controllers: [OrdersController] });

    const root = await app.inject({ url: '/' });
    const page = await app.inject({ url: '/docs' });
    const document = await app.inject({ url: '/openapi.json' });

    expect(root).toMatchObject({ statusCode: 302, headers: { location: '/docs' } });
    expect(page.body).toContain('swagger-ui');
    expect(document.json()).toMatchObject({
      info: { title: 'Belfry' },
      components: { securitySchemes: { 'api-key': { type: 'http', scheme: 'bearer' } } },
    });
  });
});

/** Over a real socket: a 413 is sent while the body is still coming. */
async function post(
  app: NestFastifyApplication,
  body: string,
  headers: Record<string, string | number>,
): Promise<Record<string, unknown>> {
  if (app.getHttpServer().address() === null) {
    await app.listen(0, '127.0.0.1');
  }
  const request = httpRequest(`${await app.getUrl()}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
  });
  const answered = Promise.withResolvers<IncomingMessage>();
  request.on('response', answered.resolve).on('error', answered.reject).end(body);
  return parseObject(await text(await answered.promise));
}

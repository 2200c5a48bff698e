import { randomUUID } from 'node:crypto';
import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Settings } from '../config/settings.ts';
import { DomainError } from '../errors/domain-error.ts';
import { RequestsInHand } from '../lifecycle/requests-in-hand.ts';
import { Shutdown } from '../lifecycle/shutdown.ts';
import { Log } from '../logging/log.ts';
import { RequestLog } from '../logging/request-log.ts';
import { readFormBodies } from './form-body.ts';
import { jsonBodyLimitBytes, readJsonBodies } from './json-body.ts';
import { type Problem, PROBLEM_CONTENT_TYPE, problemOf, titleOf } from './problem.ts';
import { requestIdOf } from './request-id.ts';
import { RouteMethods } from './route-methods.ts';
import { SIGNED_LINK_PATTERN } from './signed-link.ts';
import { secureHeaders } from './secure-headers.ts';
import { readStreams } from './stream-body.ts';

/** The server takes no more requests. */
export class ServerStoppingError extends DomainError {
  readonly kind = 'unavailable';
  readonly code = 'server-stopping';

  constructor() {
    super('This server is stopping. Nothing was changed; try again.');
  }
}

/** A process that is a worker only was asked for something of the API. */
export class ApiNotServedError extends DomainError {
  readonly kind = 'not-found';
  readonly code = 'api-not-served';

  constructor() {
    super('This process is a worker (ROLES=worker) and serves /health only.');
  }
}

// Longer than any address or key, so that such a parameter reaches a handler that says what is wrong with it.
const MAX_PARAM_LENGTH = 2048;

/** Nest's adapter, with two things of ours: it tells when stopping begins, and it reads no bodies by itself. */
class ServerAdapter extends FastifyAdapter {
  whenStopping: () => void = () => undefined;

  override beforeClose(): void {
    this.whenStopping();
    super.beforeClose();
  }

  // Nest would read forms too.
  override registerParserMiddleware(): void {}
}

/** What NestFactory and tests make an application with. */
export function newAdapter(): FastifyAdapter {
  return new ServerAdapter({
    genReqId: (request: { readonly headers: IncomingHttpHeaders }) => requestIdOf(request.headers),
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    skipMiddie: true, // nothing here is a middleware of Express's kind
    // Our own hook answers while stopping, with a problem document.
    return503OnClosing: false,
    frameworkErrors: answerUnroutable,
    clientErrorHandler: answerUnreadable,
  });
}

/** All the wiring that is not in modules. Call it once, before `init` or `listen`. */
export function configureServer(app: NestFastifyApplication): void {
  const adapter = app.getHttpAdapter();
  if (!(adapter instanceof ServerAdapter)) {
    throw new TypeError('The application must be made with newAdapter().');
  }
  const shutdown = app.get(Shutdown);
  adapter.whenStopping = (): void => shutdown.begin();
  noteRoutes(adapter, app.get(RouteMethods));
  readJsonBodies(adapter.getInstance(), jsonBodyLimitBytes(app.get(Settings)));
  readFormBodies(adapter.getInstance());
  readStreams(adapter.getInstance());
  // A web page elsewhere must not press buttons here with what the browser has stored (Basic), or because it runs here (no keys).
  // What a signed link allows, it allows from anywhere: mail programs press the button in their own pages.
  app.enableCsrfProtection({ exclude: isToSignedLink });
  secureHeaders(app);
  const requests = new RequestsInHand();
  receiveRequests(adapter, app.get(RequestLog), requests);
  stopGently(app, shutdown, requests);
  if (!app.get(Settings).roles.includes('api')) {
    serveHealthOnly(adapter);
  }
}

function isToSignedLink(request: { readonly url?: string }): boolean {
  return SIGNED_LINK_PATTERN.test(request.url ?? '');
}

function serveHealthOnly(adapter: FastifyAdapter): void {
  adapter.getInstance().addHook('onRequest', (request, _reply, done) => {
    done(request.url.startsWith('/health/') ? undefined : new ApiNotServedError());
  });
}

function noteRoutes(adapter: FastifyAdapter, methods: RouteMethods): void {
  adapter.getInstance().addHook('onRoute', ({ method, url }) => {
    [method].flat().forEach((name) => methods.note(name, url));
  });
}

/** The first hook of all: what refuses a request later on is logged, has its id and is waited for like any other. */
function receiveRequests(adapter: FastifyAdapter, log: RequestLog, requests: RequestsInHand): void {
  adapter.setOnRequestHook((request, reply, done) => {
    reply.header('x-request-id', request.id);
    requests.add(reply.raw);
    log.begin(request, reply, done);
  });
}

/** While stopping, new requests are refused; those in hand are finished, but not beyond the deadline. */
function stopGently(app: NestFastifyApplication, shutdown: Shutdown, requests: RequestsInHand): void {
  const server = app.getHttpAdapter().getInstance();
  server.addHook('onRequest', (request, _reply, done) => {
    done(shutdown.isStopping && !request.url.startsWith('/health/') ? new ServerStoppingError() : undefined);
  });
  server.addHook('onSend', (_request, reply, _payload, done) => {
    if (shutdown.isStopping) {
      reply.header('connection', 'close');
    }
    done();
  });
  server.addHook('preClose', async () => {
    const isDone = await shutdown.waitFor(requests.drained());
    app.get(Log).info('requests.drained', { complete: isDone });
    // Otherwise connections that browsers keep open for later would hold up the exit.
    server.server.closeAllConnections();
  });
}

/** What the router refuses before any hook or handler: a path that cannot be decoded, or is too long. */
function answerUnroutable(error: Error, request: FastifyRequest, reply: FastifyReply): void {
  const problem = problemOf(error, {
    method: request.method,
    path: '',
    requestId: request.id,
    bodyLimitBytes: 0,
    allowed: [],
  });
  void reply
    .code(problem.status)
    .headers({ ...bareHeaders(problem), 'content-type': PROBLEM_CONTENT_TYPE })
    .send(JSON.stringify(problem));
}

/** What Node cannot read as HTTP at all; there is no request yet, only a socket. */
function answerUnreadable(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = unreadableProblem(error.code);
  const body = JSON.stringify(problem);
  const headers = Object.entries({
    ...bareHeaders(problem),
    'content-type': PROBLEM_CONTENT_TYPE,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n${headers.join('')}\r\n${body}`,
  );
}

function unreadableProblem(code: string | undefined): Problem {
  const [status, name, detail] =
    code === 'HPE_HEADER_OVERFLOW'
      ? ([431, 'headers-too-large', 'The headers of the request are too large.'] as const)
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, 'request-too-slow', 'The request did not arrive in time.'] as const)
        : ([400, 'malformed-request', 'This is not a well-formed HTTP/1.1 request.'] as const);
  return {
    type: `urn:belfry:problem:${name}`,
    title: titleOf(name),
    status,
    detail,
    code: name,
    request_id: randomUUID(),
  };
}

function bareHeaders(problem: Problem): Record<string, string> {
  return {
    'x-request-id': problem.request_id,
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'",
    'cache-control': 'no-store',
  };
}

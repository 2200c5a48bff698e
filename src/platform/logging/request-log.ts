import { AsyncResource } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PinoLogger } from 'nestjs-pino';
import { callerOf } from '../auth/caller.ts';
import { SIGNED_LINK_PATTERN } from '../http/signed-link.ts';
import { Log } from './log.ts';

// Asked for again and again, by load balancers and by the page of Swagger UI.
const QUIET_PATHS = /^\/(?:health|docs)\//;

type EndEvent = 'request.completed' | 'request.aborted';

/** Writes one line for every request, never with headers, bodies or addresses, and gives its id to every line written within it. */
@Injectable()
export class RequestLog {
  constructor(
    private readonly pino: PinoLogger,
    private readonly log: Log,
  ) {}

  /** Goes on with the request, and writes its line when it has ended. */
  begin(request: FastifyRequest, reply: FastifyReply, proceed: () => void): void {
    const goOn = (): void => {
      // The end is reported by the socket, which belongs to no request. `close` comes last, and alone when the client went away.
      const scope = new AsyncResource('REQUEST');
      let event: EndEvent = 'request.aborted';
      reply.raw
        .once('finish', () => (event = 'request.completed'))
        .once('close', () => scope.runInAsyncScope(() => this.#report(event, request, reply)));
      proceed();
    };
    this.pino.runInContext(goOn, { bindings: { request_id: request.id } });
  }

  #report(event: EndEvent, request: FastifyRequest, reply: FastifyReply): void {
    const fields = {
      method: request.method,
      path: redactedPath(request.originalUrl),
      status: reply.raw.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      key: callerOf(request.raw)?.name,
    };
    if (QUIET_PATHS.test(request.originalUrl)) {
      this.log.debug(event, fields);
    } else {
      this.log.info(event, fields);
    }
  }
}

/** The path as it may be logged: without the query, and with a placeholder for every segment that may be an address or a signed link. */
export function redactedPath(url: string): string {
  const [path = ''] = url.split('?', 1);
  return path.replace(SIGNED_LINK_PATTERN, '/$1/:token').replaceAll(/[^/]*(?:@|%40)[^/]*/gi, ':email');
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { challengesFor } from '../auth/api-key.guard.ts';
import { Settings } from '../config/settings.ts';
import { DomainError } from '../errors/domain-error.ts';
import { Log } from '../logging/log.ts';
import { jsonBodyLimitBytes } from './json-body.ts';
import { type Problem, PROBLEM_CONTENT_TYPE, problemOf } from './problem.ts';
import { RouteMethods } from './route-methods.ts';

const RETRY_AFTER_SECONDS = '5';

/** Answers whatever was thrown with a problem document, and logs what nobody foresaw. */
@Catch()
@Injectable()
export class ProblemFilter implements ExceptionFilter {
  readonly #adapters: HttpAdapterHost;
  readonly #log: Log;
  readonly #bodyLimitBytes: number;
  readonly #methods: RouteMethods;

  constructor(adapters: HttpAdapterHost, methods: RouteMethods, settings: Settings, log: Log) {
    this.#adapters = adapters;
    this.#methods = methods;
    this.#log = log;
    this.#bodyLimitBytes = jsonBodyLimitBytes(settings);
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest | IncomingMessage>();
    const reply = http.getResponse<FastifyReply | ServerResponse>();
    const { httpAdapter } = this.#adapters;
    const path = pathOf(request);
    const allowed = error instanceof HttpException ? this.#methods.of(path) : [];
    const problem = problemOf(error, {
      method: request.method ?? '',
      path,
      allowed,
      requestId: typeof request.id === 'string' ? request.id : '',
      bodyLimitBytes: this.#bodyLimitBytes,
    });
    this.#report(error, problem);
    const isBegun: unknown = httpAdapter.isHeadersSent(reply);
    if (isBegun === true) {
      httpAdapter.end(reply);
      return;
    }
    for (const [name, value] of Object.entries(headersOf(problem))) {
      httpAdapter.setHeader(reply, name, value);
    }
    if (problem.status === 405) {
      httpAdapter.setHeader(reply, 'allow', allowed.join(', '));
    }
    const challenges = problem.status === 401 ? challengesFor(request.headers.accept) : [];
    for (const challenge of challenges) {
      httpAdapter.appendHeader(reply, 'www-authenticate', challenge);
    }
    httpAdapter.reply(reply, JSON.stringify(problem), problem.status);
  }

  #report(error: unknown, problem: Problem): void {
    if (problem.status < 500) {
      return;
    }
    if (error instanceof DomainError) {
      // Foreseen, but what is behind it interests whoever runs the server.
      if (error.cause !== undefined) {
        this.#log.warn('request.refused', { code: problem.code, err: error });
      }
      return;
    }
    const err = error instanceof HttpException && error.cause instanceof Error ? error.cause : error;
    this.#log.error('request.failed', { err });
  }
}

function headersOf(problem: Problem): Record<string, string> {
  return {
    'content-type': PROBLEM_CONTENT_TYPE,
    'cache-control': 'no-store',
    ...(problem.status === 503 && { 'retry-after': RETRY_AFTER_SECONDS }),
  };
}

function pathOf(request: FastifyRequest | IncomingMessage): string {
  const url = ('raw' in request ? request.originalUrl : request.url) ?? '';
  return url.split('?', 1)[0] ?? '';
}

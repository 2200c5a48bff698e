import type { IncomingMessage } from 'node:http';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyRequest } from 'fastify';

const RAW_BODY = { keepsRawBody: true } as const;

const bodies = new WeakMap<IncomingMessage, Buffer>();

/** Keeps the bytes of a handler's requests beside what was read of them: a signature is of bytes. */
export function KeepRawBody(): MethodDecorator {
  return RouteConfig(RAW_BODY);
}

/** Does nothing where the handler has not asked for it. */
export function keepRawBody({ raw, routeOptions }: FastifyRequest, body: Buffer): void {
  if ('keepsRawBody' in routeOptions.config) {
    bodies.set(raw, body);
  }
}

/** Empty where the request has none. */
export function rawBodyOf({ raw }: FastifyRequest): Buffer {
  return bodies.get(raw) ?? Buffer.alloc(0);
}

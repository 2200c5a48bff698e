import { isIP } from 'node:net';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

/**
 * Who sent the request, as far as `trustedProxies` of ours can say: each of them adds whom it heard from at the end of X-Forwarded-For, so
 * what stands before those may be made up. Without proxies, the other end of the connection. Absent where that is no address.
 */
export function clientIp(request: FastifyRequest, trustedProxies: number): string | undefined {
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
  const heard = [...forwarded.map((address) => address.trim()), request.ip];
  const address = heard.at(-1 - trustedProxies);
  return address !== undefined && isIP(address) !== 0 ? address : undefined;
}

/** The request itself, for what no other parameter gives. */
export const Request = createParamDecorator((_data: unknown, context: ExecutionContext): FastifyRequest =>
  context.switchToHttp().getRequest<FastifyRequest>(),
);

import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { DomainError } from '../errors/domain-error.ts';
import { ApiKeys } from './api-keys.ts';
import { type Caller, rememberCaller } from './caller.ts';
import { type Access, ACCESS_METADATA, mayAct, type Role } from './roles.ts';

/** The request shows no key, or none that is known. */
export class UnauthenticatedError extends DomainError {
  readonly kind = 'unauthenticated';
  readonly code = 'api-key-needed';

  constructor() {
    super("A key is needed: send 'Authorization: Bearer <key>', or the key as the password of HTTP Basic.");
  }
}

/** The key is known, but must not do this. */
export class RoleMissingError extends DomainError {
  readonly kind = 'forbidden';
  readonly code = 'role-missing';

  constructor(needed: Role, held: Role) {
    super(`This needs the role ${needed}; the key has the role ${held}.`);
  }
}

/** A server without keys was called by a name that may belong to somebody else. */
export class ForeignHostError extends DomainError {
  readonly kind = 'forbidden';
  readonly code = 'foreign-host';

  constructor() {
    super(
      'Without API_KEYS, Belfry answers only requests that were made to localhost, 127.0.0.1 or [::1]: a web page elsewhere could reach it by another name (DNS rebinding). Use one of these names, or set API_KEYS.',
    );
  }
}

/** A handler that says neither @Needs nor @Public. */
export class RouteClosedError extends DomainError {
  readonly kind = 'forbidden';
  readonly code = 'route-closed';

  constructor() {
    super('Nobody may call this.');
  }
}

// 127.0.0.0/8 is loopback as a whole; .localhost is reserved for it (RFC 6761, 6.3).
const LOCAL_HOST_PATTERN = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const ANYBODY_HERE: Caller = { name: 'local', role: 'admin' };

/** Lets in who may call the handler; a handler that does not say who is closed to all. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(
    private readonly keys: ApiKeys,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const access = this.reflector.getAllAndOverride<Access | undefined>(ACCESS_METADATA, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (access === 'link') {
      return true;
    }
    if (!this.keys.areNeeded && !LOCAL_HOST_PATTERN.test(request.headers.host ?? '')) {
      throw new ForeignHostError();
    }
    if (access === 'public') {
      return true;
    }
    if (access === undefined) {
      throw new RouteClosedError();
    }
    const caller = this.#identify(request.headers.authorization);
    rememberCaller(request.raw, caller);
    if (!mayAct(caller.role, access)) {
      throw new RoleMissingError(access, caller.role);
    }
    return true;
  }

  #identify(authorization: string | undefined): Caller {
    if (!this.keys.areNeeded) {
      return ANYBODY_HERE;
    }
    const secret = secretOf(authorization ?? '');
    const key = secret === undefined ? undefined : this.keys.find(secret);
    if (!key) {
      throw new UnauthenticatedError();
    }
    return key;
  }
}

/**
 * What a 401 asks for. A browser that opens a page is asked with its own dialogue (Basic); a script is not, because the
 * dialogue would come up over the page that the script runs in. Each goes into a header line of its own: Chromium reads
 * only the first challenge of a line.
 */
export function challengesFor(accept: string | undefined): readonly string[] {
  const bearer = 'Bearer realm="belfry"';
  return accept?.includes('text/html') === true
    ? [bearer, 'Basic realm="belfry", charset="UTF-8"']
    : [bearer];
}

function secretOf(authorization: string): string | undefined {
  const [, scheme = '', credentials = ''] = /^(bearer|basic) +(\S+) *$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== 'basic') {
    return credentials === '' ? undefined : credentials;
  }
  const decoded = Buffer.from(credentials, 'base64').toString();
  const colon = decoded.indexOf(':');
  return colon === -1 ? undefined : decoded.slice(colon + 1);
}

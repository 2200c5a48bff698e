import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth } from '@nestjs/swagger';

export const ROLES = ['reader', 'sender', 'admin'] as const;
/** What a key may do, in rising order: each may do all that the one before it may. */
export type Role = (typeof ROLES)[number];

/** The name of the security scheme in the OpenAPI document. */
export const API_KEY_SCHEME = 'api-key';

export const ACCESS_METADATA = 'belfry:access';
/** What a handler or controller says about who may call it. */
export type Access = Role | 'public' | 'link';

/** Opens a handler, or every handler of a controller, to keys of this role and above. */
export function Needs(role: Role): ClassDecorator & MethodDecorator {
  return applyDecorators(SetMetadata(ACCESS_METADATA, role satisfies Access), ApiBearerAuth(API_KEY_SCHEME));
}

/** Opens a handler, or every handler of a controller, to everybody. */
export function Public(): ClassDecorator & MethodDecorator {
  return applyDecorators(SetMetadata(ACCESS_METADATA, 'public' satisfies Access));
}

/** Opens a handler, or every handler of a controller, to whoever has a signed link to it, under whatever name the server is called. */
export function HasLink(): ClassDecorator & MethodDecorator {
  return applyDecorators(SetMetadata(ACCESS_METADATA, 'link' satisfies Access));
}

/** True when a key of the role `held` may do what needs `needed`. */
export function mayAct(held: Role, needed: Role): boolean {
  return ROLES.indexOf(held) >= ROLES.indexOf(needed);
}

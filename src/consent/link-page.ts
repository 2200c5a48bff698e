import { applyDecorators, Header, Param } from '@nestjs/common';
import { LINK_PAGE_POLICY } from './pages.ts';

/**
 * The last part of `/u/…`, `/c/…` and `/p/…`. A group may be named u, c or p, and then the sample's path `/u/subscribers` is the list of its
 * subscribers; tokens are longer than any such word.
 */
export const LINK_TOKEN = ':token(^.{20,}$)';

export const LinkToken = (): ParameterDecorator => Param('token');

/** A page for one reader: kept by nobody, found by nobody, and telling nobody where they came from. */
export function LinkPage(): MethodDecorator {
  return applyDecorators(
    Header('content-type', 'text/html; charset=utf-8'),
    Header('content-security-policy', LINK_PAGE_POLICY),
    Header('cache-control', 'no-store'),
    Header('referrer-policy', 'no-referrer'),
    Header('x-robots-tag', 'noindex, nofollow'),
  );
}

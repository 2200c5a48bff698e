import {
  applyDecorators,
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  Header,
  Param,
  UseFilters,
} from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { LINK_PAGE_POLICY, noSuchLinkPage } from './pages.ts';

/**
 * The last part of `/u/…`, `/c/…` and `/p/…`. A group may be named u, c or p, and then the sample's path `/u/subscribers` is the list of its
 * subscribers; tokens are longer than any such word.
 */
export const LINK_TOKEN = ':token(^.{20,}$)';

export const LinkToken = (): ParameterDecorator => Param('token');

/** Not ours, spoilt, or no longer what it was: which of them is nobody's business. */
export class NoSuchLinkError extends Error {}

@Catch(NoSuchLinkError)
class NoSuchLinkFilter implements ExceptionFilter<NoSuchLinkError> {
  catch(_error: NoSuchLinkError, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<FastifyReply>().status(404).send(noSuchLinkPage());
  }
}

/** A page for one reader: kept by nobody, found by nobody, and telling nobody where they came from. */
export function LinkPage(): MethodDecorator {
  return applyDecorators(
    Header('content-type', 'text/html; charset=utf-8'),
    Header('content-security-policy', LINK_PAGE_POLICY),
    Header('cache-control', 'no-store'),
    Header('referrer-policy', 'no-referrer'),
    Header('x-robots-tag', 'noindex, nofollow'),
    UseFilters(NoSuchLinkFilter),
  );
}

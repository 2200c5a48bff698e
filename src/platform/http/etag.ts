import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { InvalidInputError } from '../errors/domain-error.ts';
import type { ExpectedVersion } from '../errors/version-mismatch-error.ts';

// 15 digits: every such number is exact.
const ETAG_PATTERN = /^"([1-9]\d{0,14})"$/;

/** For the documentation of answers that have it. */
export const ETAG_DOCS = {
  ETag: { description: 'The version, for If-Match.', schema: { type: 'string', example: '"1"' } },
};

/** For the documentation of handlers that take `IfMatch`. */
export const IF_MATCH_DOCS = {
  name: 'If-Match',
  required: false,
  description: 'The ETag that was read: the change is refused where another came before it.',
  schema: { type: 'string', pattern: '^(\\*|"[1-9][0-9]{0,14}")$' },
};

/** The strong entity tag of a version. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/** The version that the caller saw; absent where the request asks for none, or for any (`*`). */
export const IfMatch = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  parseIfMatch(context.switchToHttp().getRequest<FastifyRequest>().headers['if-match']),
);

/** The same of what a request may also make: there, `*` asks that it exist (RFC 9110, 13.1.1). */
export const IfMatchOrMake = createParamDecorator(
  (_data: unknown, context: ExecutionContext): ExpectedVersion | undefined => {
    const { 'if-match': header } = context.switchToHttp().getRequest<FastifyRequest>().headers;
    return header === '*' ? 'any' : parseIfMatch(header);
  },
);

/** @throws {InvalidInputError} for what no version's tag can equal: weak tags, lists, anything malformed. */
export function parseIfMatch(header: string | undefined): number | undefined {
  if (header === undefined || header === '*') {
    return undefined;
  }
  const [, version] = ETAG_PATTERN.exec(header) ?? [];
  if (version === undefined) {
    throw new InvalidInputError([
      {
        pointer: 'If-Match',
        detail: 'One strong entity tag is needed, as the ETag header of an answer has it: "3".',
      },
    ]);
  }
  return Number(version);
}

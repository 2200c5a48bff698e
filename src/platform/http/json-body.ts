import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Settings } from '../config/settings.ts';
import { DomainError } from '../errors/domain-error.ts';
import { keepRawBody } from './raw-body.ts';

/** The body is not JSON, or is JSON that is not read on purpose. */
export class MalformedBodyError extends DomainError {
  readonly kind = 'invalid';
  readonly code = 'malformed-body';
}

const MIB = 1024 * 1024;
// Deeper than any data; recursion over what a client nests must not exhaust the stack.
const MAX_DEPTH = 64;

/** Room for content of the largest size in which every second character is escaped, and for the rest of the request. */
export function jsonBodyLimitBytes(settings: Settings): number {
  return 2 * settings.bodyLimitBytes + MIB;
}

/** Makes JSON the only body that is parsed. */
export function readJsonBodies(server: FastifyInstance, bodyLimitBytes: number): void {
  // As strict as Fastify's own parser, which takes text and replaces bytes that are not UTF-8 before anybody can see them.
  const parseSafely = server.getDefaultJsonParser('error', 'error');
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer', bodyLimit: bodyLimitBytes },
    (request: FastifyRequest, body: Buffer, done) => {
      // No body at all: a handler that needs one says so, and a handler that needs none does not care about the header.
      keepRawBody(request, body);
      if (body.length === 0) {
        done(null, undefined);
        return;
      }
      if (!isUtf8(body)) {
        done(new MalformedBodyError('The body is not valid UTF-8.'));
        return;
      }
      const text = body.toString();
      void parseSafely(request, text, (error, value: unknown) => {
        if (error !== null) {
          done(new MalformedBodyError(jsonFault(text), { cause: error }));
        } else if (isDeeperThan(value, MAX_DEPTH)) {
          done(new MalformedBodyError(`The body is nested more than ${MAX_DEPTH} levels deep.`));
        } else {
          done(null, value);
        }
      });
    },
  );
}

/** What is wrong, and where: the engine's message has the position, or the text around it. */
function jsonFault(text: string): string {
  try {
    JSON.parse(text);
    return 'The body has a property named __proto__ or constructor.prototype, which is refused.';
  } catch (error) {
    return `The body is not valid JSON: ${error instanceof Error ? error.message : String(error)}.`;
  }
}

/** Goes no deeper itself. */
function isDeeperThan(value: unknown, levels: number): boolean {
  return (
    isObject(value) && (levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1)))
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

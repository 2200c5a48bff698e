import { STATUS_CODES } from 'node:http';
import { HttpException } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { DomainError, type ErrorKind, type Fault, type TimeCandidate } from '../errors/domain-error.ts';
import type { FastifyError } from 'fastify';

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

export class ProblemTimeCandidate implements TimeCandidate {
  @ApiProperty({
    description: 'To be sent instead: RFC 9557.',
    example: '2027-10-31T02:30:00+02:00[Europe/Paris]',
  })
  readonly time!: string;

  @ApiProperty({ format: 'date-time', example: '2027-10-31T00:30:00.000Z' })
  readonly at!: string;

  @ApiProperty({
    type: String,
    nullable: true,
    enum: ['earlier', 'later', null],
    description: 'As `dst`, it chooses this one; null where there is no choice.',
    example: 'earlier',
  })
  readonly dst!: string | null;
}

export class ProblemFault implements Fault {
  @ApiProperty({
    description: 'A JSON pointer into the body, or the name of a parameter.',
    example: '/subject',
  })
  readonly pointer!: string;

  @ApiProperty({ example: 'It is empty.' })
  readonly detail!: string;

  @ApiProperty({
    type: [ProblemTimeCandidate],
    required: false,
    description: 'The moments that a local time may stand for which the clocks skip or repeat.',
  })
  readonly candidates?: readonly ProblemTimeCandidate[];
}

/** A problem document (RFC 9457). */
export class Problem {
  @ApiProperty({
    description: 'Stable; an identifier, not an address.',
    example: 'urn:belfry:problem:invalid-input',
  })
  readonly type!: string;

  @ApiProperty({ example: 'Invalid input' })
  readonly title!: string;

  @ApiProperty({ type: 'integer', example: 400 })
  readonly status!: number;

  @ApiProperty({ example: '/subject: It is empty.' })
  readonly detail!: string;

  @ApiProperty({ description: 'Stable; what a client branches on.', example: 'invalid-input' })
  readonly code!: string;

  @ApiProperty({
    type: [ProblemFault],
    required: false,
    description: 'What is wrong with the request, each with its place.',
  })
  readonly errors?: readonly ProblemFault[];

  @ApiProperty({
    description: 'As in the header X-Request-Id, and in the log.',
    example: '0f7a1c9e-3b52-4c1d-9a0e-6f1f3c2b8d47',
  })
  readonly request_id!: string;
}

/** What a problem document says about one request. */
export interface ProblemContext {
  readonly method: string;
  /** Without the query, which may hold what must not be repeated. */
  readonly path: string;
  readonly requestId: string;
  readonly bodyLimitBytes: number;
  /** The methods that the path has. */
  readonly allowed: readonly string[];
}

const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'precondition-failed': 412,
  'too-large': 413,
  'unsupported-media-type': 415,
  unprocessable: 422,
  unavailable: 503,
};

interface Plain {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly faults?: readonly Fault[];
}

const UNFORESEEN: Plain = {
  status: 500,
  code: 'internal-error',
  detail: 'Something went wrong that Belfry did not foresee. It is in the log, under the request id.',
};

/** The document for whatever was thrown. It shows nothing of an error that was not made to be shown. */
export function problemOf(error: unknown, context: ProblemContext): Problem {
  const { status, code, detail, faults = [] } = plainOf(error, context);
  return {
    type: `urn:belfry:problem:${code}`,
    title: titleOf(code),
    status,
    detail,
    code,
    ...(faults.length > 0 && { errors: faults }),
    request_id: context.requestId,
  };
}

function plainOf(error: unknown, context: ProblemContext): Plain {
  if (error instanceof DomainError) {
    const { kind, code, message, faults } = error;
    return { status: STATUS_OF_KIND[kind], code, detail: message, faults };
  }
  // Nest wraps what Fastify raises before a handler runs; the cause has Fastify's code.
  const raised = error instanceof HttpException ? (error.cause ?? error) : error;
  if (isFastifyError(raised)) {
    return ofFastify(raised, context) ?? UNFORESEEN;
  }
  return error instanceof HttpException ? ofHttpException(error, context) : UNFORESEEN;
}

function ofFastify(error: FastifyError, context: ProblemContext): Plain | undefined {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return {
        status: 413,
        code: 'body-too-large',
        detail: `The body is too large: at most ${context.bodyLimitBytes} bytes are read.`,
      };
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return {
        status: 415,
        code: 'media-type-not-supported',
        detail: 'The body must be JSON, and be sent with Content-Type: application/json.',
      };
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return {
        status: 400,
        code: 'incomplete-body',
        detail: 'The body is not as long as Content-Length says.',
      };
    case 'ECONNRESET':
      return { status: 400, code: 'incomplete-body', detail: 'The connection ended before the body did.' };
    case 'FST_ERR_BAD_URL':
      return {
        status: 400,
        code: 'malformed-url',
        detail: 'The path has a % that does not begin a valid UTF-8 escape.',
      };
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return { status: 414, code: 'url-too-long', detail: 'A part of the path is too long.' };
    default:
      return isClientStatus(error.statusCode) ? ofStatus(error.statusCode, error.message) : undefined;
  }
}

function ofHttpException(error: HttpException, context: ProblemContext): Plain {
  const status = error.getStatus();
  if (status === 404 && context.allowed.length > 0 && !context.allowed.includes(context.method)) {
    return {
      status: 405,
      code: 'method-not-allowed',
      detail: `${context.path} has ${context.allowed.join(', ')}, and no ${context.method}.`,
    };
  }
  if (status === 404) {
    return {
      status,
      code: 'route-not-found',
      detail: `There is no route ${context.method} ${context.path}. /docs lists those there are.`,
    };
  }
  return isClientStatus(status) ? ofStatus(status, error.message) : { ...UNFORESEEN, status };
}

function ofStatus(status: number, detail: string): Plain {
  const name = STATUS_CODES[status] ?? 'Refused';
  return { status, code: name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-'), detail };
}

/** An Error with a code that Fastify raised, or let through with a status that it chose. */
function isFastifyError(error: unknown): error is FastifyError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    'statusCode' in error &&
    typeof error.statusCode === 'number' &&
    (error.code.startsWith('FST_') || error.code === 'ECONNRESET')
  );
}

function isClientStatus(status: number | undefined): status is number {
  return status !== undefined && status >= 400 && status < 500;
}

/** The code as words. */
export function titleOf(code: string): string {
  const words = code.replaceAll('-', ' ');
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
}

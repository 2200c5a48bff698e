import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, type ApiResponseOptions, getSchemaPath } from '@nestjs/swagger';
import { errorCodes } from 'fastify';
import { RoleMissingError, UnauthenticatedError } from '../auth/api-key.guard.ts';
import { type DomainError, InvalidInputError, StoreUnavailableError } from '../errors/domain-error.ts';
import { VersionMismatchError } from '../errors/version-mismatch-error.ts';
import { Problem, PROBLEM_CONTENT_TYPE, type ProblemContext, problemOf } from './problem.ts';

const EXAMPLE_CONTEXT: ProblemContext = {
  method: 'GET',
  path: '/v1/groups',
  requestId: '0f7a1c9e-3b52-4c1d-9a0e-6f1f3c2b8d47',
  bodyLimitBytes: 22_020_096,
  allowed: [],
};

/** What is thrown in any feature, by the status that it is answered with. */
const EXAMPLES = {
  400: new InvalidInputError([{ pointer: '/subject', detail: 'It is empty.' }]),
  401: new UnauthenticatedError(),
  403: new RoleMissingError('sender', 'reader'),
  412: new VersionMismatchError(1, 2),
  413: new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE(),
  415: new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE('text/plain'),
  503: new StoreUnavailableError(),
} as const;

/**
 * Documents the answers of a handler that are problem documents, each with an example: the error itself where a feature
 * throws its own, else a status.
 */
export function ApiProblems(
  ...problems: readonly (keyof typeof EXAMPLES | DomainError)[]
): ClassDecorator & MethodDecorator {
  return applyDecorators(
    ApiExtraModels(Problem),
    ...problems.map((problem) => {
      const example = problemOf(typeof problem === 'number' ? EXAMPLES[problem] : problem, EXAMPLE_CONTEXT);
      return ApiResponse(problemResponse(example));
    }),
  );
}

/** What any operation may answer besides what it documents. */
export function anyOtherProblem(): ApiResponseOptions {
  const example = problemOf(new Error('Nobody foresaw this.'), EXAMPLE_CONTEXT);
  return { ...problemResponse(example), status: 'default', description: 'Any other problem' };
}

function problemResponse(example: Problem): ApiResponseOptions {
  return {
    status: example.status,
    description: example.title,
    content: { [PROBLEM_CONTENT_TYPE]: { schema: { $ref: getSchemaPath(Problem) }, example } },
  };
}

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type CancellationReason,
  TransactionCanceledException,
  TransactionConflictException,
} from '@aws-sdk/client-dynamodb';
import {
  type DynamoDBDocumentClient,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { SECOND_MS } from '../../platform/clock/clock.ts';
import { DomainError, StoreUnavailableError } from '../../platform/errors/domain-error.ts';

export type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number];

export type TransactResult =
  | { readonly kind: 'done' }
  /** Nothing was written. A reason for each item, in their order; `undefined` where the item's condition held or was not looked at. */
  | { readonly kind: 'failed'; readonly reasons: readonly ('condition-failed' | undefined)[] };

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
export const TRANSACTION_MAX_ITEMS = 100;

// Many workers settle batches of one message, and each changes its counters: whoever collides waits for a random part of a span that
// doubles up to a second. Some five seconds before it gives up, which is within every lease.
const CONFLICT_ATTEMPTS = 15;
const CONFLICT_BASE_MS = 20;
const CONFLICT_MAX_MS = SECOND_MS;

// What the page above says can pass by itself, of the reasons for which a transaction is cancelled.
const PASSING_REASONS: ReadonlySet<string> = new Set([
  'TransactionConflict',
  'ThrottlingError',
  'ProvisionedThroughputExceeded',
]);

// Throttling and failures of DynamoDB, S3 and SQS, by name:
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
const PASSING_NAMES: ReadonlySet<string> = new Set([
  'InternalError',
  'InternalServerError',
  'LimitExceededException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestTimeout', // S3 has not had the whole body in time
  'ServiceUnavailable',
  'SlowDown',
  'ThrottlingException',
  'TimeoutError', // of the SDK's HTTP handler
  'TransactionInProgressException',
  // The role's credentials could not be had or renewed in time: no fault of the request.
  'CredentialsProviderError',
  'ExpiredToken',
  'ExpiredTokenException',
]);

// Of sockets and of DNS: https://nodejs.org/api/errors.html#common-system-errors
const NETWORK_CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/**
 * Writes all items or none; at most TRANSACTION_MAX_ITEMS of them, and 4 MB.
 * Collisions with other transactions are tried again here, because the SDK does not do that. All tries carry one token, so one whose
 * answer was lost is neither written twice nor taken for a failed condition. A second call of this function is another transaction.
 * @throws {StoreUnavailableError} where DynamoDB cannot be reached, is throttled, or the collisions do not end. Where the last
 * answer was lost, it may have been written all the same.
 */
export async function transact(
  dynamo: DynamoDBDocumentClient,
  items: readonly TransactItem[],
): Promise<TransactResult> {
  const command = new TransactWriteCommand({ TransactItems: [...items], ClientRequestToken: randomUUID() });
  for (let attempt = 1; ; attempt += 1) {
    try {
      await dynamo.send(command);
      return { kind: 'done' };
    } catch (error) {
      const reasons = error instanceof TransactionCanceledException ? (error.CancellationReasons ?? []) : [];
      if (reasons.some(isConditionFailure)) {
        return {
          kind: 'failed',
          reasons: reasons.map((reason) => (isConditionFailure(reason) ? 'condition-failed' : undefined)),
        };
      }
      if (!reasons.some(isPassingReason)) {
        throw translate(error);
      }
      await pauseAfter(attempt, error);
    }
  }
}

/**
 * Runs a call of DynamoDB, S3 or SQS that is no transaction: a read, or a single write. One that collides with a transaction is run
 * again, because the SDK does not do that. A condition that fails comes through as ConditionalCheckFailedException; after an answer
 * that was lost it may be the call's own first run that made it fail, so whoever catches it looks whose write is there.
 * @throws {StoreUnavailableError} as `transact` does.
 */
export async function callAws<Output>(call: () => Promise<Output>): Promise<Output> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof TransactionConflictException)) {
        throw translate(error);
      }
      await pauseAfter(attempt, error);
    }
  }
}

/** What callers should see of `error`: StoreUnavailableError for what passes by itself, `error` itself for all else. */
export function translate(error: unknown): unknown {
  if (error instanceof DomainError || !(error instanceof Error)) {
    return error;
  }
  return isPassing(error) ? new StoreUnavailableError({ cause: error }) : error;
}

/**
 * Waits before the next try, with full jitter
 * (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/); throws where there should be none.
 */
export async function pauseAfter(attempt: number, error: unknown): Promise<void> {
  if (attempt >= CONFLICT_ATTEMPTS) {
    throw new StoreUnavailableError({ cause: error });
  }
  await pause(Math.random() * Math.min(CONFLICT_MAX_MS, CONFLICT_BASE_MS * 2 ** (attempt - 1)));
}

function isConditionFailure({ Code }: CancellationReason): boolean {
  return Code === 'ConditionalCheckFailed';
}

function isPassingReason({ Code }: CancellationReason): boolean {
  return Code !== undefined && PASSING_REASONS.has(Code);
}

function isPassing(error: Error): boolean {
  if (PASSING_NAMES.has(error.name)) {
    return true;
  }
  if ('code' in error && typeof error.code === 'string' && NETWORK_CODES.has(error.code)) {
    return true;
  }
  const status = httpStatus(error);
  return status !== undefined && status >= 500;
}

/** The SDK puts the status of the answer on every error that came with one; a load balancer's 502 has no other name. */
function httpStatus(error: Error): number | undefined {
  if (!('$metadata' in error) || typeof error.$metadata !== 'object' || error.$metadata === null) {
    return undefined;
  }
  const metadata = error.$metadata;
  return 'httpStatusCode' in metadata && typeof metadata.httpStatusCode === 'number'
    ? metadata.httpStatusCode
    : undefined;
}

import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { SQSClient } from '@aws-sdk/client-sqs';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { SECOND_MS } from '../../platform/clock/clock.ts';
import { unlogged } from '../../platform/aws/unlogged.ts';
import type { Metrics } from '../../platform/metrics/metrics.ts';
import { GroupSightings } from './group-sightings.ts';
import type { Item } from './item.ts';
import { SharedReads } from './shared-reads.ts';

// The first try and three more. `standard` (full jitter, and a budget that stops retries when most calls fail) rather than `adaptive`,
// which slows down every call of a client for one partition that is throttled.
const MAX_ATTEMPTS = 4;
const RETRY_MODE = 'standard';

// Within a region a connection takes a few milliseconds; this outlasts one lost SYN, which is sent again after a second.
const CONNECTION_TIMEOUT_MS = 2 * SECOND_MS;

// DynamoDB answers in milliseconds, a transaction of a hundred items in some tens. All attempts with their pauses end well within
// the lease of a message (a minute), so a claimer learns that the store fails while it still holds what it claimed.
const DYNAMO_TIMEOUT_MS = 5 * SECOND_MS;
// The SDK's default of 50 is reached by one busy worker beside the API; a call that waits for a socket uses up its timeout.
const DYNAMO_SOCKETS = 128;

// Until the first byte of the answer, so it includes sending the body: 40 MB (the largest BODY_LIMIT) at 2 MB a second.
const S3_TIMEOUT_MS = 20 * SECOND_MS;
// Between two pieces of a body that is read: a stalled stream must not hold a worker.
const S3_IDLE_TIMEOUT_MS = 10 * SECOND_MS;
const S3_SOCKETS = 50;

// Longer than the longest poll that SQS allows (20 s), which has no answer until then.
const SQS_TIMEOUT_MS = 30 * SECOND_MS;
const SQS_SOCKETS = 50;

/** One client for each service, shared by all stores: its connections are kept, its retries counted and its reads shared in one place. */
export class AwsClients {
  readonly dynamo: DynamoDBDocumentClient;
  readonly s3: S3Client;
  readonly sqs: SQSClient;
  readonly groupReads = new SharedReads<Item | undefined>();
  readonly groupSightings = new GroupSightings();
  readonly #dynamoBelow: DynamoDBClient;

  constructor(dynamo: DynamoDBDocumentClient, s3: S3Client, sqs: SQSClient, dynamoBelow: DynamoDBClient) {
    this.dynamo = dynamo;
    this.s3 = s3;
    this.sqs = sqs;
    this.#dynamoBelow = dynamoBelow;
  }

  /** Drops every connection; a call that is under way fails. A second run does nothing. */
  close(): void {
    this.#dynamoBelow.destroy(); // a document client leaves the client that it was made from open
    this.s3.destroy();
    this.sqs.destroy();
  }
}

/**
 * Clients with credentials, region and endpoint from the SDK's default chain (AWS_ENDPOINT_URL is read by the SDK itself).
 * `endpointUrl` is the same AWS_ENDPOINT_URL: it only decides how buckets are addressed.
 */
export function openAwsClients(endpointUrl: string | undefined, metrics?: Metrics): AwsClients {
  const dynamo = new DynamoDBClient({
    maxAttempts: MAX_ATTEMPTS,
    retryMode: RETRY_MODE,
    requestHandler: handler({ requestTimeoutMs: DYNAMO_TIMEOUT_MS, maxSockets: DYNAMO_SOCKETS }),
  });
  const s3 = new S3Client({
    maxAttempts: MAX_ATTEMPTS,
    retryMode: RETRY_MODE,
    requestHandler: handler({
      requestTimeoutMs: S3_TIMEOUT_MS,
      maxSockets: S3_SOCKETS,
      idleTimeoutMs: S3_IDLE_TIMEOUT_MS,
    }),
    // http://bucket.localhost:4566 does not resolve; AWS itself is addressed by host, because paths are kept there for old buckets only.
    forcePathStyle: endpointUrl !== undefined,
    // Content is written with its SHA-256, which S3 checks, and checked against its record when it is read: a CRC32 beside it would
    // go over every byte once more, and would send streams as aws-chunked.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Waiting for 100-continue guards against redirects to another region, and costs a connection of its own for each body above 2 MB.
    expectContinueHeader: false,
  });
  const sqs = new SQSClient({
    maxAttempts: MAX_ATTEMPTS,
    retryMode: RETRY_MODE,
    requestHandler: handler({ requestTimeoutMs: SQS_TIMEOUT_MS, maxSockets: SQS_SOCKETS }),
    // The queue is in the service's region. LocalStack names its queues by a host that only its own DNS knows.
    useQueueUrlAsEndpoint: false,
  });
  [dynamo, s3, sqs].forEach(unlogged);
  if (metrics) {
    // Not the queue: a long poll takes as long as there is nothing to do.
    const options = { step: 'initialize', name: 'storeLatency' } as const;
    dynamo.middlewareStack.add(
      (next, { commandName }) => metrics.timed(`dynamodb.${commandName}`, next),
      options,
    );
    s3.middlewareStack.add((next, { commandName }) => metrics.timed(`s3.${commandName}`, next), options);
  }
  const documents = DynamoDBDocumentClient.from(dynamo, {
    // What is absent is not stored, so that `attribute_not_exists` says what it seems to say.
    marshallOptions: { removeUndefinedValues: true },
  });
  return new AwsClients(documents, s3, sqs, dynamo);
}

interface HandlerPlan {
  readonly requestTimeoutMs: number;
  readonly maxSockets: number;
  readonly idleTimeoutMs?: number;
}

function handler({ requestTimeoutMs, maxSockets, idleTimeoutMs }: HandlerPlan): NodeHttpHandler {
  // A TLS handshake costs more than most calls: connections are kept.
  const agent = { keepAlive: true, maxSockets };
  return new NodeHttpHandler({
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: requestTimeoutMs,
    throwOnRequestTimeout: true, // otherwise it only warns, and a dead connection holds its caller for ever
    ...(idleTimeoutMs !== undefined && { socketTimeout: idleTimeoutMs }),
    httpAgent: agent,
    httpsAgent: agent,
  });
}

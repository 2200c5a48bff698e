import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import { assertNever } from '../../src/platform/errors/assert-never.ts';

export const SERVICES = ['dynamodb', 's3', 'sqs'] as const;
export type Service = (typeof SERVICES)[number];

/** Those after which nobody has an answer. */
export const FAULTS = ['throttled', 'failing', 'bad gateway', 'cut', 'lost answers', 'hanging'] as const;

/**
 * - `slow`: all is done and answered, half a second later.
 * - `throttled`: refused for now, in the words of each service; a transaction as a whole, or for the sake of one of its items.
 * - `failing`: 500, in the words of each service.
 * - `bad gateway`: 502 from something on the way that does not speak AWS.
 * - `cut`: the connection ends before anything is done.
 * - `lost answers`: it is done, and the connection ends in the middle of the answer.
 * - `hanging`: nothing comes back for as long as somebody waits.
 */
export type Fault = (typeof FAULTS)[number] | 'slow';

export interface SeenRequest {
  readonly service: Service;
  /** Such as `GetItem`; of S3 the HTTP method. */
  readonly operation: string;
}

/** Which requests meet a fault; all where nothing is said. */
export type Choice = Partial<SeenRequest>;

const SLOW_MS = 500;

/**
 * Stands between the SDK and an endpoint of AWS, and lets happen to requests what networks and services do to them. What it answers by
 * itself is what the services send: DynamoDB Developer Guide, "Error handling with DynamoDB"; S3 API Reference, "Error responses"; SQS API
 * Reference, "Common errors".
 */
export class FaultProxy {
  readonly url: string;
  /** All that came in, in order. */
  readonly seen: SeenRequest[] = [];
  readonly #server: Server;
  readonly #target: URL;
  readonly #hanging = new Set<IncomingMessage>();
  #broken: readonly { readonly fault: Fault; readonly choice: Choice }[] = [];

  private constructor(server: Server, target: URL) {
    const address = server.address();
    this.url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
    this.#server = server;
    this.#target = target;
    server.on('request', (request, response) => this.#handle(request, response));
  }

  static async open(target: string): Promise<FaultProxy> {
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, '127.0.0.1', resolve);
    await promise;
    return new FaultProxy(server, new URL(target));
  }

  /** From now on, beside what is broken already. */
  break(fault: Fault, choice: Choice = {}): void {
    this.#broken = [...this.#broken, { fault, choice }];
  }

  /** Nothing is broken any more; connections that hang are cut. A second call does nothing. */
  mend(): void {
    this.#broken = [];
    for (const request of this.#hanging) {
      request.socket.destroy();
    }
    this.#hanging.clear();
  }

  async close(): Promise<void> {
    this.mend();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const seen = whatIs(request);
    this.seen.push(seen);
    const fault = this.#broken.find(({ choice }) => isChosen(seen, choice))?.fault;
    switch (fault) {
      case undefined:
        this.#pass(request, response);
        return;
      case 'slow':
        setTimeout(() => this.#pass(request, response), SLOW_MS);
        return;
      case 'throttled':
      case 'failing':
      case 'bad gateway':
        this.#refuse(request, response, refusals(fault, seen));
        return;
      case 'cut':
        request.socket.destroy();
        return;
      case 'lost answers':
        this.#passAndCut(request);
        return;
      case 'hanging':
        request.resume();
        this.#hanging.add(request);
        return;
      default:
        assertNever(fault);
    }
  }

  /** Each way in turn. */
  #refuse(request: IncomingMessage, response: ServerResponse, ways: readonly Refusal[]): void {
    const way = ways[this.seen.length % ways.length] ?? BAD_GATEWAY;
    request.resume(); // a body that nobody reads would hold up the connection
    response.writeHead(way.status, { 'content-type': way.contentType }).end(way.body);
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const onward = this.#send(request);
    onward.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      answer.pipe(response);
    });
    response.once('close', () => onward.destroy());
  }

  #passAndCut(request: IncomingMessage): void {
    this.#send(request).once('response', (answer) => {
      answer.resume();
      // Headers that promise more than comes.
      request.socket.end(
        'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"Item":',
      );
    });
  }

  #send(request: IncomingMessage): ReturnType<typeof httpRequest> {
    const { method, url: path, headers } = request;
    const { hostname, port } = this.#target;
    const onward = httpRequest({ hostname, port, method, path, headers });
    onward.on('error', () => request.socket.destroy());
    return request.pipe(onward);
  }
}

function whatIs({ headers, method = '' }: IncomingMessage): SeenRequest {
  const [target = '', operation = ''] = String(headers['x-amz-target'] ?? '').split('.');
  if (target.startsWith('DynamoDB')) {
    return { service: 'dynamodb', operation };
  }
  return target === 'AmazonSQS' ? { service: 'sqs', operation } : { service: 's3', operation: method };
}

function isChosen(seen: SeenRequest, { service, operation }: Choice): boolean {
  return (
    (service === undefined || service === seen.service) &&
    (operation === undefined || operation === seen.operation)
  );
}

/** An answer that the proxy gives itself. */
interface Refusal {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

const BAD_GATEWAY: Refusal = {
  status: 502,
  contentType: 'text/html',
  body: '<html><head><title>502 Bad Gateway</title></head><body></body></html>',
};

const DYNAMODB_TYPE = 'com.amazonaws.dynamodb.v20120810#';

/** Every way in which the service says so of such a request. */
function refusals(
  fault: 'throttled' | 'failing' | 'bad gateway',
  { service, operation }: SeenRequest,
): readonly Refusal[] {
  if (fault === 'bad gateway') {
    return [BAD_GATEWAY];
  }
  switch (service) {
    case 'dynamodb':
      return fault === 'failing'
        ? [json(500, { __type: `${DYNAMODB_TYPE}InternalServerError`, message: 'Internal server error' })]
        : [
            json(400, {
              __type: `${DYNAMODB_TYPE}ProvisionedThroughputExceededException`,
              message: 'The level of configured provisioned throughput for the table was exceeded.',
            }),
            json(400, {
              __type: 'com.amazon.coral.availability#ThrottlingException',
              message: 'Rate of requests exceeds the allowed throughput.',
            }),
            ...(operation === 'TransactWriteItems' ? [CANCELLED_BY_THROTTLING] : []),
          ];
    case 's3':
      return [fault === 'failing' ? xml(500, 'InternalError') : xml(503, 'SlowDown')];
    case 'sqs':
      return fault === 'failing'
        ? [json(500, { __type: 'com.amazonaws.sqs#InternalFailure', message: 'Internal failure' })]
        : [json(400, { __type: 'com.amazonaws.sqs#RequestThrottled', message: 'Request is throttled' })];
    default:
      return assertNever(service);
  }
}

const CANCELLED_BY_THROTTLING = json(400, {
  __type: `${DYNAMODB_TYPE}TransactionCanceledException`,
  Message: 'Transaction cancelled, please refer cancellation reasons for specific reasons [ThrottlingError]',
  CancellationReasons: [{ Code: 'ThrottlingError', Message: 'Throughput exceeds the current capacity.' }],
});

function json(status: number, body: object): Refusal {
  return { status, contentType: 'application/x-amz-json-1.0', body: JSON.stringify(body) };
}

function xml(status: number, code: string): Refusal {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  return { status, contentType: 'application/xml', body };
}

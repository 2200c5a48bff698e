import { createServer, type Server, type ServerResponse } from 'node:http';
import { GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type AwsClients, openAwsClients } from '../../../src/engines/aws/aws-clients.ts';
import { callAws, transact } from '../../../src/engines/aws/transact.ts';
import { StoreUnavailableError } from '../../../src/platform/errors/domain-error.ts';
import { parseObject } from '../../support/json.ts';

/* The real SDK against a server that answers as DynamoDB does when it is in trouble, which no emulator can be brought to do. */

type Behaviour = (response: ServerResponse) => void;

const ITEMS = [
  { Put: { TableName: 'things', Item: { id: '1' } } },
  { Put: { TableName: 'things', Item: { id: '2' } } },
];

describe('transact and callAws', () => {
  let server: Server;
  let clients: AwsClients;
  let behaviours: Behaviour[];
  let tokens: unknown[];

  beforeEach(async () => {
    behaviours = [];
    tokens = [];
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        tokens.push(parseObject(Buffer.concat(chunks).toString())['ClientRequestToken']);
        (behaviours.shift() ?? ok)(response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', `http://127.0.0.1:${port}`);
    vi.stubEnv('AWS_REGION', 'us-east-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
    clients = openAwsClients(undefined);
  });
  afterEach(async () => {
    clients.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    vi.unstubAllEnvs();
  });

  it('is done when DynamoDB says so', async () => {
    const result = await transact(clients.dynamo, ITEMS);

    expect(result).toEqual({ kind: 'done' });
    expect(tokens).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });

  it('tells which condition failed, and does not try again', async () => {
    behaviours = [cancelled('None', 'ConditionalCheckFailed')];

    const result = await transact(clients.dynamo, ITEMS);

    expect(result).toEqual({ kind: 'failed', reasons: [undefined, 'condition-failed'] });
    expect(tokens).toHaveLength(1);
  });

  it('says that the condition failed where another item collided too', async () => {
    behaviours = [cancelled('TransactionConflict', 'ConditionalCheckFailed')];

    const result = await transact(clients.dynamo, ITEMS);

    expect(result).toEqual({ kind: 'failed', reasons: [undefined, 'condition-failed'] });
  });

  it.each(['TransactionConflict', 'ThrottlingError', 'ProvisionedThroughputExceeded'])(
    'tries again, with the same token, what was cancelled for %s',
    async (code) => {
      behaviours = [cancelled('None', code), cancelled(code, 'None'), cancelled(code, code)];

      const result = await transact(clients.dynamo, ITEMS);

      expect(result).toEqual({ kind: 'done' });
      expect(tokens).toHaveLength(4);
      expect(new Set(tokens).size).toBe(1);
    },
  );

  it('sends what was lost on the way again, with the same token', async () => {
    behaviours = [hangUp];

    const result = await transact(clients.dynamo, ITEMS);

    expect(result).toEqual({ kind: 'done' });
    expect(tokens).toHaveLength(2);
    expect(new Set(tokens).size).toBe(1);
  });

  it('gives up on a collision that does not end, and says that the store is not available', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    behaviours = Array.from({ length: 100 }, () => cancelled('TransactionConflict', 'None'));

    await expect(transact(clients.dynamo, ITEMS)).rejects.toThrow(StoreUnavailableError);

    expect(tokens).toHaveLength(15);
    vi.restoreAllMocks();
  });

  it('tries a single write again that collides with a transaction', async () => {
    behaviours = [failing(400, 'TransactionConflictException'), failing(400, 'TransactionConflictException')];

    await callAws(() => clients.dynamo.send(new UpdateCommand({ TableName: 'things', Key: { id: '1' } })));

    expect(tokens).toHaveLength(3);
  });

  it.each<[string, Behaviour]>([
    ['ThrottlingException', failing(400, 'ThrottlingException')],
    ['ProvisionedThroughputExceededException', failing(400, 'ProvisionedThroughputExceededException')],
    ['RequestLimitExceeded', failing(400, 'RequestLimitExceeded')],
    ['InternalServerError', failing(500, 'InternalServerError')],
    ['a page of a load balancer', badGateway],
    ['a connection that breaks', hangUp],
  ])(
    'says that the store is not available where %s does not end, and keeps the cause',
    async (_, behaviour) => {
      vi.spyOn(Math, 'random').mockReturnValue(0);
      behaviours = Array.from({ length: 100 }, () => behaviour);

      const error = await callAws(get).catch((reason: unknown) => reason);

      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(error).toHaveProperty('cause', expect.any(Error));
      expect(tokens).toHaveLength(4);
      vi.restoreAllMocks();
    },
  );

  it('says that the store is not available where nothing listens', async () => {
    await new Promise((resolve) => server.close(resolve));

    await expect(callAws(get)).rejects.toThrow(StoreUnavailableError);
  });

  it.each(['ValidationException', 'AccessDeniedException', 'ResourceNotFoundException'])(
    'leaves %s as it is: trying again does not help',
    async (name) => {
      behaviours = [failing(400, name)];

      await expect(callAws(get)).rejects.toThrow(expect.objectContaining({ name }));

      expect(tokens).toHaveLength(1);
    },
  );

  async function get(): Promise<unknown> {
    return clients.dynamo.send(new GetCommand({ TableName: 'things', Key: { id: '1' } }));
  }
});

function ok(response: ServerResponse): void {
  answer(response, 200, {});
}

function badGateway(response: ServerResponse): void {
  response.writeHead(502).end('<html>Bad Gateway</html>');
}

function hangUp(response: ServerResponse): void {
  response.destroy();
}

function cancelled(...codes: readonly string[]): Behaviour {
  return (response) =>
    answer(response, 400, {
      __type: 'com.amazonaws.dynamodb.v20120810#TransactionCanceledException',
      Message: 'Transaction cancelled',
      CancellationReasons: codes.map((Code) => ({ Code })),
    });
}

function failing(status: number, name: string): Behaviour {
  return (response) =>
    answer(response, status, { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: 'no' });
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(body));
}

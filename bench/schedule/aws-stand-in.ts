import { at, isObject, type JsonObject, objectsAt, parseObject, textAt } from '../../test/support/json.ts';
import { standIn } from '../frame/stand-in.ts';

/*
 * Answers the calls of S3 and DynamoDB by which a message is stored, properly but at once: objects and items are kept, and a condition
 * that there be no such item is looked at. Anything else is refused.
 *
 *   node bench/schedule/aws-stand-in.ts
 *
 * prints {"port":…} when it is ready, and ends at SIGTERM.
 */

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** By table and key. */
const items = new Map<string, JsonObject>();
const objects = new Map<string, Buffer>();
const calls: Record<string, number> = {};

const TARGET_PREFIX = 'DynamoDB_20120810.';

standIn((request, body, response) => {
  const target = request.headers['x-amz-target'];
  if (typeof target === 'string') {
    const operation = target.slice(TARGET_PREFIX.length);
    count(operation);
    const { status, body: answered } = answerDynamo(operation, parseObject(body.toString()));
    response
      .writeHead(status, { 'content-type': 'application/x-amz-json-1.0' })
      .end(JSON.stringify(answered));
  } else if (request.method === 'PUT') {
    count('PutObject');
    objects.set(request.url ?? '', body);
    response.writeHead(200, { etag: '"0"' }).end();
  } else if (request.url === '/calls') {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(calls));
  } else {
    response.writeHead(501).end();
  }
});

function count(operation: string): void {
  calls[operation] = (calls[operation] ?? 0) + 1;
}

function answerDynamo(operation: string, input: JsonObject): Answer {
  switch (operation) {
    case 'PutItem':
      return putItem(input);
    case 'GetItem':
      return ok({ Item: items.get(nameOf(textAt(input, 'TableName'), input['Key'])) });
    case 'BatchGetItem':
      return ok({ Responses: readAll(input), UnprocessedKeys: {} });
    default:
      return fault('UnknownOperationException');
  }
}

function putItem(input: JsonObject): Answer {
  const item = at(input, 'Item');
  if (!isObject(item)) {
    return fault('ValidationException');
  }
  const name = nameOf(textAt(input, 'TableName'), item);
  if (input['ConditionExpression'] !== undefined && items.has(name)) {
    return fault('ConditionalCheckFailedException');
  }
  items.set(name, item);
  return ok({});
}

function readAll(input: JsonObject): Record<string, readonly JsonObject[]> {
  const found: Record<string, JsonObject[]> = {};
  for (const [table, request] of Object.entries(at(input, 'RequestItems') ?? {})) {
    const those = objectsAt(request, 'Keys').map((key) => items.get(nameOf(table, key)));
    found[table] = those.filter((item) => item !== undefined);
  }
  return found;
}

/** The keys of both tables that a message touches. */
function nameOf(table: string, key: unknown): string {
  return JSON.stringify([table, at(key, 'group_name', 'S'), at(key, 'message_key', 'S')]);
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function fault(name: string): Answer {
  return { status: 400, body: { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: name } };
}

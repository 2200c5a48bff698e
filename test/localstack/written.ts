import { DeleteObjectsCommand } from '@aws-sdk/client-s3';
import { BatchWriteCommand } from '@aws-sdk/lib-dynamodb';
import type { AwsClients } from '../../src/engines/aws/aws-clients.ts';
import type { AwsNames } from '../../src/engines/aws/aws-names.ts';
import { TABLES } from '../../src/engines/aws/tables.ts';
import { at, isObject, type JsonObject } from '../support/json.ts';

interface WrittenItem {
  readonly TableName: string;
  readonly Key: JsonObject;
}

// DynamoDB API reference, BatchWriteItem.
const ITEMS_PER_WRITE = 25;
// S3 API reference, DeleteObjects.
const OBJECTS_PER_DELETE = 1_000;
const NOTING = { step: 'initialize', name: 'written' } as const;

/** What is written through these clients: whoever removes just that need not look through tables and bucket for it. */
export class Written {
  readonly #names: AwsNames;
  readonly #items = new Map<string, WrittenItem>();
  readonly #objects = new Set<string>();

  constructor({ dynamo, s3 }: AwsClients, names: AwsNames) {
    this.#names = names;
    dynamo.middlewareStack.add(
      (next, { commandName = '' }) =>
        (args): ReturnType<typeof next> => {
          this.#noteItems(commandName, args.input);
          return next(args);
        },
      NOTING,
    );
    s3.middlewareStack.add(
      (next, { commandName = '' }) =>
        (args): ReturnType<typeof next> => {
          this.#noteObject(commandName, args.input);
          return next(args);
        },
      NOTING,
    );
  }

  /** Every item that may be there. */
  get itemCount(): number {
    return this.#items.size;
  }

  /** With clients that no test has tampered with. False where DynamoDB left some of it. */
  async remove(clients: AwsClients): Promise<boolean> {
    const [isCleared] = await Promise.all([this.#removeItems(clients), this.#removeObjects(clients)]);
    return isCleared;
  }

  async #removeItems({ dynamo }: AwsClients): Promise<boolean> {
    const items = [...this.#items.values()];
    for (let start = 0; start < items.length; start += ITEMS_PER_WRITE) {
      const byTable = Map.groupBy(items.slice(start, start + ITEMS_PER_WRITE), ({ TableName }) => TableName);
      const RequestItems = Object.fromEntries(
        [...byTable].map(([name, ofTable]) => [name, ofTable.map(({ Key }) => ({ DeleteRequest: { Key } }))]),
      );
      const { UnprocessedItems: left = {} } = await dynamo.send(new BatchWriteCommand({ RequestItems }));
      if (Object.keys(left).length > 0) {
        return false;
      }
    }
    return true;
  }

  async #removeObjects({ s3 }: AwsClients): Promise<void> {
    const objects = [...this.#objects].map((Key) => ({ Key }));
    for (let start = 0; start < objects.length; start += OBJECTS_PER_DELETE) {
      const Delete = { Objects: objects.slice(start, start + OBJECTS_PER_DELETE), Quiet: true };
      await s3.send(new DeleteObjectsCommand({ Bucket: this.#names.contentBucket, Delete }));
    }
  }

  #noteItems(command: string, input: object): void {
    if (/^(?:Put|Update)/.test(command)) {
      this.#noteItem(input);
    }
    for (const item of list(at(input, 'TransactItems'))) {
      this.#noteItem(at(item, 'Put') ?? at(item, 'Update'));
    }
    const requests = at(input, 'RequestItems');
    for (const [TableName, ofTable] of Object.entries(isObject(requests) ? requests : {})) {
      for (const request of list(ofTable)) {
        this.#noteItem({ TableName, Item: at(request, 'PutRequest', 'Item') });
      }
    }
  }

  #noteItem(write: unknown): void {
    const table = TABLES.find(({ name }) => this.#names.tables[name] === at(write, 'TableName'));
    const item = at(write, 'Item') ?? at(write, 'Key');
    if (!table || !isObject(item)) {
      return;
    }
    const names = [table.partitionKey.name, ...(table.sortKey ? [table.sortKey.name] : [])];
    const Key = Object.fromEntries(names.map((name) => [name, item[name]]));
    this.#items.set(JSON.stringify([table.name, Key]), { TableName: this.#names.tables[table.name], Key });
  }

  #noteObject(command: string, input: object): void {
    const key = at(input, 'Key');
    if (/^(?:Put|CreateMultipart)/.test(command) && typeof key === 'string') {
      this.#objects.add(key);
    }
  }
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

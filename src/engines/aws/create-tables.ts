import type {
  AttributeDefinition,
  CreateTableCommandInput,
  GlobalSecondaryIndexDescription,
  KeySchemaElement,
  Projection,
  TableDescription,
} from '@aws-sdk/client-dynamodb';
import type { IndexDefinition, KeyAttribute, TableDefinition } from './tables.ts';

/* What `tables.ts` says, in the words of DynamoDB; and how a table differs from it. Pure. */

/** The table as DynamoDB is asked to make it: on demand, so that nobody guesses its throughput. The TTL is a call of its own. */
export function createTableInput(table: TableDefinition, name: string): CreateTableCommandInput {
  return {
    TableName: name,
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: keySchema(table),
    AttributeDefinitions: keyAttributes(table).map((key): AttributeDefinition => ({
      AttributeName: key.name,
      AttributeType: key.type,
    })),
    ...(table.indexes.length > 0 && {
      GlobalSecondaryIndexes: table.indexes.map((index) => ({
        IndexName: index.name,
        KeySchema: keySchema(index),
        Projection: projection(index),
      })),
    }),
  };
}

/** In what the table that is there differs from its definition, in words; how its throughput is paid for is its owner's business. */
export function tableDifferences(table: TableDefinition, found: TableDescription): readonly string[] {
  const indexes = new Map(
    (found.GlobalSecondaryIndexes ?? []).map((index) => [index.IndexName ?? '', index]),
  );
  const unknown = [...indexes.keys()].filter((name) => table.indexes.every((index) => index.name !== name));
  const types = new Map(
    (found.AttributeDefinitions ?? []).map((key) => [key.AttributeName, key.AttributeType]),
  );
  return [
    ...different('its key', keyText(keySchema(table)), keyText(found.KeySchema)),
    ...keyAttributes(table).flatMap(({ name, type }) =>
      types.has(name) ? different(`the type of ${name}`, type, types.get(name) ?? '') : [],
    ),
    ...table.indexes.flatMap((index) => indexDifferences(index, indexes.get(index.name))),
    ...unknown.map((name) => `it has an index ${name} that nothing here knows`),
  ];
}

/** As `tableDifferences`, of the attribute after whose time DynamoDB removes an item; `undefined`: it removes none. */
export function ttlDifferences(table: TableDefinition, found: string | undefined): readonly string[] {
  return found === undefined ? [] : different('its TTL attribute', table.ttlAttribute ?? 'none', found);
}

function indexDifferences(
  index: IndexDefinition,
  found: GlobalSecondaryIndexDescription | undefined,
): readonly string[] {
  if (!found) {
    return [`it has no index ${index.name}`];
  }
  return [
    ...different(`the key of its index ${index.name}`, keyText(keySchema(index)), keyText(found.KeySchema)),
    ...different(
      `what its index ${index.name} holds`,
      projectionText(projection(index)),
      projectionText(found.Projection),
    ),
  ];
}

function different(what: string, wanted: string, found: string): readonly string[] {
  return wanted === found ? [] : [`${what} is ${found}, not ${wanted}`];
}

function keySchema({
  partitionKey,
  sortKey,
}: Pick<TableDefinition, 'partitionKey' | 'sortKey'>): KeySchemaElement[] {
  return [
    { AttributeName: partitionKey.name, KeyType: 'HASH' },
    ...(sortKey ? [{ AttributeName: sortKey.name, KeyType: 'RANGE' as const }] : []),
  ];
}

/** Of the table and its indexes, each once: DynamoDB refuses an attribute that is in no key. */
function keyAttributes(table: TableDefinition): readonly KeyAttribute[] {
  const keys = [table, ...table.indexes].flatMap(({ partitionKey, sortKey }) =>
    sortKey ? [partitionKey, sortKey] : [partitionKey],
  );
  return [...new Map(keys.map((key) => [key.name, key])).values()];
}

function projection(index: IndexDefinition): Projection {
  return index.includes.length === 0
    ? { ProjectionType: 'KEYS_ONLY' }
    : { ProjectionType: 'INCLUDE', NonKeyAttributes: [...index.includes] };
}

function keyText(schema: readonly KeySchemaElement[] | undefined): string {
  return (schema ?? []).map(({ AttributeName, KeyType }) => `${AttributeName} (${KeyType})`).join(', ');
}

function projectionText(found: Projection | undefined): string {
  const attributes = (found?.NonKeyAttributes ?? []).toSorted();
  return [found?.ProjectionType ?? 'nothing', ...attributes].join(' ');
}

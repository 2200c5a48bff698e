import ts from 'typescript';
import type { ProcessRole } from '../../src/platform/config/settings.ts';
import { at, isObject, objectsAt, textAt } from '../support/json.ts';
import { classesOf, CodeGraph, decoratorsOf, type Entry, placeOf } from './code-graph.ts';
import { type Shape, ValueReader } from './value-reader.ts';

/*
 * Which calls of AWS the code makes in a role, read off the code itself: every `new …Command(…)` that can be reached in the role, with the
 * table, the index, the bucket or the queue that it names. What cannot be read off throws, so nothing is passed over.
 */

/** A permission that a role needs, such as `dynamodb:Query messages/due`. */
export type Need = string;

// Which permission a call takes: Service Authorization Reference, or what stands beside it.
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  GetCommand: ['dynamodb:GetItem'],
  PutCommand: ['dynamodb:PutItem'],
  UpdateCommand: ['dynamodb:UpdateItem'],
  DeleteCommand: ['dynamodb:DeleteItem'],
  QueryCommand: ['dynamodb:Query'],
  ScanCommand: ['dynamodb:Scan'],
  BatchGetCommand: ['dynamodb:BatchGetItem'],
  BatchWriteCommand: ['dynamodb:BatchWriteItem'],
  // With s3:ListBucket S3 says of an object that is not there that it is not there; without, that it is forbidden (S3 API reference, GetObject).
  GetObjectCommand: ['s3:GetObject', 's3:ListBucket'],
  PutObjectCommand: ['s3:PutObject'],
  // Beginning, sending and completing an upload in parts all take the permission of the object (S3 User Guide, multipart upload API and permissions).
  CreateMultipartUploadCommand: ['s3:PutObject'],
  UploadPartCommand: ['s3:PutObject'],
  CompleteMultipartUploadCommand: ['s3:PutObject'],
  AbortMultipartUploadCommand: ['s3:AbortMultipartUpload'],
  PutObjectTaggingCommand: ['s3:PutObjectTagging'],
  DeleteObjectCommand: ['s3:DeleteObject'],
  DeleteObjectsCommand: ['s3:DeleteObject'],
  ListObjectsV2Command: ['s3:ListBucket'],
  SendMessageBatchCommand: ['sqs:SendMessage'],
  ReceiveMessageCommand: ['sqs:ReceiveMessage'],
  DeleteMessageCommand: ['sqs:DeleteMessage'],
  ChangeMessageVisibilityCommand: ['sqs:ChangeMessageVisibility'],
  // SES checks calls of its API v2 under the names of API v1 too: `ses:SendRawEmail` for a MIME message, `ses:SendBulkTemplatedEmail` for
  // many at once (anymail/django-anymail, "Confusing IAM error messages").
  SendEmailCommand: ['ses:SendEmail', 'ses:SendRawEmail'],
  SendBulkEmailCommand: ['ses:SendBulkEmail', 'ses:SendBulkTemplatedEmail'],
  GetAccountCommand: ['ses:GetAccount'],
  GetEmailIdentityCommand: ['ses:GetEmailIdentity'],
};

// Service Authorization Reference: it is about the account, and can be allowed for nothing smaller.
const WITHOUT_RESOURCE: ReadonlySet<string> = new Set(['ses:GetAccount']);

// An item of a transaction takes what it would take by itself (DynamoDB Developer Guide, "Amazon DynamoDB Transactions: How it works").
const TRANSACTION_COMMAND = 'TransactWriteCommand';
const TRANSACTION_ACTIONS: Readonly<Record<string, string>> = {
  Put: 'dynamodb:PutItem',
  Update: 'dynamodb:UpdateItem',
  Delete: 'dynamodb:DeleteItem',
  ConditionCheck: 'dynamodb:ConditionCheckItem',
};

// A mail is sent from an identity, under a configuration set; both are resources, and whoever sends needs both.
const MAIL_RESOURCES = ['identity', 'configuration-set'];

const SDK_PACKAGE = /^@aws-sdk\/(client-|lib-dynamodb$)/;

// Begun by Nest: in every role, unless a condition says otherwise.
const LIFECYCLE_METHODS: ReadonlySet<string> = new Set([
  'onModuleInit',
  'onApplicationBootstrap',
  'onModuleDestroy',
  'beforeApplicationShutdown',
  'onApplicationShutdown',
]);
// What Nest calls of a guard, a pipe, a filter and an interceptor.
const FRAME_METHODS: ReadonlySet<string> = new Set(['canActivate', 'transform', 'catch', 'intercept']);
const HANDLER_DECORATORS: ReadonlySet<string> = new Set(['Get', 'Post', 'Put', 'Patch', 'Delete', 'All']);

/** Everything that a process in this role needs, in order. `program` begins at src/serve.ts. */
export function needsOf(program: ts.Program, role: ProcessRole): readonly Need[] {
  const graph = new CodeGraph(program, entryOf(program, role));
  const reader = new ValueReader(graph);
  const needs = new Set<Need>();
  for (const node of graph.nodes()) {
    refuseUnknown(node, graph);
    for (const need of needsAt(node, reader)) {
      needs.add(need);
    }
  }
  return [...needs].toSorted();
}

function entryOf(program: ts.Program, role: ProcessRole): Entry {
  const isKnown = ({ fileName }: ts.SourceFile): boolean => !fileName.includes('/engines/sqlite/');
  const roots = [...classesOf(program, isKnown)]
    .filter((declared) => decoratorsOf(declared).length > 0)
    .flatMap((declared) => [
      ...decoratorsOf(declared).map(({ node }) => node),
      ...declared.members.filter((member) => isBegun(declared, member, role)),
    ]);
  return {
    roots: [...program.getRootFileNames().flatMap((name) => program.getSourceFile(name) ?? []), ...roots],
    isTaken: (condition) => {
      const [, wanted = role] = /^[\w.]*\broles\.includes\('(\w+)'\)$/.exec(condition.getText()) ?? [];
      return wanted === role;
    },
    isKnown,
  };
}

/** True for what runs without being referred to: constructors, lifecycle, and what requests call. */
function isBegun(declared: ts.ClassLikeDeclaration, member: ts.ClassElement, role: ProcessRole): boolean {
  const name = member.name && ts.isIdentifier(member.name) ? member.name.text : '';
  return (
    ts.isConstructorDeclaration(member) ||
    ts.isPropertyDeclaration(member) ||
    LIFECYCLE_METHODS.has(name) ||
    FRAME_METHODS.has(name) ||
    (decoratorsOf(member).some((decorator) => HANDLER_DECORATORS.has(decorator.name)) &&
      (role === 'api' || isHealth(declared)))
  );
}

/** A worker answers what is below /health, and nothing else (platform/http/server.ts). */
function isHealth(declared: ts.ClassLikeDeclaration): boolean {
  return decoratorsOf(declared).some(
    ({ name, node }) => name === 'Controller' && node.getText().includes(`'health'`),
  );
}

/** Calls that are not made by a command: a paginator, a waiter, the methods of an aggregated client. */
function refuseUnknown(node: ts.Node, graph: CodeGraph): void {
  const imported = ts.isIdentifier(node) ? graph.importAt(node) : undefined;
  if (imported?.from.startsWith('@aws-sdk/') !== true) {
    return;
  }
  const isMade = ts.isNewExpression(node.parent) && node.parent.expression === node;
  const isKnown =
    SDK_PACKAGE.test(imported.from) &&
    /^[A-Z]/.test(imported.name) &&
    (!isMade || /(Command|Client)$/.test(imported.name));
  if (!isKnown) {
    throw new Error(
      `${placeOf(node)}: it is not known here what ${imported.name} of ${imported.from} calls.`,
    );
  }
}

function needsAt(node: ts.Node, reader: ValueReader): readonly Need[] {
  if (ts.isNewExpression(node) && ts.isIdentifier(node.expression)) {
    const { text: name } = node.expression;
    return name.endsWith('Command') ? needsOfCommand(node, name, reader) : [];
  }
  if (ts.isObjectLiteralExpression(node)) {
    return node.properties.flatMap((property) => needsOfTransactionItem(property, reader));
  }
  return [];
}

function needsOfCommand(command: ts.NewExpression, name: string, reader: ValueReader): readonly Need[] {
  if (name === TRANSACTION_COMMAND) {
    return []; // its items are found where they are made
  }
  const actions = ACTIONS[name];
  const [input] = command.arguments ?? [];
  if (!actions || !input) {
    throw new Error(`${placeOf(command)}: which permission ${name} takes is not known here.`);
  }
  const names = ['TableName', 'IndexName', 'RequestItems', 'Bucket', 'Tagging', 'QueueUrl'];
  return reader
    .shapes(input, names)
    .flatMap((shape) => actions.flatMap((action) => needsOfShape(action, shape, reader)));
}

function needsOfShape(action: string, shape: Shape, reader: ValueReader): readonly Need[] {
  const valuesOf = (name: string): readonly string[] => {
    const bound = shape.get(name);
    return bound ? reader.values(bound) : [];
  };
  const requested = shape.get('RequestItems');
  const tables = requested ? reader.keys(requested) : valuesOf('TableName');
  const indexes = valuesOf('IndexName');
  const resources = [
    // An index is a resource of its own, and its table is not needed for it.
    ...tables.flatMap((table) =>
      indexes.length > 0 ? indexes.map((index) => `${table}/${index}`) : [table],
    ),
    ...valuesOf('Bucket').map((bucket) => (action === 's3:ListBucket' ? bucket : `${bucket}/*`)),
    ...valuesOf('QueueUrl'),
    ...(WITHOUT_RESOURCE.has(action) ? ['*'] : []),
    ...(action.startsWith('ses:Send') ? MAIL_RESOURCES : []),
    ...(action === 'ses:GetEmailIdentity' ? ['identity'] : []),
  ];
  if (resources.length === 0) {
    throw new Error(`It cannot be read off the code what ${action} is done with.`);
  }
  // Tags that come with an object take a permission of their own (S3 API reference, PutObject).
  const all = action === 's3:PutObject' && shape.has('Tagging') ? [action, 's3:PutObjectTagging'] : [action];
  return all.flatMap((each) => resources.map((resource) => `${each} ${resource}`));
}

function needsOfTransactionItem(property: ts.ObjectLiteralElementLike, reader: ValueReader): readonly Need[] {
  const name = property.name && ts.isIdentifier(property.name) ? property.name.text : '';
  const action = TRANSACTION_ACTIONS[name];
  if (action === undefined || !ts.isPropertyAssignment(property)) {
    return [];
  }
  const tables = reader.shapes(property.initializer, ['TableName']).flatMap((shape) => {
    const bound = shape.get('TableName');
    return bound ? reader.values(bound) : [];
  });
  return tables.map((table) => `${action} ${table}`);
}

/** What a request needs that is made, rather than one that is written: with tables, bucket and queue as they are called there. */
export function needsOfRequest(sent: string, input: unknown): readonly Need[] {
  const command = sent.replace(/Items?Command$/, 'Command'); // the document client's commands send others
  if (command === TRANSACTION_COMMAND) {
    return objectsAt(input, 'TransactItems').flatMap((item) =>
      Object.entries(item).map(
        ([kind, operation]) => `${TRANSACTION_ACTIONS[kind]} ${textAt(operation, 'TableName')}`,
      ),
    );
  }
  const index = at(input, 'IndexName') === undefined ? '' : `/${textAt(input, 'IndexName')}`;
  const requested = at(input, 'RequestItems');
  const resources = isObject(requested)
    ? Object.keys(requested)
    : [at(input, 'TableName') ?? at(input, 'Bucket') ?? at(input, 'QueueUrl')];
  return (ACTIONS[command] ?? [command]).flatMap((action) =>
    resources.map((resource) => `${action} ${String(resource)}${index}`),
  );
}

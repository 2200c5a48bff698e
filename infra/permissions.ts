import { Aws } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { TableDefinition } from '../src/engines/aws/tables.ts';

/*
 * What the application may do, in each of its roles: written by hand, statement by statement, and no more and no less than its code calls,
 * which test/infra/roles.spec.ts reads off the code. A transaction takes the permission of each of its items.
 */

/** What the statements are about. */
export interface PermissionScope {
  /** TABLE_PREFIX. */
  readonly tablePrefix: string;
  readonly contentBucket: string;
  readonly workQueueArn: string;
  readonly feedbackQueueArn: string;
  /** Identities of SES; none: any of the account. */
  readonly senders: readonly string[];
  readonly configurationSet: string;
}

/** It stores, lists and changes, and takes what is told of deliveries; it sends nothing, asks SES what may be sent, and has nothing to do with the queues. */
export function apiPermissions(scope: PermissionScope): readonly PolicyStatement[] {
  return [
    allow(
      'Groups',
      [table(scope, 'groups')],
      [
        'dynamodb:BatchGetItem',
        'dynamodb:DeleteItem',
        'dynamodb:GetItem',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
      ],
    ),
    allow('GroupsByName', [index(scope, 'groups', 'by_name')], ['dynamodb:Query']),
    allow(
      'Subscribers',
      [table(scope, 'subscribers')],
      [
        'dynamodb:BatchGetItem',
        'dynamodb:DeleteItem',
        'dynamodb:GetItem',
        'dynamodb:PutItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
      ],
    ),
    allow('GroupsOfAddress', [index(scope, 'subscribers', 'by_subscriber')], ['dynamodb:Query']),
    allow(
      'Messages',
      [table(scope, 'messages')],
      [
        'dynamodb:BatchGetItem',
        'dynamodb:ConditionCheckItem',
        'dynamodb:DeleteItem', // an import of which the file did not arrive, the time at which a confirmation was due
        'dynamodb:GetItem',
        'dynamodb:PutItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
      ],
    ),
    allow('MessagesByTime', [index(scope, 'messages', 'by_time')], ['dynamodb:Query']),
    allow(
      'Deliveries',
      [table(scope, 'deliveries')],
      [
        'dynamodb:BatchGetItem',
        'dynamodb:ConditionCheckItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem', // what was heard of one
      ],
    ),
    allow(
      'Content',
      [contents(scope)],
      [
        's3:AbortMultipartUpload', // of an import of which the file did not arrive
        's3:DeleteObject', // of a message that was not recorded
        's3:GetObject',
        's3:PutObject',
        's3:PutObjectTagging',
      ],
    ),
    // Otherwise S3 says of content that is missing that it is forbidden.
    allow('MissingContent', [bucket(scope)], ['s3:ListBucket']),
    // Whether a message could go, before it does. Whether it is verified of what mail may be sent from, and of nothing else.
    allow('Senders', identities(scope), ['ses:GetEmailIdentity']),
    allow('MailAccount', ['*'], ['ses:GetAccount']),
  ];
}

/** It finds what is due, delivers it, takes what SES tells of it, and sweeps content that no message needs. */
export function workerPermissions(scope: PermissionScope): readonly PolicyStatement[] {
  return [
    allow(
      'Groups',
      [table(scope, 'groups')],
      ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem'],
    ),
    // It reads them for a batch; for an import and for what is heard of a mail it writes them, and what is recorded of them; who does
    // not confirm is taken out.
    allow(
      'Subscribers',
      [table(scope, 'subscribers')],
      [
        'dynamodb:BatchGetItem',
        'dynamodb:DeleteItem',
        'dynamodb:GetItem',
        'dynamodb:PutItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
      ],
    ),
    allow(
      'Messages',
      [table(scope, 'messages')],
      [
        'dynamodb:BatchGetItem',
        'dynamodb:ConditionCheckItem',
        'dynamodb:DeleteItem', // an import whose time is over, a confirmation that nobody waits for
        'dynamodb:GetItem',
        'dynamodb:PutItem', // the results of an import, when a confirmation is due
        'dynamodb:Query',
        'dynamodb:UpdateItem',
      ],
    ),
    // The scan happens once in the life of an installation, to find the oldest hour.
    allow('MessagesDue', [index(scope, 'messages', 'due')], ['dynamodb:Query', 'dynamodb:Scan']),
    allow(
      'Deliveries',
      [table(scope, 'deliveries')],
      [
        'dynamodb:ConditionCheckItem',
        'dynamodb:GetItem',
        'dynamodb:PutItem',
        'dynamodb:Query',
        'dynamodb:UpdateItem',
      ],
    ),
    allow(
      'Content',
      [contents(scope)],
      [
        's3:DeleteObject', // the sweeper
        's3:GetObject',
        's3:PutObject', // an occurrence of a series
        's3:PutObjectTagging', // a change of a message labels its content anew; both roles have this code
      ],
    ),
    allow('ContentList', [bucket(scope)], ['s3:ListBucket']),
    allow(
      'WorkQueue',
      [scope.workQueueArn],
      ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:ReceiveMessage', 'sqs:SendMessage'],
    ),
    allow(
      'FeedbackQueue',
      [scope.feedbackQueueArn],
      ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:ReceiveMessage'],
    ),
    allow(
      'Mail',
      [...identities(scope), sesArn('configuration-set', scope.configurationSet)],
      ['ses:SendBulkEmail', 'ses:SendBulkTemplatedEmail', 'ses:SendEmail', 'ses:SendRawEmail'],
    ),
    // Whether a message that comes up may be sent so.
    allow('Senders', identities(scope), ['ses:GetEmailIdentity']),
    // Rate and quota, which are the account's: IAM knows no smaller resource for it.
    allow('MailQuota', ['*'], ['ses:GetAccount']),
  ];
}

function allow(sid: string, resources: string[], actions: string[]): PolicyStatement {
  return new PolicyStatement({ sid, resources, actions });
}

function table({ tablePrefix }: PermissionScope, name: TableDefinition['name']): string {
  return `arn:${Aws.PARTITION}:dynamodb:${Aws.REGION}:${Aws.ACCOUNT_ID}:table/${tablePrefix}${name}`;
}

function index(scope: PermissionScope, name: TableDefinition['name'], indexName: string): string {
  return `${table(scope, name)}/index/${indexName}`;
}

function bucket({ contentBucket }: PermissionScope): string {
  return `arn:${Aws.PARTITION}:s3:::${contentBucket}`;
}

/** `{group}/{message_key}/{sha256}`, and no other key. */
function contents(scope: PermissionScope): string {
  return `${bucket(scope)}/*/*/*`;
}

/** What mail may be sent from. */
function identities({ senders }: PermissionScope): string[] {
  return (senders.length === 0 ? ['*'] : senders).map((sender) => sesArn('identity', sender));
}

function sesArn(type: 'identity' | 'configuration-set', name: string): string {
  return `arn:${Aws.PARTITION}:ses:${Aws.REGION}:${Aws.ACCOUNT_ID}:${type}/${name}`;
}

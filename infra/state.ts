import { Aws, Duration, RemovalPolicy } from 'aws-cdk-lib';
import { type Attribute, AttributeType, BillingMode, ProjectionType, Table } from 'aws-cdk-lib/aws-dynamodb';
import { BlockPublicAccess, Bucket, BucketEncryption, type IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { type KeyAttribute, type TableDefinition, TABLES } from '../src/engines/aws/tables.ts';
import { asInterface } from './as-interface.ts';

/** How long DynamoDB can take its tables back, which is as far as it goes; and so for how long content that was removed is kept. */
export const RESTORABLE_DAYS = 35;

export interface StateProps {
  readonly installation: string;
  readonly accessLogs: Bucket;
}

/** What must not be lost: the tables, and the bucket with the content. All of it stays where the stack is removed. */
export class State extends Construct {
  readonly tables: readonly Table[];
  readonly content: Bucket;
  readonly contentName: string;

  constructor(scope: Construct, id: string, { installation, accessLogs }: StateProps) {
    super(scope, id);
    this.tables = TABLES.map((definition) => this.#table(definition, `${installation}-${definition.name}`));
    this.contentName = `${installation}-content-${Aws.ACCOUNT_ID}-${Aws.REGION}`;
    this.content = this.#bucket(accessLogs);
  }

  /** On demand, so that nobody guesses its throughput. */
  #table(definition: TableDefinition, tableName: string): Table {
    const table = new Table(this, definition.name, {
      tableName,
      partitionKey: toAttribute(definition.partitionKey),
      ...(definition.sortKey && { sortKey: toAttribute(definition.sortKey) }),
      ...(definition.ttlAttribute !== undefined && { timeToLiveAttribute: definition.ttlAttribute }),
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: {
        pointInTimeRecoveryEnabled: true,
        recoveryPeriodInDays: RESTORABLE_DAYS,
      },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    for (const index of definition.indexes) {
      table.addGlobalSecondaryIndex({
        indexName: index.name,
        partitionKey: toAttribute(index.partitionKey),
        ...(index.sortKey && { sortKey: toAttribute(index.sortKey) }),
        ...(index.includes.length === 0
          ? { projectionType: ProjectionType.KEYS_ONLY }
          : { projectionType: ProjectionType.INCLUDE, nonKeyAttributes: [...index.includes] }),
      });
    }
    return table;
  }

  #bucket(accessLogs: Bucket): Bucket {
    return new Bucket(this, 'content', {
      bucketName: this.contentName,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      // Keys of S3's own: a key of KMS costs by the month and by the request, and keeps nobody out whom the bucket's policy lets in.
      encryption: BucketEncryption.S3_MANAGED,
      // An object is never written over, so versions cost nothing until one is removed; then they keep it for as long as a table can be
      // taken back to a time at which its record still pointed to it.
      versioned: true,
      lifecycleRules: [
        {
          id: 'removed-content',
          noncurrentVersionExpiration: Duration.days(RESTORABLE_DAYS),
          expiredObjectDeleteMarker: true,
          abortIncompleteMultipartUploadAfter: Duration.days(1),
        },
      ],
      serverAccessLogsBucket: asInterface<IBucket>(accessLogs),
      serverAccessLogsPrefix: 'content/',
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}

function toAttribute({ name, type }: KeyAttribute): Attribute {
  return { name, type: type === 'S' ? AttributeType.STRING : AttributeType.NUMBER };
}

import { Aws, Duration, RemovalPolicy } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';

// Long enough to look into what happened last quarter; they hold addresses of callers, so not for ever.
const KEPT = Duration.days(90);

/** Who asked the load balancer and the content bucket for what. */
export class AccessLogs extends Construct {
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bucket = new Bucket(this, 'bucket', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      encryption: BucketEncryption.S3_MANAGED, // the only one that load balancers can write to
      lifecycleRules: [{ id: 'old-logs', expiration: KEPT }],
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }

  /**
   * Lets load balancers of this account write below `prefix` (ELB User Guide, "Access logs for your Application Load Balancer"). CDK's own
   * method asks for the region while it synthesises, and this stack is for any.
   */
  allowLoadBalancer(prefix: string): void {
    this.bucket.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('logdelivery.elasticloadbalancing.amazonaws.com')],
        actions: ['s3:PutObject'],
        resources: [this.bucket.arnForObjects(`${prefix}/AWSLogs/${Aws.ACCOUNT_ID}/*`)],
      }),
    );
  }
}

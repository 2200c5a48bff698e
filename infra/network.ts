import { RemovalPolicy } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { asInterface } from './as-interface.ts';

/** Where the application listens (PORT). */
export const APPLICATION_PORT = 3000;

const AVAILABILITY_ZONES = 2;

/**
 * Two zones with public subnets only, and no NAT gateway: tasks have addresses of their own, and their security groups let nobody in but
 * the load balancer, to the api. DynamoDB and S3, where nearly all traffic goes, are reached through gateway endpoints, which cost
 * nothing; SQS, SES, ECR, logs and secrets through the internet gateway, by TLS. What the other ways would cost stands in
 * docs/operations.md.
 */
export class Network extends Construct {
  readonly vpc: IVpc;
  readonly subnets: SubnetSelection = { subnetType: SubnetType.PUBLIC };
  readonly loadBalancerGroup: SecurityGroup;
  readonly apiGroup: SecurityGroup;
  readonly workerGroup: SecurityGroup;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const vpc = new Vpc(this, 'vpc', {
      maxAzs: AVAILABILITY_ZONES,
      natGateways: 0,
      subnetConfiguration: [{ name: 'public', subnetType: SubnetType.PUBLIC, cidrMask: 24 }],
      gatewayEndpoints: {
        dynamodb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
        s3: { service: GatewayVpcEndpointAwsService.S3 },
      },
    });
    this.vpc = asInterface<IVpc>(vpc);
    this.#logRefused();
    this.loadBalancerGroup = this.#group('load-balancer', 'Belfry: the load balancer');
    this.apiGroup = this.#group('api', 'Belfry: tasks of the api, reached by the load balancer only');
    this.workerGroup = this.#group('worker', 'Belfry: tasks of the worker, reached by nobody');
    const toApi = Port.tcp(APPLICATION_PORT);
    this.loadBalancerGroup.addEgressRule(this.apiGroup, toApi, 'to the api');
    this.apiGroup.addIngressRule(this.loadBalancerGroup, toApi, 'from the load balancer');
    for (const group of [this.apiGroup, this.workerGroup]) {
      group.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'to the services of AWS');
    }
  }

  #group(id: string, description: string): SecurityGroup {
    return new SecurityGroup(this, id, { vpc: this.vpc, description, allowAllOutbound: false });
  }

  /** What was let through is in the logs of the load balancer and of the application; what was not is only here. */
  #logRefused(): void {
    const logGroup = new LogGroup(this, 'refused', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.vpc.addFlowLog('refused', {
      destination: FlowLogDestination.toCloudWatchLogs(logGroup),
      trafficType: FlowLogTrafficType.REJECT,
    });
  }
}

import { Aws, Duration } from 'aws-cdk-lib';
import type { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import {
  AvailabilityZoneRebalancing,
  type Cluster,
  CpuArchitecture,
  FargatePlatformVersion,
  FargateService,
  FargateTaskDefinition,
  type ICluster,
  LogDrivers,
  OperatingSystemFamily,
  type ScalableTaskCount,
  Secret as SecretVariable,
} from 'aws-cdk-lib/aws-ecs';
import { PolicyDocument, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { ProcessRole } from '../src/platform/config/settings.ts';
import { acknowledge } from './acknowledge.ts';
import { asInterface } from './as-interface.ts';
import type { Image } from './image.ts';
import { APPLICATION_PORT, type Network } from './network.ts';
import { STOP_TIMEOUT } from './shutdown.ts';

// Half a processor of Graviton and 1 GB: the application was seen at 241 MB with 100,000 deliveries in hand (README, Measured), and content of
// 40 MB may be in memory some times over.
const CPU_UNITS = 512;
const MEMORY_MIB = 1024;

const MAX_TASKS = 10;

// ECS tells a container that it is alive by asking it, where no load balancer does.
const ASK_WHETHER_ALIVE = `fetch('http://127.0.0.1:${APPLICATION_PORT}/health/live').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))`;

export interface ServiceProps {
  readonly installation: string;
  /** ROLES of the process. */
  readonly role: ProcessRole;
  readonly cluster: Cluster;
  readonly network: Network;
  readonly securityGroup: SecurityGroup;
  readonly image: Image;
  readonly logGroup: LogGroup;
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, Secret>>;
  readonly permissions: readonly PolicyStatement[];
  readonly minTasks: number;
  /** For a service behind a load balancer: how long its checks do not count after a start. */
  readonly healthCheckGracePeriod?: Duration;
}

/** A service of ECS on Fargate, in one of the application's roles. */
export class Service extends Construct {
  readonly service: FargateService;
  readonly taskCount: ScalableTaskCount;
  /** What the application may do. */
  readonly taskRole: Role;
  readonly #props: ServiceProps;

  constructor(scope: Construct, id: string, props: ServiceProps) {
    super(scope, id);
    this.#props = props;
    this.taskRole = this.#taskRole();
    this.service = new FargateService(this, 'service', {
      cluster: asInterface<ICluster>(props.cluster),
      taskDefinition: this.#definition(),
      serviceName: `${props.installation}-${props.role}`,
      vpcSubnets: props.network.subnets,
      securityGroups: [props.securityGroup],
      assignPublicIp: true, // without it, and without NAT, it could not reach the services that have no gateway endpoint
      platformVersion: FargatePlatformVersion.LATEST,
      // A deployment starts the new tasks beside the old ones, and goes back by itself where they do not come up.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.ENABLED,
      ...(props.healthCheckGracePeriod && { healthCheckGracePeriod: props.healthCheckGracePeriod }),
    });
    // No desired count: a deployment would set back what the scaling has found.
    this.taskCount = this.service.autoScaleTaskCount({ minCapacity: props.minTasks, maxCapacity: MAX_TASKS });
  }

  #definition(): FargateTaskDefinition {
    const { installation, role, image, environment, secrets, logGroup } = this.#props;
    const definition = new FargateTaskDefinition(this, 'definition', {
      family: `${installation}-${role}`,
      cpu: CPU_UNITS,
      memoryLimitMiB: MEMORY_MIB,
      runtimePlatform: {
        cpuArchitecture: CpuArchitecture.ARM64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      // Both are written out below: CDK's grants would add to them what nobody has read.
      taskRole: this.taskRole.withoutPolicyUpdates(),
      executionRole: this.#executionRole().withoutPolicyUpdates(),
    });
    definition.addContainer(role, {
      image: image.container,
      environment: { ...environment },
      secrets: Object.fromEntries(
        Object.entries(secrets).map(([name, secret]) => [
          name,
          SecretVariable.fromSecretsManager(asInterface<ISecret>(secret)),
        ]),
      ),
      logging: LogDrivers.awsLogs({ logGroup, streamPrefix: role }),
      portMappings: [{ containerPort: APPLICATION_PORT }],
      stopTimeout: STOP_TIMEOUT,
      healthCheck: {
        command: ['CMD', 'node', '--eval', ASK_WHETHER_ALIVE],
        interval: Duration.seconds(15),
        timeout: Duration.seconds(5),
        retries: 3,
        startPeriod: Duration.seconds(30),
      },
    });
    acknowledge(definition, {
      'AwsSolutions-ECS2':
        'What stands in the environment is names and numbers; what is secret comes from Secrets Manager.',
    });
    return definition;
  }

  #taskRole(): Role {
    const { installation, role, permissions } = this.#props;
    return new Role(this, 'role', {
      description: `What the ${role} of ${installation} may do`,
      assumedBy: tasks(),
      inlinePolicies: { application: new PolicyDocument({ statements: [...permissions] }) },
    });
  }

  /** What ECS may do to start it. */
  #executionRole(): Role {
    const { installation, role, image, logGroup, secrets } = this.#props;
    const executionRole = new Role(this, 'execution-role', {
      description: `What ECS may do to start the ${role} of ${installation}`,
      assumedBy: tasks(),
      inlinePolicies: {
        start: new PolicyDocument({
          statements: [
            // It knows no resource: a token is for all registries that the other permissions open.
            new PolicyStatement({
              sid: 'Registry',
              actions: ['ecr:GetAuthorizationToken'],
              resources: ['*'],
            }),
            new PolicyStatement({
              sid: 'Image',
              actions: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
              resources: [image.repositoryArn],
            }),
            new PolicyStatement({
              sid: 'Logs',
              actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
              resources: [logGroup.logGroupArn],
            }),
            new PolicyStatement({
              sid: 'Secrets',
              actions: ['secretsmanager:GetSecretValue'],
              resources: Object.values(secrets).map(({ secretArn }) => secretArn),
            }),
          ],
        }),
      },
    });
    acknowledge(executionRole, {
      'AwsSolutions-IAM5[Resource::*]':
        'ecr:GetAuthorizationToken knows no resource; what may be pulled is named beside it.',
    });
    return executionRole;
  }
}

/** Tasks of this account, and nobody whom somebody else has talked into it. */
function tasks(): ServicePrincipal {
  return new ServicePrincipal('ecs-tasks.amazonaws.com', {
    conditions: {
      StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID },
      ArnLike: { 'aws:SourceArn': `arn:${Aws.PARTITION}:ecs:${Aws.REGION}:${Aws.ACCOUNT_ID}:*` },
    },
  });
}

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { createTableInput } from '../../src/engines/aws/create-tables.ts';
import { TABLES } from '../../src/engines/aws/tables.ts';
import { PROCESS_ROLES, parseSettings, type ProcessRole } from '../../src/platform/config/settings.ts';
import { at, type JsonObject, numberAt, objectsAt, textAt } from '../support/json.ts';
import { matching } from '../support/matching.ts';
import { ACCOUNT, REGION, type Rendered } from './rendered.ts';
import { CERTIFICATE, IN_USE, synthesise } from './synthesise.ts';

const LISTENER = 'AWS::ElasticLoadBalancingV2::Listener';

let bare: Rendered;
let inUse: Rendered;

beforeAll(() => {
  bare = synthesise();
  inUse = synthesise(IN_USE);
});

describe('the network', () => {
  it('has no NAT gateway, and free endpoints for S3 and DynamoDB', () => {
    const services = bare
      .all('AWS::EC2::VPCEndpoint')
      .map(({ ServiceName, VpcEndpointType }) => [VpcEndpointType, ServiceName]);

    expect(bare.types()).not.toContain('AWS::EC2::NatGateway');
    expect(services).toEqual([
      ['Gateway', `com.amazonaws.${REGION}.dynamodb`],
      ['Gateway', `com.amazonaws.${REGION}.s3`],
    ]);
  });

  it('gives tasks addresses of their own, and lets nobody to them but the load balancer to the api', () => {
    const groups = new Map(
      inUse.all('AWS::EC2::SecurityGroup').map((group) => [textAt(group, 'GroupDescription'), group]),
    );

    expect(groups.get('Belfry: tasks of the api, reached by the load balancer only')).not.toHaveProperty(
      'SecurityGroupIngress',
    );
    expect(groups.get('Belfry: tasks of the worker, reached by nobody')).not.toHaveProperty(
      'SecurityGroupIngress',
    );
    expect(inUse.all('AWS::EC2::SecurityGroupIngress')).toEqual([
      expect.objectContaining({ FromPort: 3000, ToPort: 3000, Description: 'from the load balancer' }),
    ]);
    for (const service of inUse.all('AWS::ECS::Service')) {
      expect(service).toMatchObject({
        NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'ENABLED' } },
      });
    }
  });

  it('lets tasks out to TLS only', () => {
    const egress = inUse
      .all('AWS::EC2::SecurityGroup')
      .flatMap(({ SecurityGroupEgress: rules }) =>
        rules === undefined ? [] : objectsAt({ rules }, 'rules'),
      );

    expect(egress).toHaveLength(2);
    for (const rule of egress) {
      expect(rule).toMatchObject({ FromPort: 443, ToPort: 443, IpProtocol: 'tcp' });
    }
  });
});

describe('the load balancer', () => {
  it('answers by TLS, and sends HTTP there', () => {
    expect(inUse.one(LISTENER, { Port: 443 })).toMatchObject({
      Protocol: 'HTTPS',
      Certificates: [{ CertificateArn: CERTIFICATE }],
      SslPolicy: matching(/^ELBSecurityPolicy-TLS13-1-2/),
      DefaultActions: [{ Type: 'forward' }],
    });
    expect(inUse.one(LISTENER, { Port: 80 })).toMatchObject({
      Protocol: 'HTTP',
      DefaultActions: [
        { Type: 'redirect', RedirectConfig: { Protocol: 'HTTPS', Port: '443', StatusCode: 'HTTP_301' } },
      ],
    });
    expect(ingressOf(inUse)).toEqual(['0.0.0.0/0:80', '0.0.0.0/0:443']);
  });

  it('admits nobody without a certificate but whoever was named', () => {
    const trial = synthesise({ allowFrom: '203.0.113.7/32' });

    expect(bare.all(LISTENER)).toEqual([expect.objectContaining({ Port: 80, Protocol: 'HTTP' })]);
    expect(ingressOf(bare)).toEqual([]);
    expect(ingressOf(trial)).toEqual(['203.0.113.7/32:80']);
  });

  it('gets its certificate and its name in the zone that was named', () => {
    const zoned = synthesise({ domain: 'belfry.example.com', hostedZone: 'Z0123456789ABC' });

    expect(zoned.one('AWS::CertificateManager::Certificate')).toMatchObject({
      DomainName: 'belfry.example.com',
      DomainValidationOptions: [{ DomainName: 'belfry.example.com', HostedZoneId: 'Z0123456789ABC' }],
    });
    expect(zoned.one('AWS::Route53::RecordSet')).toMatchObject({
      Name: 'belfry.example.com.',
      Type: 'A',
      HostedZoneId: 'Z0123456789ABC',
    });
    expect(zoned.outputs['Url']).toBe('https://belfry.example.com');
  });

  it('asks whether a task is ready, and forgets one only when its requests have ended', () => {
    const targets = bare.one('AWS::ElasticLoadBalancingV2::TargetGroup');
    const delays = objectsAt(targets, 'TargetGroupAttributes')
      .filter(({ Key }) => Key === 'deregistration_delay.timeout_seconds')
      .map(({ Value }) => Number(Value));
    const graceSeconds = parseSettings(environmentOf(inUse, 'api')).shutdownGraceMs / 1_000;

    expect(targets).toMatchObject({ HealthCheckPath: '/health/ready', Matcher: { HttpCode: '200' } });
    expect(delays).toEqual([30]);
    expect(delays.at(0)).toBeGreaterThan(graceSeconds);
    expect(numberAt(containerOf(bare, 'api'), 'StopTimeout')).toBeGreaterThan(graceSeconds);
  });

  it('writes down who asked for what', () => {
    const { LoadBalancerAttributes: attributes } = bare.one('AWS::ElasticLoadBalancingV2::LoadBalancer');

    expect(attributes).toContainEqual({ Key: 'access_logs.s3.enabled', Value: 'true' });
    expect(attributes).toContainEqual({
      Key: 'routing.http.drop_invalid_header_fields.enabled',
      Value: 'true',
    });
  });
});

describe.each(PROCESS_ROLES)('the service %s', (role) => {
  it('runs the one image on ARM64, in its role', () => {
    expect(taskOf(bare, role)).toMatchObject({
      RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
      RequiresCompatibilities: ['FARGATE'],
    });
    expect(containerOf(bare, role)['Image']).toBe(`${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com/belfry:1.4.0`);
    expect(environmentOf(bare, role)).toMatchObject({ ROLES: role });
  });

  it('goes back by itself where a new version does not come up', () => {
    expect(bare.one('AWS::ECS::Service', { ServiceName: `belfry-${role}` })).toMatchObject({
      DeploymentConfiguration: {
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
      },
    });
  });

  it('is given settings that the application accepts', () => {
    const settings = parseSettings(environmentOf(inUse, role));

    expect(settings).toMatchObject({
      roles: [role],
      engine: 'aws',
      aws: {
        tablePrefix: 'belfry-',
        contentBucket: `belfry-content-${ACCOUNT}-${REGION}`,
        workQueueUrl: `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/belfry-work`,
        feedbackQueueUrl: `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/belfry-mail-events`,
      },
      mail: 'ses',
      mailFrom: 'Belfry <belfry@example.com>',
      sesConfigurationSet: 'belfry',
      publicUrl: 'https://belfry.example.com',
      shutdownGraceMs: 25_000,
    });
  });

  it('has its logs in the one group, for a month', () => {
    const { LogConfiguration: logging } = containerOf(bare, role);

    expect(logging).toMatchObject({ LogDriver: 'awslogs', Options: { 'awslogs-stream-prefix': role } });
    expect(bare.one('AWS::Logs::LogGroup', { LogGroupName: '/belfry' })).toMatchObject({
      RetentionInDays: 30,
    });
  });

  it('has two tasks at least, and ten at most', () => {
    const targets = bare
      .all('AWS::ApplicationAutoScaling::ScalableTarget')
      .filter(
        ({ ResourceId: id }) =>
          bare.behind(textAt({ id }, 'id').split('/').at(-1))['ServiceName'] === `belfry-${role}`,
      );

    expect(targets).toEqual([expect.objectContaining({ MinCapacity: 2, MaxCapacity: 10 })]);
  });
});

describe('scaling', () => {
  it('adds tasks of the api where there are more requests for each', () => {
    const policy = policies('TargetTrackingScaling').find(
      (candidate) => candidate['PolicyName'] !== 'pointers-per-task',
    );

    expect(policy).toMatchObject({
      TargetTrackingScalingPolicyConfiguration: {
        TargetValue: 3_000,
        PredefinedMetricSpecification: { PredefinedMetricType: 'ALBRequestCountPerTarget' },
      },
    });
  });

  it('adds workers where more pointers wait for each', () => {
    const policy = policies('TargetTrackingScaling').find(
      ({ PolicyName: name }) => name === 'pointers-per-task',
    );

    expect(policy).toMatchObject({
      TargetTrackingScalingPolicyConfiguration: {
        TargetValue: 500,
        CustomizedMetricSpecification: {
          Metrics: [
            {
              Id: 'waiting',
              MetricStat: {
                Metric: {
                  MetricName: 'ApproximateNumberOfMessagesVisible',
                  Dimensions: [{ Name: 'QueueName', Value: 'belfry-work' }],
                },
              },
            },
            { Id: 'tasks', MetricStat: { Metric: { MetricName: 'CPUUtilization' }, Stat: 'SampleCount' } },
            { Id: 'perTask', Expression: 'waiting / FILL(tasks, 1)' },
          ],
        },
      },
    });
  });

  it('adds workers where a pointer waits long', () => {
    const alarm = bare
      .all('AWS::CloudWatch::Alarm')
      .find(
        ({ AlarmName: name, MetricName: metric }) =>
          name === undefined && metric === 'ApproximateAgeOfOldestMessage',
      );

    expect(alarm).toMatchObject({ Threshold: 60, ComparisonOperator: 'GreaterThanOrEqualToThreshold' });
    expect(policies('StepScaling')).toHaveLength(1);
    expect(policies('StepScaling').at(0)).toMatchObject({
      StepScalingPolicyConfiguration: {
        StepAdjustments: [
          { MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 240, ScalingAdjustment: 1 },
          { MetricIntervalLowerBound: 240, ScalingAdjustment: 3 },
        ],
      },
    });
  });

  function policies(type: string): readonly JsonObject[] {
    return bare
      .all('AWS::ApplicationAutoScaling::ScalingPolicy')
      .filter(({ PolicyType: policyType }) => policyType === type);
  }
});

describe('the secrets', () => {
  it('are made by AWS, and in no template', () => {
    const [signing, firstKey] = ['belfry/signing-secret', 'belfry/first-key'].map((name) =>
      bare.one('AWS::SecretsManager::Secret', { Name: name }),
    );

    expect(signing).toMatchObject({ GenerateSecretString: { PasswordLength: 64, ExcludePunctuation: true } });
    expect(firstKey).toMatchObject({
      GenerateSecretString: { PasswordLength: 40, ExcludePunctuation: true },
    });
    expect(bare.one('AWS::SecretsManager::Secret', { Name: 'belfry/api-keys' })['SecretString']).toMatch(
      /^ops:admin:\{\{resolve:secretsmanager:<\w+>:SecretString:::\}\}$/,
    );
  });

  it('are given to tasks by ECS: the keys of the API to the api only', () => {
    const secretsOf = (role: ProcessRole): readonly unknown[] =>
      objectsAt(containerOf(bare, role), 'Secrets').map(({ Name }) => Name);

    expect(secretsOf('api')).toEqual(['API_KEYS', 'SIGNING_SECRET']);
    expect(secretsOf('worker')).toEqual(['SIGNING_SECRET']);
  });
});

describe('the tables', () => {
  it.each(TABLES)('have $name as tables.ts says, on demand', (definition) => {
    const name = `belfry-${definition.name}`;

    const { KeySchema, AttributeDefinitions, GlobalSecondaryIndexes, BillingMode } = bare.one(
      'AWS::DynamoDB::Table',
      { TableName: name },
    );

    const wanted = createTableInput(definition, name);
    expect({ KeySchema, GlobalSecondaryIndexes, BillingMode }).toEqual({
      KeySchema: wanted.KeySchema,
      GlobalSecondaryIndexes: wanted.GlobalSecondaryIndexes,
      BillingMode: 'PAY_PER_REQUEST',
    });
    expect(new Set(Array.isArray(AttributeDefinitions) ? AttributeDefinitions : [])).toEqual(
      new Set(wanted.AttributeDefinitions),
    );
  });

  it.each(TABLES)(
    'can take $name back, do not let it be deleted, and remove what has expired',
    (definition) => {
      const name = `belfry-${definition.name}`;

      expect(bare.one('AWS::DynamoDB::Table', { TableName: name })).toMatchObject({
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true, RecoveryPeriodInDays: 35 },
        DeletionProtectionEnabled: true,
        ...(definition.ttlAttribute !== undefined && {
          TimeToLiveSpecification: { AttributeName: definition.ttlAttribute, Enabled: true },
        }),
      });
      expect(bare.attributesOf('AWS::DynamoDB::Table', { TableName: name })).toMatchObject({
        DeletionPolicy: 'Retain',
        UpdateReplacePolicy: 'Retain',
      });
    },
  );

  it('are no others', () => {
    expect(bare.all('AWS::DynamoDB::Table')).toHaveLength(TABLES.length);
  });

  it('are those that were restored, where a deployment says so', () => {
    const restored = synthesise({ restoredTablePrefix: 'r1-', missedGrace: '0s' });

    expect(environmentOf(restored, 'worker')).toMatchObject({ TABLE_PREFIX: 'r1-', MISSED_GRACE: '0s' });
    expect(JSON.stringify(restored.all('AWS::IAM::Role'))).toContain(':table/r1-messages/index/due');
    expect(JSON.stringify(restored.all('AWS::IAM::Role'))).not.toContain(':table/belfry-');
    expect(restored.all('AWS::DynamoDB::Table').map(({ TableName }) => TableName)).toContain(
      'belfry-messages',
    );
  });
});

describe('the bucket', () => {
  it('is closed to the public, encrypted, and keeps what is removed as long as a table can be taken back', () => {
    expect(bare.one('AWS::S3::Bucket', { BucketName: `belfry-content-${ACCOUNT}-${REGION}` })).toMatchObject({
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        IgnorePublicAcls: true,
        BlockPublicPolicy: true,
        RestrictPublicBuckets: true,
      },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
      VersioningConfiguration: { Status: 'Enabled' },
      LifecycleConfiguration: {
        Rules: [
          {
            Status: 'Enabled',
            NoncurrentVersionExpiration: { NoncurrentDays: 35 },
            ExpiredObjectDeleteMarker: true,
            AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
          },
        ],
      },
    });
  });

  it('is spoken to by TLS only', () => {
    for (const policy of bare.all('AWS::S3::BucketPolicy')) {
      expect(objectsAt(policy, 'PolicyDocument', 'Statement')).toContainEqual(
        expect.objectContaining({
          Effect: 'Deny',
          Action: 's3:*',
          Principal: { AWS: '*' },
          Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        }),
      );
    }
  });
});

describe('the work queue', () => {
  it('shows a pointer again after two minutes, and puts it aside after five', () => {
    expect(bare.one('AWS::SQS::Queue', { QueueName: 'belfry-work' })).toMatchObject({
      VisibilityTimeout: 120,
      RedrivePolicy: {
        deadLetterTargetArn: `arn:aws:sqs:${REGION}:${ACCOUNT}:belfry-work-dead`,
        maxReceiveCount: 5,
      },
      SqsManagedSseEnabled: true,
    });
    expect(bare.one('AWS::SQS::Queue', { QueueName: 'belfry-work-dead' })).toMatchObject({
      MessageRetentionPeriod: 14 * 24 * 3_600,
    });
  });
});

describe('mail', () => {
  it('goes out under a configuration set that tells a topic, and through it a queue, what became of it', () => {
    const { EventDestination: destination } = bare.one('AWS::SES::ConfigurationSetEventDestination');
    const topic = textAt(destination, 'SnsDestination', 'TopicARN');

    expect(bare.one('AWS::SES::ConfigurationSet')).toMatchObject({ Name: 'belfry' });
    expect(destination).toMatchObject({
      Enabled: true,
      MatchingEventTypes: [
        'bounce',
        'complaint',
        'delivery',
        'deliveryDelay',
        'reject',
        'renderingFailure',
        'send',
      ],
    });
    expect(bare.one('AWS::SNS::Subscription')).toMatchObject({
      TopicArn: topic,
      Protocol: 'sqs',
      Endpoint: `arn:aws:sqs:${REGION}:${ACCOUNT}:belfry-mail-events`,
      RawMessageDelivery: true,
      RedrivePolicy: { deadLetterTargetArn: `arn:aws:sqs:${REGION}:${ACCOUNT}:belfry-mail-events-dead` },
    });
  });

  it('may come from the senders that were named, and from any of the account where none was', () => {
    // Of both roles: what one of them may send from, the other may ask about.
    const senders = (stack: Rendered): readonly string[] => [
      ...new Set(JSON.stringify(stack.all('AWS::IAM::Role')).match(/:identity\/[^"]+/g)),
    ];

    expect(senders(bare)).toEqual([':identity/*']);
    expect(senders(synthesise({ sender: 'example.com,news@example.org' }))).toEqual([
      ':identity/example.com',
      ':identity/news@example.org',
    ]);
  });
});

describe('the alarms', () => {
  it.each([
    ['due-lag', 120_000],
    ['no-worker', 1],
    ['lateness', 60_000],
    ['batches-set-aside', 0],
    ['message-held', 0],
    ['queue-age', 900],
    ['dead-letters', 0],
    ['mail-events-dead-letters', 0],
    ['server-errors', 1],
    ['unhealthy-targets', 0],
    ['no-healthy-target', 1],
    ['throttled-groups', 0],
    ['throttled-subscribers', 0],
    ['throttled-messages', 0],
    ['throttled-deliveries', 0],
    ['bounce-rate', 0.04], // AWS reviews from 0.05 on
    ['complaint-rate', 0.0008], // AWS reviews from 0.001 on
  ])('have %s, which tells the topic both when it begins and when it ends', (name, threshold) => {
    const alarm = bare.one('AWS::CloudWatch::Alarm', { AlarmName: `belfry-${name}` });

    expect(alarm).toMatchObject({ Threshold: threshold, AlarmDescription: matching(/\.$/) });
    expect(alarm['AlarmActions']).toEqual(alarm['OKActions']);
    expect(bare.behind(at(alarm, 'AlarmActions', 0))).toMatchObject({ TopicName: 'belfry-alarms' });
  });

  it('have each a paragraph of what to do', () => {
    const page = readFileSync('docs/operations.md', 'utf8');

    const names = bare
      .all('AWS::CloudWatch::Alarm')
      .flatMap(({ AlarmName: name }) => (typeof name === 'string' ? name : []));
    for (const name of names) {
      // One for the alarms of all tables.
      const paragraph = name.replace(/^belfry-/, '').replace(/^throttled-.*/, 'throttled-');
      expect(page).toContain(`**\`${paragraph}`);
    }
  });

  it('take it for a fault where no worker, or no task of the api, says anything', () => {
    const silent = bare
      .all('AWS::CloudWatch::Alarm')
      .filter(({ TreatMissingData: missing }) => missing === 'breaching')
      .map(({ AlarmName: name }) => name);

    expect(silent).toEqual(['belfry-no-worker', 'belfry-no-healthy-target']);
  });

  it('are mailed to whoever was named', () => {
    expect(
      synthesise({ alarmMail: 'ops@example.com' }).one('AWS::SNS::Subscription', { Protocol: 'email' }),
    ).toMatchObject({
      Endpoint: 'ops@example.com',
    });
  });
});

describe('the dashboard', () => {
  it('shows everything that the application measures, and all alarms', () => {
    const body = textAt(bare.one('AWS::CloudWatch::Dashboard', { DashboardName: 'belfry' }), 'DashboardBody');

    for (const metric of [
      'Deliveries',
      'LatenessMs',
      'DueLagMs',
      'QueueWaitMs',
      'BatchesSetAside',
      'ClaimConflicts',
      'EventLoopLagMs',
      'Feedback',
      'MessagesHeld',
    ]) {
      expect(body).toContain(`["Belfry","${metric}"`);
    }
    expect(body).toContain('MetricName=\\"StoreLatencyMs\\"');
    expect(body.match(/"<alarms\w+\.Arn>"/g)).toHaveLength(17);
  });
});

function ingressOf(stack: Rendered): readonly string[] {
  return stack
    .all('AWS::EC2::SecurityGroup')
    .flatMap((group) =>
      group['SecurityGroupIngress'] === undefined ? [] : objectsAt(group, 'SecurityGroupIngress'),
    )
    .map(({ CidrIp, FromPort }) => `${String(CidrIp)}:${String(FromPort)}`);
}

function taskOf(stack: Rendered, role: ProcessRole): JsonObject {
  return stack.one('AWS::ECS::TaskDefinition', { Family: `belfry-${role}` });
}

function containerOf(stack: Rendered, role: ProcessRole): JsonObject {
  const [container] = objectsAt(taskOf(stack, role), 'ContainerDefinitions');
  if (!container) {
    throw new Error(`The task of ${role} has no container.`);
  }
  return container;
}

/** As the process sees it; ECS puts secrets in. */
function environmentOf(stack: Rendered, role: ProcessRole): Readonly<Record<string, string>> {
  const container = containerOf(stack, role);
  const plain = objectsAt(container, 'Environment').map((variable): [string, string] => [
    textAt(variable, 'Name'),
    textAt(variable, 'Value'),
  ]);
  const secret = objectsAt(container, 'Secrets').map((variable): [string, string] => {
    const name = textAt(variable, 'Name');
    return [name, name === 'API_KEYS' ? `ops:admin:${'k'.repeat(40)}` : 's'.repeat(64)];
  });
  return Object.fromEntries([...plain, ...secret]);
}

import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { Cluster, ContainerInsights } from 'aws-cdk-lib/aws-ecs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { ProcessRole } from '../src/platform/config/settings.ts';
import { AccessLogs } from './access-logs.ts';
import { acknowledge } from './acknowledge.ts';
import { Alarms } from './alarms.ts';
import { Dashboard } from './dashboard.ts';
import type { Deployment } from './deployment.ts';
import { Front } from './front.ts';
import { Image } from './image.ts';
import { Mail } from './mail.ts';
import { APPLICATION_PORT, Network } from './network.ts';
import { apiPermissions, type PermissionScope, workerPermissions } from './permissions.ts';
import { WorkQueue } from './queues.ts';
import { scaleOnQueue, scaleOnRequests } from './scaling.ts';
import { Secrets } from './secrets.ts';
import { Service, type ServiceProps } from './service.ts';
import { SHUTDOWN_GRACE } from './shutdown.ts';
import { State } from './state.ts';

// Long enough to find out why something went wrong last month; who got what is in the tables, not here.
const LOGS_KEPT = RetentionDays.ONE_MONTH;

// A task opens its stores and is ready within a few seconds; pulling the image does not count.
const START_GRACE = Duration.seconds(60);

export interface BelfryStackProps extends StackProps {
  readonly deployment: Deployment;
}

/** One installation of Belfry. */
export class BelfryStack extends Stack {
  readonly #deployment: Deployment;
  readonly #network: Network;
  readonly #state: State;
  readonly #work: WorkQueue;
  readonly #mail: Mail;
  readonly #front: Front;
  readonly #secrets: Secrets;

  constructor(scope: Construct, id: string, { deployment, ...props }: BelfryStackProps) {
    super(scope, id, props);
    const { installation } = deployment;
    this.#deployment = deployment;
    this.#network = new Network(this, 'network');
    const accessLogs = new AccessLogs(this, 'access-logs');
    this.#state = new State(this, 'state', { installation, accessLogs: accessLogs.bucket });
    this.#work = new WorkQueue(this, 'work', installation);
    this.#mail = new Mail(this, 'mail', installation);
    this.#secrets = new Secrets(this, 'secrets', installation);
    this.#front = new Front(this, 'front', { deployment, network: this.#network, accessLogs });
    const { api, worker } = this.#services();
    const alarms = new Alarms(this, 'alarms', {
      installation,
      mail: deployment.alarmMail,
      work: this.#work,
      mailEvents: this.#mail.events,
      front: this.#front,
      worker: worker.service,
      tablePrefix: this.#tablePrefix,
    });
    new Dashboard(this, 'dashboard', {
      installation,
      alarms: alarms.all,
      front: this.#front,
      work: this.#work,
      mailEvents: this.#mail.events,
      services: [api, worker],
    });
    new CfnOutput(this, 'Url', { value: this.#front.url });
    new CfnOutput(this, 'LoadBalancer', { value: this.#front.loadBalancer.loadBalancerDnsName });
    new CfnOutput(this, 'FirstKey', { value: this.#secrets.firstKey.secretName });
    new CfnOutput(this, 'AlarmTopic', { value: alarms.topic.topicArn });
  }

  /** Of the stack's own tables, or of those that were restored beside them. */
  get #tablePrefix(): string {
    return this.#deployment.restoredTablePrefix ?? `${this.#deployment.installation}-`;
  }

  #services(): Readonly<Record<ProcessRole, Service>> {
    const { installation, image, minTasks } = this.#deployment;
    const cluster = new Cluster(this, 'cluster', {
      clusterName: installation,
      vpc: this.#network.vpc,
      containerInsightsV2: ContainerInsights.DISABLED,
    });
    acknowledge(cluster, {
      'AwsSolutions-ECS4':
        'Processor and memory of the services are measured without it, and what matters of the application it measures itself; it costs some 10 USD a month.',
    });
    const common = {
      installation,
      cluster,
      network: this.#network,
      image: new Image(this, 'image', image),
      logGroup: new LogGroup(this, 'logs', {
        logGroupName: `/${installation}`,
        retention: LOGS_KEPT,
        removalPolicy: RemovalPolicy.DESTROY,
      }),
      minTasks,
    };
    const api = this.#service({
      ...common,
      role: 'api',
      securityGroup: this.#network.apiGroup,
      environment: this.#environment('api'),
      secrets: { API_KEYS: this.#secrets.apiKeys, SIGNING_SECRET: this.#secrets.signing },
      permissions: apiPermissions(this.#permissionScope),
      healthCheckGracePeriod: START_GRACE,
    });
    this.#front.targets.addTarget(api.service);
    scaleOnRequests(api, this.#front.targets);
    const worker = this.#service({
      ...common,
      role: 'worker',
      securityGroup: this.#network.workerGroup,
      environment: this.#environment('worker'),
      secrets: { SIGNING_SECRET: this.#secrets.signing },
      permissions: workerPermissions(this.#permissionScope),
    });
    scaleOnQueue(worker, this.#work.queue);
    return { api, worker };
  }

  /** After the load balancer: in an account that never had ECS, its own role is there by then. */
  #service(props: ServiceProps): Service {
    const service = new Service(this, props.role, props);
    service.service.node.addDependency(this.#front.listener);
    acknowledge(service.taskRole, {
      [wildcard(`s3:::${props.installation}-content-<AWS::AccountId>-<AWS::Region>/*/*/*`)]:
        'Each revision of content has a key of its own, {group}/{message_key}/{sha256}, and the role works with those of all messages.',
    });
    acknowledge(service.taskRole, {
      'AwsSolutions-IAM5[Resource::*]':
        'ses:GetAccount can be allowed for nothing smaller (Service Authorization Reference).',
    });
    if (this.#deployment.senders.length === 0) {
      acknowledge(service.taskRole, {
        [wildcard('ses:<AWS::Region>:<AWS::AccountId>:identity/*')]:
          'No sender was named, and groups and messages may name any: `-c sender=example.com` makes it that one.',
      });
    }
    return service;
  }

  get #permissionScope(): PermissionScope {
    return {
      tablePrefix: this.#tablePrefix,
      contentBucket: this.#state.contentName,
      workQueueArn: this.#work.queue.queueArn,
      feedbackQueueArn: this.#mail.events.queue.queueArn,
      senders: this.#deployment.senders,
      configurationSet: this.#mail.configurationSetName,
    };
  }

  /** The settings of the application (src/platform/config/settings.ts) that are no secrets. */
  #environment(role: ProcessRole): Readonly<Record<string, string>> {
    const { senders, missedGrace } = this.#deployment;
    const [sender] = senders;
    return {
      ROLES: role,
      // Nobody asks a worker anything but whether it is alive, from inside: so it needs no keys of the API.
      HOST: role === 'api' ? '0.0.0.0' : '127.0.0.1',
      PORT: String(APPLICATION_PORT),
      PUBLIC_URL: this.#front.url,
      TRUSTED_PROXIES: '1', // the load balancer
      ENGINE: 'aws',
      TABLE_PREFIX: this.#tablePrefix,
      CONTENT_BUCKET: this.#state.content.bucketName,
      WORK_QUEUE_URL: this.#work.queue.queueUrl,
      FEEDBACK_QUEUE_URL: this.#mail.events.queue.queueUrl,
      MAIL: 'ses',
      SES_CONFIGURATION_SET: this.#mail.configurationSetName,
      ...(sender !== undefined && { MAIL_FROM: mailbox(sender) }),
      ...(missedGrace !== undefined && { MISSED_GRACE: missedGrace }),
      SHUTDOWN_GRACE: `${SHUTDOWN_GRACE.toSeconds()}s`,
    };
  }
}

/** From whom mail comes where neither message nor group says. */
function mailbox(sender: string): string {
  return `Belfry <${sender.includes('@') ? sender : `belfry@${sender}`}>`;
}

/** How cdk-nag calls a resource of a statement that stands for many. */
function wildcard(resource: string): string {
  return `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:${resource}]`;
}

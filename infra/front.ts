import { Duration } from 'aws-cdk-lib';
import { Certificate, CertificateValidation, type ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import { Peer, Port } from 'aws-cdk-lib/aws-ec2';
import {
  ApplicationListener,
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ApplicationTargetGroup,
  ListenerAction,
  SslPolicy,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { ARecord, HostedZone, type IHostedZone, RecordTarget } from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { AccessLogs } from './access-logs.ts';
import { acknowledge } from './acknowledge.ts';
import type { Deployment } from './deployment.ts';
import { APPLICATION_PORT, type Network } from './network.ts';
import { DEREGISTRATION_DELAY } from './shutdown.ts';

const ACCESS_LOG_PREFIX = 'load-balancer';
const ANYWHERE = ['0.0.0.0/0'];

// The application answers 503 there from the moment at which it is asked to stop, and gives its own checks 3 s.
const HEALTH_CHECK = {
  path: '/health/ready',
  interval: Duration.seconds(10),
  timeout: Duration.seconds(5),
  healthyThresholdCount: 2,
  unhealthyThresholdCount: 3,
  healthyHttpCodes: '200',
};

export interface FrontProps {
  readonly deployment: Deployment;
  readonly network: Network;
  readonly accessLogs: AccessLogs;
}

/** The load balancer: TLS ends here, and what comes without it is sent to where it is. */
export class Front extends Construct {
  readonly loadBalancer: ApplicationLoadBalancer;
  readonly targets: ApplicationTargetGroup;
  /** Answers with what `targets` answer. */
  readonly listener: ApplicationListener;
  /** Where people reach it. */
  readonly url: string;

  constructor(scope: Construct, id: string, { deployment, network, accessLogs }: FrontProps) {
    super(scope, id);
    this.loadBalancer = new ApplicationLoadBalancer(this, 'load-balancer', {
      vpc: network.vpc,
      vpcSubnets: network.subnets,
      internetFacing: true,
      securityGroup: network.loadBalancerGroup,
      dropInvalidHeaderFields: true,
    });
    accessLogs.allowLoadBalancer(ACCESS_LOG_PREFIX);
    this.loadBalancer.setAttribute('access_logs.s3.enabled', 'true');
    this.loadBalancer.setAttribute('access_logs.s3.bucket', accessLogs.bucket.bucketName);
    this.loadBalancer.setAttribute('access_logs.s3.prefix', ACCESS_LOG_PREFIX);
    if (accessLogs.bucket.policy) {
      this.loadBalancer.node.addDependency(accessLogs.bucket.policy); // it tries to write there when it is made
    }
    this.targets = new ApplicationTargetGroup(this, 'api', {
      vpc: network.vpc,
      targetType: TargetType.IP,
      protocol: ApplicationProtocol.HTTP,
      port: APPLICATION_PORT,
      deregistrationDelay: DEREGISTRATION_DELAY,
      healthCheck: HEALTH_CHECK,
    });
    const zone = this.#zone(deployment);
    const certificate = this.#certificate(deployment, zone);
    this.listener = certificate ? this.#listenWithTls(certificate) : this.#listenWithoutTls();
    this.#admit(network, deployment.allowFrom ?? (certificate ? ANYWHERE : []), certificate !== undefined);
    if (zone) {
      new ARecord(this, 'name', {
        zone,
        target: RecordTarget.fromAlias(new LoadBalancerTarget(this.loadBalancer)),
      });
    }
    this.url =
      deployment.domain === undefined
        ? `http://${this.loadBalancer.loadBalancerDnsName}`
        : `https://${deployment.domain}`;
  }

  #zone({ hostedZone, domain }: Deployment): IHostedZone | undefined {
    return hostedZone !== undefined && domain !== undefined
      ? HostedZone.fromHostedZoneAttributes(this, 'zone', { hostedZoneId: hostedZone, zoneName: domain })
      : undefined;
  }

  #certificate({ certificate, domain }: Deployment, zone: IHostedZone | undefined): ICertificate | undefined {
    if (certificate !== undefined) {
      return Certificate.fromCertificateArn(this, 'certificate', certificate);
    }
    return domain !== undefined && zone
      ? new Certificate(this, 'certificate', {
          domainName: domain,
          validation: CertificateValidation.fromDns(zone),
        })
      : undefined;
  }

  #listenWithTls(certificate: ICertificate): ApplicationListener {
    this.loadBalancer.addListener('http', {
      port: 80,
      open: false,
      defaultAction: ListenerAction.redirect({ protocol: 'HTTPS', port: '443', permanent: true }),
    });
    return this.loadBalancer.addListener('https', {
      port: 443,
      open: false,
      certificates: [certificate],
      sslPolicy: SslPolicy.RECOMMENDED_TLS,
      defaultTargetGroups: [this.targets],
    });
  }

  /** For trying it out: keys of the API would cross the internet in the open, so nobody is admitted who was not named. */
  #listenWithoutTls(): ApplicationListener {
    return this.loadBalancer.addListener('http', {
      port: 80,
      open: false,
      defaultTargetGroups: [this.targets],
    });
  }

  #admit({ loadBalancerGroup }: Network, networks: readonly string[], hasTls: boolean): void {
    for (const network of networks) {
      loadBalancerGroup.addIngressRule(
        Peer.ipv4(network),
        Port.tcp(80),
        hasTls ? 'is sent to HTTPS' : 'HTTP',
      );
      if (hasTls) {
        loadBalancerGroup.addIngressRule(Peer.ipv4(network), Port.tcp(443), 'HTTPS');
      }
    }
    if (networks === ANYWHERE) {
      acknowledge(loadBalancerGroup, {
        'AwsSolutions-EC23':
          'It is the door of a public API: ports 80 and 443 only, and whoever comes in needs a key. allowFrom makes it narrower.',
      });
    }
  }
}

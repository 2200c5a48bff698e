/* What a deployment is told, by `npx cdk deploy -c name=value`; every one of them may be left out. */

export interface Deployment {
  /** Names everything: the stack, and what it makes. Two installations in one region need two. */
  readonly installation: string;
  /** Under which people reach it; absent: the load balancer's own name, by plain HTTP. */
  readonly domain: string | undefined;
  /** ARN of a certificate of ACM for the domain, in the region of the deployment. */
  readonly certificate: string | undefined;
  /** Id of the Route 53 zone in which the domain lies: its record, and where none is given its certificate, are made there. */
  readonly hostedZone: string | undefined;
  /** Identities of SES, domains or addresses, that mail may be sent from, the usual one first; none: any of the account. */
  readonly senders: readonly string[];
  /** Repository of ECR in this account and region with a tag or digest; absent: the image is built from this directory. */
  readonly image: ImageName | undefined;
  /** Networks that may ask the load balancer; absent: all with a certificate, and without one nobody. */
  readonly allowFrom: readonly string[] | undefined;
  /** Gets a mail for each alarm, once it has confirmed that it wants them. */
  readonly alarmMail: string | undefined;
  /** How many tasks each service has at least. */
  readonly minTasks: number;
  /** MISSED_GRACE of the application, where it is not the application's own default. */
  readonly missedGrace: string | undefined;
  /** TABLE_PREFIX of tables that were restored from a backup, which are then used instead of those of the stack. */
  readonly restoredTablePrefix: string | undefined;
}

export interface ImageName {
  readonly repository: string;
  /** Such as `1.4.0` or `sha256:…`. */
  readonly tagOrDigest: string;
}

/** Everything that is wrong with what a deployment was told, one line per fault. */
export class DeploymentError extends Error {
  override readonly name = 'DeploymentError';

  constructor(faults: readonly string[]) {
    super(`This cannot be deployed:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
  }
}

const MAX_TASKS = 10;

// Bucket names have 63 characters at most: the account, a region such as ap-southeast-2 and `-content` take 36 of them.
const INSTALLATION = /^[a-z][a-z0-9-]{0,19}$/;
const DOMAIN = /^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$/;
const ADDRESS = /^[^\s@,<>"]{1,64}@[^\s@,<>"]+$/;
const CERTIFICATE = /^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate\/[\w-]+$/;
const HOSTED_ZONE = /^Z[A-Z0-9]{1,31}$/;
const IMAGE = /^([a-z0-9][a-z0-9._/-]*)[:@](sha256:[0-9a-f]{64}|[\w][\w.-]{0,127})$/;
const NETWORK = /^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/;
const DURATION = /^\d+(ms|s|m|h|d)$/;
const TABLE_PREFIX = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * What `context` says, such as CDK's `node.tryGetContext`.
 * @throws {DeploymentError} with every fault, not only the first.
 */
export function parseDeployment(context: (name: string) => unknown): Deployment {
  const reader = new ContextReader(context);
  const deployment = {
    installation:
      reader.matching('installation', INSTALLATION, 'up to 20 of a to z, 0 to 9 and -') ?? 'belfry',
    domain: reader.matching('domain', DOMAIN, 'a DNS name such as belfry.example.com'),
    certificate: reader.matching('certificate', CERTIFICATE, 'the ARN of a certificate of ACM'),
    hostedZone: reader.matching('hostedZone', HOSTED_ZONE, 'the id of a hosted zone, such as Z0123456789ABC'),
    senders: reader.list('sender', isIdentity, 'domains or addresses with commas between them') ?? [],
    image: imageName(reader.matching('image', IMAGE, 'repository:tag or repository@sha256:…')),
    allowFrom: reader.list('allowFrom', (text) => NETWORK.test(text), 'IPv4 networks such as 203.0.113.7/32'),
    alarmMail: reader.matching('alarmMail', ADDRESS, 'an address such as ops@example.com'),
    minTasks: Number(reader.matching('minTasks', /^([1-9]|10)$/, `1 to ${MAX_TASKS}`) ?? '2'),
    missedGrace: reader.matching('missedGrace', DURATION, 'a number with its unit, such as 0s or 24h'),
    restoredTablePrefix: reader.matching('restoredTablePrefix', TABLE_PREFIX, 'a prefix of table names'),
  };
  const { domain, certificate, hostedZone } = deployment;
  if (domain === undefined && (certificate !== undefined || hostedZone !== undefined)) {
    reader.faults.push('domain: is needed with certificate or hostedZone.');
  }
  if (domain !== undefined && certificate === undefined && hostedZone === undefined) {
    reader.faults.push('certificate: is needed with domain, unless hostedZone says where one can be had.');
  }
  if (reader.faults.length > 0) {
    throw new DeploymentError(reader.faults);
  }
  return deployment;
}

class ContextReader {
  readonly faults: string[] = [];
  readonly #context: (name: string) => unknown;

  constructor(context: (name: string) => unknown) {
    this.#context = context;
  }

  matching(name: string, pattern: RegExp, allowed: string): string | undefined {
    const text = this.#text(name);
    if (text === undefined || pattern.test(text)) {
      return text;
    }
    this.#refuse(name, text, allowed);
    return undefined;
  }

  list(name: string, isAllowed: (text: string) => boolean, allowed: string): readonly string[] | undefined {
    const texts = this.#text(name)
      ?.split(',')
      .map((text) => text.trim());
    const faulty = texts?.find((text) => !isAllowed(text));
    if (faulty !== undefined) {
      this.#refuse(name, faulty, allowed);
    }
    return texts;
  }

  /** What is empty counts as left out, as in the application's settings. Numbers come from cdk.json as such. */
  #text(name: string): string | undefined {
    const value = this.#context(name);
    const text = typeof value === 'string' || typeof value === 'number' ? String(value).trim() : '';
    return text === '' ? undefined : text;
  }

  #refuse(name: string, given: string, allowed: string): void {
    this.faults.push(`${name}: got ${JSON.stringify(given)}; allowed: ${allowed}.`);
  }
}

function isIdentity(text: string): boolean {
  return DOMAIN.test(text) || ADDRESS.test(text);
}

function imageName(text: string | undefined): ImageName | undefined {
  const [, repository, tagOrDigest] = IMAGE.exec(text ?? '') ?? [];
  return repository !== undefined && tagOrDigest !== undefined ? { repository, tagOrDigest } : undefined;
}

import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { domainToASCII } from 'node:url';
import { isEmail } from 'class-validator';
import { parseMailbox } from '../mail/mailbox.ts';
import { isLoopback } from '../auth/api-keys.ts';
import { type Role, ROLES } from '../auth/roles.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../clock/clock.ts';

export const ENGINES = ['embedded', 'aws'] as const;
export type EngineName = (typeof ENGINES)[number];

export const MAIL_CHANNELS = ['outbox', 'smtp', 'ses'] as const;
export type MailChannel = (typeof MAIL_CHANNELS)[number];

export const PROCESS_ROLES = ['api', 'worker'] as const;
/** What a process does: it answers requests, or it finds what is due and delivers it. */
export type ProcessRole = (typeof PROCESS_ROLES)[number];

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A key as it is kept: what is compared is the hash, so that no secret stays in memory. */
export interface ApiKey {
  readonly name: string;
  readonly role: Role;
  readonly sha256: Buffer;
}

/** What the engine `aws` is told; credentials and region come from the SDK's default chain. */
export interface AwsSettings {
  readonly tablePrefix: string;
  readonly contentBucket: string;
  readonly workQueueUrl: string;
  /** Where SES's events come in; absent: they are not read. */
  readonly feedbackQueueUrl: string | undefined;
  /** Absent: AWS itself. The SDK reads it too. */
  readonly endpointUrl: string | undefined;
}

/** When a message stops itself. */
export interface BrakeSettings {
  /** Of the deliveries that were handed over, from 0 to 1; more than this is too many. */
  readonly bounceRate: number;
  readonly complaintRate: number;
  /** Deliveries handed over before which nothing is judged. */
  readonly minimum: number;
}

/** What `npm run aws:create` is told. */
export interface InfrastructureSettings extends Omit<AwsSettings, 'workQueueUrl' | 'feedbackQueueUrl'> {
  readonly workQueueName: string;
  readonly feedbackQueueName: string;
}

/** What the environment says, checked once at start and injected whole. */
export class Settings {
  /** 0: any free port. */
  readonly port: number;
  readonly host: string;
  /** Without a slash at its end; absent: made from the host and the port that the server listens on. */
  readonly publicUrl: string | undefined;
  /** What this process does, each role once. */
  readonly roles: readonly ProcessRole[];
  readonly engine: EngineName;
  /** Present where `engine` is `aws`. */
  readonly aws: AwsSettings | undefined;
  /** Absolute. */
  readonly dataDir: string;
  readonly mail: MailChannel;
  /** Present where `mail` is `smtp`. May hold a password: never logged. */
  readonly smtpUrl: string | undefined;
  readonly smtpConnections: number;
  /** Of what is sent through SES; absent: what the sender's identity has by default. */
  readonly sesConfigurationSet: string | undefined;
  /** Under which the DKIM key of the sender's domain stands in DNS; absent: not looked for. */
  readonly dkimSelector: string | undefined;
  /** Asked about the domains of senders, `address` or `address:port`; none: those of the machine. */
  readonly dnsServers: readonly string[];
  /** A mailbox such as `Belfry <belfry@example.com>`. */
  readonly mailFrom: string;
  readonly apiKeys: readonly ApiKey[];
  readonly logLevel: LogLevel;
  readonly missedGraceMs: number;
  readonly maxAttempts: number;
  /** How long somebody who has to confirm an address has for that. */
  readonly confirmWithinMs: number;
  /** Mails per second of all workers together; absent: as fast as the provider allows. */
  readonly maxSendRate: number | undefined;
  /** The ceiling of the wait after a first attempt that was deferred; it doubles with each. */
  readonly retryBaseMs: number;
  /** How long a claim of a message or of a batch is good for without being renewed. */
  readonly leaseMs: number;
  /** The largest content of one message. */
  readonly bodyLimitBytes: number;
  /** The largest file that is imported. */
  readonly importLimitBytes: number;
  /** How long work in hand may take once the process was asked to stop. */
  readonly shutdownGraceMs: number;
  /** The first signs, all of them open what they have signed. */
  readonly signingSecrets: readonly string[];
  /** How many proxies of ours a request comes through: who the client is, the one before them says. */
  readonly trustedProxies: number;
  /** What is posted to /v1/feedback is signed with one of these; none: nothing may be. */
  readonly feedbackSecrets: readonly string[];
  /** Where bounces of mails sent by SMTP go, each to an address of its own; absent: to the sender. */
  readonly verpDomain: string | undefined;
  readonly brake: BrakeSettings;
  /** Where traces are sent; absent: nowhere. */
  readonly otlpEndpoint: string | undefined;

  constructor(values: Settings) {
    this.port = values.port;
    this.host = values.host;
    this.publicUrl = values.publicUrl;
    this.roles = values.roles;
    this.engine = values.engine;
    this.aws = values.aws;
    this.dataDir = values.dataDir;
    this.mail = values.mail;
    this.smtpUrl = values.smtpUrl;
    this.smtpConnections = values.smtpConnections;
    this.sesConfigurationSet = values.sesConfigurationSet;
    this.dkimSelector = values.dkimSelector;
    this.dnsServers = values.dnsServers;
    this.mailFrom = values.mailFrom;
    this.apiKeys = values.apiKeys;
    this.logLevel = values.logLevel;
    this.missedGraceMs = values.missedGraceMs;
    this.maxAttempts = values.maxAttempts;
    this.confirmWithinMs = values.confirmWithinMs;
    this.maxSendRate = values.maxSendRate;
    this.retryBaseMs = values.retryBaseMs;
    this.leaseMs = values.leaseMs;
    this.bodyLimitBytes = values.bodyLimitBytes;
    this.importLimitBytes = values.importLimitBytes;
    this.shutdownGraceMs = values.shutdownGraceMs;
    this.signingSecrets = values.signingSecrets;
    this.trustedProxies = values.trustedProxies;
    this.feedbackSecrets = values.feedbackSecrets;
    this.verpDomain = values.verpDomain;
    this.brake = values.brake;
    this.otlpEndpoint = values.otlpEndpoint;
    Object.freeze(this);
  }
}

/** Everything that is wrong with the environment, one line per fault. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[], options?: ErrorOptions) {
    super(`The settings are not usable:\n${faults.map((fault) => `  ${fault}`).join('\n')}`, options);
    this.faults = faults;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

const KIB = 1024;
const MIB = 1024 * KIB;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
};
const UNIT_BYTES: Readonly<Record<string, number>> = { KB: KIB, MB: MIB };

const SECRET_MIN_LENGTH = 16;
const SIGNING_SECRET_MIN_LENGTH = 32;
const TABLE_PREFIX = 'belfry-';
// It begins the names of the tables and, unless told otherwise, of the queues, which may have 80 characters of these.
const TABLE_PREFIX_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;
// Without dots, which S3 allows and no TLS certificate of S3 covers (S3 User Guide, Bucket naming rules).
const BUCKET_PATTERN = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/;
// SQS allows 80 characters (SQS API reference, CreateQueue); the dead-letter queue needs 5 more. A name that ends in .fifo is another kind of queue.
const QUEUE_NAME_PATTERN = /^[A-Za-z0-9_-]{1,75}$/;
const QUEUE_NAME_ALLOWED = '1 to 75 characters of A to Z, a to z, 0 to 9, _ and -';

// SES API v2 reference, CreateConfigurationSet.
const CONFIGURATION_SET_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

// RFC 6376, 3.1: labels of a domain name.
const DKIM_SELECTOR_PATTERN =
  /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*$/;

// Mails per second. Slower than one in a hundred seconds is no rate but a schedule; faster than SES has ever granted needs no limit.
export const SEND_RATE_MIN = 0.01;
export const SEND_RATE_MAX = 100_000;

const KEY_NAME_PATTERN = /^[a-z0-9_-]+$/;

// ECS kills a task 30 s after it asked it to stop (stopTimeout's default); the database is closed in the second that is left.
const SHUTDOWN_GRACE_MAX_MS = 29 * SECOND_MS;
// SES takes 40 MB at most, after encoding.
const BODY_LIMIT_MAX_BYTES = 40 * MIB;
// An upload to S3 has at most 10,000 parts (Amazon S3 User Guide, multipart upload limits), which are of 8 MB here.
const IMPORT_LIMIT_MAX_BYTES = 10_000 * 8 * MIB;

// With delays that double up to an hour, half a day on average: long enough for a mail server to come back, short of the days for which a
// mail server itself tries (RFC 5321, 4.5.4.1: 4 to 5 days).
const ATTEMPTS = 30;

// Greylisting servers mostly turn a sender away for 5 minutes (Postgrey's default is 300 s), and many faults are over sooner:
// doubling from 30 s asks about four times in that while, which is cheap for one batch.
const RETRY_BASE_MS = 30 * SECOND_MS;

// What a worker that dies costs: others wait so long before they take over. Renewed every third of it, so that a store which does not
// answer for half a minute takes nobody's batch away.
const LEASE_MS = MINUTE_MS;
// Twice the difference of clocks that is allowed for (5 s): less would be used up by it.
const LEASE_MIN_MS = 10 * SECOND_MS;

// Below the lines at which AWS reviews an account (5 %, 0.1 %) and Gmail turns mail away (0.1 % to 0.3 %): delivery/brake.ts has the sources.
const BRAKE_BOUNCE_RATE = 0.04;
const BRAKE_COMPLAINT_RATE = 0.0008;
// One complaint of a hundred deliveries says nothing about the rest.
const BRAKE_MINIMUM = 500;

/**
 * The settings that `env` describes; a variable that is empty counts as not set, and one that is unknown is ignored.
 * @throws {SettingsError} with every fault, not only the first.
 */
export function parseSettings(env: Environment): Settings {
  const reader = new EnvironmentReader(env);
  const smtpUrl = reader.smtpUrl('SMTP_URL');
  const port = reader.integer('PORT', { fallback: 3000, min: 0, max: 65_535 });
  const host = reader.host('HOST', '127.0.0.1');
  const engine = reader.oneOf('ENGINE', ENGINES, 'embedded');
  const mail = reader.mail('MAIL', smtpUrl);
  const settings = new Settings({
    port,
    host,
    publicUrl: reader.httpUrl('PUBLIC_URL'),
    roles: reader.roles('ROLES', engine),
    engine,
    aws: engine === 'aws' ? reader.aws(host) : reader.refuseFeedbackQueue(),
    dataDir: resolve(reader.text('DATA_DIR') ?? './data'),
    mail,
    smtpUrl,
    smtpConnections: reader.integer('SMTP_CONNECTIONS', { fallback: 10, min: 1, max: 100 }),
    sesConfigurationSet: reader.matching('SES_CONFIGURATION_SET', {
      pattern: CONFIGURATION_SET_PATTERN,
      fallback: undefined,
      allowed:
        'the name of a configuration set of SES: 1 to 64 characters of A to Z, a to z, 0 to 9, _ and -',
    }),
    dkimSelector: reader.matching('DKIM_SELECTOR', {
      pattern: DKIM_SELECTOR_PATTERN,
      fallback: undefined,
      allowed: 'the name before ._domainkey, such as mail or k1.europe',
    }),
    dnsServers: reader.addresses('DNS_SERVERS'),
    mailFrom: reader.mailbox('MAIL_FROM', 'Belfry <belfry@localhost>'),
    apiKeys: reader.apiKeys('API_KEYS'),
    logLevel: reader.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    missedGraceMs: reader.durationMs('MISSED_GRACE', { fallback: DAY_MS, min: 0, max: 3650 * DAY_MS }),
    maxSendRate: reader.rate('MAX_SEND_RATE'),
    maxAttempts: reader.integer('MAX_ATTEMPTS', { fallback: ATTEMPTS, min: 1, max: 100 }),
    confirmWithinMs: reader.durationMs('CONFIRM_WITHIN', {
      fallback: 7 * DAY_MS,
      min: HOUR_MS,
      max: 90 * DAY_MS,
    }),
    retryBaseMs: reader.durationMs('RETRY_BASE', { fallback: RETRY_BASE_MS, min: SECOND_MS, max: HOUR_MS }),
    leaseMs: reader.durationMs('LEASE', { fallback: LEASE_MS, min: LEASE_MIN_MS, max: HOUR_MS }),
    bodyLimitBytes: reader.sizeBytes('BODY_LIMIT', {
      fallback: 10 * MIB,
      min: KIB,
      max: BODY_LIMIT_MAX_BYTES,
    }),
    importLimitBytes: reader.sizeBytes('IMPORT_LIMIT', {
      fallback: 1024 * MIB,
      min: MIB,
      max: IMPORT_LIMIT_MAX_BYTES,
    }),
    shutdownGraceMs: reader.durationMs('SHUTDOWN_GRACE', {
      fallback: 25 * SECOND_MS,
      min: 0,
      max: SHUTDOWN_GRACE_MAX_MS,
    }),
    signingSecrets: reader.secrets('SIGNING_SECRET', SIGNING_SECRET_MIN_LENGTH),
    trustedProxies: reader.integer('TRUSTED_PROXIES', { fallback: 0, min: 0, max: 10 }),
    feedbackSecrets: reader.secrets('FEEDBACK_SECRET', SIGNING_SECRET_MIN_LENGTH),
    verpDomain: reader.verpDomain('VERP_DOMAIN', mail),
    brake: {
      bounceRate: reader.share('BRAKE_BOUNCE_RATE', BRAKE_BOUNCE_RATE),
      complaintRate: reader.share('BRAKE_COMPLAINT_RATE', BRAKE_COMPLAINT_RATE),
      minimum: reader.integer('BRAKE_MINIMUM', { fallback: BRAKE_MINIMUM, min: 1, max: 1_000_000 }),
    },
    otlpEndpoint: reader.httpUrl('OTEL_EXPORTER_OTLP_ENDPOINT'),
  });
  if (reader.faults.length > 0) {
    throw new SettingsError(reader.faults);
  }
  return settings;
}

/**
 * What `npm run aws:create` needs of `env`.
 * @throws {SettingsError} with every fault, not only the first.
 */
export function parseInfrastructureSettings(env: Environment): InfrastructureSettings {
  const reader = new EnvironmentReader(env);
  const tablePrefix = reader.tablePrefix('TABLE_PREFIX');
  const settings = {
    tablePrefix,
    contentBucket: reader.bucket('CONTENT_BUCKET'),
    workQueueName: reader.matching('WORK_QUEUE_NAME', {
      pattern: QUEUE_NAME_PATTERN,
      fallback: `${tablePrefix}work`,
      allowed: QUEUE_NAME_ALLOWED,
    }),
    feedbackQueueName: reader.matching('FEEDBACK_QUEUE_NAME', {
      pattern: QUEUE_NAME_PATTERN,
      fallback: `${tablePrefix}mail-events`,
      allowed: QUEUE_NAME_ALLOWED,
    }),
    endpointUrl: reader.httpUrl('AWS_ENDPOINT_URL'),
  };
  if (reader.faults.length > 0) {
    throw new SettingsError(reader.faults);
  }
  return settings;
}

interface Range {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

/** Reads one variable after the other and collects what is wrong; a faulty one yields its fallback, so that reading goes on. */
class EnvironmentReader {
  readonly faults: string[] = [];

  constructor(private readonly env: Environment) {}

  text(name: string): string | undefined {
    const value = this.env[name]?.trim();
    return value === '' ? undefined : value;
  }

  integer(name: string, range: Range): number {
    const text = this.text(name);
    if (text === undefined) {
      return range.fallback;
    }
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= range.min && value <= range.max) {
      return value;
    }
    return this.#refuse(name, text, `a whole number from ${range.min} to ${range.max}`, range.fallback);
  }

  rate(name: string): number | undefined {
    const text = this.text(name);
    const value = Number(text);
    if (
      text === undefined ||
      (/^\d+(\.\d+)?$/.test(text) && value >= SEND_RATE_MIN && value <= SEND_RATE_MAX)
    ) {
      return text === undefined ? undefined : value;
    }
    const allowed = `mails per second, a number from ${SEND_RATE_MIN} to ${SEND_RATE_MAX}, such as 14 or 0.5`;
    return this.#refuse(name, text, allowed, undefined);
  }

  /** `4%` as 0.04. */
  share(name: string, fallback: number): number {
    const text = this.text(name);
    if (text === undefined) {
      return fallback;
    }
    const [, percent = ''] = /^(\d+(?:\.\d+)?) ?%$/.exec(text) ?? [];
    const value = Number(percent) / 100;
    return percent !== '' && value <= 1
      ? value
      : this.#refuse(name, text, 'a share of 0% to 100%, such as 4% or 0.08%', fallback);
  }

  oneOf<Choice extends string>(name: string, choices: readonly Choice[], fallback: Choice): Choice {
    const text = this.text(name);
    if (text === undefined) {
      return fallback;
    }
    const choice = choices.find((candidate) => candidate === text);
    return choice ?? this.#refuse(name, text, choices.join(', '), fallback);
  }

  host(name: string, fallback: string): string {
    const text = this.text(name);
    if (text === undefined) {
      return fallback;
    }
    return /^[A-Za-z0-9.:_-]+$/.test(text)
      ? text
      : this.#refuse(name, text, 'a host name or an IP address, such as 127.0.0.1, 0.0.0.0 or ::1', fallback);
  }

  httpUrl(name: string): string | undefined {
    const text = this.text(name);
    if (text === undefined) {
      return undefined;
    }
    const url = URL.parse(text);
    const isPlain =
      url !== null && `${url.username}${url.password}${url.search}${url.hash}` === '' && url.hostname !== '';
    if (isPlain && (url.protocol === 'http:' || url.protocol === 'https:')) {
      return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
    }
    return this.#refuse(
      name,
      text,
      'a URL with http or https and without user, query and fragment, such as https://belfry.example.com',
      undefined,
    );
  }

  /** Each role once, whatever the order given. */
  roles(name: string, engine: EngineName): readonly ProcessRole[] {
    const text = this.text(name);
    if (text === undefined) {
      return PROCESS_ROLES;
    }
    const given = text.split(',').map((role) => role.trim());
    const roles = PROCESS_ROLES.filter((role) => given.includes(role));
    if (given.some((role) => PROCESS_ROLES.every((known) => known !== role))) {
      return this.#refuse(name, text, 'api, worker, or both as api,worker', PROCESS_ROLES);
    }
    if (engine === 'embedded' && roles.length < PROCESS_ROLES.length) {
      return this.#refuse(
        name,
        text,
        'api,worker with the embedded engine, because one process owns its file',
        PROCESS_ROLES,
      );
    }
    return roles;
  }

  /** What any number of processes share cannot be made up by each of them, so it must be given. */
  aws(host: string): AwsSettings {
    const settings = {
      tablePrefix: this.tablePrefix('TABLE_PREFIX'),
      contentBucket: this.bucket('CONTENT_BUCKET'),
      workQueueUrl: this.httpUrl('WORK_QUEUE_URL') ?? '',
      feedbackQueueUrl: this.httpUrl('FEEDBACK_QUEUE_URL'),
      endpointUrl: this.httpUrl('AWS_ENDPOINT_URL'),
    };
    this.#require('WORK_QUEUE_URL', `the URL of an SQS queue; 'npm run aws:create' makes one and prints it`);
    this.#require(
      'SIGNING_SECRET',
      `one secret for all processes; 'openssl rand -base64 48' makes a good one`,
    );
    if (!isLoopback(host)) {
      this.#require('API_KEYS', `name:role:secret, because HOST ${host} can be reached from other machines`);
    }
    return settings;
  }

  /** What reads the queue is the engine that has the other one. */
  refuseFeedbackQueue(): undefined {
    if (this.text('FEEDBACK_QUEUE_URL') !== undefined) {
      this.faults.push(
        'FEEDBACK_QUEUE_URL: is set, but ENGINE is embedded, which reads no queue; leave it out, or set ENGINE to aws.',
      );
    }
  }

  tablePrefix(name: string): string {
    return this.matching(name, {
      pattern: TABLE_PREFIX_PATTERN,
      fallback: TABLE_PREFIX,
      allowed: '1 to 64 characters of A to Z, a to z, 0 to 9, _ and -',
    });
  }

  bucket(name: string): string {
    const allowed = 'the name of an S3 bucket: 3 to 63 characters of a to z, 0 to 9 and -';
    this.#require(name, allowed);
    return this.matching(name, { pattern: BUCKET_PATTERN, fallback: '', allowed });
  }

  matching<Fallback extends string | undefined>(
    name: string,
    form: { readonly pattern: RegExp; readonly fallback: Fallback; readonly allowed: string },
  ): string | Fallback {
    const text = this.text(name);
    if (text === undefined) {
      return form.fallback;
    }
    return form.pattern.test(text) ? text : this.#refuse(name, text, form.allowed, form.fallback);
  }

  smtpUrl(name: string): string | undefined {
    const text = this.text(name);
    if (text === undefined) {
      return undefined;
    }
    const url = URL.parse(text);
    if (url !== null && (url.protocol === 'smtp:' || url.protocol === 'smtps:') && url.hostname !== '') {
      return text;
    }
    return this.#refuseSecret(
      name,
      'is not a URL with smtp or smtps and a host',
      'such as smtp://user:password@smtp.example.com:587',
      undefined,
    );
  }

  mail(name: string, smtpUrl: string | undefined): MailChannel {
    const mail = this.oneOf(name, MAIL_CHANNELS, smtpUrl === undefined ? 'outbox' : 'smtp');
    if (mail === 'smtp' && this.text('SMTP_URL') === undefined) {
      this.faults.push(`${name}: got 'smtp', but SMTP_URL is not set; set it too, or leave ${name} out.`);
    }
    return mail;
  }

  verpDomain(name: string, mail: MailChannel): string | undefined {
    const text = this.text(name);
    if (text === undefined) {
      return undefined;
    }
    if (mail === 'ses') {
      this.faults.push(
        `${name}: got ${JSON.stringify(text)}, but MAIL is ses, which takes bounces itself and tells of them through FEEDBACK_QUEUE_URL; leave ${name} out.`,
      );
    }
    const domain = domainToASCII(text).toLowerCase();
    return isEmail(`bounce@${domain}`)
      ? domain
      : this.#refuse(name, text, 'a domain whose mail you read, such as bounces.example.com', undefined);
  }

  mailbox(name: string, fallback: string): string {
    // Untrimmed: a line break at the end is a fault too, because this goes into a header.
    const given = this.env[name] ?? '';
    const text = this.text(name);
    if (text === undefined) {
      return fallback;
    }
    const parse = parseMailbox(given);
    return parse.kind === 'mailbox'
      ? text
      : this.#refuse(
          name,
          text,
          `one mailbox on one line: Name <name@example.com>, or name@example.com. ${parse.detail}`,
          fallback,
        );
  }

  durationMs(name: string, range: Range): number {
    const text = this.text(name);
    if (text === undefined) {
      return range.fallback;
    }
    const allowed = `a whole number with its unit (ms, s, m, h, d), such as 90s, 30m, 24h or 7d, from ${durationText(range.min)} to ${durationText(range.max)}`;
    return this.#measure(name, text, { pattern: /^(\d+)(ms|s|m|h|d)$/, units: UNIT_MS, range, allowed });
  }

  sizeBytes(name: string, range: Range): number {
    const text = this.text(name);
    if (text === undefined) {
      return range.fallback;
    }
    const allowed = `a whole number with its unit (KB = 1024 bytes, MB = 1024 KB), such as 500KB or 10MB, from ${range.min / KIB}KB to ${range.max / MIB}MB`;
    return this.#measure(name, text, { pattern: /^(\d+)(KB|MB)$/, units: UNIT_BYTES, range, allowed });
  }

  /** One, or several with commas between them. */
  secrets(name: string, minLength: number): readonly string[] {
    const secrets =
      this.text(name)
        ?.split(',')
        .map((secret) => secret.trim()) ?? [];
    const short = secrets.findIndex((secret) => secret.length < minLength);
    if (short === -1) {
      return secrets;
    }
    const which = secrets.length > 1 ? `entry ${short + 1} ` : '';
    return this.#refuseSecret(
      name,
      `${which}has ${secrets[short]?.length} characters`,
      `at least ${minLength}; 'openssl rand -base64 48' makes a good one`,
      [],
    );
  }

  /** IP addresses, each with its port or without. */
  addresses(name: string): readonly string[] {
    const addresses =
      this.text(name)
        ?.split(',')
        .map((address) => address.trim()) ?? [];
    return addresses.every(isSocketAddress)
      ? addresses
      : this.#refuse(
          name,
          addresses.join(','),
          'IP addresses of resolvers, such as 10.0.0.2,[fd00::2]:5353',
          [],
        );
  }

  apiKeys(name: string): readonly ApiKey[] {
    const entries = this.text(name)?.split(',') ?? [];
    const keys: ApiKey[] = [];
    for (const [index, entry] of entries.entries()) {
      const key = this.#apiKey(name, index + 1, entry.trim());
      if (key !== undefined && keys.some((other) => other.name === key.name)) {
        this.faults.push(
          `${name}: entry ${index + 1} has the name '${key.name}' of an earlier one; allowed: each name once.`,
        );
      } else if (key !== undefined) {
        keys.push(key);
      }
    }
    return keys;
  }

  #apiKey(variable: string, position: number, entry: string): ApiKey | undefined {
    // The secret is all that follows the second colon: it may hold colons itself.
    const [, name = '', roleText = '', secret = ''] = /^([^:]*):([^:]*):(.*)$/.exec(entry) ?? [];
    const role = ROLES.find((candidate) => candidate === roleText);
    if (!KEY_NAME_PATTERN.test(name)) {
      return this.#refuseSecret(
        variable,
        `entry ${position} is not name:role:secret with a name of a to z, 0 to 9, _ and -`,
        'such as ops:admin:<secret>,shop:sender:<secret>',
        undefined,
      );
    }
    if (role === undefined) {
      return this.#refuseSecret(
        variable,
        `entry ${position} ('${name}') has an unknown role`,
        ROLES.join(', '),
        undefined,
      );
    }
    if (secret.length < SECRET_MIN_LENGTH) {
      return this.#refuseSecret(
        variable,
        `entry ${position} ('${name}') has a secret of ${secret.length} characters`,
        `at least ${SECRET_MIN_LENGTH}, without commas`,
        undefined,
      );
    }
    return { name, role, sha256: createHash('sha256').update(secret).digest() };
  }

  #measure(
    name: string,
    text: string,
    measure: {
      readonly pattern: RegExp;
      readonly units: Readonly<Record<string, number>>;
      readonly range: Range;
      readonly allowed: string;
    },
  ): number {
    const { range } = measure;
    const [, count = '', unit = ''] = measure.pattern.exec(text) ?? [];
    const value = Number(count) * (measure.units[unit] ?? Number.NaN);
    return value >= range.min && value <= range.max
      ? value
      : this.#refuse(name, text, measure.allowed, range.fallback);
  }

  #require(name: string, allowed: string): void {
    if (this.text(name) === undefined) {
      this.faults.push(`${name}: is not set, and ENGINE aws needs it; allowed: ${allowed}.`);
    }
  }

  #refuse<Value>(name: string, given: string, allowed: string, fallback: Value): Value {
    this.faults.push(`${name}: got ${JSON.stringify(given)}; allowed: ${allowed}.`);
    return fallback;
  }

  /** As `#refuse`, for a variable whose value must not be shown. */
  #refuseSecret<Value>(name: string, fault: string, allowed: string, fallback: Value): Value {
    this.faults.push(`${name}: ${fault} (not shown here); allowed: ${allowed}.`);
    return fallback;
  }
}

/** With a port or without. */
function isSocketAddress(text: string): boolean {
  return isIP(text) !== 0 || isIP(/^\[?(.*?)\]?:\d{1,5}$/.exec(text)?.[1] ?? '') !== 0;
}

function durationText(ms: number): string {
  return ms >= DAY_MS ? `${ms / DAY_MS}d` : `${ms / SECOND_MS}s`;
}

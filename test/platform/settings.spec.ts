import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  parseInfrastructureSettings,
  parseSettings,
  SettingsError,
} from '../../src/platform/config/settings.ts';

const SECRET = 'correct-horse-battery-staple';

/** What the engine `aws` needs, on loopback. */
const AWS_ENV = {
  ENGINE: 'aws',
  CONTENT_BUCKET: 'acme-belfry-content',
  WORK_QUEUE_URL: 'https://sqs.eu-west-1.amazonaws.com/123456789012/belfry-work',
  SIGNING_SECRET: `${SECRET} ${SECRET}`,
};

describe('parseSettings', () => {
  it('needs nothing: every setting has a default', () => {
    const settings = parseSettings({});

    expect(settings).toMatchObject({
      port: 3000,
      host: '127.0.0.1',
      publicUrl: undefined,
      roles: ['api', 'worker'],
      engine: 'embedded',
      aws: undefined,
      dataDir: resolve('data'),
      mail: 'outbox',
      smtpConnections: 10,
      sesConfigurationSet: undefined,
      mailFrom: 'Belfry <belfry@localhost>',
      apiKeys: [],
      logLevel: 'info',
      missedGraceMs: 86_400_000,
      maxAttempts: 30,
      maxSendRate: undefined,
      retryBaseMs: 30_000,
      leaseMs: 60_000,
      otlpEndpoint: undefined,
      bodyLimitBytes: 10_485_760,
      shutdownGraceMs: 25_000,
      signingSecrets: [],
      trustedProxies: 0,
      feedbackSecrets: [],
      verpDomain: undefined,
      brake: { bounceRate: 0.04, complaintRate: 0.0008, minimum: 500 },
      confirmWithinMs: 604_800_000,
    });
  });

  it('counts an empty variable as not set, and ignores unknown ones', () => {
    const settings = parseSettings({ PORT: '', SMTP_URL: ' ', LANG: 'C' });

    expect(settings.port).toBe(3000);
    expect(settings.mail).toBe('outbox');
  });

  it('cannot be changed', () => {
    const settings = parseSettings({});

    expect(Object.isFrozen(settings)).toBe(true);
  });

  it('sends by SMTP where SMTP_URL is set, unless told otherwise', () => {
    const env = { SMTP_URL: 'smtp://mail.example.com:587' };

    expect(parseSettings(env).mail).toBe('smtp');
    expect(parseSettings({ ...env, MAIL: 'outbox' }).mail).toBe('outbox');
  });

  it('keeps of a key its name, its role and the hash of its secret', () => {
    const { apiKeys } = parseSettings({ API_KEYS: `ops:admin:${SECRET}, shop:sender:with:colons:${SECRET}` });

    expect(apiKeys).toEqual([
      { name: 'ops', role: 'admin', sha256: createHash('sha256').update(SECRET).digest() },
      { name: 'shop', role: 'sender', sha256: createHash('sha256').update(`with:colons:${SECRET}`).digest() },
    ]);
  });

  it.each([
    ['PORT', '0', 'port', 0],
    ['PUBLIC_URL', 'https://belfry.example.com/base/', 'publicUrl', 'https://belfry.example.com/base'],
    ['PUBLIC_URL', 'http://localhost:3000', 'publicUrl', 'http://localhost:3000'],
    ['MISSED_GRACE', '90s', 'missedGraceMs', 90_000],
    ['MISSED_GRACE', '30m', 'missedGraceMs', 1_800_000],
    ['MISSED_GRACE', '7d', 'missedGraceMs', 604_800_000],
    ['MISSED_GRACE', '0s', 'missedGraceMs', 0],
    ['RETRY_BASE', '5m', 'retryBaseMs', 300_000],
    ['SHUTDOWN_GRACE', '500ms', 'shutdownGraceMs', 500],
    ['BODY_LIMIT', '500KB', 'bodyLimitBytes', 512_000],
    ['BODY_LIMIT', '40MB', 'bodyLimitBytes', 41_943_040],
    ['MAIL', 'ses', 'mail', 'ses'],
    ['MAX_SEND_RATE', '14', 'maxSendRate', 14],
    ['MAX_SEND_RATE', '0.5', 'maxSendRate', 0.5],
    ['SES_CONFIGURATION_SET', 'belfry_mails-2', 'sesConfigurationSet', 'belfry_mails-2'],
    ['MAIL_FROM', 'ops@example.com', 'mailFrom', 'ops@example.com'],
    ['MAIL_FROM', 'News <news@example.com>', 'mailFrom', 'News <news@example.com>'],
  ])('reads %s=%s', (name, value, field, expected) => {
    expect(parseSettings({ [name]: value })).toHaveProperty(field, expected);
  });

  it.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '3e3'],
    ['HOST', 'no spaces'],
    ['PUBLIC_URL', 'belfry.example.com'],
    ['PUBLIC_URL', 'ftp://belfry.example.com'],
    ['PUBLIC_URL', 'https://user:pass@belfry.example.com'],
    ['ENGINE', 'sqlite'],
    ['MAIL', 'pigeon'],
    ['ROLES', 'admin'],
    ['ROLES', 'api,'],
    ['ROLES', 'worker,web'],
    ['ROLES', 'api'],
    ['ROLES', 'worker'],
    ['SES_CONFIGURATION_SET', 'no spaces'],
    ['SES_CONFIGURATION_SET', 'x'.repeat(65)],
    ['SMTP_CONNECTIONS', '0'],
    ['SMTP_CONNECTIONS', '101'],
    ['MAIL_FROM', 'Belfry'],
    ['MAIL_FROM', 'a@example.com, b@example.com'],
    ['MAIL_FROM', 'a@example.com\r\nBcc: b@example.com'],
    ['MAIL_FROM', 'a@example.com\n'],
    ['LOG_LEVEL', 'loud'],
    ['MISSED_GRACE', '86400000'],
    ['MISSED_GRACE', '1.5h'],
    ['MISSED_GRACE', '-1h'],
    ['MAX_SEND_RATE', '0'],
    ['MAX_SEND_RATE', '-1'],
    ['MAX_SEND_RATE', '1e3'],
    ['MAX_SEND_RATE', '100001'],
    ['MAX_SEND_RATE', '14/s'],
    ['MAX_ATTEMPTS', '0'],
    ['MAX_ATTEMPTS', '101'],
    ['RETRY_BASE', '999ms'],
    ['RETRY_BASE', '61m'],
    ['LEASE', '9s'],
    ['LEASE', '61m'],
    ['BODY_LIMIT', '10'],
    ['BODY_LIMIT', '10mb'],
    ['BODY_LIMIT', '41MB'],
    ['BODY_LIMIT', '0KB'],
    ['SHUTDOWN_GRACE', '30s'],
    ['VERP_DOMAIN', 'no domain'],
    ['VERP_DOMAIN', 'localhost'],
    ['BRAKE_BOUNCE_RATE', '0.04'],
    ['BRAKE_BOUNCE_RATE', '101%'],
    ['BRAKE_COMPLAINT_RATE', '-1%'],
    ['BRAKE_MINIMUM', '0'],
  ])('refuses %s=%j and says what is allowed', (name, value) => {
    expect(() => parseSettings({ [name]: value })).toThrow(
      expect.objectContaining({
        faults: [expect.stringMatching(new RegExp(`^${name}: got .+; allowed: .+\\.$`, 's'))],
      }),
    );
  });

  it('reads shares, and the domain of return paths in lower case', () => {
    const settings = parseSettings({
      VERP_DOMAIN: 'Bounces.Example.com',
      BRAKE_BOUNCE_RATE: '2.5%',
      BRAKE_COMPLAINT_RATE: '0.05 %',
      BRAKE_MINIMUM: '100',
    });

    expect(settings.verpDomain).toBe('bounces.example.com');
    expect(settings.brake).toEqual({ bounceRate: 0.025, complaintRate: 0.0005, minimum: 100 });
  });

  it.each([
    ['FEEDBACK_QUEUE_URL', { FEEDBACK_QUEUE_URL: 'https://sqs.eu-west-1.amazonaws.com/123/events' }],
    ['FEEDBACK_SECRET', { FEEDBACK_SECRET: 'short' }],
    ['VERP_DOMAIN', { VERP_DOMAIN: 'example.com', MAIL: 'ses' }],
  ])('refuses a %s that could not be used', (name, env) => {
    expect(faultOf(env).faults).toEqual([expect.stringMatching(new RegExp(`^${name}: `))]);
  });

  describe('with ENGINE aws', () => {
    it('needs a bucket, a queue and a secret that all processes share', () => {
      const { aws } = parseSettings(AWS_ENV);

      expect(aws).toEqual({
        tablePrefix: 'belfry-',
        contentBucket: 'acme-belfry-content',
        workQueueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/belfry-work',
        feedbackQueueUrl: undefined,
        endpointUrl: undefined,
      });
    });

    it('tells everything that is missing at once, API_KEYS too where other machines reach it', () => {
      const error = faultOf({ ENGINE: 'aws', HOST: '0.0.0.0' });

      expect(error.faults.map((fault) => fault.split(':', 1)[0])).toEqual([
        'CONTENT_BUCKET',
        'WORK_QUEUE_URL',
        'SIGNING_SECRET',
        'API_KEYS',
      ]);
    });

    it('takes keys on every HOST', () => {
      const settings = parseSettings({ ...AWS_ENV, HOST: '0.0.0.0', API_KEYS: `ops:admin:${SECRET}` });

      expect(settings.apiKeys).toHaveLength(1);
    });

    it.each([
      ['api', ['api']],
      ['worker', ['worker']],
      ['worker, api', ['api', 'worker']],
    ])('takes ROLES=%s: its work is shared by any number of processes', (roles, expected) => {
      expect(parseSettings({ ...AWS_ENV, ROLES: roles }).roles).toEqual(expected);
    });

    it('is told another endpoint and another prefix', () => {
      const { aws } = parseSettings({
        ...AWS_ENV,
        TABLE_PREFIX: 'staging_',
        AWS_ENDPOINT_URL: 'http://localhost:4566/',
      });

      expect(aws).toMatchObject({ tablePrefix: 'staging_', endpointUrl: 'http://localhost:4566' });
    });

    it.each([
      ['TABLE_PREFIX', 'no spaces'],
      ['TABLE_PREFIX', 'x'.repeat(65)],
      ['CONTENT_BUCKET', 'no'],
      ['CONTENT_BUCKET', 'Upper-Case'],
      ['CONTENT_BUCKET', 'with.dots'],
      ['CONTENT_BUCKET', '-leading'],
      ['WORK_QUEUE_URL', 'belfry-work'],
      ['AWS_ENDPOINT_URL', 'localhost:4566'],
    ])('refuses %s=%s and says what is allowed', (name, value) => {
      const error = faultOf({ ...AWS_ENV, [name]: value });

      expect(error.faults).toEqual([expect.stringMatching(new RegExp(`^${name}: got .+; allowed: .+\\.$`))]);
    });

    it('is what the AWS settings are read for: they mean nothing to the embedded engine', () => {
      const settings = parseSettings({ CONTENT_BUCKET: 'Not A Bucket', AWS_ENDPOINT_URL: 'nowhere' });

      expect(settings.aws).toBeUndefined();
    });
  });

  it('refuses mail by SMTP without SMTP_URL', () => {
    expect(() => parseSettings({ MAIL: 'smtp' })).toThrow(/MAIL: .*SMTP_URL is not set/);
  });

  it.each([
    ['API_KEYS', 'hunter2hunter2hunter2', 'name:role:secret'],
    ['API_KEYS', 'Ops:admin:hunter2hunter2hunter2', 'name:role:secret'],
    ['API_KEYS', 'ops:root:hunter2hunter2hunter2', 'unknown role'],
    ['API_KEYS', 'ops:admin:hunter2', 'at least 16'],
    ['API_KEYS', 'a:admin:hunter2hunter2hunter2,a:reader:hunter2hunter2hunter2', 'earlier one'],
    ['SMTP_URL', 'https://ada:hunter2@mail.example.com', 'smtp or smtps'],
    ['SMTP_URL', 'smtp:hunter2', 'and a host'],
    ['SIGNING_SECRET', 'hunter2', 'at least 32'],
    ['SIGNING_SECRET', `${'x'.repeat(32)},hunter2`, 'entry 2 has 7 characters'],
  ])('refuses %s=%s without repeating the secret', (name, value, expected) => {
    const error = faultOf({ [name]: value });

    expect(error.message).toContain(`${name}: `);
    expect(error.message).toContain(expected);
    expect(error.message).not.toContain('hunter2');
  });

  it('tells all faults in one message, a line for each', () => {
    const error = faultOf({ PORT: 'x', ENGINE: 'y', MISSED_GRACE: '5', API_KEYS: 'z' });

    expect(error.faults.map((fault) => fault.split(':', 1)[0])).toEqual([
      'PORT',
      'ENGINE',
      'API_KEYS',
      'MISSED_GRACE',
    ]);
    expect(error.message.split('\n')).toHaveLength(5);
  });
});

describe('parseInfrastructureSettings', () => {
  it('needs a bucket, and names the queue after the tables', () => {
    const settings = parseInfrastructureSettings({ CONTENT_BUCKET: 'acme-content', TABLE_PREFIX: 'test-' });

    expect(settings).toEqual({
      tablePrefix: 'test-',
      contentBucket: 'acme-content',
      workQueueName: 'test-work',
      feedbackQueueName: 'test-mail-events',
      endpointUrl: undefined,
    });
  });

  it('takes another name for the queue', () => {
    const { workQueueName } = parseInfrastructureSettings({
      CONTENT_BUCKET: 'acme-content',
      WORK_QUEUE_NAME: 'batches',
    });

    expect(workQueueName).toBe('batches');
  });

  it('tells all faults in one message', () => {
    expect(() => parseInfrastructureSettings({ WORK_QUEUE_NAME: 'belfry.fifo' })).toThrow(
      expect.objectContaining({
        faults: [
          expect.stringMatching(/^CONTENT_BUCKET: is not set/),
          expect.stringMatching(/^WORK_QUEUE_NAME: got "belfry.fifo"; allowed: /),
        ],
      }),
    );
  });
});

function faultOf(env: Record<string, string>): SettingsError {
  try {
    parseSettings(env);
  } catch (error) {
    if (error instanceof SettingsError) {
      return error;
    }
  }
  throw new Error('The settings were not refused.');
}

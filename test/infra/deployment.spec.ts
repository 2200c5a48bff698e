import { describe, expect, it } from 'vitest';
import { type Deployment, DeploymentError, parseDeployment } from '../../infra/deployment.ts';
import { CERTIFICATE } from './synthesise.ts';

describe('parseDeployment', () => {
  it('needs to be told nothing', () => {
    expect(parse({})).toEqual({
      installation: 'belfry',
      domain: undefined,
      certificate: undefined,
      hostedZone: undefined,
      senders: [],
      image: undefined,
      allowFrom: undefined,
      alarmMail: undefined,
      minTasks: 2,
      missedGrace: undefined,
      restoredTablePrefix: undefined,
    });
  });

  it('reads what it is told', () => {
    const deployment = parse({
      installation: 'staging',
      domain: 'belfry.example.com',
      certificate: CERTIFICATE,
      hostedZone: 'Z0123456789ABC',
      sender: 'example.com, news@example.org',
      image: `belfry@sha256:${'0a'.repeat(32)}`,
      allowFrom: '203.0.113.7/32,198.51.100.0/24',
      alarmMail: 'ops@example.com',
      minTasks: 1,
      missedGrace: '0s',
      restoredTablePrefix: 'r1-',
    });

    expect(deployment).toEqual({
      installation: 'staging',
      domain: 'belfry.example.com',
      certificate: CERTIFICATE,
      hostedZone: 'Z0123456789ABC',
      senders: ['example.com', 'news@example.org'],
      image: { repository: 'belfry', tagOrDigest: `sha256:${'0a'.repeat(32)}` },
      allowFrom: ['203.0.113.7/32', '198.51.100.0/24'],
      alarmMail: 'ops@example.com',
      minTasks: 1,
      missedGrace: '0s',
      restoredTablePrefix: 'r1-',
    });
  });

  it.each([
    ['installation', 'Belfry'],
    ['installation', 'a-name-that-is-too-long'],
    ['domain', 'https://belfry.example.com'],
    ['certificate', 'my certificate'],
    ['hostedZone', 'example.com'],
    ['sender', 'example.com,not an identity'],
    ['image', 'belfry'],
    ['allowFrom', '203.0.113.7'],
    ['alarmMail', 'ops'],
    ['minTasks', '0'],
    ['minTasks', '11'],
    ['missedGrace', '24'],
    ['restoredTablePrefix', 'r1.'],
  ])('refuses %s: %s', (name, value) => {
    expect(() => parse({ [name]: value })).toThrow(new RegExp(`^ {2}${name}: got `, 'm'));
  });

  it('tells every fault at once', () => {
    expect(() => parse({ domain: 'localhost', minTasks: 'two' })).toThrow(
      new DeploymentError([
        'domain: got "localhost"; allowed: a DNS name such as belfry.example.com.',
        'minTasks: got "two"; allowed: 1 to 10.',
      ]),
    );
  });

  it('needs a certificate for a domain, or a zone in which one can be had', () => {
    expect(() => parse({ domain: 'belfry.example.com' })).toThrow(/certificate: is needed with domain/);
    expect(() => parse({ certificate: CERTIFICATE })).toThrow(/domain: is needed/);
    expect(parse({ domain: 'belfry.example.com', hostedZone: 'Z0123456789ABC' }).certificate).toBeUndefined();
  });
});

function parse(context: Readonly<Record<string, unknown>>): Deployment {
  return parseDeployment((name) => context[name]);
}

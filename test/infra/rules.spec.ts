import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { IConstruct } from 'constructs';
import { describe, expect, it } from 'vitest';
import { isObject } from '../support/json.ts';
import { IN_USE, newDirectory, newStack } from './synthesise.ts';

const run = promisify(execFile);

// The CLI and the app each load CDK, which is large.
const CLI_LIMIT_MS = 120_000;

const DEPLOYMENTS = [
  ['told nothing', {}],
  ['in use', IN_USE],
  [
    'in a zone of Route 53',
    { domain: 'belfry.example.com', hostedZone: 'Z0123456789ABC', sender: 'example.com' },
  ],
  [
    'open to one network',
    { allowFrom: '203.0.113.7/32', sender: 'example.com', alarmMail: 'ops@example.com' },
  ],
] as const;

describe.each(DEPLOYMENTS)('AwsSolutions of cdk-nag, for a deployment %s', (_, context) => {
  it('finds nothing that is not acknowledged', () => {
    expect(findings(newStack(context))).toEqual([]);
  });

  it('would find everything that is acknowledged, and each has its reason', () => {
    const stack = newStack(context);
    const acknowledged = acknowledgements(stack);

    const found = findings(stack, { evenAcknowledged: true });

    expect(acknowledged.map(({ rule, path }) => `${rule} ${path}`).toSorted()).toEqual(
      found.map(({ rule, path }) => `${rule} ${path}`).toSorted(),
    );
    for (const { reason } of acknowledged) {
      expect(reason).toMatch(/^.{40,}\.$/);
    }
  });
});

describe('cdk synth', () => {
  it(
    'has nothing to say',
    async () => {
      const { stdout, stderr } = await run(
        'node_modules/.bin/cdk',
        ['synth', '--quiet', '--no-notices', '--output', newDirectory(), '--context', 'image=belfry:1.4.0'],
        { env: { ...process.env, CDK_DISABLE_CLI_TELEMETRY: 'true' } },
      );

      expect({ stdout, stderr }).toEqual({ stdout: '', stderr: '' });
    },
    CLI_LIMIT_MS,
  );

  it(
    'says what it was told wrong, and makes nothing',
    async () => {
      await expect(
        run('node', ['infra/main.ts'], {
          env: { ...process.env, CDK_CONTEXT_JSON: '{"domain":"localhost"}' },
        }),
      ).rejects.toMatchObject({
        code: 1,
        stdout: '',
        stderr:
          'This cannot be deployed:\n  domain: got "localhost"; allowed: a DNS name such as belfry.example.com.\n',
      });
    },
    CLI_LIMIT_MS,
  );
});

interface Finding {
  readonly rule: string;
  readonly path: string;
}

function findings(stack: IConstruct, options = { evenAcknowledged: false }): readonly Finding[] {
  const checks = new AwsSolutionsChecks(stack);
  if (options.evenAcknowledged) {
    Object.assign(checks, { isAcknowledged: () => false });
  }
  return checks.validateScope(stack).violations.flatMap(({ ruleName, violatingResources }) =>
    violatingResources.map(({ constructPath = '' }) => ({
      rule: ruleName,
      path: constructPath.replace(/\/Resource$/, ''),
    })),
  );
}

/** Of rules of cdk-nag: CDK acknowledges some of its own in what it makes. */
function acknowledgements(stack: IConstruct): readonly (Finding & { readonly reason: string })[] {
  return stack.node.findAll().flatMap(({ node }) =>
    node.metadata
      .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
      .flatMap(({ data }: { readonly data: unknown }) => (isObject(data) ? Object.entries(data) : []))
      .filter(([id]) => id.includes('AwsSolutions-'))
      .map(([id, reason]) => ({
        rule: id.replace(/^Annotation::/, ''),
        path: node.path,
        reason: String(reason),
      })),
  );
}

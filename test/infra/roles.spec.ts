import { readFileSync } from 'node:fs';
import type { Program } from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROCESS_ROLES, type ProcessRole } from '../../src/platform/config/settings.ts';
import { needsOf } from './aws-calls.ts';
import { granted, roleOf, statementsOf, taskOf } from './granted.ts';
import { openProgram } from './program.ts';
import { ACCOUNT, REGION, type Rendered } from './rendered.ts';
import { IN_USE, synthesise } from './synthesise.ts';

// As the compiler names files.
const MAIN = `${process.cwd()}/src/serve.ts`;

describe('the roles of the application', () => {
  let stack: Rendered;
  let program: Program;

  beforeAll(() => {
    stack = synthesise(IN_USE);
    program = openProgram([MAIN]);
  });

  describe.each(PROCESS_ROLES)('%s', (role) => {
    it('may do what its code calls, and nothing else', () => {
      const needed = needsOf(program, role);

      expect(granted(stack, role)).toEqual(needed);
    });

    it('has a role of its own, without managed policies', () => {
      const { Policies: policies, ManagedPolicyArns: managed } = roleOf(stack, role, 'TaskRoleArn');

      expect(policies).toHaveLength(1);
      expect(managed).toBeUndefined();
      expect(taskOf(stack, role)['TaskRoleArn']).not.toBe(taskOf(stack, otherThan(role))['TaskRoleArn']);
    });

    it('is started by ECS with the image, the logs and its own secrets, and nothing else', () => {
      const statements = statementsOf(roleOf(stack, role, 'ExecutionRoleArn'));

      expect(statements.flatMap(({ actions }) => actions)).toEqual([
        'ecr:GetAuthorizationToken',
        'ecr:BatchCheckLayerAvailability',
        'ecr:BatchGetImage',
        'ecr:GetDownloadUrlForLayer',
        'logs:CreateLogStream',
        'logs:PutLogEvents',
        'secretsmanager:GetSecretValue',
      ]);
      expect(statements.at(1)?.resources).toEqual([`arn:aws:ecr:${REGION}:${ACCOUNT}:repository/belfry`]);
      const secrets = statements.at(-1)?.resources.map((arn) => stack.behind(arn)['Name']);
      expect(secrets).toEqual(
        role === 'api' ? ['belfry/api-keys', 'belfry/signing-secret'] : ['belfry/signing-secret'],
      );
    });
  });

  it('have no action that stands for several', () => {
    const actions = stack
      .all('AWS::IAM::Role')
      .filter((role) => role['Policies'] !== undefined)
      .flatMap(statementsOf)
      .flatMap((statement) => statement.actions);

    expect(actions.length).toBeGreaterThan(0);
    expect(actions.filter((action) => action.includes('*'))).toEqual([]);
  });
});

describe('what is read off the code', () => {
  it('has a call that is added', () => {
    const needed = needsOf(
      openProgram(
        [MAIN],
        changed('group-store.ts', 'const item = await readGroup', `${SCAN} const item = await readGroup`),
      ),
      'worker',
    );

    expect(needed).toContain('dynamodb:Scan deliveries');
  });

  it('has no call that is gone', () => {
    const needed = needsOf(
      openProgram(
        [MAIN],
        changed('sqs-queue.ts', 'new DeleteMessageCommand(', 'new ChangeMessageVisibilityCommand('),
      ),
      'worker',
    );

    expect(needed).not.toContain('sqs:DeleteMessage work-queue');
  });

  it('says where it cannot be read', () => {
    const program = openProgram(
      [MAIN],
      changed('read-items.ts', 'TableName: table', 'TableName: [table].join()'),
    );

    expect(() => needsOf(program, 'api')).toThrow(
      /^src\/engines\/aws\/read-items\.ts:\d+: .*\[table\]\.join\(\)$/,
    );
  });
});

const SCAN = 'await this.clients.dynamo.send(new ScanCommand({ TableName: this.names.tables.deliveries }));';

/** A file of the engine as it would be with one text instead of another. */
function changed(file: string, before: string, after: string): ReadonlyMap<string, string> {
  const name = `${process.cwd()}/src/engines/aws/${file}`;
  const text = readFileSync(name, 'utf8');
  if (!text.includes(before)) {
    throw new Error(`${file} has no ${before}`);
  }
  return new Map([[name, text.replace(before, after)]]);
}

function otherThan(role: ProcessRole): ProcessRole {
  return role === 'api' ? 'worker' : 'api';
}

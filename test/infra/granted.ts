import { expect } from 'vitest';
import type { ProcessRole } from '../../src/platform/config/settings.ts';
import { type JsonObject, objectsAt } from '../support/json.ts';
import type { Need } from './aws-calls.ts';
import type { Rendered } from './rendered.ts';

export interface Statement {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

const NAMES: readonly (readonly [arn: RegExp, name: string])[] = [
  [/^\*$/, '*'],
  [/^arn:aws:dynamodb:[^:]+:\d+:table\/belfry-(\w+)\/index\/(\w+)$/, '$1/$2'],
  [/^arn:aws:dynamodb:[^:]+:\d+:table\/belfry-(\w+)$/, '$1'],
  [/^arn:aws:s3:::belfry-(content)-[\w-]+\/\*\/\*\/\*$/, '$1/*'],
  [/^arn:aws:s3:::belfry-(content)-[\w-]+$/, '$1'],
  [/^arn:aws:sqs:[^:]+:\d+:belfry-(work)$/, '$1-queue'],
  [/^arn:aws:sqs:[^:]+:\d+:belfry-(mail-events)$/, '$1-queue'],
  [/^arn:aws:ses:[^:]+:\d+:(identity)\/example\.com$/, '$1'],
  [/^arn:aws:ses:[^:]+:\d+:(configuration-set)\/belfry$/, '$1'],
];

/** What the role may do, in the words in which the code's needs are put. */
export function granted(stack: Rendered, role: ProcessRole): readonly Need[] {
  return statementsOf(roleOf(stack, role, 'TaskRoleArn'))
    .flatMap(({ actions, resources }) =>
      actions.flatMap((action) => resources.map((resource) => `${action} ${nameOf(resource)}`)),
    )
    .toSorted();
}

/** An ARN that nothing here is called shows as it is, and fits no need. */
function nameOf(arn: string): string {
  const [pattern, name] = NAMES.find(([candidate]) => candidate.test(arn)) ?? [/$^/, ''];
  return arn.replace(pattern, name);
}

export function statementsOf(role: JsonObject): readonly Statement[] {
  return objectsAt(role, 'Policies', 0, 'PolicyDocument', 'Statement').map((statement) => {
    expect(statement['Effect']).toBe('Allow');
    return { actions: textsOf(statement['Action']), resources: textsOf(statement['Resource']) };
  });
}

/** What IAM lets be one text or several. */
function textsOf(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : [value]).map(String);
}

export function taskOf(stack: Rendered, role: ProcessRole): JsonObject {
  return stack.one('AWS::ECS::TaskDefinition', { Family: `belfry-${role}` });
}

export function roleOf(
  stack: Rendered,
  role: ProcessRole,
  property: 'TaskRoleArn' | 'ExecutionRoleArn',
): JsonObject {
  return stack.behind(taskOf(stack, role)[property]);
}

import { setTimeout as pause } from 'node:timers/promises';
import type { JsonObject } from '../support/json.ts';

/* CloudFormation, as far as it takes to make a stack of a template: its query API, at the endpoint of the environment. */

/** What CloudFormation makes things of. */
export interface CloudFormationTemplate {
  readonly Resources: JsonObject;
  readonly Outputs: JsonObject;
}

const API_VERSION = '2010-05-15';
// LocalStack believes whoever says who they are, and knows by it which service is asked.
const AUTHORIZATION =
  'AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/cloudformation/aws4_request, SignedHeaders=host, Signature=none';

// A dozen resources take LocalStack some five seconds, and several times as long on a machine that is busy.
const LOOKS = 200;
const LOOK_EVERY_MS = 250;

/** Makes a stack, and answers its outputs once everything in it is there. */
export async function createStack(
  name: string,
  template: CloudFormationTemplate,
): Promise<ReadonlyMap<string, string>> {
  await call({ Action: 'CreateStack', StackName: name, TemplateBody: JSON.stringify(template) });
  for (let look = 1; look <= LOOKS; look += 1) {
    const stack = await call({ Action: 'DescribeStacks', StackName: name });
    const status = /<StackStatus>(\w+)<\/StackStatus>/.exec(stack)?.[1] ?? '';
    if (status === 'CREATE_COMPLETE') {
      return outputsOf(stack);
    }
    if (status !== 'CREATE_IN_PROGRESS') {
      throw new Error(`The stack ${name} is ${status}:\n${await reasons(name)}`);
    }
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`The stack ${name} is not made yet.`);
}

/** Once what it has made is gone, or is to stay. */
export async function deleteStack(name: string): Promise<void> {
  await call({ Action: 'DeleteStack', StackName: name });
}

async function reasons(name: string): Promise<string> {
  const events = await call({ Action: 'DescribeStackEvents', StackName: name });
  const found = events.matchAll(/<ResourceStatusReason>([^<]*)<\/ResourceStatusReason>/g);
  return [...found].map(([, reason]) => reason).join('\n');
}

function outputsOf(stack: string): ReadonlyMap<string, string> {
  const found = stack.matchAll(/<OutputKey>([^<]*)<\/OutputKey><OutputValue>([^<]*)<\/OutputValue>/g);
  return new Map([...found].map(([, key = '', value = '']) => [key, value]));
}

/** The answer is XML; what is looked for in it holds no character that XML would write otherwise. */
async function call(parameters: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(`${process.env['AWS_ENDPOINT_URL']}/`, {
    method: 'POST',
    headers: { authorization: AUTHORIZATION },
    body: new URLSearchParams({ ...parameters, Version: API_VERSION }),
  });
  const text = await response.text();
  if (!response.ok) {
    throw new Error(`CloudFormation answers ${response.status}: ${text}`);
  }
  return text;
}

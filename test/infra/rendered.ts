import type { Template } from 'aws-cdk-lib/assertions';
import { at, isObject, type JsonObject } from '../support/json.ts';

/** Where the stack is as if it were. */
export const ACCOUNT = '123456789012';
export const REGION = 'eu-west-1';

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::AccountId': ACCOUNT,
  'AWS::Partition': 'aws',
  'AWS::Region': REGION,
  'AWS::StackName': 'belfry',
  'AWS::URLSuffix': 'amazonaws.com',
};

/** A template as CloudFormation makes it: what refers to something is what it refers to, as far as that can be known before it is there. */
export class Rendered {
  readonly #resources: JsonObject;
  readonly #outputs: JsonObject;

  constructor(template: Template) {
    const {
      Resources: resources,
      Outputs: outputs,
    }: { readonly Resources?: unknown; readonly Outputs?: unknown } = template.toJSON();
    this.#resources = isObject(resources) ? resources : {};
    this.#outputs = isObject(outputs) ? outputs : {};
  }

  /** Everything of a type, in the order of the template. */
  all(type: string): readonly JsonObject[] {
    return Object.values(this.#resources)
      .filter((resource) => at(resource, 'Type') === type)
      .map((resource) => this.#properties(resource));
  }

  /** The only one of a type that has these properties. */
  one(type: string, wanted: JsonObject = {}): JsonObject {
    const found = this.all(type).filter((properties) =>
      Object.entries(wanted).every(([name, value]) => properties[name] === value),
    );
    const [only] = found;
    if (!only || found.length > 1) {
      throw new Error(`There are ${found.length} ${type} with ${JSON.stringify(wanted)}.`);
    }
    return only;
  }

  /** What stands beside the properties of the only one of a type that has these: DeletionPolicy, for instance. */
  attributesOf(type: string, wanted: JsonObject): JsonObject {
    const properties = JSON.stringify(this.one(type, wanted));
    const resource = Object.values(this.#resources).find(
      (candidate) =>
        at(candidate, 'Type') === type && JSON.stringify(this.#properties(candidate)) === properties,
    );
    return isObject(resource) ? resource : {};
  }

  /** The properties of what an ARN or a name that was rendered stands for. */
  behind(reference: unknown): JsonObject {
    const [, id = ''] = /^<(\w+)/.exec(typeof reference === 'string' ? reference : '') ?? [];
    const resource = this.#resources[id];
    if (resource === undefined) {
      throw new Error(`Nothing is called ${String(reference)}.`);
    }
    return this.#properties(resource);
  }

  types(): ReadonlySet<unknown> {
    return new Set(Object.values(this.#resources).map((resource) => at(resource, 'Type')));
  }

  get outputs(): JsonObject {
    return Object.fromEntries(
      Object.entries(this.#outputs).map(([name, output]) => [name, this.#render(at(output, 'Value'))]),
    );
  }

  #properties(resource: unknown): JsonObject {
    const rendered = this.#render(at(resource, 'Properties') ?? {});
    return isObject(rendered) ? rendered : {};
  }

  #render(value: unknown): unknown {
    if (Array.isArray(value)) {
      return value.map((item) => this.#render(item));
    }
    if (!isObject(value)) {
      return value;
    }
    const [[name, argument] = ['', undefined], ...others] = Object.entries(value);
    return others.length === 0 && (name === 'Ref' || name.startsWith('Fn::'))
      ? this.#call(name, argument)
      : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#render(item)]));
  }

  #call(name: string, argument: unknown): string {
    switch (name) {
      case 'Ref':
        return this.#reference(String(argument), 'Ref');
      case 'Fn::GetAtt':
        return this.#reference(String(at(argument, 0)), String(at(argument, 1)));
      case 'Fn::Join':
        return this.#texts(at(argument, 1)).join(String(at(argument, 0)));
      case 'Fn::Sub':
        return String(argument).replaceAll(/\$\{([\w:]+)\}/g, (_, id: string) => this.#reference(id, 'Ref'));
      default:
        return `<${name} ${JSON.stringify(this.#render(argument))}>`;
    }
  }

  #texts(list: unknown): readonly string[] {
    const rendered = this.#render(list);
    return Array.isArray(rendered) ? rendered.map(String) : [];
  }

  /** Names that are given are known; what AWS makes up is called by its logical id. */
  #reference(id: string, attribute: string): string {
    const resource = this.#resources[id];
    const named = (property: string): string => String(this.#render(at(resource, 'Properties', property)));
    switch (`${String(at(resource, 'Type'))} ${attribute}`) {
      case 'AWS::S3::Bucket Ref':
        return at(resource, 'Properties', 'BucketName') === undefined ? `<${id}>` : named('BucketName');
      case 'AWS::SQS::Queue Ref':
        return `https://sqs.${REGION}.amazonaws.com/${ACCOUNT}/${named('QueueName')}`;
      case 'AWS::SQS::Queue Arn':
        return `arn:aws:sqs:${REGION}:${ACCOUNT}:${named('QueueName')}`;
      case 'AWS::SQS::Queue QueueName':
        return named('QueueName');
      default:
        return PSEUDO[id] ?? (attribute === 'Ref' ? `<${id}>` : `<${id}.${attribute}>`);
    }
  }
}

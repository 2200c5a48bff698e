import { at, isObject, type JsonObject, objectsAt } from './json.ts';

const METHODS = ['get', 'put', 'post', 'patch', 'delete'];

export interface Operation {
  /** As `GET /v1/groups/{group}`. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly docs: JsonObject;
}

/** A request made of nothing but what the document gives as examples. */
export interface ExampleRequest {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** An OpenAPI document, as whoever reads it would use it. */
export class OpenApiDocument {
  readonly #document: JsonObject;

  constructor(document: JsonObject) {
    this.#document = document;
  }

  get operations(): readonly Operation[] {
    return Object.entries(this.#object('paths')).flatMap(([path, item]) =>
      METHODS.flatMap((method) => {
        const docs = at(item, method);
        return isObject(docs)
          ? [{ name: `${method.toUpperCase()} ${path}`, method: method.toUpperCase(), path, docs }]
          : [];
      }),
    );
  }

  get schemas(): Readonly<Record<string, JsonObject>> {
    return Object.fromEntries(
      Object.entries(this.#object('components', 'schemas')).map(([name, schema]) => [name, objectOf(schema)]),
    );
  }

  /** One request for each example of the body. */
  exampleRequests({ method, path, docs }: Operation): readonly ExampleRequest[] {
    const parameters = objectsAt(docs, 'parameters');
    const query = new URLSearchParams();
    let target = path;
    for (const parameter of parameters) {
      const name = String(parameter['name']);
      const example = this.exampleOf(parameter['schema']);
      if (parameter['in'] === 'path') {
        target = target.replace(`{${name}}`, encodeURIComponent(textOf(example)));
      } else if (parameter['in'] === 'query' && example !== undefined) {
        query.set(name, textOf(example));
      }
    }
    const search = query.size > 0 ? `?${query.toString()}` : '';
    const headers = headersOf(docs);
    return this.#exampleBodies(docs).map((body) => ({ method, path: `${target}${search}`, body, headers }));
  }

  /** The example of a schema, made of those of its properties where it has none itself; `undefined` where there is none. */
  exampleOf(schema: unknown): unknown {
    const known = this.resolve(schema);
    if ('example' in known || 'default' in known) {
      return known['example'] ?? known['default'] ?? null;
    }
    if (isObject(known['properties'])) {
      const examples = Object.entries(known['properties']).map(([name, property]): [string, unknown] => [
        name,
        this.exampleOf(property),
      ]);
      return Object.fromEntries(examples.filter(([, example]) => example !== undefined));
    }
    if (Array.isArray(known['oneOf'])) {
      return this.exampleOf(known['oneOf'][0]);
    }
    return known['type'] === 'array' ? [this.exampleOf(known['items'])] : undefined;
  }

  /** The schema of an answer's body; `undefined` where the document has no such answer, or no body in it. */
  answerSchema(docs: JsonObject, status: number, contentType: string): unknown {
    return at(docs, 'responses', String(status), 'content', contentType, 'schema');
  }

  resolve(schema: unknown): JsonObject {
    const reference = at(schema, '$ref');
    if (typeof reference === 'string') {
      return this.resolve(at(this.#document, ...reference.replace('#/', '').split('/')));
    }
    // Nest writes allOf around one reference, to put a description beside it.
    const part = at(schema, 'allOf', 0);
    return part === undefined ? objectOf(schema) : { ...this.resolve(part), ...objectOf(schema) };
  }

  /** Where `value` is not what the schema says, each with its place; a property that the schema does not name is a fault too. */
  faultsOf(value: unknown, schema: unknown, place = ''): readonly string[] {
    const known = this.resolve(schema);
    const choices = known['oneOf'];
    if (value === null) {
      return known['nullable'] === true ? [] : [`${place}: null`];
    }
    if (Array.isArray(choices)) {
      const faults = choices.map((choice: unknown) => this.faultsOf(value, choice, place));
      return faults.find((some) => some.length === 0) ?? faults.flat();
    }
    const values = known['enum'];
    if (Array.isArray(values) && !values.includes(value)) {
      return [`${place}: ${JSON.stringify(value)} is none of ${values.join(', ')}`];
    }
    if (Array.isArray(value)) {
      return known['type'] === 'array'
        ? value.flatMap((item: unknown, index) => this.faultsOf(item, known['items'], `${place}/${index}`))
        : [`${place}: a list`];
    }
    return isObject(value)
      ? this.#objectFaults(value, known, place)
      : scalarFaults(value, known).map((fault) => `${place}: ${fault}`);
  }

  #objectFaults(value: JsonObject, schema: JsonObject, place: string): readonly string[] {
    const properties = schema['properties'];
    if (schema['type'] !== undefined && schema['type'] !== 'object') {
      return [`${place}: an object`];
    }
    if (!isObject(properties)) {
      return [];
    }
    const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
    return [
      ...required
        .filter((name) => !(String(name) in value))
        .map((name) => `${place}/${String(name)}: missing`),
      ...Object.entries(value).flatMap(([name, child]) =>
        name in properties
          ? this.faultsOf(child, properties[name], `${place}/${name}`)
          : [`${place}/${name}: not in the document`],
      ),
    ];
  }

  #exampleBodies(docs: JsonObject): readonly unknown[] {
    const content = at(docs, 'requestBody', 'content', bodyTypeOf(docs));
    if (content === undefined) {
      return [undefined];
    }
    const examples = at(content, 'examples');
    return isObject(examples)
      ? Object.values(examples).map((example) => at(example, 'value'))
      : [this.exampleOf(at(content, 'schema'))];
  }

  #object(...path: readonly string[]): JsonObject {
    return objectOf(at(this.#document, ...path));
  }
}

/** The first of the types that a body may have. */
function bodyTypeOf(docs: JsonObject): string {
  return Object.keys(at(docs, 'requestBody', 'content') ?? {})[0] ?? 'application/json';
}

function headersOf(docs: JsonObject): Readonly<Record<string, string>> {
  return 'requestBody' in docs ? { 'content-type': bodyTypeOf(docs) } : {};
}

function scalarFaults(value: unknown, schema: JsonObject): readonly string[] {
  const type = schema['type'];
  const fits = type === 'integer' ? Number.isSafeInteger(value) : typeof value === type;
  if (!fits) {
    return [`${JSON.stringify(value)} is no ${String(type)}`];
  }
  if (schema['format'] === 'date-time' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(String(value))) {
    return [`${JSON.stringify(value)} is no date-time`];
  }
  const longest = schema['maxLength'];
  return typeof longest === 'number' && String(value).length > longest ? [`longer than ${longest}`] : [];
}

function textOf(example: unknown): string {
  return typeof example === 'string' ? example : JSON.stringify(example);
}

function objectOf(value: unknown): JsonObject {
  if (!isObject(value)) {
    throw new TypeError(`An object is needed in the document, not ${JSON.stringify(value)}`);
  }
  return value;
}

import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiKeys } from '../auth/api-keys.ts';
import { API_KEY_SCHEME } from '../auth/roles.ts';
import type { Settings } from '../config/settings.ts';
import { anyOtherProblem } from './api-problems.ts';

type PathItem = OpenAPIObject['paths'][string];
type Operation = NonNullable<PathItem['get']>;
type Parameter = NonNullable<Operation['parameters']>[number];

const VERSION = '1';

const SECOND_PATHS = 'sample paths';
/** In the order in which Swagger UI shows them. */
const TAGS = [
  ['groups', 'Named audiences.'],
  ['subscribers', 'Who is in a group.'],
  ['consent', 'Who agreed to what, and when.'],
  ['suppressions', 'Addresses to which nothing is sent, whatever group they are in.'],
  ['imports', 'Files of subscribers, in and out.'],
  ['messages', 'What goes out, and when.'],
  ['deliveries', 'Who got it.'],
  ['health', 'For load balancers and container platforms.'],
  [SECOND_PATHS, 'The same operations, without /v1/groups before the group.'],
] as const;

const METHODS = ['get', 'put', 'post', 'patch', 'delete'] as const;

/** Swagger UI at /docs, the document at /openapi.json, and a way from / to them. The document is made when first asked for. */
export function setupOpenApi(app: NestFastifyApplication, settings: Settings): void {
  let document: OpenAPIObject | undefined;
  SwaggerModule.setup('docs', app, () => (document ??= documentOf(app, settings)), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Belfry',
    customCss: '.swagger-ui .topbar { display: none }',
    swaggerOptions: {
      persistAuthorization: true,
      tryItOutEnabled: true,
      displayRequestDuration: true,
      defaultModelsExpandDepth: 0,
      // Nothing of a private document goes to the public validator.
      validatorUrl: null,
    },
  });
  app
    .getHttpAdapter()
    .get('/', (_request: FastifyRequest, reply: FastifyReply) => reply.redirect('/docs', 302));
}

function documentOf(app: NestFastifyApplication, settings: Settings): OpenAPIObject {
  const access = app.get(ApiKeys).areNeeded
    ? 'This server needs a key: press Authorize and paste it.'
    : `This server listens on ${settings.host} only and needs no key.`;
  const builder = new DocumentBuilder()
    .setTitle('Belfry')
    .setDescription(
      `Sends the right message to everyone in a group at the right moment, and can say afterwards who got it. ${access}`,
    )
    .setVersion(VERSION)
    .addGlobalResponse(anyOtherProblem());
  for (const [name, description] of TAGS) {
    builder.addTag(name, description);
  }
  const document = SwaggerModule.createDocument(app, builder.build());
  document.components = {
    ...document.components,
    // Not addBearerAuth: it would say that a key is a JWT.
    securitySchemes: { [API_KEY_SCHEME]: { type: 'http', scheme: 'bearer', description: 'An API key.' } },
  };
  return refine(document);
}

/** Says what Nest's decorators cannot say. */
function refine(document: OpenAPIObject): OpenAPIObject {
  closeRequestSchemas(document);
  const paths = Object.entries(document.paths).map(([path, item]): [string, PathItem] => [
    path,
    refineOperations(path, item),
  ]);
  return { ...document, paths: Object.fromEntries(paths) };
}

function refineOperations(path: string, item: PathItem): PathItem {
  const refined = { ...item };
  for (const method of METHODS) {
    const operation = item[method];
    if (operation) {
      refined[method] = refineOperation(path, operation);
    }
  }
  return refined;
}

/** A controller with several paths has each operation once for each: [0], [1] in its id. */
function refineOperation(path: string, operation: Operation): Operation {
  const [, controller = '', method = '', position = '0'] =
    /^(\w+)Controller_(\w+)(?:\[(\d+)\])?$/.exec(operation.operationId ?? '') ?? [];
  const isSecond = position !== '0';
  return {
    ...operation,
    operationId: `${isSecond ? 'sample_' : ''}${controller.toLowerCase()}_${method}`,
    ...(isSecond && { tags: [SECOND_PATHS] }),
    parameters: inOrder(operation.parameters ?? [], path),
    // Nest lists the requirement of the controller and that of its method, though they are one.
    ...(operation.security && { security: operation.security.slice(0, 1) }),
  };
}

/** Those of the path first, in their order in it; the others behind them, as they come. */
function inOrder(parameters: readonly Parameter[], path: string): Parameter[] {
  const placeOf = (parameter: Parameter): number =>
    'in' in parameter && parameter.in === 'path' ? path.indexOf(`{${parameter.name}}`) : path.length;
  return parameters.toSorted((a, b) => placeOf(a) - placeOf(b));
}

/** Unknown properties are refused, so the schemas of what is sent in allow none. */
function closeRequestSchemas(document: OpenAPIObject): void {
  const bodies = Object.values(document.paths).flatMap((item) =>
    METHODS.map((method) => item[method]?.requestBody),
  );
  for (const [, name = ''] of JSON.stringify(bodies).matchAll(/#\/components\/schemas\/(\w+)/g)) {
    const schema = document.components?.schemas?.[name];
    if (schema && 'properties' in schema) {
      schema.additionalProperties = false;
    }
  }
}

import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiKeys } from '../auth/api-keys.ts';
import { API_KEY_SCHEME } from '../auth/roles.ts';
import type { Settings } from '../config/settings.ts';

const VERSION = '1';

/** Swagger UI at /docs, the document at /openapi.json, and a way from / to them. The document is made when first asked for. */
export function setupOpenApi(app: NestFastifyApplication, settings: Settings): void {
  let document: OpenAPIObject | undefined;
  SwaggerModule.setup('docs', app, () => (document ??= documentOf(app, settings)), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Belfry',
    swaggerOptions: {
      persistAuthorization: true,
      tryItOutEnabled: true,
      displayRequestDuration: true,
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
  const config = new DocumentBuilder()
    .setTitle('Belfry')
    .setDescription(
      `Sends the right message to everyone in a group at the right moment, and can say afterwards who got it. ${access}`,
    )
    .setVersion(VERSION)
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'An API key.' }, API_KEY_SCHEME)
    .build();
  return SwaggerModule.createDocument(app, config);
}

import helmet from '@fastify/helmet';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Settings } from '../config/settings.ts';

/** For answers that are data, and for pages without scripts. A handler that needs another sets the header itself. */
const STRICT_POLICY = {
  'default-src': ["'none'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'form-action': ["'self'"],
  'base-uri': ["'none'"],
  'frame-ancestors': ["'none'"],
};

// Swagger UI: its scripts are files, its styles are partly written into the page, its icons are data.
const DOCS_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Sets security headers on every answer. */
export async function secureHeaders(app: NestFastifyApplication): Promise<void> {
  const isHttps = app.get(Settings).publicUrl?.startsWith('https:') === true;
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: STRICT_POLICY },
    // Only where the world comes in by https: elsewhere it would lock browsers out of this host.
    strictTransportSecurity: isHttps,
  });
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRequest', (request, reply, done) => {
      if (/^\/docs(?:[/?]|$)/.test(request.url)) {
        reply.header('content-security-policy', DOCS_POLICY);
      }
      done();
    });
}

import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import helmet from 'helmet';
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
const DOCS_PATTERN = /^\/docs(?:[/?]|$)/;

/** Sets security headers on every answer. */
export function secureHeaders(app: NestFastifyApplication): void {
  const headers = headersOf(app.get(Settings).publicUrl?.startsWith('https:') === true);
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRequest', (request, reply, done) => {
      reply.headers(headers);
      if (DOCS_PATTERN.test(request.url)) {
        reply.header('content-security-policy', DOCS_POLICY);
      }
      done();
    });
}

/** They are the same for every request, so Helmet is asked once. */
function headersOf(isHttps: boolean): OutgoingHttpHeaders {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  const setHeaders = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: STRICT_POLICY },
    // Only where the world comes in by https: elsewhere it would lock browsers out of this host.
    strictTransportSecurity: isHttps,
  });
  setHeaders(request, response, (fault?: unknown) => {
    if (fault !== undefined) {
      throw fault;
    }
  });
  return response.getHeaders();
}

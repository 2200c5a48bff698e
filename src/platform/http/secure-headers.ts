import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Settings } from '../config/settings.ts';

/** For answers that are data, and for pages without scripts. A handler that needs another sets the header itself. */
const STRICT_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

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

// What Helmet 8 sets by default (helmetjs.github.io). They never change, so nothing has to put them together for each request.
const HEADERS = {
  'content-security-policy': STRICT_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'SAMEORIGIN',
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0',
};
const HTTPS_HEADERS = { ...HEADERS, 'strict-transport-security': 'max-age=31536000; includeSubDomains' };

/** Sets security headers on every answer. */
export function secureHeaders(app: NestFastifyApplication): void {
  // Only where the world comes in by https: elsewhere it would lock browsers out of this host.
  const isHttps = app.get(Settings).publicUrl?.startsWith('https:') === true;
  const headers = isHttps ? HTTPS_HEADERS : HEADERS;
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

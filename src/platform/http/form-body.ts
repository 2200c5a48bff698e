import { RouteConfig } from '@nestjs/platform-fastify';
import { errorCodes, type FastifyInstance, type FastifyRequest } from 'fastify';
import { MalformedBodyError } from './json-body.ts';

// Our forms have a few fields; one-click bodies have one.
const FORM_LIMIT_BYTES = 64 * 1024;
const FORM_TYPES = ['application/x-www-form-urlencoded', 'multipart/form-data'];
const TAKES_FORMS = 'takesForms';

/** Lets a handler take what a form sends, as FormData in its body, instead of JSON. */
export const TakesForms = (): MethodDecorator => RouteConfig({ [TAKES_FORMS]: true });

/** Reads forms for the handlers that take them; anywhere else they stay an unsupported type, so that no web page can post to the API. */
export function readFormBodies(server: FastifyInstance): void {
  server.addContentTypeParser(
    FORM_TYPES,
    { parseAs: 'buffer', bodyLimit: FORM_LIMIT_BYTES },
    async (request: FastifyRequest, body: Buffer): Promise<FormData> => {
      const contentType = request.headers['content-type'] ?? '';
      if (!(TAKES_FORMS in request.routeOptions.config)) {
        throw new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(contentType);
      }
      try {
        const form = new Response(new Uint8Array(body), { headers: { 'content-type': contentType } });
        return await form.formData();
      } catch (error) {
        throw new MalformedBodyError('The body is not a form.', { cause: error });
      }
    },
  );
}

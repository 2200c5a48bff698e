import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { errorCodes } from 'fastify';

/** Gives a handler the body as a stream, as it comes and of whatever size: the handler limits it. JSON is read as ever. */
export function TakesStream(): MethodDecorator {
  return RouteConfig({ takesStream: true });
}

/** Lets bodies other than JSON through where a handler takes a stream; anywhere else they are answered with 415. */
export function readStreams(server: FastifyInstance): void {
  server.addContentTypeParser('*', (request, payload, done) => {
    if (takesStream(request)) {
      done(null, payload);
    } else {
      done(new errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE(request.headers['content-type'] ?? ''));
    }
  });
}

function takesStream({ routeOptions: { config } }: FastifyRequest): boolean {
  return 'takesStream' in config && config.takesStream === true;
}

/*
 * What a server costs before it does anything: NestJS on Fastify with validation, Swagger and pino, and one route. `npm run bench -- idle`
 * holds Belfry against it. Decorators are called by hand, as the compiler does it: this file runs as it stands, as the build does.
 */
import 'reflect-metadata';
import { Controller, Get, Module, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ApiOkResponse, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Logger, LoggerModule } from 'nestjs-pino';

class HealthController {
  ready() {
    return { status: 'ok' };
  }
}
const ready = Object.getOwnPropertyDescriptor(HealthController.prototype, 'ready');
Get('ready')(HealthController.prototype, 'ready', ready);
ApiOkResponse({ schema: { example: { status: 'ok' } } })(HealthController.prototype, 'ready', ready);
Controller('health')(HealthController);

class EmptyModule {}
Module({ imports: [LoggerModule.forRoot()], controllers: [HealthController] })(EmptyModule);

const app = await NestFactory.create(EmptyModule, new FastifyAdapter(), { bufferLogs: true });
const logger = app.get(Logger);
app.useLogger(logger);
app.enableShutdownHooks();
app.useGlobalPipes(new ValidationPipe());
SwaggerModule.setup('docs', app, () =>
  SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('Empty').build()),
);
await app.listen(0, '127.0.0.1');
logger.log({ msg: 'server.started', api: await app.getUrl() });

/* What a server costs before it does anything: NestJS, Fastify, Swagger and pino, with one route. bench/idle.ts holds Belfry against it. */
import 'reflect-metadata';
import { Controller, Get, Module, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ApiOkResponse, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Logger, LoggerModule } from 'nestjs-pino';

class ReadyController {
  ready() {
    return { status: 'ok' };
  }
}
// Called by hand, as the compiler does it: this file runs as it stands, as the build does.
const ready = Object.getOwnPropertyDescriptor(ReadyController.prototype, 'ready');
Get('ready')(ReadyController.prototype, 'ready', ready);
ApiOkResponse({ schema: { example: { status: 'ok' } } })(ReadyController.prototype, 'ready', ready);
Controller('health')(ReadyController);

class EmptyModule {}
Module({ imports: [LoggerModule.forRoot()], controllers: [ReadyController] })(EmptyModule);

const app = await NestFactory.create(EmptyModule, new FastifyAdapter(), { bufferLogs: true });
const logger = app.get(Logger);
app.useLogger(logger);
app.useGlobalPipes(new ValidationPipe());
SwaggerModule.setup('docs', app, () =>
  SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('Empty').build()),
);
await app.listen(0, '127.0.0.1');
logger.log({ api: await app.getUrl(), msg: 'server.started' });

import { Global, Module } from '@nestjs/common';
import { LoggerModule, type Params, PinoLogger } from 'nestjs-pino';
import { destination, type DestinationStream, stdSerializers } from 'pino';
import { Settings } from '../config/settings.ts';
import { Log } from './log.ts';
import { NestLogger } from './nest-logger.ts';
import { RequestLog } from './request-log.ts';

/** Where log lines go. */
export const LOG_DESTINATION = Symbol('LOG_DESTINATION');

@Global()
@Module({
  providers: [{ provide: LOG_DESTINATION, useFactory: openDestination }],
  exports: [LOG_DESTINATION],
})
class LogDestinationModule {}

@Global()
@Module({
  imports: [
    LogDestinationModule,
    LoggerModule.forRootAsync({ inject: [Settings, LOG_DESTINATION], useFactory: pinoParams }),
  ],
  providers: [
    { provide: Log, useFactory: (pino: PinoLogger): Log => new Log(pino), inject: [PinoLogger] },
    NestLogger,
    RequestLog,
  ],
  exports: [Log, NestLogger, RequestLog],
})
export class LoggingModule {}

/** JSON for machines; on a terminal the same lines for people, made in this process: a worker thread would lose the last ones. */
async function openDestination(): Promise<DestinationStream> {
  if (!process.stdout.isTTY) {
    return writingOncePerTurn(destination({ fd: process.stdout.fd, sync: true }));
  }
  const { build } = await import('pino-pretty'); // nothing of it is read where nobody looks
  return build({ colorize: true, singleLine: true, translateTime: 'SYS:HH:MM:ss.l', sync: true });
}

// What waits for the end of a turn at most; more is written at once. Less than pino writes at a time (16 KB).
const TURN_LENGTH = 8_192;

/** The lines of one turn of the event loop are one call of the system, at its end or with the end of the process. */
function writingOncePerTurn(stdout: ReturnType<typeof destination>): DestinationStream {
  let lines = '';
  const flush = (): void => {
    const turn = lines;
    lines = '';
    if (turn !== '') {
      stdout.write(turn);
    }
  };
  process.once('exit', () => {
    flush();
    stdout.flushSync(); // what a full pipe has not taken yet: nobody tries again after this
  });
  return {
    write: (line) => {
      if (lines === '') {
        setImmediate(flush);
      }
      lines += line;
      if (lines.length > TURN_LENGTH) {
        flush();
      }
    },
  };
}

function pinoParams(settings: Settings, stream: DestinationStream): Params {
  return {
    pinoHttp: [{ level: settings.logLevel, base: null, serializers: { err: stdSerializers.err } }, stream],
    // No middleware: RequestLog does its work in a hook that comes before everything that may refuse a request.
    forRoutes: [],
  };
}

import { Injectable, type LoggerService } from '@nestjs/common';
import { Log } from './log.ts';

/** Where Nest itself logs: what it says at start is of interest to developers only, what it warns of is not. */
@Injectable()
export class NestLogger implements LoggerService {
  constructor(private readonly events: Log) {}

  log(message: unknown, ...params: unknown[]): void {
    this.events.debug('nest.reported', fieldsOf(message, params));
  }

  debug(message: unknown, ...params: unknown[]): void {
    this.events.debug('nest.reported', fieldsOf(message, params));
  }

  verbose(message: unknown, ...params: unknown[]): void {
    this.events.debug('nest.reported', fieldsOf(message, params));
  }

  warn(message: unknown, ...params: unknown[]): void {
    this.events.warn('nest.warned', fieldsOf(message, params));
  }

  error(message: unknown, ...params: unknown[]): void {
    this.events.error('nest.failed', fieldsOf(message, params));
  }

  fatal(message: unknown, ...params: unknown[]): void {
    this.events.error('nest.failed', fieldsOf(message, params));
  }
}

/** Nest hands over the context as the last parameter, and for errors the stack before it. */
function fieldsOf(message: unknown, params: readonly unknown[]): Record<string, unknown> {
  const context = params.at(-1);
  const stack = params.length > 1 ? params[0] : undefined;
  return message instanceof Error ? { err: message, context } : { text: message, stack, context };
}

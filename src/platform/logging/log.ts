export type LogFields = Readonly<Record<string, unknown>>;

/** What a pino logger has in common with nestjs-pino's: the fields first, the event name as the message. */
export interface LogSink {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/**
 * An event name (`noun.past-participle`) with typed fields. Fields carry ids, never addresses, bodies or keys; an error goes
 * into `err`. Within a request the line carries the request's id.
 */
export class Log {
  constructor(private readonly sink: LogSink) {}

  debug(event: string, fields: LogFields = {}): void {
    this.sink.debug(fields, event);
  }

  info(event: string, fields: LogFields = {}): void {
    this.sink.info(fields, event);
  }

  warn(event: string, fields: LogFields = {}): void {
    this.sink.warn(fields, event);
  }

  error(event: string, fields: LogFields = {}): void {
    this.sink.error(fields, event);
  }
}

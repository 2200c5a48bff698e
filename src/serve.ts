import { setImmediate as endOfTurn } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module.ts';
import { DataLockedError } from './engines/sqlite/data-lock.ts';
import { readEnvironment } from './platform/config/environment.ts';
import { parseSettings, type Settings, SettingsError } from './platform/config/settings.ts';
import { setupOpenApi } from './platform/http/openapi.ts';
import { PublicUrl } from './platform/http/public-url.ts';
import { configureServer, newAdapter } from './platform/http/server.ts';
import { Log } from './platform/logging/log.ts';
import { NestLogger } from './platform/logging/nest-logger.ts';

/** Starts the server in the roles that the environment names, and ends the process where that cannot be. To be called once. */
export async function serve(): Promise<void> {
  try {
    await start();
  } catch (error) {
    await endOfTurn(); // what was logged before it stands before it
    process.stderr.write(`${startFault(error)}\n`);
    process.exit(1);
  }
}

async function start(): Promise<void> {
  const settings = parseSettings(readEnvironment());
  const app = await NestFactory.create<NestFastifyApplication>(await AppModule.for(settings), newAdapter(), {
    bufferLogs: true,
    autoFlushLogs: false,
    abortOnError: false,
  });
  app.useLogger(app.get(NestLogger));
  app.flushLogs();
  app.enableShutdownHooks(['SIGTERM', 'SIGINT'], { useProcessExit: true });
  configureServer(app);
  setupOpenApi(app, settings);
  await app.listen(settings.port, settings.host);
  announce(app, settings);
}

/** Where everything is: for whoever started it by hand, and for logs. */
function announce(app: NestFastifyApplication, settings: Settings): void {
  const url = app.get(PublicUrl).base;
  app.get(Log).info('server.started', {
    api: `${url}/v1`,
    swagger_ui: `${url}/docs`,
    ...(settings.mail === 'outbox' ? { outbox: `${url}/outbox` } : {}),
    mail: settings.mail,
    engine: settings.engine,
    data_dir: settings.dataDir,
  });
}

/** What the operator can mend is told in words; anything else with its stack. */
function startFault(error: unknown): string {
  if (error instanceof SettingsError || error instanceof DataLockedError) {
    return error.message;
  }
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    return `Belfry cannot listen: ${error.message}. Stop what listens there, or set PORT to another one.`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

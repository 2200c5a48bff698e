import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Provider, Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { onTestFinished } from 'vitest';
import { ANNOUNCE } from '../../src/platform/auth/api-keys.ts';
import { type Environment, parseSettings, Settings } from '../../src/platform/config/settings.ts';
import { configureServer, newAdapter } from '../../src/platform/http/server.ts';
import { setupOpenApi } from '../../src/platform/http/openapi.ts';
import { LOG_DESTINATION } from '../../src/platform/logging/logging.module.ts';
import { PlatformModule } from '../../src/platform/platform.module.ts';

export interface ServerPlan {
  readonly env?: Environment;
  readonly controllers?: readonly Type[];
  readonly providers?: readonly Provider[];
  readonly announce?: (lines: readonly string[]) => void;
}

/** nestjs-pino keeps one root logger per process, so all servers of a file write here. */
export const logged: Record<string, unknown>[] = [];

/** A directory of its own, gone when the test has finished. */
export async function aDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A whole server as serve.ts makes it, on nothing but the platform; closed when the test has finished. */
export async function aServer(plan: ServerPlan = {}): Promise<NestFastifyApplication> {
  const settings = parseSettings({ DATA_DIR: await aDirectory(), LOG_LEVEL: 'debug', ...plan.env });
  const module = await Test.createTestingModule({
    imports: [PlatformModule],
    controllers: [...(plan.controllers ?? [])],
    providers: [...(plan.providers ?? [])],
  })
    .overrideProvider(Settings)
    .useValue(settings)
    .overrideProvider(ANNOUNCE)
    .useValue(plan.announce ?? ((): void => undefined))
    .overrideProvider(LOG_DESTINATION)
    .useValue({ write: (line: string) => logged.push(parseObject(line)) })
    .compile();
  const app = module.createNestApplication<NestFastifyApplication>(newAdapter(), { logger: false });
  onTestFinished(() => app.close());
  configureServer(app);
  setupOpenApi(app, settings);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

export function parseObject(text: string): Record<string, unknown> {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`Not an object: ${text}`);
  }
  return { ...value };
}

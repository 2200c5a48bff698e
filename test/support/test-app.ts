import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { inject } from 'vitest';
import { AppModule } from '../../src/app.module.ts';
import { Clock } from '../../src/platform/clock/clock.ts';
import { SystemClock } from '../../src/platform/clock/system-clock.ts';
import {
  type EngineName,
  type Environment,
  parseSettings,
  Settings,
} from '../../src/platform/config/settings.ts';
import { assertNever } from '../../src/platform/errors/assert-never.ts';
import { setupOpenApi } from '../../src/platform/http/openapi.ts';
import { configureServer, newAdapter } from '../../src/platform/http/server.ts';
import { type JsonObject, objectsAt, parseObject } from './json.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** On which engine the project runs its tests: vitest.config.ts says. */
    readonly engine: EngineName;
  }
}

export interface TestAppPlan {
  /** The project's where absent. */
  readonly engine?: EngineName;
  readonly env?: Environment;
  /** The machine's where absent. */
  readonly clock?: Clock;
}

// Nobody listens there: no test asks the network.
const NO_DNS = '127.0.0.1:9';
// Every process on AWS must be told the same.
const SIGNING_SECRET = 'a-signing-secret-that-all-processes-share';

/** The whole application in this process, reached over HTTP. Whoever starts one closes it. */
export interface TestApp {
  readonly url: string;
  readonly dataDir: string;
  /** Every route of the router, as `GET /v1/groups/{group}`. */
  readonly routes: readonly string[];
  request(method: string, path: string, sending?: Sending): Promise<Answer>;
  close(): Promise<void>;
}

interface Sending {
  /** Text and bytes go out as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Empty where the answer is not JSON. */
  readonly body: JsonObject;
}

/** Starts what serve.ts starts, on any free port, with a new DATA_DIR and state that nobody else has. */
export async function startTestApp(plan: TestAppPlan = {}): Promise<TestApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-'));
  const state = await openState(plan.engine ?? inject('engine'));
  const settings = parseSettings({
    PORT: '0',
    LOG_LEVEL: 'silent',
    DNS_SERVERS: NO_DNS,
    DATA_DIR: dataDir,
    ...state.env,
    ...plan.env,
  });
  const module = await Test.createTestingModule({ imports: [await AppModule.for(settings)] })
    .overrideProvider(Settings)
    .useValue(settings)
    .overrideProvider(Clock)
    .useValue(plan.clock ?? new SystemClock())
    .compile();
  const app = module.createNestApplication<NestFastifyApplication>(newAdapter(), { logger: false });
  const routes: string[] = [];
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('onRoute', ({ method, url }) => {
      routes.push(
        ...[method].flat().map((name) => `${name} ${url.replaceAll(/:(\w+)(?:\(\^.*\$\))?/g, '{$1}')}`),
      );
    });
  configureServer(app);
  setupOpenApi(app, settings);
  await app.listen(settings.port, settings.host);
  const url = await app.getUrl();

  return {
    url,
    dataDir,
    routes,
    request: (method, path, sending) => send(`${url}${path}`, method, sending ?? {}),
    close: async () => {
      await Promise.all([app.close(), state.interrupt()]);
      await state.remove();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Where the state of one application lives. */
interface State {
  readonly env: Environment;
  /** Ends what would hold up an application that stops. */
  interrupt(): Promise<void>;
  remove(): Promise<void>;
}

async function openState(engine: EngineName): Promise<State> {
  switch (engine) {
    case 'embedded':
      return { env: {}, interrupt: async () => undefined, remove: async () => undefined };
    case 'aws': {
      const { openAwsGround } = await import('../localstack/aws-ground.ts'); // the SDK is read where it is needed
      const ground = await openAwsGround({ hasQueues: true, isForServers: true });
      return {
        env: { ...ground.env, SIGNING_SECRET },
        interrupt: () => ground.removeQueues(),
        remove: () => ground.close(),
      };
    }
    default:
      return assertNever(engine);
  }
}

/** All items of a list, page by page. */
export async function listAll(
  app: TestApp,
  path: string,
  query: Readonly<Record<string, string>> = {},
): Promise<readonly JsonObject[]> {
  const items: JsonObject[] = [];
  let cursor: unknown = null;
  do {
    const search = new URLSearchParams({ ...query, ...(typeof cursor === 'string' && { cursor }) });
    const page = await app.request('GET', `${path}?${search.toString()}`);
    items.push(...objectsAt(page.body, 'items'));
    cursor = page.body['next_cursor'];
  } while (cursor !== null);
  return items;
}

async function send(url: string, method: string, { body, headers }: Sending): Promise<Answer> {
  const hasBody = body !== undefined;
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(hasBody && { 'content-type': 'application/json' }), ...headers },
    ...(hasBody && {
      body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    }),
  });
  const text = await response.text();
  const isJson = /^application\/(?:problem\+)?json/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson ? parseObject(text) : {},
  };
}

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  Controller,
  Delete,
  Get,
  Injectable,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { describe, expect, it, vi } from 'vitest';
import { Needs, Public } from '../../src/platform/auth/roles.ts';
import { Readiness, ReadinessProbe } from '../../src/platform/health/readiness.ts';
import { Shutdown } from '../../src/platform/lifecycle/shutdown.ts';
import { Log } from '../../src/platform/logging/log.ts';
import { redactedPath } from '../../src/platform/logging/request-log.ts';
import { aServer, logged } from './a-server.ts';

const events: string[] = [];
let gate = Promise.withResolvers<void>();
let entered = Promise.withResolvers<void>();

@Controller('things')
class ThingsController {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  @Needs('reader')
  @Delete(':email')
  remove(): { readonly removed: true } {
    this.#log.info('thing.removed', { thing: 1 });
    return { removed: true };
  }

  @Public()
  @Get('slow')
  async slow(): Promise<{ readonly done: true }> {
    entered.resolve();
    await gate.promise;
    events.push('answered');
    return { done: true };
  }
}

@Injectable()
class Worker implements OnModuleDestroy, OnApplicationShutdown {
  readonly #shutdown: Shutdown;

  constructor(shutdown: Shutdown) {
    this.#shutdown = shutdown;
  }

  onModuleDestroy(): void {
    events.push(`worker stopped, stopping: ${this.#shutdown.isStopping}`);
  }

  onApplicationShutdown(): void {
    events.push('database closed');
  }
}

class Database extends ReadinessProbe {
  readonly name = 'database';
  isUp = true;

  async check(): Promise<void> {
    if (!this.isUp) {
      throw new Error('password=hunter2');
    }
    await Promise.resolve();
  }
}

describe('a request id', () => {
  it.each([['abc-123'], ['A.b_c-9'], ['x'.repeat(64)]])('is kept when the caller gives %s', async (id) => {
    const app = await aServer();

    const answer = await app.inject({
      url: '/health/live',
      headers: { host: 'localhost', 'x-request-id': id },
    });

    expect(answer.headers['x-request-id']).toBe(id);
  });

  it.each([[''], ['a b'], ['x'.repeat(65)], ['<script>'], ['a,b'], ['ä']])(
    'is made when the caller gives %j',
    async (id) => {
      const app = await aServer();

      const answer = await app.inject({
        url: '/health/live',
        headers: { host: 'localhost', 'x-request-id': id },
      });

      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    },
  );

  it.each([['/nowhere'], ['/docs'], ['/health/live'], ['/things/%zz']])(
    'is on the answer to %s',
    async (url) => {
      const app = await aServer();

      const answer = await app.inject({ url, headers: { host: 'localhost', 'x-request-id': 'mine' } });

      expect(answer.headers['x-request-id']).toBe('mine');
    },
  );
});

describe('the log', () => {
  it('has one line for a request, without address, query, headers or body', async () => {
    const app = await aServer({ controllers: [ThingsController] });

    await app.inject({
      method: 'DELETE',
      url: '/things/ada%40example.com?token=hunter2',
      headers: { host: 'localhost', 'x-request-id': 'logged-1', authorization: 'Bearer hunter2' },
    });

    const lines = logged.filter((line) => line['request_id'] === 'logged-1');
    const [own, completed = {}] = lines;
    expect(lines).toHaveLength(2);
    expect(own).toMatchObject({ msg: 'thing.removed', thing: 1 });
    expect(completed).toMatchObject({
      msg: 'request.completed',
      method: 'DELETE',
      path: '/things/:email',
      status: 200,
      key: 'local',
    });
    expect(Object.keys(completed)).toEqual([
      'level',
      'time',
      'request_id',
      'method',
      'path',
      'status',
      'duration_ms',
      'key',
      'msg',
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/ada|example|hunter2/);
  });

  it('has a line for a request that was refused before it reached a handler', async () => {
    const app = await aServer({ controllers: [ThingsController] });

    await app.inject({
      method: 'DELETE',
      url: '/things/1',
      headers: { host: 'localhost', 'x-request-id': 'refused-1', 'sec-fetch-site': 'cross-site' },
    });

    expect(logged.filter((line) => line['request_id'] === 'refused-1')).toEqual([
      expect.objectContaining({ status: 403, msg: 'request.completed' }),
    ]);
  });

  it('has health checks at debug', async () => {
    const app = await aServer();

    await app.inject({ url: '/health/live', headers: { host: 'localhost', 'x-request-id': 'health-1' } });

    expect(logged.find((line) => line['request_id'] === 'health-1')).toMatchObject({ level: 20 });
  });

  it('says when a client went away before its answer', async () => {
    gate = Promise.withResolvers();
    entered = Promise.withResolvers();
    const app = await aServer({ controllers: [ThingsController] });
    const socket = await openSocket(app);

    socket.write('GET /things/slow HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: gone-1\r\n\r\n');
    await entered.promise;
    socket.destroy();

    await vi.waitFor(() =>
      expect(logged.find((line) => line['request_id'] === 'gone-1')).toMatchObject({
        msg: 'request.aborted',
      }),
    );
    gate.resolve();
  });

  it.each([
    ['/v1/groups/a/subscribers/ada@example.com', '/v1/groups/a/subscribers/:email'],
    ['/v1/groups/a/subscribers/ada%40example.com/x', '/v1/groups/a/subscribers/:email/x'],
    ['/v1/groups/a?email=ada@example.com', '/v1/groups/a'],
    ['/v1/groups/a', '/v1/groups/a'],
    ['/', '/'],
  ])('has %s as %s', (url, path) => {
    expect(redactedPath(url)).toBe(path);
  });
});

describe('readiness', () => {
  it('is what every probe says, and names those that are down without saying why', async () => {
    const app = await aServer();
    const database = new Database();
    app.get(Readiness).register(database);

    const up = await app.inject({ url: '/health/ready', headers: { host: 'localhost' } });
    database.isUp = false;
    const down = await app.inject({ url: '/health/ready', headers: { host: 'localhost' } });
    const live = await app.inject({ url: '/health/live', headers: { host: 'localhost' } });

    expect(up.json()).toEqual({ status: 'ok', checks: ['database'] });
    expect(down.json()).toMatchObject({
      status: 503,
      code: 'not-ready',
      errors: [{ pointer: 'database', detail: 'It is down.' }],
    });
    expect(down.headers['content-type']).toContain('application/problem+json');
    expect(down.body).not.toContain('hunter2');
    expect(live.statusCode).toBe(200);
  });
});

describe('stopping', () => {
  it('refuses what is new, finishes what is in hand, and closes the database last', async () => {
    events.length = 0;
    gate = Promise.withResolvers();
    entered = Promise.withResolvers();
    const app = await aServer({ controllers: [ThingsController], providers: [Worker] });
    const slow = await openSocket(app);
    const early = await openSocket(app);
    const readiness = await openSocket(app);
    slow.write('GET /things/slow HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await entered.promise;

    const closed = app.close();
    await once(app.get(Shutdown).signal, 'abort');
    early.write('DELETE /things/1 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    readiness.write('GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const refused = await text(early);
    const notReady = await text(readiness);
    gate.resolve();
    const answered = await text(slow);
    await closed;

    expect(refused).toMatch(/^HTTP\/1.1 503 [\s\S]*server-stopping/);
    expect(notReady).toMatch(/^HTTP\/1.1 503 [\s\S]*not-ready[\s\S]*It is stopping/);
    expect(answered).toMatch(/^HTTP\/1.1 200 [\s\S]*"done":true/);
    expect(events).toEqual(['worker stopped, stopping: true', 'answered', 'database closed']);
  });

  it('does not wait for a connection that asks nothing', async () => {
    const app = await aServer({ env: { SHUTDOWN_GRACE: '29s' } });
    const idle = await openSocket(app);

    await app.close();

    await expect(text(idle)).resolves.toBe('');
  });

  it('does not wait beyond SHUTDOWN_GRACE for a request', async () => {
    gate = Promise.withResolvers();
    entered = Promise.withResolvers();
    const app = await aServer({ controllers: [ThingsController], env: { SHUTDOWN_GRACE: '50ms' } });
    const slow = await openSocket(app);
    slow.write('GET /things/slow HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await entered.promise;

    await app.close();

    await expect(text(slow)).resolves.toBe('');
    gate.resolve();
  });
});

async function openSocket(app: NestFastifyApplication): Promise<Socket> {
  if (app.getHttpServer().address() === null) {
    await app.listen(0, '127.0.0.1');
  }
  const { port } = new URL(await app.getUrl());
  const socket = connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { bodyOf, untilFinished } from '../support/belfry-api.ts';
import { docker } from '../support/container.ts';
import { aFreePort } from '../support/free-port.ts';
import { textAt } from '../support/json.ts';
import { RemoteServer } from '../support/remote-server.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const LIMIT_MS = 120_000;
// Images are made where they are not there yet, and LocalStack takes half a minute to start.
const UP_LIMIT_MS = 600_000;

interface Stack {
  readonly server: RemoteServer;
  readonly catcherUrl: string;
  readonly name: string;
  compose(...args: readonly string[]): Promise<string>;
}

/** `docker compose`, or the program of its own that it was before. */
async function composeCommand(): Promise<readonly string[]> {
  try {
    await docker('compose', 'version');
    return ['docker', 'compose'];
  } catch {
    return ['docker-compose'];
  }
}

/** What the README says, in a project and on ports of its own. */
async function up(file: string, key: string, ...args: readonly string[]): Promise<Stack> {
  const [program = '', ...first] = await composeCommand();
  const name = `belfrytest${process.pid}${file.replaceAll(/\W/g, '')}`;
  const [belfryPort, catcherPort] = [await aFreePort(), await aFreePort()];
  const path = fileURLToPath(new URL(`../../docker/${file}`, import.meta.url));
  const compose = async (...rest: readonly string[]): Promise<string> => {
    const { stdout } = await run(program, [...first, '--project-name', name, '--file', path, ...rest], {
      maxBuffer: 64 * 1024 * 1024,
      env: {
        ...process.env,
        BELFRY_PORT: String(belfryPort),
        CATCHER_PORT: String(catcherPort),
        API_KEYS: `try:admin:${key}`,
      },
    });
    return stdout;
  };
  onTestFinished(async () => {
    await compose('down', '--volumes', '--remove-orphans', '--rmi', 'local', '--timeout', '5');
  });
  await compose('up', '--detach', '--build', ...args);
  const server = new RemoteServer(`http://127.0.0.1:${belfryPort}`, key);
  await server.untilReady(LIMIT_MS);
  return { server, catcherUrl: `http://127.0.0.1:${catcherPort}`, name, compose };
}

/** Everybody to whom the catcher has a mail. */
async function caught(stack: Stack): Promise<readonly string[]> {
  const answer = await fetch(`${stack.catcherUrl}/email`);
  const mails: unknown = await answer.json();
  return (Array.isArray(mails) ? mails : []).map(
    (mail: { to: { address: string }[] }) => mail.to[0]?.address ?? '',
  );
}

async function sendTo(stack: Stack, count: number): Promise<readonly string[]> {
  const emails = Array.from(
    { length: count },
    (_, index) => `s${String(index).padStart(3, '0')}@example.com`,
  );
  await stack.server.request('POST', '/v1/groups/news/subscribers', {
    body: { subscribers: emails.map((email) => ({ email })) },
  });
  const scheduled = await stack.server.request('POST', '/v1/groups/news/schedule', {
    body: { subject: 'News', body: '<p>News</p>', schedule_on: Temporal.Now.instant().epochMilliseconds },
  });
  const key = textAt(bodyOf(scheduled, 201), 'key');
  const message = await untilFinished(stack.server, { group: 'news', key }, { limitMs: LIMIT_MS });
  expect(message).toMatchObject({ status: 'sent', counts: { subscribers: count, sent: count } });
  return emails;
}

describe('the compose files', { timeout: UP_LIMIT_MS }, () => {
  it('runs Belfry on one machine, and every mail can be looked at', async () => {
    const stack = await up('compose.yaml', 'try-me-on-one-machine');

    const emails = await sendTo(stack, 30);

    await until('Everybody has it', LIMIT_MS, async () => (await caught(stack)).length === 30 || undefined);
    expect((await caught(stack)).toSorted()).toEqual(emails);
    expect((await fetch(`${stack.catcherUrl}/`)).status).toBe(200);
  });

  it('runs one api and two workers on LocalStack, which share the work', async () => {
    const stack = await up('compose.aws.yaml', 'try-me-on-localstack', '--scale', 'worker=2');

    const emails = await sendTo(stack, 1_000);

    const mails = await caught(stack);
    expect(new Set(mails)).toEqual(new Set(emails));
    expect(mails).toHaveLength(emails.length);
    const logs = await stack.compose('logs', '--no-color', 'api');
    expect(logs, 'The api delivers nothing').not.toContain('message.dispatched');
  });
});

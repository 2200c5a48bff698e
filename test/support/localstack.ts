import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';

const DEFAULT_IMAGE = 'localstack/localstack:4.14.0'; // the last community image that runs without a token
const READY_TIMEOUT_MS = 10_000;

/**
 * Vitest's globalSetup for the tests on AWS: an endpoint that answers, and the settings by which the SDK finds it.
 * `AWS_ENDPOINT_URL` set: that endpoint, which is never started or stopped here. Otherwise a container of `LOCALSTACK_IMAGE`.
 * Fails with one line where there is neither. Returns the clean-up: the container is gone after the run, also after Ctrl-C.
 */
export async function setup(): Promise<() => Promise<void>> {
  const given = process.env['AWS_ENDPOINT_URL'];
  if (given !== undefined && given !== '') {
    await assertAnswers(given);
    pointSdkAt(given);
    return async () => {};
  }
  const image = process.env['LOCALSTACK_IMAGE'] ?? DEFAULT_IMAGE;
  // Its own image, which removes what a killed run leaves behind, cannot be pulled everywhere. Set before the module is loaded: it reads it once.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] ??= 'true';
  const { LocalstackContainer } = await import('@testcontainers/localstack');
  // Named and registered before it starts, so that Ctrl-C while it starts leaves nothing either.
  const name = `belfry-localstack-${randomUUID()}`;
  const forgetContainer = removeOnExit(name);
  const container = await new LocalstackContainer(image)
    .withName(name)
    // The SDK sends a queue's requests to the host in its URL, and LocalStack's own is the port inside the container: `dynamic`
    // puts the host there that CreateQueue was asked on. DynamoDB in memory: with files each write waits for the disk.
    .withEnvironment({ SQS_ENDPOINT_STRATEGY: 'dynamic', DYNAMODB_IN_MEMORY: '1' })
    // A line for each request costs LocalStack more than a tenth of its processor.
    .withEnvironment({ LS_LOG: 'warning' })
    // DynamoDB Local lives for minutes: what the JVM's second compiler and its parallel collector cost at first, it never gets back on two cores.
    .withEnvironment({ JAVA_TOOL_OPTIONS: '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' })
    // Loaded at the start, or the first test that asks DynamoDB waits for a JVM and runs into its limit. Not strict: others load when asked.
    .withEnvironment({ EAGER_SERVICE_LOADING: '1', SERVICES: 's3,dynamodb,sqs', STRICT_SERVICE_LOADING: '0' })
    .start()
    .catch((error: unknown) => {
      throw new Error(oneLine(image, error), { cause: error });
    });
  pointSdkAt(container.getConnectionUri());
  return async () => {
    await container.stop({ timeout: 0, remove: true, removeVolumes: true });
    forgetContainer();
  };
}

/** The tests' workers are started after the global setup and inherit its environment. */
function pointSdkAt(endpoint: string): void {
  process.env['AWS_ENDPOINT_URL'] = endpoint;
  process.env['AWS_REGION'] ??= 'eu-west-1';
  process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';
}

async function assertAnswers(endpoint: string): Promise<void> {
  try {
    await fetch(endpoint, { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
  } catch (error) {
    throw new Error(`AWS_ENDPOINT_URL is ${endpoint}, and nothing answers there.`, { cause: error });
  }
}

function oneLine(image: string, error: unknown): string {
  const said = error instanceof Error ? error.message : String(error);
  if (/container runtime/i.test(said))
    return 'The tests on AWS need Docker, or AWS_ENDPOINT_URL set to an endpoint: neither is there.';
  return `${image} did not start: ${said.split('\n')[0]}. Where it cannot be pulled, docker/localstack/build.sh makes it.`;
}

/** Nothing asynchronous finishes while a process exits, so the container is removed by Docker's own client. */
function removeOnExit(name: string): () => void {
  const remove = (): void => {
    try {
      execFileSync('docker', ['rm', '--force', '--volumes', name], { stdio: 'ignore' });
    } catch {
      // Without Docker's command, or with the container gone already, there is nothing more that can be done here.
    }
  };
  const stop = (signal: NodeJS.Signals): void => {
    remove();
    process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.once('exit', remove).once('SIGINT', stop).once('SIGTERM', stop);
  return () => process.off('exit', remove).off('SIGINT', stop).off('SIGTERM', stop);
}

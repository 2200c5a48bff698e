import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// Tests that start the server, or a command, as it is shipped, and so need it built.
const PROCESS_TESTS = [
  'test/chaos/kill.spec.ts',
  'test/chaos/ses.spec.ts',
  'test/chaos/shutdown.spec.ts',
  'test/flow/start.spec.ts',
  'test/simulation/simulate.spec.ts',
];
// Tests that need an AWS endpoint: npm run test:localstack.
const LOCALSTACK_TESTS = ['test/localstack/**/*.spec.ts'];
// Tests of the image, which need Docker: npm run test:container.
const CONTAINER_TESTS = ['test/container/**/*.spec.ts'];
// Whatever is seen over HTTP must be the same on both engines, so these run on each.
const API_TESTS = ['test/api/**/*.spec.ts'];
// Those that would show nothing more on the second: what a browser makes of pages, which no store has a part in.
const NOT_ABOUT_STORES = ['test/api/swagger-ui.spec.ts', 'test/api/link-pages.spec.ts'];
// On two cores LocalStack answers 1.6 times as many requests when four are asked at once, and no more with more.
// With three of them, it and they left a third of two cores idle: tests of faults, leases and queues mostly wait.
const LOCALSTACK_WORKERS = 4;
// It has the same cores as everything else on the machine, so that a test of a second may take ten.
const LOCALSTACK_LIMIT_MS = 60_000;

// The longest first, so that no worker is left alone with one at the end.
const LONG_ON_LOCALSTACK = [
  'stack',
  'delivery-store.contract',
  'store-faults-delivery',
  'processes',
  'same-answers',
  'waves',
  'store-faults-api',
  'message-store.contract',
].map((name) => `test/localstack/${name}.spec.ts`);

/** Vitest, where it has not run them before, takes the length of a file for its duration: of a few lines that call a suite it thinks little. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- a method of Vitest's, and no array's
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const place = LONG_ON_LOCALSTACK.findIndex((path) => moduleId.endsWith(path));
  return place === -1 ? LONG_ON_LOCALSTACK.length : place;
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    pool: 'forks',
    maxWorkers: '100%', // by default one core is left out, which on two is half of them
    testTimeout: 20_000,
    hookTimeout: 30_000,
    provide: { engine: 'embedded' },
    setupFiles: ['test/support/temporal-equality.ts', 'test/support/property-seed.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'inside',
          include: ['test/**/*.spec.ts'],
          exclude: [...PROCESS_TESTS, ...LOCALSTACK_TESTS, ...CONTAINER_TESTS],
        },
      },
      {
        extends: true,
        test: { name: 'processes', include: PROCESS_TESTS, globalSetup: ['test/support/build.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'localstack',
          include: [...LOCALSTACK_TESTS, ...API_TESTS],
          exclude: NOT_ABOUT_STORES,
          provide: { engine: 'aws' },
          globalSetup: ['test/support/build.ts', 'test/support/localstack.ts'],
          setupFiles: ['test/localstack/remove-grounds.ts'],
          maxWorkers: LOCALSTACK_WORKERS,
          testTimeout: LOCALSTACK_LIMIT_MS,
          hookTimeout: LOCALSTACK_LIMIT_MS,
        },
      },
      {
        extends: true,
        test: { name: 'container', include: CONTAINER_TESTS, globalSetup: ['test/support/image.ts'] },
      },
    ],
  },
});

import { defineConfig } from 'vitest/config';

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
const LOCALSTACK_WORKERS = 3;
// It has the same cores as everything else on the machine, so that a test of a second may take ten.
const LOCALSTACK_LIMIT_MS = 60_000;

export default defineConfig({
  test: {
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

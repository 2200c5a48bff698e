import { defineConfig } from 'vitest/config';

// Tests that start the server as it is shipped, and so need it built.
const PROCESS_TESTS = ['test/chaos/kill.spec.ts', 'test/chaos/shutdown.spec.ts', 'test/flow/start.spec.ts'];
// Tests that need an AWS endpoint: npm run test:localstack.
const LOCALSTACK_TESTS = ['test/localstack/**/*.spec.ts'];
// Tests of the image, which need Docker: npm run test:container.
const CONTAINER_TESTS = ['test/container/**/*.spec.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 30_000,
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
        test: { name: 'localstack', include: LOCALSTACK_TESTS, globalSetup: ['test/support/localstack.ts'] },
      },
      {
        extends: true,
        test: { name: 'container', include: CONTAINER_TESTS, globalSetup: ['test/support/image.ts'] },
      },
    ],
  },
});

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { IMAGE } from './container.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Vitest's globalSetup for the tests of the image: builds it, unless BELFRY_IMAGE names one that is there. */
export function setup(): void {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' });
  } catch (error) {
    throw new Error('The tests of the image need Docker, and no engine answers.', { cause: error });
  }
  if (process.env['BELFRY_IMAGE'] === undefined) {
    execFileSync('docker', ['build', '--quiet', '--tag', IMAGE, ROOT], { stdio: 'inherit' });
  }
}

import { execFile } from 'node:child_process';
import { glob, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
const BUILT = 'dist/main.js';

/** Builds dist once before all tests, because some of them start the server as it is shipped. Does nothing where it is up to date. */
export async function setup(): Promise<void> {
  if (await isUpToDate()) {
    return;
  }
  try {
    await promisify(execFile)('npm', ['run', '--silent', 'build'], { cwd: ROOT });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    throw new Error(`The build failed.\n${said}`, { cause: error });
  }
}

async function isUpToDate(): Promise<boolean> {
  const builtAtMs = await modifiedAtMs(BUILT);
  for await (const path of glob(['src/**/*.ts', 'package-lock.json', 'rolldown.config.ts', 'tsconfig.json'], {
    cwd: ROOT,
  })) {
    if ((await modifiedAtMs(path)) > builtAtMs) {
      return false;
    }
  }
  return true;
}

/** 0 where there is no such file. */
async function modifiedAtMs(path: string): Promise<number> {
  const stats = await stat(join(ROOT, path)).catch(() => undefined);
  return stats?.mtimeMs ?? 0;
}

import { execFile } from 'node:child_process';
import { glob, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '../..');
// The compiler writes it last.
const BUILD_INFO = 'dist/.tsbuildinfo';

/** Builds dist once before all tests, because some of them start the server as it is shipped. Does nothing where it is up to date. */
export async function setup(): Promise<void> {
  if (await isUpToDate()) {
    return;
  }
  try {
    await promisify(execFile)(
      process.execPath,
      ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
      {
        cwd: ROOT,
      },
    );
  } catch (error) {
    await rm(join(ROOT, BUILD_INFO), { force: true }); // or the next run would take what there is for complete
    const said = error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
    throw new Error(`The build failed.\n${said}`, { cause: error });
  }
}

async function isUpToDate(): Promise<boolean> {
  const builtAtMs = await modifiedAtMs(BUILD_INFO);
  for await (const path of glob(['src/**/*.ts', 'package-lock.json', 'tsconfig*.json'], {
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

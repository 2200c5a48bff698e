import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** `created`: this call wrote it; otherwise the file was there already and was left as it is. */
export interface CreatedOnce {
  readonly content: Buffer;
  readonly created: boolean;
}

/**
 * Makes a file that only its owner may read, whole or not at all, and flushed to disk; makes the directory above it too.
 * Where the file exists, its content is returned and nothing is written, so a second run changes nothing.
 */
export async function createOnce(path: string, makeContent: () => Buffer): Promise<CreatedOnce> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${randomUUID()}.tmp`;
  const content = makeContent();
  try {
    await writeFlushed(draft, content);
    // link, not rename: rename would replace what an earlier start, or another process just now, has made.
    await link(draft, path);
    await flushDirectory(dirname(path));
    return { content, created: true };
  } catch (error) {
    if (hasCode(error, 'EEXIST')) {
      return { content: await readFile(path), created: false };
    }
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function writeFlushed(path: string, content: Buffer): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(content);
  await file.sync();
}

/** Without it a crash may lose the name, though the content is on disk. */
async function flushDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

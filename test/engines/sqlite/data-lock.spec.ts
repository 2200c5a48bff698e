import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DataLock, DataLockedError } from '../../../src/engines/sqlite/data-lock.ts';
import { anInstant } from '../../support/builders.ts';
import { temporaryFile } from './temporary-file.ts';

function takeLock(path: string): DataLock {
  const lock = new DataLock(path, anInstant());
  onTestFinished(() => lock.release());
  return lock;
}

/** Another process that holds the lock by now. */
async function aHolder(path: string): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('hold-lock.ts', import.meta.url));
  const holder = spawn(process.execPath, [program, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(holder, 'exit');
  onTestFinished(async () => {
    holder.kill('SIGKILL');
    await exited;
  });
  await Promise.race([
    once(holder.stdout, 'data'),
    exited.then(() => {
      throw new Error('The holder has ended before it held the lock.');
    }),
  ]);
  return holder;
}

describe('DataLock', () => {
  it('tells a second process who holds the data', async () => {
    const path = temporaryFile('belfry.lock');
    const holder = await aHolder(path);

    expect(() => takeLock(path)).toThrow(DataLockedError);
    expect(() => takeLock(path)).toThrow(
      `The data is in use by process ${holder.pid} on ${hostname()}, started at 2026-11-23T14:10:00Z (lock: ${path}).`,
    );
  });

  it('is free as soon as its holder is killed with -9', async () => {
    const path = temporaryFile('belfry.lock');
    const holder = await aHolder(path);
    const exited = once(holder, 'exit');
    holder.kill('SIGKILL');
    await exited;

    expect(() => takeLock(path)).not.toThrow();
  });

  it('is free once its holder has released it', async () => {
    const path = temporaryFile('belfry.lock');
    const holder = await aHolder(path);
    const exited = once(holder, 'exit');
    holder.stdin?.end();
    await exited;

    expect(() => takeLock(path)).not.toThrow();
  });

  it('keeps a second holder out of the same process, too', () => {
    const path = temporaryFile('belfry.lock');
    takeLock(path);

    expect(() => takeLock(path)).toThrow(`process ${process.pid} on ${hostname()}`);
  });

  it('is still held by the first after a second was turned away', async () => {
    const path = temporaryFile('belfry.lock');
    await aHolder(path);

    expect(() => takeLock(path)).toThrow(DataLockedError);
    expect(() => takeLock(path)).toThrow(DataLockedError);
  });

  it('names whoever holds it now, not whoever held it before', async () => {
    const path = temporaryFile('belfry.lock');
    const before = new DataLock(path, anInstant());
    before.release();
    const holder = await aHolder(path);

    expect(() => takeLock(path)).toThrow(`process ${holder.pid} on`);
  });
});

import { readFile } from 'node:fs/promises';

// sysconf(_SC_CLK_TCK) is 100 on every Linux that Node runs on.
const TICK_MS = 10;
const KIB = 1024;

/** Time on a processor, user and system together, since the process began. */
export async function readCpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // proc(5): utime and stime are fields 14 and 15; the name in field 2 may hold spaces, so they are counted from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export interface Memory {
  readonly residentBytes: number;
  /** The most that was ever resident: the kernel keeps it, so no peak falls between two readings. */
  readonly peakBytes: number;
}

export async function readMemory(pid: number): Promise<Memory> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * KIB;
  return { residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
}

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isObject } from '../../test/support/json.ts';
import type { Row, Table } from './bench.ts';
import { round } from './figures.ts';

/** As Node writes it (`--cpu-prof`; Chrome DevTools Protocol, Profiler.Profile). */
interface Profile {
  readonly nodes: readonly ProfileNode[];
  /** µs on the machine's monotonic clock. */
  readonly startTime: number;
  /** Ids of nodes. */
  readonly samples: readonly number[];
  /** µs since the sample before. */
  readonly timeDeltas: readonly number[];
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: Place;
  readonly children?: readonly number[];
}

/** Lines and columns count from 0. */
interface Place {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

/** A module of those that a file of the build is made of, and where it begins. */
interface Module {
  readonly line: number;
  readonly name: string;
}

const NS_PER_US = 1_000n;
const IDLE = '(idle)';
const NAMES: Readonly<Record<string, string>> = {
  '(garbage collector)': 'garbage collection',
  '(program)': 'V8 itself',
};
const NODE = 'Node itself';
// The build has such a line before each module.
const MODULE_PATTERN = /^\/\/ ((?:src|node_modules)\/\S+)$/;
// What is less is told together.
const LEAST_SHARE = 0.02;

/** What the columns of such a table mean. */
export const PROFILE_COLUMNS: Readonly<Record<string, string>> = {
  part: 'a package, or a file of Belfry, with what Node does for it; in a run of its own, which a profile makes slower',
  us: 'µs on the clock for each operation, waiting for the disk included and waiting for others not',
  percent: 'of all',
};

/**
 * Takes a profile of the Node process that `run` starts and ends, and tells where it spent its time.
 * @param run answers how many operations it was, by which that is divided.
 */
export async function profiled(title: string, run: (profile: CpuProfile) => Promise<number>): Promise<Table> {
  const folder = await mkdtemp(join(tmpdir(), 'belfry-profile-'));
  try {
    const profile = new CpuProfile(folder);
    const operations = await run(profile);
    return await profile.table(title, operations);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of one process, between two moments. */
export class CpuProfile {
  #fromUs = 0;
  #toUs = Number.POSITIVE_INFINITY;
  readonly #folder: string;

  /** @param folder of its own. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What the process is to be started with. */
  get nodeArgs(): readonly string[] {
    return ['--cpu-prof', `--cpu-prof-dir=${this.#folder}`];
  }

  /** From here on it counts; from the start of the process where this is not called. */
  begin(): void {
    this.#fromUs = nowUs();
  }

  /** Up to here it counts; to the end of the process where this is not called. */
  end(): void {
    this.#toUs = nowUs();
  }

  /**
   * µs for each of so many operations, by package or file of Belfry: a function of Node's counts as its caller's. What waits for the disk is
   * in it, because nothing else goes on meanwhile; what waits for others is not. To be asked when the process has ended.
   */
  async table(title: string, operations: number): Promise<Table> {
    const parts = await this.#read();
    const total = parts.values().reduce((sum, us) => sum + us, 0);
    const [large, small] = partition(
      [...parts].toSorted(([, a], [, b]) => b - a),
      ([, us]) => us >= total * LEAST_SHARE,
    );
    const rest = small.reduce((sum, [, us]) => sum + us, 0);
    return {
      title: `Where the time goes: ${title}`,
      rows: [...large, [`${small.length} others`, rest] as const, ['all', total] as const].map(
        ([part, us]): Row => ({
          part,
          us: round(us / operations, 1),
          percent: round((100 * us) / total),
        }),
      ),
    };
  }

  async #read(): Promise<ReadonlyMap<string, number>> {
    const [file, ...others] = (await readdir(this.#folder)).filter((name) => name.endsWith('.cpuprofile'));
    if (file === undefined || others.length > 0) {
      throw new Error(`There is to be one profile in ${this.#folder}.`);
    }
    const profile = await readJson(join(this.#folder, file), isProfile);
    const partOf = await partsOf(profile);
    const parts = new Map<string, number>();
    let atUs = profile.startTime;
    for (const [index, id] of profile.samples.entries()) {
      const us = profile.timeDeltas[index] ?? 0;
      atUs += us;
      const part = partOf.get(id) ?? IDLE;
      if (part !== IDLE && atUs >= this.#fromUs && atUs <= this.#toUs) {
        parts.set(part, (parts.get(part) ?? 0) + us);
      }
    }
    return parts;
  }
}

/** By the id of the node. */
async function partsOf({ nodes }: Profile): Promise<ReadonlyMap<number, string>> {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const modules = await modulesOf(nodes);
  const parts = new Map<number, string>();
  for (const { id, callFrame } of nodes) {
    let part: string | undefined;
    for (let at: number | undefined = id; at !== undefined && part === undefined; at = parents.get(at)) {
      const place = byId.get(at)?.callFrame;
      part = place && partNamed(sourceOf(place, modules));
    }
    const { functionName } = callFrame;
    parts.set(id, functionName === IDLE ? IDLE : (part ?? NAMES[functionName] ?? NODE));
  }
  return parts;
}

async function modulesOf(nodes: readonly ProfileNode[]): Promise<ReadonlyMap<string, readonly Module[]>> {
  const urls = new Set(nodes.map(({ callFrame }) => callFrame.url).filter((url) => url.includes('/dist/')));
  const found = await Promise.all(
    urls.values().map(async (url) => [url, await readModules(fileURLToPath(url))] as const),
  );
  return new Map(found);
}

/** In the order of the file. */
async function readModules(path: string): Promise<readonly Module[]> {
  const lines = (await readFile(path, 'utf8')).split('\n');
  return lines.flatMap((line, number): Module[] => {
    const [, name] = MODULE_PATTERN.exec(line) ?? [];
    return name === undefined ? [] : [{ line: number, name }];
  });
}

function sourceOf({ url, lineNumber }: Place, modules: ReadonlyMap<string, readonly Module[]>): string {
  return modules.get(url)?.findLast(({ line }) => line < lineNumber)?.name ?? url;
}

/** A package, or a file of Belfry; absent for what is neither. */
function partNamed(source: string): string | undefined {
  const [, inPackage] = /^.*\/?node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source) ?? [];
  const [, inBelfry] = /^src\/(.+)\.ts$/.exec(source) ?? [];
  return inPackage ?? (inBelfry === undefined ? undefined : `Belfry: ${inBelfry}`);
}

async function readJson<Value>(path: string, isRight: (value: unknown) => value is Value): Promise<Value> {
  const value: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (!isRight(value)) {
    throw new Error(`${path} holds something else.`);
  }
  return value;
}

function isProfile(value: unknown): value is Profile {
  return isObject(value) && 'nodes' in value && 'samples' in value && 'timeDeltas' in value;
}

function partition<Item>(
  items: readonly Item[],
  isFirst: (item: Item) => boolean,
): readonly [Item[], Item[]] {
  return [items.filter((item) => isFirst(item)), items.filter((item) => !isFirst(item))];
}

function nowUs(): number {
  return Number(process.hrtime.bigint() / NS_PER_US);
}

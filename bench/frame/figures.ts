export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** The value below which a share of the values lies, the nearest of them. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function spreadOf(values: readonly number[], decimals = 0): Spread {
  return {
    min: round(Math.min(...values), decimals),
    median: round(median(values), decimals),
    max: round(Math.max(...values), decimals),
  };
}

/** Three columns of a table: `rate_min`, `rate_median` and `rate_max`, say. */
export function columnsOf(
  name: string,
  { min, median: middle, max }: Spread,
): Readonly<Record<string, number>> {
  return { [`${name}_min`]: min, [`${name}_median`]: middle, [`${name}_max`]: max };
}

export function round(value: number, decimals = 0): number {
  return Number(value.toFixed(decimals));
}

/**
 * Takes turns: A B A B …, so that whatever else the machine does strikes all sides alike. Each measurement starts what it measures and
 * stops it, so that one server is alive at a time.
 */
export async function alternate<Sample>(
  sides: readonly (() => Promise<Sample>)[],
  rounds: number,
): Promise<readonly (readonly Sample[])[]> {
  const samples: Sample[][] = sides.map(() => []);
  for (let turn = 1; turn <= rounds; turn += 1) {
    for (const [index, measure] of sides.entries()) {
      samples[index]?.push(await measure());
    }
  }
  return samples;
}

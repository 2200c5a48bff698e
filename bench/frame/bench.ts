import type { Spread } from './figures.ts';

/** A line of a table: the columns are those of the first row. */
export type Row = Readonly<Record<string, string | number>>;

/** A figure that was set before it was measured. */
export interface Goal {
  readonly what: string;
  /** `at least 0.5 ×`, `at most 250 MB` */
  readonly goal: string;
  readonly measured: number;
  readonly isMet: boolean;
}

/** Bars beside one another, each with its least and its greatest value. */
export interface Plot {
  readonly title: string;
  readonly unit: string;
  readonly bars: readonly { readonly label: string; readonly value: Spread }[];
}

export interface Table {
  /** What tells it from the bench's other tables. */
  readonly title: string;
  readonly rows: readonly Row[];
}

/** What one run of a bench has found. */
export interface Measured {
  readonly goals: readonly Goal[];
  readonly tables: readonly Table[];
  readonly plots: readonly Plot[];
  /** What each column means, by its name. */
  readonly columns: Readonly<Record<string, string>>;
  /** What else the reader must know: what was not reached and why, what was left out. */
  readonly remarks?: readonly string[];
}

/** One question about speed, and how it is answered. */
export interface Bench {
  /** As in `npm run bench -- NAME`. */
  readonly name: string;
  readonly question: string;
  /** How it is measured, and against what, in a few sentences. */
  readonly method: string;
  /** The arguments of the form that takes seconds: it shows that the bench works, its figures are rough. */
  readonly short: readonly string[];
  readonly measure: (args: readonly string[]) => Promise<Measured>;
}

export function atLeast(what: string, wanted: number, unit: string, measured: number): Goal {
  return { what, goal: `at least ${wanted} ${unit}`, measured, isMet: measured >= wanted };
}

export function atMost(what: string, wanted: number, unit: string, measured: number): Goal {
  return { what, goal: `at most ${wanted} ${unit}`, measured, isMet: measured <= wanted };
}

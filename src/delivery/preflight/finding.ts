export const PREFLIGHT_RESULTS = ['pass', 'warn', 'fail'] as const;
/** `fail`: it would not go, or hardly arrive. `warn`: it may arrive worse for it, or nobody could look. */
export type PreflightResult = (typeof PREFLIGHT_RESULTS)[number];

/** What one rule says of a message. */
export interface Finding {
  /** Stable and kebab-case. */
  readonly rule: string;
  readonly result: PreflightResult;
  readonly detail: string;
  /** Where the rule is written. */
  readonly source: string;
}

export function finding(rule: string, source: string): (result: PreflightResult, detail: string) => Finding {
  return (result, detail) => ({ rule, result, detail, source });
}

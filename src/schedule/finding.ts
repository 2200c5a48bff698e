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

/** Those that somebody should look at. */
export function faulty(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ result }) => result !== 'pass');
}

/** As engines store them; absent where there are none. */
export function encodeFindings(findings: readonly Finding[]): string | undefined {
  return findings.length === 0 ? undefined : JSON.stringify(findings);
}

/** @throws where that was not made by `encodeFindings`. */
export function decodeFindings(stored: string | undefined): readonly Finding[] {
  const findings: unknown = stored === undefined ? [] : JSON.parse(stored);
  if (!Array.isArray(findings)) {
    throw new Error('What is stored of the findings of a message cannot be read.');
  }
  return findings.map(toFinding);
}

function toFinding(stored: unknown): Finding {
  const fields = new Map<string, unknown>(
    Object.entries(typeof stored === 'object' && stored !== null ? stored : {}),
  );
  const text = (name: string): string => {
    const value = fields.get(name);
    if (typeof value !== 'string') {
      throw new Error(`A stored finding has no ${name}.`);
    }
    return value;
  };
  const result = PREFLIGHT_RESULTS.find((one) => one === text('result')) ?? 'warn';
  return { rule: text('rule'), result, detail: text('detail'), source: text('source') };
}
